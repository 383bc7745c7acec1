"""The two graphs of a vision model beside its language model, on OpenVINO: images to vectors, tokens to vectors.

Files and names are those of optimum-intel's exports.
"""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from adaptive_engine.engine.files import VISION_FILE

# A thread that has so much more than another gets a quarter of a core that both want: with much less, requests that
# could be answered together come one after the other.
_NICENESS = 5


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
    """The vision encoder with what projects its output to the language model. Used by one thread at a time.

    It is compiled twice where its weights are not large: for all cores, and for one thread that gives way to others, so
    that answers that are being written do not wait for an image.
    """

    def __init__(self, model: Any, threads: int, *, twice: bool) -> None:
        properties = {"INFERENCE_NUM_THREADS": threads} if threads else {}
        self._alone = self._beside = _compile(model, properties)
        # A graph for one thread runs in the thread that asks; with more, others would have to give way too.
        self._polite: ThreadPoolExecutor | None = None
        if twice:
            self._beside = _compile(model, {"INFERENCE_NUM_THREADS": 1})
            self._polite = ThreadPoolExecutor(1, thread_name_prefix="vision-beside", initializer=_give_way)

    @classmethod
    def load(cls, directory: Path, threads: int, *, twice: bool) -> VisionGraph:
        """`threads` 0 is one for each core. Raises RuntimeError."""
        return cls(ov.Core().read_model(directory / VISION_FILE), threads, twice=twice)

    def encode(self, inputs: dict[str, NDArray[Any]], *, beside: bool) -> NDArray[np.float32]:
        """`[tiles, tokens, hidden]`; `beside` others that are being answered."""
        if beside and self._polite is not None:
            return self._polite.submit(_infer, self._beside, inputs).result()
        return _infer(self._alone, inputs)

    def close(self) -> None:
        if self._polite is not None:
            self._polite.shutdown(wait=False)


def _compile(model: Any, properties: dict[str, Any]) -> Any:
    # f32 in all modes: an image is computed once, and all that is said about it depends on it.
    return (
        ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32", **properties}).create_infer_request()
    )


def _infer(request: Any, inputs: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
    request.infer({name: ov.Tensor(array) for name, array in inputs.items()})
    vectors: NDArray[np.float32] = request.get_output_tensor().data.copy()
    return vectors


def _give_way() -> None:
    if sys.platform == "linux":
        # A thread has a niceness of its own there. It may be more than the server's, and never less.
        me = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, me, os.getpriority(os.PRIO_PROCESS, me) + _NICENESS)
