"""GGUF files as our own runtime computes them: which ones it can, and the file that it reads."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adaptive_engine.native.library import computes
from adaptive_engine.native.shapes import matrix_shapes, vector_sizes
from adaptive_engine.native.tiles import GROUP, KINDS, TILE, Kind, Rows, tile_bytes, to_tiles
from adaptive_engine.native.weights import Tensor, write_weights
from adaptive_engine.registry.errors import InvalidModel
from adaptive_engine.registry.family import rope_scaling
from adaptive_engine.registry.gguf import GGUF
from adaptive_engine.registry.gguf import Tensor as StoredTensor

_F32 = 0
# Weights that are made into tiles at a time, so that large models need no more memory than small ones.
_SLAB = 1 << 22
# Columns of gate and up whose product is made into bytes together.
_PIECE = GROUP

_MATRICES = {
    "queries": ("attn_q",),
    "keys": ("attn_k",),
    "values": ("attn_v",),
    "attention_out": ("attn_output",),
    "gate_up": ("ffn_gate", "ffn_up"),
    "down": ("ffn_down",),
}
_VECTORS = {
    "attention_norm": "attn_norm.weight",
    "mlp_norm": "ffn_norm.weight",
    "query_bias": "attn_q.bias",
    "key_bias": "attn_k.bias",
    "value_bias": "attn_v.bias",
    "query_norm": "attn_q_norm.weight",
    "key_norm": "attn_k_norm.weight",
}

Bytes = NDArray[np.uint8]


def why_not_native(gguf: GGUF, config: dict[str, Any]) -> str | None:
    """What of the model our runtime does not compute; None if it does. `config` is that of `model_config`."""
    hidden, head_dim, mlp = config["hidden_size"], config["head_dim"], config["intermediate_size"]
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    if not computes(hidden=hidden, mlp=mlp, heads=heads, kv_heads=kv_heads, head_dim=head_dim):
        return f"its layers have sizes that it does not compute ({hidden}, {mlp}, {heads} x {head_dim})"
    if not math.isfinite(config["rms_norm_eps"]):
        return "its epsilon is not a number"
    if scaling := rope_scaling(gguf, config["model_type"]):
        return f"it does not scale positions in the way '{scaling}'"
    if gguf.integer(f"{config['model_type']}.rope.dimension_count") not in (None, head_dim):
        return "it rotates whole heads only"
    shapes = dict(_shapes(config))
    for name, tensor in gguf.tensors.items():
        if tensor.shape != shapes.get(name):
            return f"it has no use for the tensor '{name}' of shape {list(tensor.shape)}"
        if not _has_kind(tensor):
            return f"it does not read the type of '{name}'"
    for layer in range(config["num_hidden_layers"]):
        gate, up = (gguf.tensors[f"blk.{layer}.{name}.weight"] for name in ("ffn_gate", "ffn_up"))
        if gate.type != up.type:
            return f"'{gate.name}' and '{up.name}' are of different types"
    return None


def _shapes(config: dict[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """All tensors that the model may have."""
    hidden, head_dim, vocabulary = config["hidden_size"], config["head_dim"], config["vocab_size"]
    yield from (("token_embd.weight", (hidden, vocabulary)), ("output_norm.weight", (hidden,)))
    yield from (("output.weight", (hidden, vocabulary)), ("rope_freqs.weight", (head_dim // 2,)))
    for layer in range(config["num_hidden_layers"]):
        for name, (inputs, outputs) in matrix_shapes(config).items():
            parts = _MATRICES[name]
            for part in parts:
                yield f"blk.{layer}.{part}.weight", (inputs, outputs // len(parts))
        for name, size in vector_sizes(config).items():
            yield f"blk.{layer}.{_VECTORS[name]}", (size,)


def _has_kind(tensor: StoredTensor) -> bool:
    if len(tensor.shape) == 1:
        return tensor.type == _F32
    kind = KINDS.get(tensor.type)
    return kind is not None and tensor.shape[0] % kind.weights == 0


def write_native(path: Path, gguf: GGUF, config: dict[str, Any], target: Path) -> None:
    """Raises OSError, and InvalidModel for weights that are no numbers."""
    write_weights(target, list(_Converter(path, gguf, config).tensors()))


class _Converter:
    def __init__(self, path: Path, gguf: GGUF, config: dict[str, Any]) -> None:
        self._data = np.memmap(path, np.uint8, "r", gguf.data_offset)
        self._gguf = gguf
        self._config = config

    def tensors(self) -> Iterator[Tensor]:
        yield self._matrix("embeddings", "token_embd.weight")
        if "output.weight" in self._gguf.tensors:
            yield self._matrix("head", "output.weight")
        yield self._vector("final_norm", "output_norm.weight")
        size = self._config["head_dim"]
        exponents = np.arange(0, size, 2) / size
        frequencies = self._config["rope_theta"] ** -exponents
        if "rope_freqs.weight" in self._gguf.tensors:
            # As Llama 3.1 has them: by how much each is slower.
            frequencies = frequencies / self._floats("rope_freqs.weight")
        yield Tensor("frequencies", "F32", frequencies.shape, [frequencies.astype(np.float32)])
        for layer in range(self._config["num_hidden_layers"]):
            yield from self._layer(f"layers.{layer}.", f"blk.{layer}.")

    def _layer(self, name: str, stored: str) -> Iterator[Tensor]:
        for ours, theirs in _VECTORS.items():
            if stored + theirs in self._gguf.tensors:
                in_pairs = ours in ("query_bias", "key_bias") and self._in_pairs
                yield self._vector(name + ours, stored + theirs, in_pairs=in_pairs)
        for ours, parts in _MATRICES.items():
            sources = [f"{stored}{part}.weight" for part in parts]
            if ours == "gate_up":
                yield self._gate_up(name + ours, *sources)
            elif ours in ("queries", "keys") and self._in_pairs:
                rows = self._gguf.tensors[sources[0]].shape[1]
                yield self._matrix(name + ours, sources[0], self._halves_of_heads(rows))
            else:
                yield self._matrix(name + ours, sources[0])

    @property
    def _in_pairs(self) -> bool:
        """llama.cpp writes queries and keys of this family, biases too, with what is rotated together side by side."""
        return bool(self._config["model_type"] == "llama")

    def _halves_of_heads(self, rows: int) -> NDArray[np.intp]:
        """The order of rows in which what is rotated together are halves of a head, as in the original."""
        pairs = np.arange(rows).reshape(-1, self._config["head_dim"] // 2, 2)
        return pairs.transpose(0, 2, 1).reshape(-1)

    def _vector(self, name: str, stored: str, *, in_pairs: bool = False) -> Tensor:
        numbers = self._floats(stored)
        if in_pairs:
            numbers = numbers[self._halves_of_heads(len(numbers))]
        return Tensor(name, "F32", numbers.shape, [numbers])

    def _floats(self, name: str) -> NDArray[np.float32]:
        tensor = self._gguf.tensors[name]
        return self._data[tensor.offset : tensor.offset + 4 * tensor.shape[0]].view(np.float32)

    def _matrix(self, name: str, stored: str, order: NDArray[np.intp] | None = None) -> Tensor:
        blocks = self._blocks(stored)
        rows = len(blocks)

        def slab(begin: int, end: int) -> Bytes:
            return blocks[begin:end] if order is None else blocks[order[begin:end]]

        return self._tensor(name, (stored,), rows, slab)

    def _gate_up(self, name: str, gate: str, up: str) -> Tensor:
        """By turns a piece of the gate and one of what it lets through."""
        gates, ups = self._blocks(gate), self._blocks(up)

        def slab(begin: int, end: int) -> Bytes:
            pieces = [part[begin // 2 : end // 2].reshape(-1, _PIECE, *part.shape[1:]) for part in (gates, ups)]
            return np.stack(pieces, axis=1).reshape(-1, *gates.shape[1:])

        return self._tensor(name, (gate, up), 2 * len(gates), slab)

    def _tensor(self, name: str, stored: tuple[str, ...], rows: int, slab: Callable[[int, int], Bytes]) -> Tensor:
        tensor = self._gguf.tensors[stored[0]]
        kind = KINDS[tensor.type]
        shape = (-(-rows // TILE), tile_bytes(kind.bits, tensor.shape[0]))
        # Whole tiles, and pieces of both gate and up.
        step = max(_SLAB // tensor.shape[0] // (2 * _PIECE), 1) * 2 * _PIECE
        slabs = (slab(begin, min(begin + step, rows)) for begin in range(0, rows, step))
        return Tensor(name, "U8", shape, (to_tiles(_rows(kind, blocks, stored)) for blocks in slabs))

    def _blocks(self, name: str) -> Bytes:
        """`[rows, blocks of a row, bytes of a block]`"""
        tensor = self._gguf.tensors[name]
        kind = KINDS[tensor.type]
        rows, blocks = tensor.shape[1], tensor.shape[0] // kind.weights
        size = rows * blocks * kind.bytes
        return self._data[tensor.offset : tensor.offset + size].reshape(rows, blocks, kind.bytes)


def _rows(kind: Kind, blocks: Bytes, stored: tuple[str, ...]) -> Rows:
    """What the blocks of these tensors say. Raises InvalidModel."""
    with np.errstate(over="ignore", invalid="ignore"):
        rows = kind.read(blocks)
    if not all(np.isfinite(factors).all() for factors in (rows.scales, rows.leasts) if factors is not None):
        # OpenVINO's converter keeps them with 16 bits too, so it is no way out.
        raise InvalidModel(
            f"Tensor {' or '.join(map(repr, stored))} has weights whose factors are no numbers of 16 bits. "
            "The file is damaged, or the model was before it was quantised."
        )
    return rows
