"""Workers of one server ask each other, also ones that are gone or do not answer."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from adaptive_engine.services.siblings import Siblings

Make = Callable[..., Siblings]


@pytest.fixture
def directory() -> Iterator[Path]:
    # Paths of sockets have at most a hundred characters.
    with TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture
def make(directory: Path) -> Iterator[Make]:
    with ExitStack() as stack:

        def made(number: int, answers: dict[str, Callable[..., Any]]) -> Siblings:
            siblings = stack.enter_context(closing(Siblings(directory, number)))
            siblings.serve(answers)
            return siblings

        yield made


def test_each_is_asked_and_none_asks_itself(make: Make) -> None:
    first, *_ = [make(number, {"plus": lambda value, own=number: value + own}) for number in range(3)]
    assert first.ask("plus", 10) == {1: 11, 2: 12}


def test_large_answers_arrive_and_many_ask_at_once(make: Make) -> None:
    first = make(0, {})
    make(1, {"repeat": lambda text: text * 100_000})
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: first.ask("repeat", "text"), range(16)))
    assert answers == [{1: "text" * 100_000}] * 16


def test_one_alone_has_nobody_to_ask() -> None:
    alone = Siblings()
    alone.serve({"anything": lambda: 1})
    assert not alone.there
    assert alone.ask("anything") == {}
    alone.close()


def test_those_that_are_gone_or_fail_are_left_out(make: Make, directory: Path) -> None:
    first = make(0, {})
    make(1, {"read": lambda: 1 / 0})
    make(2, {"read": lambda: "read"})
    make(3, {"read": lambda: "closed"}).close()
    with socket.socket(socket.AF_UNIX) as dead:
        # What a killed process leaves.
        dead.bind(str(directory / "4"))
    assert first.ask("read") == {2: "read"}


def test_one_that_does_not_answer_in_time_is_left_out(make: Make) -> None:
    first, answered = make(0, {}), threading.Event()
    make(1, {"wait": answered.wait})
    make(2, {"wait": lambda: "at once"})
    try:
        assert first.ask("wait", seconds=1) == {2: "at once"}
    finally:
        answered.set()


def test_the_next_one_of_a_number_takes_its_place(make: Make, directory: Path) -> None:
    first = make(0, {})
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(directory / "1"))
    make(1, {"pid": os.getpid})
    assert first.ask("pid") == {1: os.getpid()}
