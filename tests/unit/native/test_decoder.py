from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from adaptive_engine.engine.native import NativeModel, read_native
from adaptive_engine.native import FILE
from unit.native import ggml
from unit.native.models import (
    Decoder,
    Logits,
    Mistakes,
    Part,
    Reference,
    Sizes,
    distance,
    needs_library,
    random_tensors,
    read_model,
    write_model,
)

pytestmark = needs_library

# Activations, keys and values have 8 bits, which makes up to 0.031 of the models here. Any mistake makes 0.2 or more.
CLOSE, FAR = 0.04, 0.2

MODELS = {
    "llama": Sizes(),
    "llama, a head of keys each, untied": Sizes(heads=4, kv_heads=4, tied=False, kinds=(ggml.Q8_0, ggml.Q4_0)),
    "llama, frequencies": Sizes(heads=4, kv_heads=2, head_dim=64, factors=True, vocabulary=33),
    "llama, biases": Sizes(heads=4, kv_heads=2, biases=True, vocabulary=256),
    "llama, K types": Sizes(hidden=256, heads=4, kv_heads=2, head_dim=64, mlp=512, kinds=(ggml.Q4_K, ggml.Q6_K)),
    "llama, many heads": Sizes(heads=100, kv_heads=2, vocabulary=17),
    "qwen2": Sizes("qwen2", heads=6, kv_heads=2, head_dim=64, kinds=(ggml.Q4_1,)),
    "qwen2, untied": Sizes("qwen2", hidden=128, heads=2, kv_heads=1, head_dim=64, tied=False, vocabulary=1000),
    "qwen3": Sizes("qwen3", layers=3, heads=4, kv_heads=2, head_dim=128, kinds=(ggml.Q8_0, ggml.Q4_1)),
    "qwen3, 256": Sizes("qwen3", layers=1, hidden=96, heads=2, kv_heads=2, head_dim=256, mlp=32),
}

Decode = Callable[..., Decoder]


@pytest.fixture(params=[None, "avx2"])
def instructions(request: pytest.FixtureRequest) -> str | None:
    """Names of instructions that this CPU has; None are the best of them."""
    name: str | None = request.param
    return name


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], NativeModel]:
    """By their names, each made once."""
    folder = tmp_path_factory.mktemp("models")
    made: dict[str, NativeModel] = {}

    def model(name: str) -> NativeModel:
        if name not in made:
            made[name] = read_model(folder / str(len(made)), MODELS[name], random_tensors(MODELS[name]))
        return made[name]

    return model


@pytest.fixture
def decoder(models: Callable[[str], NativeModel], instructions: str | None) -> Iterator[Decode]:
    opened: list[Decoder] = []

    def open_one(name: str, threads: int = 2) -> Decoder:
        opened.append(Decoder(models(name), threads=threads, instructions=instructions).__enter__())
        return opened[-1]

    yield open_one
    for one in opened:
        one.__exit__()


def prompt(length: int, sizes: Sizes = MODELS["llama"], seed: int = 1) -> list[int]:
    tokens: list[int] = np.random.default_rng(seed).integers(0, sizes.vocabulary, length).tolist()
    return tokens


# Not in order, and not one behind the other.
BLOCKS = [7, 3, 40, 1, 22, 9, 63, 12, 30, 5]
OTHER_BLOCKS = [8, 2, 41, 60, 4, 50, 33, 10, 11, 6]


@pytest.mark.parametrize("name", MODELS)
def test_logits_are_close_to_those_of_the_reference(decoder: Decode, name: str) -> None:
    sizes = MODELS[name]
    tokens = prompt(75, sizes)
    right = Reference(sizes, random_tensors(sizes)).logits(tokens)
    assert distance(decoder(name).step(Part(tokens, BLOCKS)), right) < CLOSE


@pytest.mark.parametrize("name", MODELS)
def test_both_kinds_of_instructions_give_the_same_bits(models: Callable[[str], NativeModel], name: str) -> None:
    tokens = prompt(75, MODELS[name])
    with Decoder(models(name), instructions=None) as best, Decoder(models(name), instructions="avx2") as avx2:
        np.testing.assert_array_equal(best.step(Part(tokens, BLOCKS)), avx2.step(Part(tokens, BLOCKS)))


MISTAKES = {
    "no mask": ("llama", Mistakes(no_mask=True)),
    "a mask that is late by one": ("llama", Mistakes(late_mask=True)),
    "no rotation": ("llama", Mistakes(no_rotation=True)),
    "other pairs in llama": ("llama", Mistakes(other_pairs=True)),
    "other pairs in qwen2": ("qwen2", Mistakes(other_pairs=True)),
    "other pairs of biases": ("llama, biases", Mistakes(other_pairs=True)),
    "positions that differ by one": ("llama, a head of keys each, untied", Mistakes(next_position=True)),
    "frequencies": ("llama, frequencies", Mistakes(no_factors=True)),
    "other heads": ("qwen2", Mistakes(other_heads=True)),
    "no bias of queries": ("qwen2", Mistakes(no_bias="q")),
    "no bias of keys": ("llama, biases", Mistakes(no_bias="k")),
    "no bias of values": ("qwen2", Mistakes(no_bias="v")),
    "no norm of heads": ("qwen3", Mistakes(no_head_norm=True)),
    "gate and up swapped": ("qwen3", Mistakes(swapped_gate=True)),
    "no gate": ("qwen3", Mistakes(no_gate=True)),
}


@pytest.mark.parametrize(("name", "mistakes"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes_are_seen(decoder: Decode, name: str, mistakes: Mistakes) -> None:
    sizes = MODELS[name]
    tokens = prompt(75, sizes)
    wrong = Reference(sizes, random_tensors(sizes), mistakes).logits(tokens)
    assert distance(decoder(name).step(Part(tokens, BLOCKS)), wrong) > FAR


def test_long_prompts_are_as_close(decoder: Decode) -> None:
    tokens = prompt(300)
    right = Reference(MODELS["llama"], random_tensors(MODELS["llama"])).logits(tokens)
    assert distance(decoder("llama").step(Part(tokens, BLOCKS)), right) < CLOSE


@pytest.mark.parametrize("name", ["llama", "llama, many heads", "qwen2", "qwen3"])
@pytest.mark.parametrize("cut", [[1], [32], [5, 12, 64, 65], [63, 64], [99], list(range(1, 100))])
def test_how_a_prompt_is_cut_changes_nothing(decoder: Decode, name: str, cut: list[int]) -> None:
    part = Part(prompt(100, MODELS[name]), BLOCKS)
    whole = decoder(name).step(part)
    in_parts = decoder(name)
    ends = [0, *cut, 100]
    rows = [in_parts.step(part.cut(begin, end)) for begin, end in pairwise(ends)]
    assert np.array_equal(np.concatenate(rows), whole)


@pytest.mark.parametrize("name", ["llama", "llama, many heads", "llama, K types", "qwen3"])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_and_other_sequences_change_nothing(decoder: Decode, name: str, threads: int) -> None:
    sizes = MODELS[name]
    part = Part(prompt(90, sizes), BLOCKS)
    others = [Part(prompt(count, sizes, seed=count), OTHER_BLOCKS[at:]) for at, count in ((0, 1), (1, 67), (4, 33))]
    alone = decoder(name).step(part)
    together = decoder(name, threads).step(others[0], part, *others[1:])
    assert np.array_equal(together[1:91], alone)
    for other, begin in zip(others, (0, 91, 158), strict=True):
        assert np.array_equal(together[begin : begin + len(other.tokens)], decoder(name).step(other))


@pytest.mark.parametrize("rows", [*range(1, 20), 31, 32, 33, 63, 64, 65, 127, 129, 200, 257, 300])
def test_each_number_of_rows_gives_the_same(decoder: Decode, rows: int, whole: Logits) -> None:
    assert np.array_equal(decoder("llama", 3).step(Part(prompt(300)[:rows], BLOCKS)), whole[:rows])


@pytest.fixture(scope="module")
def whole(models: Callable[[str], NativeModel]) -> Logits:
    with Decoder(models("llama")) as decoder:
        return decoder.step(Part(prompt(300), BLOCKS))


def test_small_steps_follow_large_ones_and_large_ones_small_ones(decoder: Decode, whole: Logits) -> None:
    one = decoder("llama")
    for rows in (1, 300, 2, 100, 299, 300, 3):
        assert np.array_equal(one.step(Part(prompt(300)[:rows], BLOCKS)), whole[:rows])


def test_which_blocks_a_sequence_has_changes_nothing(decoder: Decode, whole: Logits) -> None:
    assert np.array_equal(decoder("llama").step(Part(prompt(300), list(range(10, 20)))), whole)


def test_a_cache_of_many_gigabytes(
    models: Callable[[str], NativeModel], instructions: str | None, whole: Logits
) -> None:
    # Two layers of 2432 bytes a block: more than 4 GiB each.
    with Decoder(models("llama"), blocks=2_000_000, instructions=instructions) as one:
        blocks = [1_999_999 - 190_000 * i for i in range(10)]
        assert np.array_equal(one.step(Part(prompt(300), blocks)), whole)


def test_a_prefix_of_another_sequence_is_shared(decoder: Decode, whole: Logits) -> None:
    one = decoder("llama")
    tokens = prompt(300)
    one.step(Part(tokens[:96], BLOCKS))
    shared = [*BLOCKS[:3], *OTHER_BLOCKS]
    parts = [Part(tokens[96:200], blocks, past=96) for blocks in (BLOCKS, shared)]
    assert np.array_equal(one.step(*parts), np.concatenate([whole[96:200]] * 2))


def test_decoding_many_sequences(decoder: Decode, whole: Logits) -> None:
    one = decoder("llama", 3)
    tokens = prompt(300)
    lengths = [40, 31, 32, 33, 1]
    tables = [[2 * i + 1, 2 * i + 2] for i in range(len(lengths))]
    begun = [Part(tokens[:length], table, wanted=[]) for length, table in zip(lengths, tables, strict=True)]
    assert one.step(*begun).shape == (0, 250)
    for further in range(20):
        parts = [
            Part([tokens[length + further]], table, past=length + further)
            for length, table in zip(lengths, tables, strict=True)
        ]
        assert np.array_equal(one.step(*parts), whole[[length + further for length in lengths]])


@pytest.mark.parametrize("wanted", [[], [0], [89], [3, 4, 5], [2, 17, 88], list(range(0, 90, 7))])
def test_only_wanted_rows_have_logits(decoder: Decode, whole: Logits, wanted: list[int]) -> None:
    part = Part(prompt(300)[:90], BLOCKS, wanted=wanted)
    assert np.array_equal(decoder("llama").step(part), whole[wanted])


def test_wanted_rows_of_several_sequences(decoder: Decode, whole: Logits) -> None:
    one = decoder("llama")
    tokens, tables = prompt(300), [[2 * i + 1, 2 * i + 2] for i in range(5)]
    wanted: list[list[int]] = [[], [0, 30], [31], [], [2, 3, 4]]
    parts = [Part(tokens[:32], table, wanted=rows) for table, rows in zip(tables, wanted, strict=True)]
    assert np.array_equal(one.step(*parts), whole[[row for rows in wanted for row in rows]])
    # All are in the cache, wanted or not.
    further = [Part([tokens[32]], table, past=32) for table in tables]
    assert np.array_equal(one.step(*further), whole[[32] * 5])


def test_a_model_without_layers(decoder: Decode, tmp_path: Path, instructions: str | None) -> None:
    sizes = Sizes(layers=0)
    tensors = random_tensors(sizes)
    with Decoder(read_model(tmp_path / "model", sizes, tensors), instructions=instructions) as one:
        right = Reference(sizes, tensors).logits(prompt(40))
        assert distance(one.step(Part(prompt(40), BLOCKS)), right) < CLOSE
        assert distance(one.step(Part(prompt(40), BLOCKS, wanted=[3, 39])), right[[3, 39]]) < CLOSE


def test_many_more_threads_than_processors(decoder: Decode, whole: Logits) -> None:
    one = decoder("llama", 24)
    for _ in range(5):
        assert np.array_equal(one.step(Part(prompt(300)[:100], BLOCKS)), whole[:100])


def make_first_token_infinite(path: Path, groups: int) -> None:
    """Its scales, which no file can have that is imported."""
    data = bytearray(path.read_bytes())
    body = 8 + int.from_bytes(data[:8], "little")
    tile = body + json.loads(data[8:body])["embeddings"]["data_offsets"][0]
    for group in range(groups):
        at = tile + groups * 512 + group * 32
        data[at : at + 2] = np.float16(np.inf).tobytes()
    path.write_bytes(data)


def test_numbers_that_are_not_finite_harm_their_own_sequence_only(tmp_path: Path, instructions: str | None) -> None:
    sizes = Sizes()
    path = write_model(tmp_path / "model", sizes, random_tensors(sizes))
    make_first_token_infinite(path / FILE, sizes.hidden // 32)
    tokens = [token or 1 for token in prompt(60)]
    with Decoder(read_native(path), instructions=instructions) as one:
        alone = one.step(Part(tokens, BLOCKS))
        assert np.isfinite(alone[:, 1:]).all()
        together = one.step(Part([0, *tokens], OTHER_BLOCKS), Part(tokens, BLOCKS))
        # Its own logit aside, which the column of the first token gives.
        assert np.array_equal(together[61:, 1:], alone[:, 1:])
        # What it left in the cache does not matter to who is given its blocks.
        assert np.array_equal(one.step(Part(tokens, OTHER_BLOCKS))[:, 1:], alone[:, 1:])
