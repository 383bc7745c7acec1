"""The contract with the OpenVINO version that is pinned."""

from __future__ import annotations

import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import openvino as ov
import pytest

from adaptive_engine.engine.batch import INPUTS, LOGITS_INPUT, TOKENS, step_rows
from adaptive_engine.engine.detokenizer import TextStream
from adaptive_engine.engine.openvino.paged import page_attention
from adaptive_engine.engine.openvino.runner import OpenVinoRunner, read_graph
from adaptive_engine.engine.options import Precision
from adaptive_engine.engine.prompt import Prompt
from adaptive_engine.engine.runner import RunnerShape
from adaptive_engine.engine.sequence import GenerationRequest, Sequence, Slice
from adaptive_engine.registry import ModelDirectory


def test_the_paged_model_has_exactly_the_inputs_that_are_fed(shallow_openvino_dir: ModelDirectory) -> None:
    model = ov.Core().read_model(shallow_openvino_dir.path / "openvino_model.xml")
    page_attention(model)
    names = [port.any_name for port in model.inputs]
    caches = [name for name in names if name.startswith(("key_cache.", "value_cache."))]
    assert sorted(set(names) - set(caches)) == sorted([TOKENS, *INPUTS, LOGITS_INPUT])
    assert len(caches) == 8


def steps(runner: OpenVinoRunner, sizes: list[int]) -> list[Any]:
    """Logits behind each of a sequence's slices, which have so many tokens."""
    tokens = list(range(100, 100 + sum(sizes)))
    stream: Any = None
    sequence = Sequence(
        request=GenerationRequest(Prompt(tuple(tokens[: sizes[0]]))),
        stream=stream,
        text=TextStream(),
        rng=random.Random(0),
        max_new_tokens=100,
        tokens=tokens[: sizes[0]],
        prompt_length=sizes[0],
        prompt_names=[],
        blocks=[1, 2],
    )
    found, start = [], 0
    for size in sizes:
        sequence.tokens = tokens[: start + size]
        runner.start([Slice(sequence, start, start + size)])
        found.append(runner.finish().copy())
        start += size
    return found


@pytest.mark.parametrize("precision", ["fast", "deterministic"])
def test_the_graph_for_the_smallest_steps_computes_the_same_on_the_same_cache(
    shallow_openvino_dir: ModelDirectory, precision: Precision
) -> None:
    graph = read_graph(shallow_openvino_dir.path)
    runner = OpenVinoRunner.load(graph, kv_tokens=256, precision=precision)
    sizes = [20, 1, 1, 3, 1, 1]
    without = steps(runner, sizes)
    runner.add_least_graph(graph)
    used = []
    least = runner._least_request
    runner._least_request = SimpleNamespace(
        set_tensor=least.set_tensor,
        start_async=lambda: (used.append(1), least.start_async()),
        wait=least.wait,
        get_tensor=least.get_tensor,
    )
    for one, other in zip(without, steps(runner, sizes), strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(used) == 4


def resident_bytes(file: Path) -> int:
    """Of the file, in the memory of this process."""
    found, its_own = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split(maxsplit=1)[0]:
            its_own = line.endswith(str(file))
        elif its_own and line.startswith("Rss:"):
            found += 1024 * int(line.split()[1])
    return found


def test_weights_are_not_kept_beside_what_was_packed_of_them(shallow_openvino_dir: ModelDirectory) -> None:
    graph, file = read_graph(shallow_openvino_dir.path), shallow_openvino_dir.path / "openvino_model.bin"
    with graph.weights.released():
        assert int(graph.weights.array.max()) > 0
    assert resident_bytes(file) == 0
    runner = OpenVinoRunner.load(graph, kv_tokens=256)
    assert resident_bytes(file) == 0
    steps(runner, [20, 1, 3])
    assert resident_bytes(file) < file.stat().st_size / 4


def test_large_steps_have_few_sizes() -> None:
    """OpenVINO keeps kernels for each."""
    sizes = {step_rows(rows) for rows in range(1, 289)}
    assert len(sizes) == 64
    assert all(0 <= step_rows(rows) - rows < 8 for rows in range(1, 289))
    assert [step_rows(rows) for rows in (1, 31, 32, 33, 80, 81)] == [1, 31, 32, 40, 80, 88]


def test_rows_that_only_fill_a_step_change_nothing(
    shallow_openvino_dir: ModelDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = OpenVinoRunner.load(read_graph(shallow_openvino_dir.path), kv_tokens=256, precision="deterministic")
    filled = steps(runner, [59, 1])
    monkeypatch.setattr("adaptive_engine.engine.openvino.runner.step_rows", lambda rows: rows)
    for one, other in zip(filled, steps(runner, [59, 1]), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_step_keeps_the_rows_of_the_last_one_until_that_costs_more_than_a_change() -> None:
    runner = OpenVinoRunner(None, None, RunnerShape(32, 10, 1), 1)
    taken = [64, 8, 8, 7, 7, 7, 7, 7, 8, 6, 5, 5, 2, 1]
    assert [rows + runner._padding(rows) for rows in taken] == [64, 8, 8, 8, 8, 8, 7, 7, 8, 8, 5, 5, 5, 1]
