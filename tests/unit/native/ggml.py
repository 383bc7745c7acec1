"""Blocks of ggml's types with random content, and what they mean: number for number, as ggml's own C reads them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unit.registry.gguf_builder import Quantised

Q4_0, Q4_1, Q8_0, Q4_K, Q6_K = 2, 3, 8, 12, 14
KINDS = {"Q4_0": Q4_0, "Q4_1": Q4_1, "Q8_0": Q8_0, "Q4_K": Q4_K, "Q6_K": Q6_K}

# Numbers in a block, and its bytes.
_SIZES = {Q4_0: (32, 18), Q4_1: (32, 20), Q8_0: (32, 34), Q4_K: (256, 144), Q6_K: (256, 210)}

Bytes = NDArray[np.uint8]
Numbers = NDArray[np.float64]


def random_matrix(random: np.random.Generator, kind: int, rows: int, inputs: int, deviation: float) -> Quantised:
    """All weights and factors that the type has, around 0, with about this standard deviation."""
    weights, size = _SIZES[kind]
    blocks = random.integers(0, 256, (rows * inputs // weights, size), np.uint8)
    spread = random.uniform(0.7, 1.3, len(blocks))
    # Of numbers with even odds: 16 from 0 on, 256 and 64 around 0; factors with 6 and 8 bits are 36 and 74 in the mean.
    if kind in (Q4_0, Q4_1):
        scales = deviation / 4.6 * spread
        _put(blocks, 0, scales * random.choice([-1, 1], len(blocks)) if kind == Q4_0 else scales)
        if kind == Q4_1:
            _put(blocks, 2, -7.5 * scales)
    elif kind == Q8_0:
        _put(blocks, 0, deviation / 74 * spread)
    elif kind == Q4_K:
        _put(blocks, 0, deviation / 4.6 / 36 * spread)
        _put(blocks, 2, deviation / 4.6 / 36 * 7.5 * spread)
        # What is scaled by more has a lower least: the same factors for both, but for their last bit.
        _even(blocks, random)
    else:
        _put(blocks, 208, deviation / 18.5 / 74 * spread)
    return Quantised(kind, (rows, inputs), blocks)


def _even(blocks: Bytes, random: np.random.Generator) -> None:
    """Give the factors of Q4_K's scales to its least values."""
    blocks[:, 8:12] = blocks[:, 4:8] ^ random.integers(0, 2, (len(blocks), 4), np.uint8)
    nibbles = blocks[:, 12:16] & 15
    blocks[:, 12:16] = nibbles | nibbles << 4


def _put(blocks: Bytes, at: int, numbers: Numbers) -> None:
    blocks[:, at : at + 2] = numbers.astype(np.float16).view(np.uint8).reshape(-1, 2)


def numbers_of(matrix: Quantised) -> Numbers:
    """`[rows, inputs]`"""
    weights, size = _SIZES[matrix.kind]
    blocks = matrix.blocks.reshape(-1, size)
    one_by_one = [_number(matrix.kind, blocks, i) for i in range(weights)]
    return np.stack(one_by_one, axis=1).reshape(matrix.shape)


def _number(kind: int, blocks: Bytes, i: int) -> Numbers:
    """The i-th of each block."""
    if kind == Q4_0:
        return _half(blocks, 0) * (_nibble(blocks[:, 2 + i % 16], i >= 16) - 8)
    if kind == Q4_1:
        return _half(blocks, 0) * _nibble(blocks[:, 4 + i % 16], i >= 16) + _half(blocks, 2)
    if kind == Q8_0:
        return _half(blocks, 0) * blocks[:, 2 + i].view(np.int8).astype(np.float64)
    if kind == Q4_K:
        scale, least = _q4_k_factors(blocks, i // 32)
        weight = _nibble(blocks[:, 16 + i // 64 * 32 + i % 32], i % 64 >= 32)
        return _half(blocks, 0) * scale * weight - _half(blocks, 2) * least
    half, quarter, place = i // 128, i % 128 // 32, i % 32
    low = _nibble(blocks[:, half * 64 + quarter % 2 * 32 + place], quarter >= 2)
    high = (blocks[:, 128 + half * 32 + place].astype(np.int64) >> 2 * quarter) & 3
    scale = blocks[:, 192 + half * 8 + quarter * 2 + place // 16].view(np.int8).astype(np.float64)
    return _half(blocks, 208) * scale * (low + 16 * high - 32)


def _q4_k_factors(blocks: Bytes, group: int) -> tuple[Any, Any]:
    """As `get_scale_min_k4` of ggml has them."""
    q = blocks[:, 4:16].astype(np.int64)
    if group < 4:
        return q[:, group] & 63, q[:, group + 4] & 63
    scale = (q[:, group + 4] & 15) | (q[:, group - 4] >> 6) << 4
    least = (q[:, group + 4] >> 4) | (q[:, group] >> 6) << 4
    return scale, least


def _half(blocks: Bytes, at: int) -> Numbers:
    return np.ascontiguousarray(blocks[:, at : at + 2]).view(np.float16)[:, 0].astype(np.float64)


def _nibble(byte: Bytes, high: bool) -> NDArray[np.int64]:
    return byte.astype(np.int64) >> 4 if high else byte.astype(np.int64) & 15
