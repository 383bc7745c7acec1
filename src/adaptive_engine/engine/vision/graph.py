"""The two graphs of a vision model beside its language model, on OpenVINO: pictures to vectors, tokens to vectors.

Files and names are those of optimum-intel's exports.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray

VISION_FILE = "openvino_vision_embeddings_model.xml"
TEXT_FILE = "openvino_text_embeddings_model.xml"


class TextEmbeddings:
    """The vectors of tokens, for language models that take no tokens. Any thread may use it."""

    def __init__(self, model: Any) -> None:
        # A lookup: there is nothing to gain from more threads.
        properties = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
        compiled = ov.Core().compile_model(model, "CPU", properties)
        self._request = compiled.create_infer_request()
        self._lock = threading.Lock()

    def __call__(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        """`[tokens, hidden]`, the caller's own."""
        with self._lock:
            self._request.set_input_tensor(ov.Tensor(tokens[np.newaxis]))
            self._request.infer()
            vectors: NDArray[np.float32] = self._request.get_output_tensor().data[0].copy()
        return vectors


class VisionGraph:
    """The vision encoder with what projects its output to the language model. Used by one thread at a time."""

    def __init__(self, model: Any, threads: int) -> None:
        # f32 in all modes: a picture is computed once, and all that is said about it depends on it.
        properties: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32"}
        if threads:
            properties["INFERENCE_NUM_THREADS"] = threads
        self._request = ov.Core().compile_model(model, "CPU", properties).create_infer_request()

    @classmethod
    def load(cls, directory: Path, threads: int = 0) -> VisionGraph:
        """Raises RuntimeError."""
        return cls(ov.Core().read_model(directory / VISION_FILE), threads)

    def encode(self, inputs: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
        """`[tiles, tokens, hidden]`"""
        self._request.infer({name: ov.Tensor(array) for name, array in inputs.items()})
        vectors: NDArray[np.float32] = self._request.get_output_tensor().data.copy()
        return vectors
