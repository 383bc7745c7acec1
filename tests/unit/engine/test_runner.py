"""The contract with the OpenVINO version that is pinned."""

from __future__ import annotations

import openvino as ov

from adaptive_engine.engine.runner import INPUTS, LOGITS_INPUT, _page_attention
from adaptive_engine.registry import ModelDirectory


def test_the_paged_model_has_exactly_the_inputs_that_are_fed(default_model_dir: ModelDirectory) -> None:
    model = ov.Core().read_model(default_model_dir.path / "openvino_model.xml")
    _page_attention(model)
    names = [port.any_name for port in model.inputs]
    caches = [name for name in names if name.startswith(("key_cache.", "value_cache."))]
    assert sorted(set(names) - set(caches)) == sorted([*INPUTS, LOGITS_INPUT])
    assert len(caches) == 60
