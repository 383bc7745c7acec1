"""Runs internal models: batches requests, owns the KV cache, samples. Knows no HTTP, store or project.

Start reading at `engine.py`; `Engine._step` is the loop: schedule, run, sample, emit. The engine itself is imported on
use: OpenVINO, the tokenizer and Jinja take a third of a second.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from adaptive_engine.engine.prompt import PlacedImage, Prompt
from adaptive_engine.engine.sequence import FirstTokenLimit, GenerationRequest, SamplingParams
from adaptive_engine.engine.stats import EngineStats
from adaptive_engine.engine.stream import TokenStream
from adaptive_engine.privacy import silence_openvino
from adaptive_engine.types import Delta, Timings, TokenLogprob

if TYPE_CHECKING:
    from adaptive_engine.engine.engine import Engine
    from adaptive_engine.engine.loading import read_model
    from adaptive_engine.engine.options import EngineHealth, EngineOptions

__all__ = [
    "Delta",
    "Engine",
    "EngineHealth",
    "EngineOptions",
    "EngineStats",
    "FirstTokenLimit",
    "GenerationRequest",
    "PlacedImage",
    "Prompt",
    "SamplingParams",
    "Timings",
    "TokenLogprob",
    "TokenStream",
    "read_model",
]

silence_openvino()

_LAZY = {"Engine": "engine", "EngineHealth": "options", "EngineOptions": "options", "read_model": "loading"}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
