"""Weights as the kernels read them: in tiles of 16 columns, with a scale for each 32 inputs (see `decoder.h`).

ggml's types with 4 bits become tiles with 4 bits, number for number: only the factors of Q4_K are rounded to float16.
Q6_K is rounded to 8 bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

GROUP, TILE = 32, 16

Bytes = NDArray[np.uint8]
Halves = NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of weights: of 4 bits `scale * weight + least`, of 8 bits `scale * (weight - 128)`."""

    weights: Bytes
    """`[rows, inputs]`"""
    scales: Halves
    """`[rows, inputs / GROUP]`"""
    leasts: Halves | None
    """The same; None with 8 bits."""


def tile_bytes(bits: int, inputs: int) -> int:
    return inputs // GROUP * (GROUP * TILE * bits // 8 + 2 * TILE * (2 if bits == 4 else 1))


def bits_of(tile: int, inputs: int) -> int:
    """What `tile_bytes` was asked for. Raises ValueError."""
    for bits in (4, 8):
        if tile_bytes(bits, inputs) == tile:
            return bits
    raise ValueError(f"tiles of {tile} bytes are not of {inputs} inputs")


def to_tiles(rows: Rows) -> Bytes:
    """`[rows / TILE, tile_bytes]`; rows that are missing in the last tile are 0."""
    missing = -len(rows.weights) % TILE
    tiles, groups = (len(rows.weights) + missing) // TILE, rows.scales.shape[1]
    padded = np.pad(rows.weights, ((0, missing), (0, 0)))
    fours = padded.reshape(tiles, TILE, groups, 8, 4).transpose(0, 2, 3, 1, 4)
    if rows.leasts is not None:
        fours = fours[:, :, :4] | np.left_shift(fours[:, :, 4:], 4, dtype=np.uint8)
    parts = [fours.reshape(tiles, -1)]
    for factors in (rows.scales, rows.leasts):
        if factors is not None:
            by_group = np.pad(factors, ((0, missing), (0, 0))).reshape(tiles, TILE, groups).transpose(0, 2, 1)
            parts.append(np.ascontiguousarray(by_group).view(np.uint8).reshape(tiles, -1))
    return np.concatenate(parts, axis=1)


def _q4_0(blocks: Bytes) -> Rows:
    scales = _halves(blocks[..., :2])
    return Rows(_nibbles(blocks[..., 2:]), scales, (scales * np.float16(-8)).astype(np.float16))


def _q4_1(blocks: Bytes) -> Rows:
    return Rows(_nibbles(blocks[..., 4:]), _halves(blocks[..., :2]), _halves(blocks[..., 2:4]))


def _q8_0(blocks: Bytes) -> Rows:
    return Rows(_flat(blocks[..., 2:] ^ 0x80), _halves(blocks[..., :2]), None)


def _q4_k(blocks: Bytes) -> Rows:
    factors = blocks[..., 4:16].reshape(*blocks.shape[:-1], 3, 4)
    low, least, both = factors[..., 0, :], factors[..., 1, :], factors[..., 2, :]
    # 6 bits each: of the first four in one byte each, of the others in a nibble and two bits of the first ones'.
    scales = np.concatenate([low & 63, (both & 15) | (low >> 6) << 4], axis=-1).astype(np.float32)
    leasts = np.concatenate([least & 63, both >> 4 | (least >> 6) << 4], axis=-1).astype(np.float32)
    nibbles = blocks[..., 16:].reshape(*blocks.shape[:-1], 4, 1, 32)
    weights = np.concatenate([nibbles & 15, nibbles >> 4], axis=-2)
    scale, most = (_halves(blocks[..., at : at + 2]).astype(np.float32)[..., None] for at in (0, 2))
    return Rows(_flat(weights), _flat((scale * scales).astype(np.float16)), _flat((-most * leasts).astype(np.float16)))


def _q6_k(blocks: Bytes) -> Rows:
    shape = blocks.shape[:-1]
    low, high = blocks[..., :128].reshape(*shape, 2, 2, 32), blocks[..., 128:192].reshape(*shape, 2, 1, 32)
    factors, scale = blocks[..., 192:208].view(np.int8), _halves(blocks[..., 208:]).astype(np.float32)
    fours = np.concatenate([low & 15, low >> 4], axis=-2)
    twos = high >> np.array([0, 2, 4, 6], np.uint8)[:, None] & 3
    signed = (fours | twos << 4).astype(np.int8) - np.int8(32)
    numbers = signed.reshape(*shape, 16, 16) * (factors * scale[..., None])[..., None]
    return _eight_bits(numbers.reshape(shape[0], -1))


def _eight_bits(numbers: NDArray[np.float32]) -> Rows:
    groups = numbers.reshape(len(numbers), -1, GROUP)
    scales = (np.abs(groups).max(axis=-1) / 127).astype(np.float16)
    divisors = np.where(scales > 0, scales, 1).astype(np.float32)
    weights = np.clip(np.rint(groups / divisors[..., None]), -127, 127) + 128
    return Rows(_flat(weights.astype(np.uint8)), scales, None)


def _halves(pairs: Bytes) -> Halves:
    return np.ascontiguousarray(pairs).view(np.float16)[..., 0]


def _nibbles(pairs: Bytes) -> Bytes:
    """In each block first the low nibbles, then the high ones."""
    return _flat(np.concatenate([pairs & 15, pairs >> 4], axis=-1))


def _flat(blocks: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(blocks).reshape(len(blocks), -1)


@dataclass(frozen=True, slots=True)
class Kind:
    """A ggml type: blocks of `weights` numbers, `bytes` long, that `read` makes rows of: `[rows, blocks, bytes]`."""

    weights: int
    bytes: int
    bits: int
    """Of the tiles."""
    read: Callable[[Bytes], Rows]


KINDS = {
    2: Kind(32, 18, 4, _q4_0),
    3: Kind(32, 20, 4, _q4_1),
    8: Kind(32, 34, 8, _q8_0),
    12: Kind(256, 144, 4, _q4_k),
    14: Kind(256, 210, 8, _q6_k),
}
"""By their numbers in GGUF files."""
