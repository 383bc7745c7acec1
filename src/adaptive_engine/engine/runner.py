"""Runs the model on the OpenVINO runtime; the only file of the engine that knows OpenVINO.

The IR is an ordinary stateful decoder. `paged_attention_transformation` (the same that OpenVINO GenAI applies) turns
its attention into paged attention over cache tensors that belong to us, so that one call can mix prompt chunks and
decode tokens of many sequences. A Gather before the LM head computes logits only where a token will be sampled.
"""

from __future__ import annotations

from collections.abc import Sequence as Seq
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13
from openvino._offline_transformations import paged_attention_transformation

from adaptive_engine.engine.sequence import Slice
from adaptive_engine.errors import EngineFailed

Precision = Literal["fast", "deterministic"]

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
# The names of the inputs after the transformation, in OpenVINO 2026.4.
INPUTS = (
    "input_ids",
    "position_ids",
    "past_lens",
    "subsequence_begins",
    "block_indices",
    "block_indices_begins",
    "max_context_len",
)
LOGITS_INPUT = "sampled_tokens_indices"
# Block 0 takes the keys and values of padding tokens.
SCRATCH_BLOCKS = 1


@dataclass(frozen=True, slots=True)
class RunnerShape:
    """Sizes fixed by the compiled model."""

    block_size: int
    vocab_size: int
    bytes_per_block: int
    """Keys and values of all layers."""


@dataclass(frozen=True, slots=True)
class Graph:
    """A model that was read and made ready for paged attention, not compiled yet."""

    name: str
    model: Any

    @property
    def vocab_size(self) -> int:
        """The number of logits; tokens that the tokenizer does not know may be among them."""
        return int(self.model.output("logits").partial_shape[-1].get_length())


def read_graph(directory: Path) -> Graph:
    """Read the IR of a model directory. Holds the interpreter for half a second, unlike compiling it."""
    try:
        model = ov.Core().read_model(directory / "openvino_model.xml")
        _page_attention(model)
    except RuntimeError as exc:
        raise _cannot_load(directory.name, exc) from exc
    return Graph(directory.name, model)


class Runner:
    """A compiled model and its KV cache. Used by one thread at a time."""

    def __init__(self, compiled: Any, request: Any, shape: RunnerShape, num_blocks: int) -> None:
        self.shape = shape
        self.num_blocks = num_blocks
        self.min_rows = 1
        """Steps with fewer tokens are padded to this many."""
        self._compiled = compiled
        self._request = request
        self._count = 0

    @classmethod
    def load(cls, graph: Graph, *, kv_tokens: int, precision: Precision = "fast", threads: int = 0) -> Runner:
        """Compile `graph` with room for the keys and values of `kv_tokens` tokens.

        The cache is reserved address space until it is written. `threads` 0 lets OpenVINO choose.
        """
        properties = dict(PROPERTIES[precision])
        if threads:
            properties["INFERENCE_NUM_THREADS"] = threads
        try:
            compiled = ov.Core().compile_model(graph.model, "CPU", properties)
        except RuntimeError as exc:
            raise _cannot_load(graph.name, exc) from exc
        shape = _shape_of(compiled)
        num_blocks = -(-kv_tokens // shape.block_size) + SCRATCH_BLOCKS
        runner = cls(compiled, compiled.create_infer_request(), shape, num_blocks)
        runner._allocate_cache()
        if precision == "deterministic":
            runner.min_rows = runner._invariant_rows()
        return runner

    def start(self, slices: Seq[Slice]) -> None:
        """Begin to compute the slices. Nothing else may be asked of the runner before `finish`."""
        ids: list[int] = []
        positions: list[NDArray[np.int64]] = []
        past: list[int] = []
        begins = [0]
        blocks: list[int] = []
        block_begins = [0]
        wanted: list[int] = []
        size = self.shape.block_size
        longest = 1
        for part in slices:
            ids += part.sequence.tokens[part.start : part.stop]
            positions.append(np.arange(part.start, part.stop))
            past.append(part.start)
            begins.append(len(ids))
            blocks += part.sequence.blocks[: -(-part.stop // size)]
            block_begins.append(len(blocks))
            longest = max(longest, part.stop)
            if part.wants_logits:
                wanted.append(len(ids) - 1)
        self._count = count = len(wanted)
        for _ in range(len(ids), self.min_rows):
            ids.append(0)
            positions.append(np.zeros(1, np.int64))
            past.append(0)
            begins.append(len(ids))
            blocks.append(0)
            block_begins.append(len(blocks))
        wanted += [0] * (self.min_rows - count)
        self._set_inputs(
            input_ids=np.array(ids, np.int64),
            position_ids=np.concatenate(positions),
            past_lens=np.array(past, np.int32),
            subsequence_begins=np.array(begins, np.int32),
            block_indices=np.array(blocks, np.int32),
            block_indices_begins=np.array(block_begins, np.int32),
            max_context_len=np.array(longest, np.int32),
            sampled_tokens_indices=np.array(wanted, np.int64),
        )
        self._request.start_async()

    def finish(self) -> NDArray[np.float32]:
        """Logits `[n, vocab_size]` of the slices that want them, in order: a view that the next step overwrites."""
        self._request.wait()
        return self._logits()[: self._count]

    def _set_inputs(self, **inputs: NDArray[Any]) -> None:
        for name, array in inputs.items():
            self._request.set_tensor(name, ov.Tensor(array))

    def _logits(self) -> NDArray[np.float32]:
        logits: NDArray[np.float32] = self._request.get_tensor("logits").data
        return logits.reshape(-1, self.shape.vocab_size)

    def _allocate_cache(self) -> None:
        for port in self._compiled.inputs:
            if _is_cache(port):
                sizes = [self.num_blocks, *(int(d.get_length()) for d in list(port.partial_shape)[1:])]
                self._request.set_tensor(port.any_name, ov.Tensor(port.element_type, ov.Shape(sizes)))

    def _invariant_rows(self) -> int:
        """The least number of rows from which on a row's logits do not depend on how many others there are.

        A matrix product of one row goes through another kernel than one of several, with another order of additions.
        Which is the case from how many rows on depends on the CPU, so it is measured, on this model. Raises
        EngineFailed when no number of rows up to 16 is stable: then this machine cannot keep the promise.
        """
        for rows in (1, 2, 4, 8, 16):
            # Each row of the probe has a block of its own.
            batches = [more for more in (rows + 1, 2 * rows + 3, 16, 31) if rows < more <= self.num_blocks]
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
        counts = np.arange(rows, dtype=np.int64)
        self._set_inputs(
            input_ids=7 + 13 * counts % 1000,
            position_ids=np.zeros(rows, np.int64),
            past_lens=np.zeros(rows, np.int32),
            subsequence_begins=np.arange(rows + 1, dtype=np.int32),
            block_indices=np.arange(rows, dtype=np.int32),
            block_indices_begins=np.arange(rows + 1, dtype=np.int32),
            max_context_len=np.array(1, np.int32),
            sampled_tokens_indices=counts,
        )
        self._request.infer()
        return self._logits()


def _cannot_load(name: str, error: RuntimeError) -> EngineFailed:
    return EngineFailed(f"OpenVINO cannot load {name}: {str(error)[-500:]}", code="model_load")


def _page_attention(model: Any) -> None:
    """Transform the stateful decoder in place and gather the hidden states before its LM head."""
    paged_attention_transformation(model)
    names = {port.any_name for port in model.inputs}
    if missing := [name for name in INPUTS if name not in names]:
        raise EngineFailed(
            f"The paged model has no input {', '.join(missing)}. This build is made for OpenVINO 2026.4, "
            f"{ov.get_version()} is installed.",
            code="openvino_version",
        )
    head = model.output("logits").node.input_value(0).node
    indices = opset13.parameter([-1], ov.Type.i64, name=LOGITS_INPUT)
    indices.output(0).set_names({LOGITS_INPUT})
    hidden = opset13.gather(head.input_value(0), indices, opset13.constant(0, ov.Type.i64))
    head.input(0).replace_source_output(hidden.output(0))
    model.add_parameters([indices])
    model.validate_nodes_and_infer_types()


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
