from __future__ import annotations

import random

import pytest
from scenarios import WORDS, gaps, words

from adaptive_engine.engine import read_model  # noqa: F401 - silences OpenVINO before the tokenizer is loaded
from adaptive_engine.engine.tokenizer import Tokenizer
from adaptive_engine.registry import ModelDirectory


def test_gaps_are_those_of_the_time_in_which_the_newcomer_waited() -> None:
    streams = [[0.0, 1.0, 2.0, 3.0, 5.0, 10.0, 11.0, 20.0], [0.5, 1.5, 2.5, 3.5, 5.5]]
    found = gaps(streams, came=3.5, answered=10.5)
    assert found["normal_step_ms"] == 1000
    # From 5 to 10; that from 11 to 20 came later.
    assert found["worst_gap_ms"] == 5000
    assert found["worst_gap_steps"] == 5
    assert found["newcomer_ttft_ms"] == 7000


def test_streams_that_ended_too_early_are_an_error() -> None:
    with pytest.raises(RuntimeError, match="make them longer"):
        gaps([[0.0, 1.0, 2.0]], came=3.0, answered=4.0)


def test_a_prompt_has_as_many_tokens_as_it_has_words(default_model_dir: ModelDirectory) -> None:
    tokenizer = Tokenizer.load(default_model_dir.path)
    text = words(random.Random(1), 500)
    assert set(text.split()) <= set(WORDS.split())
    assert len(tokenizer.encode(text)) == 500
