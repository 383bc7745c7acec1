"""The thread that encodes pictures, with a graph that waits until everybody is there and counts its calls."""

from __future__ import annotations

import queue
import random
import threading
from collections.abc import Callable, Iterator
from itertools import count
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from adaptive_engine.engine.detokenizer import TextStream
from adaptive_engine.engine.prompt import Prompt
from adaptive_engine.engine.sequence import GenerationRequest, Sequence
from adaptive_engine.engine.stats import EngineStats
from adaptive_engine.engine.vision import encoder as module
from adaptive_engine.engine.vision.encoder import Encoder
from adaptive_engine.engine.vision.family import Family, Tiles, VisionConfig
from adaptive_engine.engine.vision.sight import Sight
from adaptive_engine.errors import AdaptiveError, EngineFailed
from adaptive_engine.types import Image

IMAGE = 9


class Striped(Family):
    """A tile for each row of a picture, whose one token is what the row begins with."""

    tokens_per_tile = 1
    tile_pixels = 1

    def __init__(self, config: VisionConfig | None = None) -> None:
        pass

    def text(self, width: int, height: int) -> str:
        return self.image_token * height

    def tiles(self, image: Image) -> Tiles:
        rows = np.frombuffer(image.pixels, np.uint8).reshape(image.height, -1)[:, :1]
        return np.tile(rows.reshape(-1, 1, 1, 1), (1, 3, 1, 1)).astype(np.float32)


class Graph:
    """Vectors are what the tiles show, and a 1. 255 cannot be shown."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()
        self.calls: list[list[int]] = []
        self.when_called: Callable[[], object] = lambda: None

    def encode(self, inputs: dict[str, NDArray[Any]], *, beside: bool) -> NDArray[np.float32]:
        self.entered.set()
        self.when_called()
        assert self.open.wait(10)
        shown = inputs["pixel_values"][:, :1, 0]
        self.calls.append([int(value) for value in shown.reshape(-1)])
        if shown.max() == 255:
            raise RuntimeError("no such colour")
        return np.concatenate([shown, np.ones_like(shown)], axis=2)

    def close(self) -> None:
        pass


class World:
    """An encoder, and who is done."""

    def __init__(self, *, cache_bytes: int = 2**20, together: bool = True) -> None:
        self.graph = Graph()
        self.stats = EngineStats()
        self.done: queue.Queue[tuple[Sequence, AdaptiveError | None]] = queue.Queue()
        sight = Sight(Striped(), IMAGE)
        self.sight = sight
        self.encoder = Encoder("test", sight, self.graph, self.stats, cache_bytes=cache_bytes, together=together)
        self.encoder.start(lambda sequence, error: self.done.put((sequence, error)))

    def show(self, *pictures: list[int], owner: bytes = b"a", background: bool = False) -> Sequence:
        """A request with pictures of these rows, each between two other tokens."""
        images = [Image.of(1, len(rows), bytes(value for row in rows for value in (row, 0, 0))) for rows in pictures]
        tokens = [1]
        for image in images:
            tokens += [IMAGE] * image.height + [1]
        prompt = Prompt(tuple(tokens), self.sight.place(tokens, images))
        stream: Any = SimpleNamespace(phase="queue")
        return Sequence(
            request=GenerationRequest(prompt, cache_salt=owner, owner=owner, background=background),
            stream=stream,
            text=TextStream(),
            rng=random.Random(0),
            max_new_tokens=1,
            tokens=list(prompt.tokens),
            prompt_length=len(prompt),
            prompt_names=[],
        )

    def add(self, *pictures: list[int], **options: Any) -> Sequence:
        sequence = self.show(*pictures, **options)
        self.encoder.add(sequence)
        return sequence

    def next(self) -> tuple[Sequence, AdaptiveError | None]:
        return self.done.get(timeout=10)


@pytest.fixture
def world() -> Iterator[Callable[..., World]]:
    worlds: list[World] = []

    def make(**options: Any) -> World:
        worlds.append(World(**options))
        return worlds[-1]

    yield make
    for made in worlds:
        made.graph.open.set()
        made.encoder.close()


def shown(sequence: Sequence) -> dict[int, float]:
    """The first number of what is seen at each position."""
    assert sequence.views is not None
    return {
        int(at): float(vector[0])
        for view in sequence.views
        for at, vector in zip(view.positions, view.vectors, strict=True)
    }


def test_every_token_of_a_picture_sees_its_own_part(world: Callable[..., World]) -> None:
    here = world()
    here.graph.open.set()
    sequence = here.add([5, 6], [7])
    assert here.next() == (sequence, None)
    assert shown(sequence) == {1: 5, 2: 6, 4: 7}
    assert here.stats.encoded_images == 2


def test_pictures_that_wait_are_encoded_together_and_equal_ones_once(world: Callable[..., World]) -> None:
    here = world()
    first = here.add([1])
    others = [here.add([2]), here.add([3]), here.add([2]), here.add([1], [3])]
    here.graph.open.set()
    assert {id(here.next()[0]) for _ in range(5)} == {id(one) for one in [first, *others]}
    assert [sorted(call) for call in here.graph.calls] in ([[1], [2, 3]], [[1, 2], [3]], [[1, 2, 3]])
    assert here.stats.encoded_images == 3
    assert shown(others[3]) == {1: 1, 3: 3}


def test_all_who_show_a_picture_have_the_same_vectors_of_it(world: Callable[..., World]) -> None:
    here = world()
    first, second = here.add([1], [2]), here.add([2], [2])
    here.graph.open.set()
    here.next()
    here.next()
    later = here.encoder.known(here.show([2]).request.prompt, b"a")
    views = [*(first.views or ())[1:], *(second.views or ()), *(later or ())]
    assert len(views) == 4
    assert len({id(view.vectors) for view in views}) == 1


def test_in_deterministic_mode_each_picture_is_encoded_alone(world: Callable[..., World]) -> None:
    here = world(together=False)
    for value in range(3):
        here.add([value, value])
    here.graph.open.set()
    for _ in range(3):
        here.next()
    assert sorted(here.graph.calls) == [[0, 0], [1, 1], [2, 2]]


def test_a_large_picture_takes_several_calls(world: Callable[..., World]) -> None:
    here = world()
    here.graph.open.set()
    sequence = here.add(list(range(20)))
    assert here.next() == (sequence, None)
    assert [len(call) for call in here.graph.calls] == [8, 8, 4]
    assert list(shown(sequence).values()) == list(range(20))


def test_what_takes_long_is_a_call_and_not_a_large_picture(
    world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A health check that counted all calls together would give up a server that is well."""
    here = world()
    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=count().__next__))
    here.graph.when_called = lambda: busy.append(here.encoder.busy_seconds())
    busy: list[float] = []
    here.graph.open.set()
    here.add(list(range(20)))
    here.next()
    assert busy == [1, 1, 1]
    assert here.encoder.busy_seconds() == 0


def test_a_large_picture_that_nobody_waits_for_any_more_is_left(world: Callable[..., World]) -> None:
    here = world(together=False)
    gone = here.add(list(range(20)))
    assert here.graph.entered.wait(10)
    gone.stream.phase = "done"
    stays = here.add([30])
    here.graph.open.set()
    assert here.next() == (stays, None)
    assert [len(call) for call in here.graph.calls] == [8, 1]
    assert here.stats.encoded_images == 1


def test_closing_waits_for_a_call_and_not_for_a_large_picture(world: Callable[..., World]) -> None:
    here = world()
    here.add(list(range(20)))
    assert here.graph.entered.wait(10)
    closing = threading.Thread(target=here.encoder.close)
    closing.start()
    while not here.encoder._closing:
        closing.join(0.001)
    here.graph.open.set()
    closing.join(10)
    assert [len(call) for call in here.graph.calls] == [8]


def test_owners_have_turns_and_the_background_comes_last(world: Callable[..., World]) -> None:
    here = world(together=False)
    first = here.add([1])
    assert here.graph.entered.wait(10)
    many = [here.add([10 + number]) for number in range(3)]
    last = here.add([20], owner=b"c", background=True)
    other = here.add([30], owner=b"b")
    here.graph.open.set()
    order = [here.next()[0] for _ in range(6)]
    assert [id(one) for one in order] == [id(one) for one in [first, other, *many, last]]


def test_a_picture_is_known_to_its_owner_only(world: Callable[..., World]) -> None:
    here = world()
    here.graph.open.set()
    here.add([1, 2])
    here.next()
    again = here.show([1, 2])
    found = here.encoder.known(again.request.prompt, b"a")
    assert found is not None
    assert [view.vectors.tolist() for view in found] == [[[1, 1], [2, 1]]]
    assert here.encoder.known(again.request.prompt, b"b") is None
    here.add([1, 2], owner=b"b")
    here.next()
    here.add([1, 2])
    here.next()
    assert here.stats.encoded_images == 2


def test_the_cache_has_a_limit_and_forgets_what_was_not_shown_for_longest(world: Callable[..., World]) -> None:
    here = world(cache_bytes=2 * 8)
    here.graph.open.set()
    one, two, three = (here.show([value]).request.prompt for value in (1, 2, 3))
    for value in (1, 2):
        here.add([value])
        here.next()
    assert here.encoder.known(one, b"a") is not None
    large = here.add([3], [4, 4, 4])
    assert here.next() == (large, None)
    assert here.encoder.known(one, b"a") is not None
    assert here.encoder.known(two, b"a") is None
    assert here.encoder.known(three, b"a") is not None
    assert here.encoder.known(large.request.prompt, b"a") is None


def test_who_has_left_is_not_encoded(world: Callable[..., World]) -> None:
    here = world(together=False)
    here.add([1])
    assert here.graph.entered.wait(10)
    gone, stays = here.add([2]), here.add([3])
    gone.stream.phase = "done"
    here.graph.open.set()
    here.next()
    assert here.next() == (stays, None)
    assert here.graph.calls == [[1], [3]]


def test_a_picture_that_cannot_be_encoded_ends_those_who_show_it(world: Callable[..., World]) -> None:
    here = world(together=False)
    here.graph.open.set()
    sequence, error = here.add([255]), here.next()[1]
    assert isinstance(error, EngineFailed)
    assert "could not be encoded: RuntimeError" in error.message
    assert sequence.views is None
    assert here.encoder.busy_seconds() == 0
    well = here.add([1])
    assert here.next() == (well, None)


def test_a_graph_that_makes_another_number_of_vectors_is_an_error(world: Callable[..., World]) -> None:
    here = world()
    here.graph.open.set()
    here.sight.family.tokens_per_tile = 2
    here.add([1])
    assert "made 1 vectors of a tile, 2 were expected" in str(here.next()[1])
