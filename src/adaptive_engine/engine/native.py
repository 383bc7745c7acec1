"""Runs a language model on our own runtime."""

from __future__ import annotations

import errno
import json
import mmap
import os
import weakref
from collections.abc import Sequence as Seq
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adaptive_engine.engine.batch import LOGITS_INPUT, TOKENS, Batch
from adaptive_engine.engine.runner import SCRATCH_BLOCKS, RunnerShape, StepCosts
from adaptive_engine.engine.sequence import Slice
from adaptive_engine.errors import EngineFailed
from adaptive_engine.native import FILE
from adaptive_engine.native.library import (
    BLOCK_SIZE,
    LayerStruct,
    MatrixStruct,
    ModelStruct,
    StepStruct,
    computes,
    library,
    why_not,
)
from adaptive_engine.native.shapes import matrix_shapes, vector_sizes
from adaptive_engine.native.tiles import TILE, bits_of
from adaptive_engine.native.weights import Weights

# Measured on a CPU with AVX-512: 8 rows take 1.7 times as long as one, and 8 tokens 3900 tokens deep 2.7 times as long
# as at the begin of their prompt.
_COSTS = StepCosts(row=0.1, resize=0, doubling_depth=2500, busy_prompt_tokens=9)
_SIZES = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
)
_MAX_SIZE = 1 << 24
_CGROUP_QUOTAS = (
    (Path("/sys/fs/cgroup"), ("cpu.max",)),
    (Path("/sys/fs/cgroup/cpu"), ("cpu.cfs_quota_us", "cpu.cfs_period_us")),
)
# Vectors that each layer has.
_ALWAYS = ("attention_norm", "mlp_norm")
_STEP_INPUTS = (TOKENS, "past_lens", "subsequence_begins", "block_indices", "block_indices_begins", LOGITS_INPUT)


@dataclass(frozen=True, slots=True)
class NativeModel:
    """A model whose file was read."""

    name: str
    struct: ModelStruct
    vocab_size: int
    kept: tuple[Any, ...]
    """What `struct` points to."""


def read_native(directory: Path) -> NativeModel:
    """Map the weights of a model directory. Raises EngineFailed."""
    if reason := why_not():
        raise EngineFailed(
            f"Model '{directory.name}' was imported for the native runtime, which is not here: {reason}. "
            f"Or delete '{directory}' and import the model again, for OpenVINO.",
            code="model_load",
        )
    file = "config.json"
    try:
        config = _config(directory / file)
        file = FILE
        return _model(directory.name, config, Weights(directory / file))
    except (OSError, ValueError) as exc:
        raise EngineFailed(f"{file} of model '{directory.name}' cannot be read: {exc}", code="model_load") from exc


def _config(path: Path) -> dict[str, Any]:
    """Raises OSError, and ValueError for sizes with which computing would leave the memory of the model."""
    try:
        config = json.loads(path.read_text("utf-8"))
    except RecursionError as exc:
        raise ValueError("it is nested too deeply") from exc
    if not isinstance(config, dict):
        raise ValueError("it is not an object")
    for name in _SIZES:
        if type(config.get(name)) is not int or not 0 <= config[name] <= _MAX_SIZE:
            raise ValueError(f"its {name} is not a size")
    if type(config.get("rms_norm_eps")) not in (int, float):
        raise ValueError("its rms_norm_eps is not a number")
    if not config["vocab_size"] or not computes(
        hidden=config["hidden_size"],
        mlp=config["intermediate_size"],
        heads=config["num_attention_heads"],
        kv_heads=config["num_key_value_heads"],
        head_dim=config["head_dim"],
    ):
        raise ValueError("the native runtime does not compute layers of its sizes")
    return config


def _model(name: str, config: dict[str, Any], weights: Weights) -> NativeModel:
    if config["num_hidden_layers"] > len(weights):
        raise ValueError(f"it does not have {config['num_hidden_layers']} layers")
    hidden, head_dim = config["hidden_size"], config["head_dim"]
    vectors, matrices = vector_sizes(config), matrix_shapes(config)
    layers = (LayerStruct * config["num_hidden_layers"])()
    for index, layer in enumerate(layers):
        prefix = f"layers.{index}."
        for field, size in vectors.items():
            if field in _ALWAYS or prefix + field in weights:
                setattr(layer, field, _vector(weights, prefix + field, size))
        for field, shape in matrices.items():
            setattr(layer, field, _matrix(weights, prefix + field, *shape))
    embeddings = _matrix(weights, "embeddings", hidden, config["vocab_size"])
    struct = ModelStruct(
        layers=len(layers),
        hidden=hidden,
        heads=config["num_attention_heads"],
        kv_heads=config["num_key_value_heads"],
        head_dim=head_dim,
        mlp=config["intermediate_size"],
        epsilon=config["rms_norm_eps"],
        frequencies=_vector(weights, "frequencies", head_dim // 2),
        final_norm=_vector(weights, "final_norm", hidden),
        embeddings=embeddings,
        head=_matrix(weights, "head", hidden, config["vocab_size"]) if "head" in weights else embeddings,
        layer=layers,
    )
    return NativeModel(name, struct, config["vocab_size"], (weights, layers))


def _vector(weights: Weights, name: str, size: int) -> int:
    vector = weights[name]
    if vector.shape != (size,) or vector.dtype != np.float32 or not vector.flags.aligned:
        raise ValueError(f"{name} is not of {size} numbers")
    return int(vector.ctypes.data)


def _matrix(weights: Weights, name: str, inputs: int, outputs: int) -> MatrixStruct:
    tiles = weights[name]
    if tiles.ndim != 2 or tiles.shape[0] != -(-outputs // TILE) or tiles.dtype != np.uint8:
        raise ValueError(f"{name} is not of {outputs} columns")
    return MatrixStruct(tiles.ctypes.data, bits_of(tiles.shape[1], inputs), inputs, tiles.shape[0] * TILE)


class NativeRunner:
    """A model and its KV cache. What is computed of a token does not depend on what else is in its step, nor on how its
    prompt was cut. That makes texts repeatable: there is no other precision than this one.
    """

    max_rows: int | None = None
    costs = _COSTS

    def __init__(self, model: NativeModel, *, kv_tokens: int, threads: int = 0) -> None:
        """With room for the keys and values of `kv_tokens` tokens: address space until it is written.

        Raises EngineFailed. `threads` 0 is one for each processor that this process gets.
        """
        self._model = model
        self._library = library()
        block_bytes = self._library.decoder_block_bytes(model.struct)
        self.shape = RunnerShape(BLOCK_SIZE, model.vocab_size, block_bytes)
        self.num_blocks = -(-kv_tokens // BLOCK_SIZE) + SCRATCH_BLOCKS
        try:
            memory = mmap.mmap(-1, self.num_blocks * block_bytes, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        except OSError as exc:
            raise EngineFailed(f"There is no room for the KV cache of {model.name}: {exc}", code="model_load") from exc
        self._cache = np.frombuffer(memory, np.uint8)
        threads = threads or _processors()
        self._decoder = self._library.decoder_new(model.struct, self._cache.ctypes.data, self.num_blocks, threads, None)
        if not self._decoder:
            raise EngineFailed(f"{model.name} cannot have {threads} threads, or memory for them.", code="model_load")
        # What the threads read is kept until they have ended.
        # At the end of the process a step may still run.
        weakref.finalize(self, _free, self._decoder, os.getpid(), model, self._cache).atexit = False
        self._logits = np.empty((0, model.struct.head.outputs), np.float32)
        self._inputs: list[NDArray[Any]] = []
        self._count = 0

    def start(self, slices: Seq[Slice]) -> None:
        """Raises MemoryError, and ValueError for a token that the model does not have."""
        batch = Batch(BLOCK_SIZE)
        for part in slices:
            tokens = part.sequence.tokens[part.start : part.stop] + part.drafts
            batch.add(tokens, part.start, part.sequence.blocks)
            batch.want(part.samples)
        self._begin(batch)

    def finish(self) -> NDArray[np.float32]:
        self._library.decoder_finish(self._decoder)
        return self._logits[: self._count, : self.shape.vocab_size]

    def _begin(self, batch: Batch) -> None:
        if max(batch.ids, default=0) >= self.shape.vocab_size:
            raise ValueError(f"the tokenizer has the token {max(batch.ids)}, the model does not")
        arrays = batch.inputs()
        self._inputs = [arrays[name] for name in _STEP_INPUTS]
        self._count = len(batch.wanted)
        if self._count > len(self._logits):
            self._logits = np.empty((self._count, self._logits.shape[1]), np.float32)
        pointers = [array.ctypes.data for array in (*self._inputs, self._logits)]
        step = StepStruct(len(batch.ids), len(self._inputs[1]), self._count, *pointers)
        error = self._library.decoder_start(self._decoder, step)
        if error == errno.ENOMEM:
            raise MemoryError("a step has more rows than there is memory for")
        if error:
            raise ValueError("a step refers to tokens, blocks or rows that are not there")


def _processors() -> int:
    """How many this process may use, of those that its container gets: threads beyond would take turns."""
    count = len(os.sched_getaffinity(0))
    for folder, names in _CGROUP_QUOTAS:
        try:
            quota, period = " ".join((folder / name).read_text("ascii") for name in names).split()
        except (OSError, ValueError):
            continue
        # `max`, and -1 in the older kind, are no limit.
        if quota.isdigit() and period.isdigit() and int(period):
            count = min(count, max(-(-int(quota) // int(period)), 1))
    return count


def _free(decoder: int, process: int, *_: object) -> None:
    # The copy that a fork made has no threads that could be told to end.
    if os.getpid() == process:
        library().decoder_free(decoder)
