"""Which rows are computed of a prompt behind its last attention."""

from __future__ import annotations

from typing import Any

import numpy as np
import openvino as ov
import pytest

from adaptive_engine.engine.batch import LOGITS_INPUT, Batch
from adaptive_engine.engine.openvino import paged
from adaptive_engine.engine.openvino.paged import page_attention
from adaptive_engine.engine.openvino.runner import OpenVinoRunner, read_graph
from adaptive_engine.registry import ModelDirectory


def readers_of_sampled_rows(model: Any) -> list[str]:
    """Types of the nodes that have the sampled rows only, from the choice of these rows on."""
    indices = next(node for node in model.get_parameters() if LOGITS_INPUT in node.output(0).get_names())
    gathers = [reader.get_node() for reader in indices.output(0).get_target_inputs()]
    assert all(gather.get_type_name() == "Gather" for gather in gathers)
    return sorted(reader.get_node().get_type_name() for g in gathers for reader in g.output(0).get_target_inputs())


def test_the_last_layer_s_products_are_left_to_rows_that_are_sampled(shallow_openvino_dir: ModelDirectory) -> None:
    model = read_graph(shallow_openvino_dir.path).model
    # The output projection of its attention, and what that is added to.
    assert readers_of_sampled_rows(model) == ["Add", "MatMul"]


def test_a_last_layer_that_mixes_rows_is_computed_whole(
    shallow_openvino_dir: ModelDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paged, "_ACTIVATIONS", frozenset())
    model = ov.Core().read_model(shallow_openvino_dir.path / "openvino_model.xml")
    page_attention(model)
    # Behind the unknown node only: what it makes is multiplied with the gate's other half.
    assert readers_of_sampled_rows(model) == ["Add", "Multiply", "Multiply"]


def test_a_graph_without_a_way_row_by_row_samples_before_the_head(
    shallow_openvino_dir: ModelDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kinds in ("_ELEMENTWISE", "_ACTIVATIONS", "_ALONG_AN_AXIS"):
        monkeypatch.setattr(paged, kinds, frozenset())
    model = ov.Core().read_model(shallow_openvino_dir.path / "openvino_model.xml")
    page_attention(model)
    assert readers_of_sampled_rows(model) == ["MatMul"]


def test_sampled_rows_are_those_of_a_whole_computation(shallow_openvino_dir: ModelDirectory) -> None:
    """A prompt's rows one for one, and all of them at once."""
    runner = OpenVinoRunner.load(read_graph(shallow_openvino_dir.path), kv_tokens=256, precision="deterministic")
    tokens = list(range(100, 124))

    def logits(rows: list[int]) -> Any:
        batch = Batch(runner.shape.block_size)
        batch.add(tokens, 0, [1, 2])
        batch.wanted += rows
        runner._set_inputs(runner._request, batch)
        runner._request.infer()
        return runner._logits(runner._request).copy()

    whole = logits(list(range(24)))
    np.testing.assert_allclose(logits([23, 7, 7]), whole[[23, 7, 7]], rtol=1e-4, atol=1e-4)
    assert whole.shape == (24, runner.shape.vocab_size)
