"""Scheduling decisions, without a model: sequences advance by hand."""

from __future__ import annotations

import random
from typing import Any

from adaptive_engine.engine.detokenizer import TextStream
from adaptive_engine.engine.kv_cache import BlockPool
from adaptive_engine.engine.prefix import block_names
from adaptive_engine.engine.prompt import PlacedImage, Prompt
from adaptive_engine.engine.runner import StepCosts
from adaptive_engine.engine.scheduler import Scheduler
from adaptive_engine.engine.sequence import GenerationRequest, Sequence, Slice
from adaptive_engine.types import Image

SIZE = 4


COSTS = StepCosts(row=0.25, resize=3, doubling_depth=1500, busy_prompt_tokens=64)


def scheduler(
    blocks: int = 100,
    max_running: int = 8,
    prefill: int = 32,
    busy: int | None = 8,
    costs: StepCosts = COSTS,
) -> Scheduler:
    pool = BlockPool(blocks + 1, SIZE, session_keep_seconds=600)
    return Scheduler(pool, max_running=max_running, prefill_tokens=prefill, prefill_tokens_busy=busy, costs=costs)


def sequence(
    prompt: list[int],
    salt: bytes = b"",
    session: bytes | None = None,
    owner: bytes = b"",
    background: bool = False,
    images: tuple[PlacedImage, ...] = (),
) -> Sequence:
    stream: Any = None
    return Sequence(
        request=GenerationRequest(
            Prompt(tuple(prompt), images), cache_salt=salt, session=session, owner=owner, background=background
        ),
        stream=stream,
        text=TextStream(),
        rng=random.Random(0),
        max_new_tokens=1000,
        tokens=list(prompt),
        prompt_length=len(prompt),
        prompt_names=block_names(salt, prompt, SIZE, images=images),
    )


def step(of: Scheduler) -> list[Slice]:
    """Schedule, pretend to compute, and add a token where one is due."""
    slices = of.schedule()
    for part in slices:
        due = part.samples
        of.advance(part.sequence, part.stop)
        if due:
            part.sequence.tokens.append(7)
    return slices


def spans(slices: list[Slice]) -> list[tuple[int, int]]:
    return [(part.start, part.stop) for part in slices]


def test_a_long_prompt_is_computed_in_chunks() -> None:
    of = scheduler()
    of.add(sequence(list(range(70))))
    assert [spans(step(of)) for _ in range(4)] == [[(0, 32)], [(32, 64)], [(64, 70)], [(70, 71)]]


def test_rows_that_a_large_step_would_be_padded_with_compute_more_of_a_prompt() -> None:
    of = scheduler(prefill=42)
    of.add(sequence(list(range(100))))
    assert [spans(step(of)) for _ in range(4)] == [[(0, 48)], [(48, 96)], [(96, 100)], [(100, 101)]]


def test_what_fills_a_step_leaves_no_token_of_a_prompt_alone() -> None:
    of = scheduler(prefill=42)
    of.add(sequence(list(range(49))))
    assert [spans(step(of)) for _ in range(2)] == [[(0, 42)], [(42, 49)]]


def test_running_sequences_decode_in_every_step_while_a_prompt_is_computed() -> None:
    of = scheduler()
    first, second = sequence([1, 2, 3]), sequence(list(range(10, 30)))
    of.add(first)
    step(of)
    of.add(second)
    decoded = 0
    while second.generated == 0:
        slices = step(of)
        assert slices[0].sequence is first
        assert slices[0].stop - slices[0].start == 1
        assert slices[1].stop - slices[1].start <= 8
        decoded += 1
    assert decoded == 3


def test_a_second_request_reuses_the_prefix_and_computes_at_least_one_token() -> None:
    of = scheduler()
    one = sequence(list(range(16)))
    of.add(one)
    step(of)
    of.remove(one)
    again = sequence(list(range(16)))
    of.add(again)
    assert spans(step(of)) == [(12, 16)]
    assert again.cached_tokens == 12


def showing(colour: int, start: int, stop: int) -> tuple[PlacedImage, ...]:
    """A picture of one colour, whose tokens are from `start` to `stop`."""
    return (PlacedImage(Image.of(1, 1, bytes([colour] * 3)), start, stop),)


def cached(of: Scheduler, prompt: list[int], **options: Any) -> int:
    """How many tokens of a prompt are found, before it is computed."""
    one = sequence(prompt, **options)
    of.add(one)
    while not one.generated:
        step(of)
    of.remove(one)
    return one.cached_tokens


def test_equal_tokens_are_reused_up_to_a_picture_that_differs() -> None:
    of = scheduler()
    prompt = [*range(6), *[9] * 6, *range(20, 28)]
    assert cached(of, prompt, images=showing(1, 6, 12)) == 0
    assert cached(of, prompt, images=showing(1, 6, 12)) == 16
    assert cached(of, prompt, images=showing(2, 6, 12)) == 4
    assert cached(of, prompt, images=showing(2, 6, 12)) == 16
    assert cached(of, prompt, images=showing(1, 7, 12)) == 4
    assert cached(of, prompt) == 4


def test_a_session_does_not_write_on_behind_another_picture() -> None:
    of = scheduler()
    prompt = [1, 2, *[9] * 5]
    assert cached(of, prompt, session=b"s", images=showing(1, 2, 7)) == 0
    longer = [*prompt, 7, 30, 31, 32]
    assert cached(of, longer, session=b"s", images=showing(2, 2, 7)) == 0
    assert cached(of, prompt, session=b"t", images=showing(1, 2, 7)) == 4
    assert cached(of, longer, session=b"t", images=showing(1, 2, 7)) == 7


def test_generated_tokens_are_reused_by_the_next_turn() -> None:
    of = scheduler()
    one = sequence([1, 2, 3])
    of.add(one)
    for _ in range(10):
        step(of)
    of.remove(one)
    following = sequence([*one.tokens, 50])
    of.add(following)
    step(of)
    assert following.cached_tokens == 12


def test_another_salt_shares_nothing() -> None:
    of = scheduler()
    one = sequence(list(range(16)), b"a")
    of.add(one)
    step(of)
    of.remove(one)
    other = sequence(list(range(16)), b"b")
    of.add(other)
    step(of)
    assert other.cached_tokens == 0


def run(of: Scheduler, prompt: list[int], salt: bytes = b"", session: bytes | None = None, tokens: int = 5) -> Sequence:
    """A whole turn: the prompt and `tokens` generated ones."""
    turn = sequence(prompt, salt, session)
    of.add(turn)
    while turn.generated < tokens:
        step(of)
    of.remove(turn)
    of.check()
    return turn


def test_a_session_goes_on_behind_the_last_computed_token() -> None:
    of = scheduler()
    first = run(of, [1, 2, 3], session=b"s")
    assert (len(first.tokens), first.computed) == (8, 7), "the last sampled token was never an input"
    second = run(of, [*first.tokens, 50, 51], session=b"s")
    assert second.cached_tokens == 7
    assert run(of, [*second.tokens, 50]).cached_tokens == 12, "who is in no session shares full blocks"
    assert run(of, [*second.tokens, 50], session=b"s").cached_tokens == 14


def test_an_edited_history_is_computed_from_the_edit_on() -> None:
    of = scheduler()
    first = run(of, list(range(10)), session=b"s")
    edited = [*first.tokens[:9], 99, *first.tokens[10:]]
    assert run(of, edited, session=b"s").cached_tokens == 8
    assert run(of, [98, *edited], session=b"s").cached_tokens == 0


def test_a_prompt_that_ends_within_the_last_turn_still_computes_a_token() -> None:
    of = scheduler()
    first = run(of, [1, 2, 3], session=b"s")
    for length in range(1, len(first.tokens)):
        run(of, [1, 2, 3], session=b"s")
        assert run(of, first.tokens[:length], session=b"s").cached_tokens < length


def test_a_session_of_another_owner_is_another_session() -> None:
    of = scheduler()
    first = run(of, [1, 2, 3], b"a", b"s")
    prompt = [*first.tokens, 50]
    assert run(of, prompt, b"b", b"s").cached_tokens == 0
    assert run(of, [*first.tokens[:7], 60], b"a", b"t").cached_tokens == 4
    assert run(of, prompt, b"a", b"s").cached_tokens == 7


def test_two_requests_of_a_session_write_in_blocks_of_their_own() -> None:
    of = scheduler()
    first = run(of, [1, 2, 3], session=b"s")
    one, other = (sequence([*first.tokens[:-1], n], session=b"s") for n in (50, 60))
    of.add(one)
    of.add(other)
    step(of)
    assert sorted([one.cached_tokens, other.cached_tokens]) == [4, 6]
    assert one.blocks[0] == other.blocks[0]
    assert not set(one.blocks[1:]) & set(other.blocks[1:])
    of.pool.check(in_use=len({*one.blocks, *other.blocks}))
    of.remove(one)
    of.remove(other)
    of.check()


def test_sessions_survive_a_flood_of_others_and_leaving_in_mid_turn() -> None:
    of = scheduler(blocks=20)
    first = run(of, list(range(20)), session=b"s")
    for number in range(1, 30):
        run(of, list(range(100 * number, 100 * number + 30)))
    left = sequence([*first.tokens, *range(50, 60)], session=b"s")
    of.add(left)
    step(of)
    of.remove(left)
    of.check()
    assert left.cached_tokens == 24
    following = run(of, [*first.tokens, *range(50, 62)], session=b"s")
    assert following.cached_tokens == 35, "what the one that left had computed counts"


def test_equal_prompts_at_the_same_time_are_computed_once() -> None:
    of = scheduler(prefill=8)
    twins = [sequence(list(range(18))) for _ in range(3)]
    for twin in twins:
        of.add(twin)
    computed = 0
    while any(twin.generated == 0 for twin in twins):
        computed += sum(part.stop - part.start for part in step(of) if part.start < 18)
    assert [twin.cached_tokens for twin in twins] == [0, 16, 16]
    assert computed == 18 + 2 + 2


def test_the_first_of_equal_prompts_leaving_does_not_strand_the_others() -> None:
    of = scheduler(prefill=8)
    first, second = sequence(list(range(18))), sequence(list(range(18)))
    of.add(first)
    of.add(second)
    step(of)
    of.remove(first)
    assert step(of)[0].sequence is second


def test_when_blocks_run_out_the_youngest_is_computed_again_later() -> None:
    of = scheduler(blocks=6)
    old, young = sequence(list(range(8))), sequence(list(range(100, 108)))
    of.add(old)
    of.add(young)
    for _ in range(40):
        step(of)
        if old.generated > 12:
            of.remove(old)
            break
    assert of.preemptions >= 1
    assert young.preemptions >= 1
    before = list(young.tokens)
    while young.generated < 14:
        step(of)
    assert young.tokens[: len(before)] == before, "nothing that was generated is lost"
    of.remove(young)
    of.check()


def test_requests_wait_in_order_when_all_places_are_taken() -> None:
    of = scheduler(max_running=2)
    sequences = [sequence([n, n + 1]) for n in range(0, 40, 10)]
    for one in sequences:
        of.add(one)
    step(of)
    assert of.running == sequences[:2]
    of.remove(sequences[0])
    step(of)
    assert of.running == [sequences[1], sequences[2]]


def test_who_has_nothing_running_gets_one_of_a_few_extra_places() -> None:
    of = scheduler(max_running=4)
    many = [sequence([n, n + 1]) for n in range(0, 80, 10)]
    for one in many:
        of.add(one)
    of.schedule()
    assert of.running == many[:4], "not for who has places"
    two, single = [sequence([n, n + 1], owner=b"two") for n in (100, 110)], sequence([120, 121], owner=b"one")
    for one in (*two, single):
        of.add(one)
    of.schedule()
    assert of.running == [*many[:4], single], "one extra place for four"
    of.remove(single)
    of.schedule()
    assert of.running == [*many[:4], two[0]]
    of.remove(two[0])
    of.schedule()
    assert of.running == [*many[:4], two[1]]
    of.remove(many[0])
    of.schedule()
    assert of.running == [*many[1:4], two[1]], "what has an extra place takes the next one that is free"


def test_random_traffic_leaks_nothing() -> None:
    rng = random.Random(3)
    of = scheduler(blocks=30, max_running=6)
    alive: list[Sequence] = []
    for _ in range(600):
        if rng.random() < 0.3 and len(alive) < 12:
            start = rng.randrange(3)
            session = rng.choice([None, b"s", b"t"])
            alive.append(sequence([start] * rng.randrange(1, 40), bytes([rng.randrange(2)]), session))
            of.add(alive[-1])
        step(of)
        for one in list(alive):
            if one.generated > 12 or rng.random() < 0.05:
                of.remove(one)
                alive.remove(one)
        in_use = len({block for one in of.running for block in one.blocks})
        of.pool.check(in_use)
    for one in alive:
        of.remove(one)
    of.check()


def test_a_short_prompt_does_not_wait_for_a_long_one() -> None:
    of = scheduler(blocks=200)
    long, short = sequence(list(range(600))), sequence(list(range(1000, 1010)))
    of.add(long)
    step(of)
    of.add(short)
    step(of)
    assert short.generated == 1


def test_prompts_of_which_one_token_is_left_wait_when_the_budget_is_spent() -> None:
    of = scheduler(max_running=20)
    of.add(sequence([1]))
    step(of)
    crowd = [sequence([n]) for n in range(100, 112)]
    for one in crowd:
        of.add(one)
    slices = step(of)
    assert all(part.rows == 1 for part in slices)
    assert sum(one.generated for one in crowd) == 8, "the budget beside streams"
    step(of)
    assert all(one.generated for one in crowd)


def test_a_long_prompt_gets_on_while_short_ones_keep_coming() -> None:
    of = scheduler(blocks=300, prefill=32, busy=32)
    long = sequence(list(range(320)))
    of.add(long)
    for turn in range(20):
        of.add(sequence([1000 + turn] * 30))
        step(of)
        for other in [one for one in of.running if one.generated]:
            of.remove(other)
    assert long.computed >= 20 * 16 or long.generated


def test_the_more_streams_wait_the_more_a_step_computes_of_prompts() -> None:
    """Half as long again as without, and at least what the runner says."""
    costs = StepCosts(row=0.1, resize=0, doubling_depth=10**6, busy_prompt_tokens=9)
    for streams, tokens in ((1, 9), (8, 9), (20, 15), (32, 21)):
        of = scheduler(blocks=500, max_running=64, prefill=256, busy=None, costs=costs)
        for number in range(streams):
            of.add(sequence([number, 2, 3]))
        step(of)
        of.add(sequence(list(range(100, 300))))
        assert [part.rows for part in step(of)] == [1] * streams + [tokens]


def test_deep_in_a_prompt_chunks_are_smaller_while_others_decode() -> None:
    of = scheduler(blocks=5000, prefill=256, busy=64)
    long = sequence(list(range(9000)))
    of.add(long)
    while long.computed < 1500:
        (part,) = step(of)
        assert part.rows == 256
    stream = sequence([1])
    of.add(stream)
    step(of)
    assert stream.generated == 1
    _, part = step(of)
    # A token costs somewhat more than twice what one at the begin does.
    assert 28 <= part.rows < 32
    short = sequence(list(range(10_000, 10_100)))
    of.add(short)
    _, part, other = step(of)
    assert (part.sequence, other.sequence) == (long, short)
    assert other.rows == 32, "it pays for its own depth only"
    assert 14 <= part.rows <= 16
    of.remove(stream)
    while long.computed < 7500:
        step(of)
    of.add(stream := sequence([1]))
    steps = 0
    while long.remaining_prefill:
        step(of)
        steps += 1
    assert steps <= 1500 // 9


def test_owners_share_the_budget_for_prompts() -> None:
    of = scheduler(blocks=400, prefill=64)
    many = [sequence(list(range(n, n + 90)), owner=b"a") for n in range(0, 400, 100)]
    single = sequence(list(range(1000, 1090)), owner=b"b")
    for one in many:
        of.add(one)
    step(of)
    of.add(single)
    step(of)
    assert single.computed == 32
    assert sum(one.computed for one in many) == 64 + 32


def test_what_an_owner_does_not_need_of_its_share_others_get() -> None:
    of = scheduler(blocks=400, prefill=64)
    long, short = sequence(list(range(90)), owner=b"a"), sequence(list(range(1000, 1010)), owner=b"b")
    of.add(long)
    of.add(short)
    step(of)
    assert (long.computed, short.computed) == (54, 10)


def test_a_small_budget_is_not_split_into_crumbs() -> None:
    of = scheduler(blocks=400, prefill=40)
    prompts = [sequence(list(range(n, n + 90)), owner=bytes([n // 100])) for n in range(0, 800, 100)]
    for one in prompts:
        of.add(one)
    assert [part.stop - part.start for part in step(of)] == [20, 20]
    while not all(one.generated for one in prompts):
        step(of)


def test_the_background_waits_for_all_others() -> None:
    of = scheduler(max_running=1)
    late, early = sequence([1, 2, 3], background=True), sequence([4, 5, 6], background=True)
    foreground = sequence([7, 8, 9])
    for one in (early, late, foreground):
        of.add(one)
    step(of)
    assert of.running == [foreground]
    of.remove(foreground)
    step(of)
    assert of.running == [early]


def test_the_background_gives_its_place_to_the_foreground() -> None:
    of = scheduler(max_running=2)
    older, younger = sequence([1, 2, 3], background=True), sequence([4, 5, 6], background=True)
    of.add(older)
    of.add(younger)
    step(of)
    foreground = sequence([7, 8, 9])
    of.add(foreground)
    step(of)
    assert of.running == [older, foreground]
    assert younger.generated == 1
    of.remove(foreground)
    step(of)
    assert of.running == [older, younger]
    step(of)
    assert younger.generated == 2


def test_the_background_gives_its_room_to_the_foreground() -> None:
    of = scheduler(blocks=10)
    background = sequence(list(range(30)), background=True)
    of.add(background)
    step(of)
    foreground = sequence(list(range(100, 120)))
    of.add(foreground)
    step(of)
    assert of.running == [foreground]


def test_the_foreground_gets_the_budget_for_prompts_first() -> None:
    of = scheduler(prefill=32)
    background, foreground = sequence(list(range(100)), background=True), sequence(list(range(200, 250)))
    of.add(background)
    of.add(foreground)
    assert [(part.sequence, part.rows) for part in step(of)] == [(foreground, 32)]
    assert [(part.sequence, part.rows) for part in step(of)] == [(foreground, 18), (background, 14)]


def test_the_foreground_does_not_wait_for_a_prefix_that_the_background_computes() -> None:
    of = scheduler(prefill=32)
    background = sequence(list(range(40)), background=True)
    of.add(background)
    step(of)
    foreground = sequence(list(range(40)))
    of.add(foreground)
    step(of)
    assert of.running[0] is foreground
    assert foreground.cached_tokens == 32
