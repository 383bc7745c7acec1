"""Tiny models with random weights, what they compute in plain numpy, and a way to run their steps natively."""

from __future__ import annotations

import ctypes
import json
import mmap
from collections.abc import Sequence as Seq
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from adaptive_engine.engine.native import NativeModel, read_native
from adaptive_engine.native import FILE
from adaptive_engine.native.library import BLOCK_SIZE, StepStruct, library, why_not
from adaptive_engine.registry.gguf import read_gguf
from adaptive_engine.registry.native import why_not_native, write_native
from unit.native import ggml
from unit.registry.gguf_builder import Quantised, Tensors, gguf_bytes

needs_library = pytest.mark.skipif(why_not() is not None, reason=f"Models cannot run natively: {why_not()}.")

_LARGE = 100_000
_MAP_NORESERVE = 0x4000

Logits = NDArray[np.float32]


@dataclass(frozen=True)
class Sizes:
    family: str = "llama"
    layers: int = 2
    hidden: int = 64
    heads: int = 2
    kv_heads: int = 1
    head_dim: int = 32
    mlp: int = 96
    vocabulary: int = 250
    tied: bool = True
    kinds: tuple[int, ...] = (ggml.Q8_0,)
    """Types of the matrices, in turns."""
    factors: bool = False
    """Each frequency is divided by one of its own, as Llama 3.1 has it."""
    biases: bool = False
    """Also where the family has none. Those of qwen2 always have."""

    def config(self) -> dict[str, Any]:
        return {
            "model_type": self.family,
            "vocab_size": self.vocabulary,
            "hidden_size": self.hidden,
            "intermediate_size": self.mlp,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_dim,
            "rope_theta": 10_000.0,
            "rms_norm_eps": 1e-5,
        }


def random_tensors(sizes: Sizes, seed: int = 0) -> Tensors:
    """As a GGUF file of the family has them. What they compute depends on each of them, and on positions."""
    random = np.random.default_rng(seed)
    tensors: Tensors = {}

    def matrix(name: str, rows: int, inputs: int, gain: float = 1.0) -> None:
        kind = sizes.kinds[len(tensors) % len(sizes.kinds)]
        tensors[f"{name}.weight"] = ggml.random_matrix(random, kind, rows, inputs, gain / inputs**0.5)

    def vector(name: str, size: int, around: float = 1.0) -> None:
        tensors[name] = (around + random.normal(0, 0.3, size)).astype(np.float32)

    queries, keys = sizes.heads * sizes.head_dim, sizes.kv_heads * sizes.head_dim
    matrix("token_embd", sizes.vocabulary, sizes.hidden, sizes.hidden**0.5)
    if not sizes.tied:
        matrix("output", sizes.vocabulary, sizes.hidden)
    vector("output_norm.weight", sizes.hidden)
    if sizes.factors:
        tensors["rope_freqs.weight"] = random.uniform(1, 8, sizes.head_dim // 2).astype(np.float32)
    for layer in range(sizes.layers):
        prefix = f"blk.{layer}."
        vector(prefix + "attn_norm.weight", sizes.hidden)
        vector(prefix + "ffn_norm.weight", sizes.hidden)
        matrix(prefix + "attn_q", queries, sizes.hidden, 1.5)
        matrix(prefix + "attn_k", keys, sizes.hidden, 1.5)
        matrix(prefix + "attn_v", keys, sizes.hidden)
        matrix(prefix + "attn_output", sizes.hidden, queries, 2)
        for name in ("ffn_gate", "ffn_up"):
            # Of one type, as files have them.
            kind = sizes.kinds[layer % len(sizes.kinds)]
            weights = ggml.random_matrix(random, kind, sizes.mlp, sizes.hidden, sizes.hidden**-0.5)
            tensors[f"{prefix}{name}.weight"] = weights
        matrix(prefix + "ffn_down", sizes.hidden, sizes.mlp, 2)
        if sizes.family == "qwen2" or sizes.biases:
            for part, size in (("q", queries), ("k", keys), ("v", keys)):
                vector(f"{prefix}attn_{part}.bias", size, 0)
        if sizes.family == "qwen3":
            for part in "qk":
                vector(f"{prefix}attn_{part}_norm.weight", sizes.head_dim)
    return tensors


def write_model(directory: Path, sizes: Sizes, tensors: Tensors) -> Path:
    """A directory with what `read_native` reads, made of a GGUF file."""
    directory.mkdir()
    source = directory / "source.gguf"
    source.write_bytes(gguf_bytes({"general.architecture": sizes.family}, tensors))
    gguf, config = read_gguf(source), sizes.config()
    assert why_not_native(gguf, config) is None
    write_native(source, gguf, config, directory / FILE)
    (directory / "config.json").write_text(json.dumps(config))
    return directory


@dataclass(frozen=True)
class Mistakes:
    """What a model could do wrong."""

    no_mask: bool = False
    late_mask: bool = False
    """Sees no more than the token before it."""
    no_rotation: bool = False
    other_pairs: bool = False
    next_position: bool = False
    """By one, of the queries alone."""
    other_heads: bool = False
    """Heads share keys in turns."""
    no_bias: str = ""
    no_head_norm: bool = False
    swapped_gate: bool = False
    no_gate: bool = False
    no_factors: bool = False


class Reference:
    """What llama.cpp computes of the tensors of a GGUF file, in 64 bits and without a cache."""

    def __init__(self, sizes: Sizes, tensors: Tensors, mistakes: Mistakes | None = None) -> None:
        self._sizes = sizes
        self._wrong = mistakes or Mistakes()
        self._tensors = {
            name: ggml.numbers_of(tensor) if isinstance(tensor, Quantised) else tensor.astype(np.float64)
            for name, tensor in tensors.items()
        }

    def logits(self, tokens: Seq[int]) -> ggml.Numbers:
        """`[tokens, vocabulary]`"""
        rows = self._tensors["token_embd.weight"][list(tokens)]
        for layer in range(self._sizes.layers):
            prefix = f"blk.{layer}."
            rows = rows + self._attention(prefix, self._normed(rows, prefix + "attn_norm"))
            rows = rows + self._mlp(prefix, self._normed(rows, prefix + "ffn_norm"))
        head = "token_embd.weight" if self._sizes.tied else "output.weight"
        return self._normed(rows, "output_norm") @ self._tensors[head].T

    def _normed(self, rows: ggml.Numbers, name: str) -> ggml.Numbers:
        return rows / np.sqrt((rows**2).mean(axis=-1, keepdims=True) + 1e-5) * self._tensors[f"{name}.weight"]

    def _mlp(self, prefix: str, rows: ggml.Numbers) -> ggml.Numbers:
        gate, up = (rows @ self._tensors[f"{prefix}ffn_{name}.weight"].T for name in ("gate", "up"))
        if self._wrong.swapped_gate:
            gate, up = up, gate
        if not self._wrong.no_gate:
            gate = gate / (1 + np.exp(-gate))
        return (gate * up) @ self._tensors[f"{prefix}ffn_down.weight"].T

    def _attention(self, prefix: str, rows: ggml.Numbers) -> ggml.Numbers:
        sizes, count = self._sizes, len(rows)
        queries, keys, values = (self._heads(prefix, part, rows) for part in "qkv")
        queries = self._rotated(queries, int(self._wrong.next_position))
        keys = self._rotated(keys, 0)
        each = sizes.heads // sizes.kv_heads
        seen = np.tri(count, k=-1 if self._wrong.late_mask else 0, dtype=bool)
        seen[0, 0] = True
        out = []
        for head in range(sizes.heads):
            shared = head % sizes.kv_heads if self._wrong.other_heads else head // each
            scores = queries[:, head] @ keys[:, shared].T / sizes.head_dim**0.5
            if not self._wrong.no_mask:
                scores = np.where(seen, scores, -np.inf)
            shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
            out.append(shares / shares.sum(axis=-1, keepdims=True) @ values[:, shared])
        return np.concatenate(out, axis=1) @ self._tensors[f"{prefix}attn_output.weight"].T

    def _heads(self, prefix: str, part: str, rows: ggml.Numbers) -> ggml.Numbers:
        """`[rows, heads, head_dim]`"""
        name = f"{prefix}attn_{part}"
        heads = rows @ self._tensors[f"{name}.weight"].T
        if f"{name}.bias" in self._tensors and part not in self._wrong.no_bias:
            heads = heads + self._tensors[f"{name}.bias"]
        heads = heads.reshape(len(rows), -1, self._sizes.head_dim)
        if f"{name}_norm.weight" in self._tensors and not self._wrong.no_head_norm:
            heads = self._normed(heads, f"{name}_norm")
        return heads

    def _rotated(self, heads: ggml.Numbers, further: int) -> ggml.Numbers:
        if self._wrong.no_rotation:
            return heads
        size = self._sizes.head_dim
        frequencies = 10_000.0 ** -(np.arange(0, size, 2) / size)
        if "rope_freqs.weight" in self._tensors and not self._wrong.no_factors:
            frequencies = frequencies / self._tensors["rope_freqs.weight"]
        angles = ((np.arange(len(heads)) + further)[:, None] * frequencies)[:, None]
        # Files of this family have what is rotated together side by side, the others in the halves of a head.
        if (self._sizes.family == "llama") != self._wrong.other_pairs:
            a, b = np.s_[..., 0::2], np.s_[..., 1::2]
        else:
            a, b = np.s_[..., : size // 2], np.s_[..., size // 2 :]
        rotated = np.empty_like(heads)
        rotated[a] = heads[a] * np.cos(angles) - heads[b] * np.sin(angles)
        rotated[b] = heads[b] * np.cos(angles) + heads[a] * np.sin(angles)
        return rotated


def distance(logits: NDArray[Any], right: ggml.Numbers) -> float:
    """How far all rows are from the right ones, for their length."""
    return float(np.linalg.norm(logits - right) / np.linalg.norm(right))


@dataclass(frozen=True)
class Part:
    """Tokens of a sequence that one step computes."""

    tokens: list[int]
    blocks: list[int]
    past: int = 0
    wanted: list[int] | None = None
    """Which of the tokens; None is all."""

    def cut(self, begin: int, end: int) -> Part:
        return replace(self, tokens=self.tokens[begin:end], past=self.past + begin)


@dataclass
class Decoder:
    """The decoder of the library, as `decoder.h` has it. `instructions` None are the best that there are."""

    model: NativeModel
    blocks: int = 64
    threads: int = 2
    instructions: str | None = None

    def __enter__(self) -> Decoder:
        self._library = library()
        size = self._library.decoder_block_bytes(self.model.struct)
        if self.blocks > _LARGE:
            # Address space, until it is written.
            memory = mmap.mmap(-1, self.blocks * size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE)
            self._cache = np.frombuffer(memory, np.uint8)
        else:
            # What was there before must not matter.
            self._cache = np.full(self.blocks * size, 0xFF, np.uint8)
        name = self.instructions.encode() if self.instructions else None
        at = self._cache.ctypes.data
        self._decoder = self._library.decoder_new(self.model.struct, at, self.blocks, self.threads, name)
        assert self._decoder
        return self

    def __exit__(self, *_: object) -> None:
        self._library.decoder_free(self._decoder)

    def step(self, *parts: Part) -> Logits:
        """`[wanted rows, vocabulary]`"""
        begins = np.cumsum([0, *(len(part.tokens) for part in parts)])
        tables = [part.blocks[: -(-(part.past + len(part.tokens)) // BLOCK_SIZE)] for part in parts]
        wanted = [
            begin + row
            for begin, part in zip(begins, parts, strict=False)
            for row in (range(len(part.tokens)) if part.wanted is None else part.wanted)
        ]
        # A sentinel behind the rows.
        logits = np.full((len(wanted) + 1, self.model.struct.head.outputs), 7, np.float32)
        arrays = [
            np.array([token for part in parts for token in part.tokens], np.int64),
            np.array([part.past for part in parts], np.int32),
            begins.astype(np.int32),
            np.array([block for table in tables for block in table], np.int32),
            np.cumsum([0, *map(len, tables)]).astype(np.int32),
            np.array(wanted, np.int64),
            logits,
        ]
        pointers = [array.ctypes.data for array in arrays]
        step = StepStruct(int(begins[-1]), len(parts), len(wanted), *pointers)
        assert self._library.decoder_start(self._decoder, ctypes.byref(step)) == 0
        self._library.decoder_finish(self._decoder)
        assert (logits[-1] == 7).all()
        return logits[:-1, : self.model.vocab_size]


def read_model(directory: Path, sizes: Sizes, tensors: Tensors) -> NativeModel:
    return read_native(write_model(directory, sizes, tensors))
