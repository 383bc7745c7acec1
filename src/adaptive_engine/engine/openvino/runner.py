"""Runs a language model, whose graph `paged.py` prepares, on the OpenVINO runtime."""

from __future__ import annotations

from collections.abc import Sequence as Seq
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from adaptive_engine.engine.batch import LOGITS_INPUT, TOKENS, VECTORS, Batch, step_rows
from adaptive_engine.engine.files import TEXT_FILE, language_file
from adaptive_engine.engine.openvino.paged import page_attention
from adaptive_engine.engine.openvino.weights import MappedWeights
from adaptive_engine.engine.options import Precision
from adaptive_engine.engine.runner import SCRATCH_BLOCKS, RunnerShape, StepCosts
from adaptive_engine.engine.sequence import Slice
from adaptive_engine.engine.vision.graph import TextEmbeddings
from adaptive_engine.errors import EngineFailed

# u8 keys quantised per channel crash OpenVINO 2026.4's kernels on CPUs without AVX-512; per token they do not.
PROPERTIES: dict[Precision, dict[str, Any]] = {
    "fast": {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "u8", "KEY_CACHE_QUANT_MODE": "BY_TOKEN"},
    # Quantising activations or the cache makes a row depend on its neighbours' rounding.
    "deterministic": {
        "INFERENCE_PRECISION_HINT": "f32",
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,
        "KV_CACHE_PRECISION": "f32",
    },
}
# Measured on CPUs with AVX2 only, and from the figures of one with AMX.
_ROW_COST, _ROW_COST_WIDE = 0.25, 0.06
_RESHAPE_ROWS = 3
# Matrix products of more rows are computed by another kernel, from 81 to 96 on where it was measured.
_MAX_INVARIANT_ROWS = 80


@dataclass(frozen=True, slots=True)
class Graph:
    """A model that was read and made ready for paged attention, not compiled yet."""

    name: str
    model: Any
    weights: MappedWeights
    """What `model` refers to, and all that is compiled of it."""
    embeddings: Any = None
    """The graph that makes vectors of tokens, for a `model` that does not take tokens themselves."""

    @property
    def vocab_size(self) -> int:
        """The number of logits; tokens that the tokenizer does not know may be among them."""
        return int(self.model.output("logits").partial_shape[-1].get_length())


def read_graph(directory: Path) -> Graph:
    """Read the IR of a model directory. Holds the interpreter for half a second, unlike compiling it."""
    core, embeddings = ov.Core(), None
    path = directory / language_file(directory)
    try:
        weights = MappedWeights(path.with_suffix(".bin"))
        model = core.read_model(path.read_bytes(), ov.Tensor(weights.array, shared_memory=True))
        if (directory / TEXT_FILE).exists():
            embeddings = core.read_model(directory / TEXT_FILE)
        page_attention(model, TOKENS if embeddings is None else VECTORS)
    except (RuntimeError, OSError, ValueError) as exc:
        raise _cannot_load(directory.name, exc) from exc
    return Graph(directory.name, model, weights, embeddings)


class OpenVinoRunner:
    """A compiled model and its KV cache. Used by one thread at a time."""

    def __init__(
        self,
        compiled: Any,
        request: Any,
        shape: RunnerShape,
        num_blocks: int,
        weights: MappedWeights | None = None,
        embeddings: TextEmbeddings | None = None,
    ) -> None:
        self.shape = shape
        self.num_blocks = num_blocks
        self.min_rows = 1
        """Steps with fewer tokens are padded to this many."""
        self.max_rows: int | None = None
        """No step may have more tokens."""
        self.costs = _costs()
        self._rows_apart = False
        self._properties: dict[str, Any] = {}
        self._cache: dict[str, Any] = {}
        self._compiled = compiled
        self._weights = weights
        self._embeddings = embeddings
        # Takes any number of rows.
        self._request = request
        # The same over the same cache for `min_rows` rows only: nothing has to be prepared between two steps of it.
        self._least_request: Any = None
        self._running = request
        self._count = 0
        # Rows of the last step of `_request`, and how many were added in vain since that number changed.
        self._rows = 0
        self._added = 0

    @classmethod
    def load(cls, graph: Graph, *, kv_tokens: int, precision: Precision = "fast", threads: int = 0) -> OpenVinoRunner:
        """Compile `graph` with room for the keys and values of `kv_tokens` tokens, and run a first step.

        The cache is reserved address space until it is written. `threads` 0 lets OpenVINO choose.
        """
        properties = dict(PROPERTIES[precision])
        if threads:
            properties["INFERENCE_NUM_THREADS"] = threads
        try:
            with graph.weights.released():
                compiled = ov.Core().compile_model(graph.model, "CPU", properties)
                embeddings = None if graph.embeddings is None else TextEmbeddings(graph.embeddings)
                shape = _shape_of(compiled)
                num_blocks = -(-kv_tokens // shape.block_size) + SCRATCH_BLOCKS
                runner = cls(compiled, compiled.create_infer_request(), shape, num_blocks, graph.weights, embeddings)
                runner._properties = properties
                runner._allocate_cache()
                runner._warm_up(runner._request)
        except RuntimeError as exc:
            raise _cannot_load(graph.name, exc) from exc
        if precision == "deterministic":
            # Attention to several tokens of a sequence together rounds differently from attention to one.
            runner._rows_apart = True
            runner.min_rows, runner.max_rows = runner._invariant_rows(), _MAX_INVARIANT_ROWS
        return runner

    def start(self, slices: Seq[Slice]) -> None:
        """Begin to compute the slices. Nothing else may be asked of the runner before `finish`."""
        batch = Batch(self.shape.block_size)
        for part in slices:
            tokens = part.sequence.tokens[part.start : part.stop] + part.drafts
            # As if they came one by one; nothing of a prompt may be in the same call for that.
            apart = self._rows_apart and part.start >= part.sequence.prefill_length
            size = 1 if apart else len(tokens)
            for at in range(0, len(tokens), size):
                batch.add(tokens[at : at + size], part.start + at, part.sequence.blocks, part.sequence.views)
            batch.want(part.samples)
        self._count = len(batch.wanted)
        rows = max(len(batch.ids), self.min_rows)
        batch.wanted += [0] * (self.min_rows - self._count)
        least = rows == self.min_rows == len(batch.wanted) and self._least_request is not None
        if not least:
            rows = step_rows(rows)
            rows += self._padding(rows)
        for _ in range(len(batch.ids), rows):
            batch.add([0], 0, [0])
        self._running = self._least_request if least else self._request
        self._set_inputs(self._running, batch)
        self._running.start_async()

    def finish(self) -> NDArray[np.float32]:
        """Logits `[n, vocab_size]` of the slices that want them, in order: a view that the next step overwrites."""
        self._running.wait()
        return self._logits(self._running)[: self._count]

    def add_least_graph(self, graph: Graph) -> None:
        """Compile `graph` once more, for `min_rows` rows only. Changes it. May run beside steps.

        A stream alone is 10 % faster with it, and what has steps of one row and of several in turns, as structured
        output and speculation do, much more. It takes the memory of the weights again. Raises RuntimeError.
        """
        names = (TOKENS, VECTORS, "position_ids", LOGITS_INPUT)
        shapes = {port.any_name: port.partial_shape for port in graph.model.inputs}
        for name in shapes.keys() & set(names):
            shapes[name][0] = self.min_rows
        graph.model.reshape(shapes)
        with graph.weights.released():
            request = ov.Core().compile_model(graph.model, "CPU", self._properties).create_infer_request()
            for name, tensor in self._cache.items():
                request.set_tensor(name, tensor)
            self._warm_up(request)
        self._least_request = request

    def _warm_up(self, request: Any) -> None:
        """Run the first step, which packs the weights. It only writes into the scratch block."""
        batch = Batch(self.shape.block_size)
        for _ in range(self.min_rows):
            batch.add([0], 0, [0])
            batch.want(1)
        self._set_inputs(request, batch)
        request.infer()

    def _padding(self, rows: int) -> int:
        """How many rows to add, so that this step has as many as the last.

        A graph takes time to prepare for another number. As long as fewer rows were added in vain than that costs, it
        is put off: so the loss is at most twice what knowing the future would have lost.
        """
        surplus = self._rows - rows
        if surplus == 0:
            self._added = 0
        elif rows > 1 and 0 < surplus <= _RESHAPE_ROWS - self._added:
            # One row alone is never padded: its logits would differ in the last bits.
            self._added += surplus
            return surplus
        self._rows, self._added = rows, 0
        return 0

    def _set_inputs(self, request: Any, batch: Batch) -> None:
        inputs = batch.inputs()
        if self._embeddings is not None:
            vectors = self._embeddings(inputs.pop(TOKENS))
            batch.overlay(vectors)
            inputs[VECTORS] = vectors
        for name, array in inputs.items():
            request.set_tensor(name, ov.Tensor(array))

    def _logits(self, request: Any) -> NDArray[np.float32]:
        logits: NDArray[np.float32] = request.get_tensor("logits").data
        return logits.reshape(-1, self.shape.vocab_size)

    def _allocate_cache(self) -> None:
        for port in self._compiled.inputs:
            if _is_cache(port):
                sizes = [self.num_blocks, *(int(d.get_length()) for d in list(port.partial_shape)[1:])]
                self._cache[port.any_name] = ov.Tensor(port.element_type, ov.Shape(sizes))
                self._request.set_tensor(port.any_name, self._cache[port.any_name])

    def _invariant_rows(self) -> int:
        """The least number of rows from which on a row's logits do not depend on how many others there are.

        A matrix product of one row goes through another kernel than one of several, with another order of additions,
        and one of very many through a third. From how many on depends on the CPU, so it is measured, on this model.
        Raises EngineFailed when no number of rows up to 16 is stable: then this machine cannot keep the promise.
        """
        for rows in (1, 2, 4, 8, 16):
            # Each row of the probe has a block of its own.
            batches = [rows + 1, 2 * rows + 3, 16, 31, _MAX_INVARIANT_ROWS]
            batches = [more for more in batches if rows < more <= self.num_blocks]
            if not batches:
                break
            reference = self._probe(rows)[0].copy()
            if all(np.array_equal(reference, self._probe(batch)[0]) for batch in batches):
                return rows
        raise EngineFailed(
            "On this CPU the results depend on the size of the batch, so --deterministic cannot be kept. "
            "Start without it.",
            code="not_deterministic",
        )

    def _probe(self, rows: int) -> NDArray[np.float32]:
        """Logits of `rows` one-token sequences, the first of them always the same. Overwrites their blocks."""
        batch = Batch(self.shape.block_size)
        for row in range(rows):
            batch.add([(7 + 13 * row % 1000) % self.shape.vocab_size], 0, [row])
            batch.want(1)
        self._set_inputs(self._request, batch)
        self._request.infer()
        return self._logits(self._request)


def _costs() -> StepCosts:
    wide = "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    row = _ROW_COST_WIDE if wide else _ROW_COST
    return StepCosts(row, resize=_RESHAPE_ROWS, doubling_depth=1500, busy_prompt_tokens=64)


def _cannot_load(name: str, error: Exception) -> EngineFailed:
    return EngineFailed(f"OpenVINO cannot load {name}: {str(error)[-500:]}", code="model_load")


def _is_cache(port: Any) -> bool:
    return str(port.any_name).startswith(("key_cache.", "value_cache."))


def _shape_of(compiled: Any) -> RunnerShape:
    caches = [port for port in compiled.inputs if _is_cache(port)]
    value = next(port for port in caches if port.any_name == "value_cache.0")
    bytes_per_block = 0
    for port in caches:
        elements = int(np.prod([d.get_length() for d in list(port.partial_shape)[1:]]))
        bytes_per_block += elements * int(port.element_type.size)
    return RunnerShape(
        # Keys quantised per channel carry their scales as extra rows; values never do.
        block_size=int(value.partial_shape[2].get_length()),
        vocab_size=int(compiled.output("logits").partial_shape[-1].get_length()),
        bytes_per_block=bytes_per_block,
    )
