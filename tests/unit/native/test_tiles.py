from __future__ import annotations

import struct

import numpy as np
import pytest
from numpy.typing import NDArray

from adaptive_engine.native.tiles import GROUP, KINDS, TILE, Rows, bits_of, tile_bytes, to_tiles
from unit.native import ggml

INPUTS = 512


def rows_of(kind: int, count: int, seed: int = 0) -> tuple[Rows, ggml.Numbers]:
    """Rows with random blocks, and the numbers that they stand for."""
    matrix = ggml.random_matrix(np.random.default_rng(seed), kind, count, INPUTS, 0.05)
    return KINDS[kind].read(matrix.blocks.reshape(count, -1, KINDS[kind].bytes)), ggml.numbers_of(matrix)


def meant(rows: Rows) -> ggml.Numbers:
    """What the rows say, by the formula of `Rows`."""
    scales = rows.scales.astype(np.float64).repeat(GROUP, axis=1)
    weights = rows.weights.astype(np.float64)
    if rows.leasts is None:
        return scales * (weights - 128)
    return scales * weights + rows.leasts.astype(np.float64).repeat(GROUP, axis=1)


def read_tile(tile: bytes, bits: int, inputs: int) -> ggml.Numbers:
    """`[TILE, inputs]`, byte by byte as `decoder.h` has them."""
    groups, per_group = inputs // GROUP, GROUP * TILE * bits // 8
    columns = np.zeros((TILE, inputs))
    for group in range(groups):
        for column in range(TILE):
            at = groups * per_group + (group * TILE + column) * 2
            (scale,) = struct.unpack_from("<e", tile, at)
            (least,) = struct.unpack_from("<e", tile, at + groups * TILE * 2) if bits == 4 else (-128 * scale,)
            for i in range(GROUP):
                four, place = i // 4, i % 4
                if bits == 8:
                    weight = tile[group * per_group + (four * TILE + column) * 4 + place]
                else:
                    pair = tile[group * per_group + (four % 4 * TILE + column) * 4 + place]
                    weight = pair & 15 if four < 4 else pair >> 4
                columns[column, group * GROUP + i] = scale * weight + least
    return columns


@pytest.mark.parametrize("kind", [ggml.Q4_0, ggml.Q4_1, ggml.Q8_0])
def test_types_with_a_scale_for_each_32_stay_as_they_are(kind: int) -> None:
    rows, numbers = rows_of(kind, 5)
    assert np.array_equal(meant(rows), numbers)


def test_q4_k_rounds_nothing_but_its_factors() -> None:
    rows, numbers = rows_of(ggml.Q4_K, 40)
    assert rows.leasts is not None
    weights = rows.weights.reshape(40, -1, GROUP)
    # Half a unit in the last place of 11 bits, of the scale as often as it is taken and of the least value.
    scales, leasts = (np.abs(factors.astype(np.float64)) for factors in (rows.scales, rows.leasts))
    bound = (weights * scales[..., None] + leasts[..., None]) * 2.0**-11 * 1.001 + 16 * 2.0**-25
    errors = np.abs(meant(rows) - numbers).reshape(weights.shape)
    assert (errors <= bound).all()
    assert errors.max() > 0


def test_q6_k_is_rounded_to_8_bits() -> None:
    rows, numbers = rows_of(ggml.Q6_K, 40)
    errors = np.abs(meant(rows) - numbers).reshape(40, -1, GROUP)
    steps = np.abs(numbers).reshape(errors.shape).max(axis=-1, keepdims=True) / 127
    # Half a step; the step itself is rounded to 11 bits, which the largest weights have 127 times.
    assert (errors <= steps * (0.5 + 127 * 2.0**-11)).all()
    assert np.median(errors / steps) < 0.3
    assert rows.weights.min() >= 1


@pytest.mark.parametrize("kind", ggml.KINDS.values(), ids=ggml.KINDS.keys())
def test_a_block_of_zeros_means_zeros(kind: int) -> None:
    rows = KINDS[kind].read(np.zeros((1, 2, KINDS[kind].bytes), np.uint8))
    assert not meant(rows).any()


@pytest.mark.parametrize("count", [1, 16, 19, 33])
@pytest.mark.parametrize("kind", ggml.KINDS.values(), ids=ggml.KINDS.keys())
def test_tiles_are_laid_out_as_the_header_says(kind: int, count: int) -> None:
    rows, _ = rows_of(kind, count, seed=count)
    bits = KINDS[kind].bits
    tiles = to_tiles(rows)
    assert tiles.shape == (-(-count // TILE), tile_bytes(bits, INPUTS))
    read = np.concatenate([read_tile(tile.tobytes(), bits, INPUTS) for tile in tiles])
    assert np.array_equal(read[:count], meant(rows))
    assert not read[count:].any()


@pytest.mark.parametrize("inputs", [32, 64, 4096])
@pytest.mark.parametrize("bits", [4, 8])
def test_the_size_of_a_tile_tells_its_bits(bits: int, inputs: int) -> None:
    assert bits_of(tile_bytes(bits, inputs), inputs) == bits
    with pytest.raises(ValueError, match=f"are not of {inputs} inputs"):
        bits_of(tile_bytes(bits, inputs) + 1, inputs)


def test_tiles_of_slabs_are_those_of_the_whole() -> None:
    rows, _ = rows_of(ggml.Q4_K, 48)

    def part(begin: int, end: int) -> NDArray[np.uint8]:
        assert rows.leasts is not None
        return to_tiles(Rows(rows.weights[begin:end], rows.scales[begin:end], rows.leasts[begin:end]))

    assert np.array_equal(np.concatenate([part(0, 32), part(32, 48)]), to_tiles(rows))
