"""Products that are joined compute what they did."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from openvino import opset13

from adaptive_engine.registry.projections import join_projections

GROUP = 8


def plain(rng: np.random.Generator, rows: int, columns: int) -> Any:
    weights = rng.standard_normal((rows, columns)).astype(np.float16)
    return opset13.convert(opset13.constant(weights), "f32")


def quantised(rng: np.random.Generator, rows: int, columns: int, group: int = GROUP) -> Any:
    """Four bits, with a scale and a zero point for each group, as converters write them."""

    def packed(shape: list[int]) -> Any:
        tensor = ov.Tensor(ov.Type.u4, ov.Shape(shape))
        tensor.data[:] = rng.integers(0, 256, tensor.data.shape, np.uint8)
        return opset13.convert(ov.op.Constant(tensor), "f16")

    groups = columns // group
    centred = opset13.subtract(packed([rows, groups, group]), packed([rows, groups, 1]))
    scales = opset13.constant(rng.random((rows, groups, 1)).astype(np.float16))
    whole = opset13.constant([rows, columns], ov.Type.i64)
    return opset13.convert(opset13.reshape(opset13.multiply(centred, scales), whole, special_zero=False), "f32")


def written(folder: Path, weights: list[Any]) -> Path:
    """A model that multiplies one input with each of them."""
    vectors = opset13.parameter([-1, 1, 32], ov.Type.f32, name="vectors")
    products = [opset13.matmul(vectors, each, False, True) for each in weights]
    path = folder / "model.xml"
    ov.save_model(ov.Model([opset13.relu(each) for each in products], [vectors]), path, compress_to_fp16=False)
    return path


def products(path: Path) -> int:
    return Counter(node.get_type_name() for node in ov.Core().read_model(path).get_ops())["MatMul"]


def answers(path: Path) -> list[Any]:
    compiled = ov.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    vectors = np.random.default_rng(1).standard_normal((5, 1, 32)).astype(np.float32)
    return [output.copy() for output in compiled([vectors]).values()]


@pytest.mark.parametrize("make", [plain, quantised])
def test_products_of_one_input_become_one(make: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = written(tmp_path, [make(rng, rows, 32) for rows in (24, 8, 8)])
    before = answers(path)
    assert join_projections(path) == 1
    assert products(path) == 1
    after = answers(path)
    assert [each.shape for each in after] == [(5, 1, 24), (5, 1, 8), (5, 1, 8)]
    for one, other in zip(before, after, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["model.bin", "model.xml"]
    assert join_projections(path) == 0


def test_what_is_stored_otherwise_stays_apart(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for weights in (
        [plain(rng, 8, 32), quantised(rng, 8, 32)],
        [quantised(rng, 8, 32), quantised(rng, 8, 32, group=16)],
        # The zero points of the first end in the middle of a byte.
        [quantised(rng, 3, 32, group=32), quantised(rng, 8, 32, group=32)],
        [plain(rng, 8, 32)],
    ):
        path = written(tmp_path, weights)
        before = path.read_bytes()
        assert join_projections(path) == 0
        assert path.read_bytes() == before


def test_weights_that_a_request_makes_stay_apart(tmp_path: Path) -> None:
    vectors = opset13.parameter([-1, 8], ov.Type.f32, name="vectors")
    others = [opset13.parameter([-1, 8], ov.Type.f32, name=name) for name in ("a", "b")]
    products = [opset13.matmul(vectors, each, False, True) for each in others]
    path = tmp_path / "model.xml"
    ov.save_model(ov.Model(products, [vectors, *others]), path)
    assert join_projections(path) == 0
