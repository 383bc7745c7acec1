"""Runs internal models: batches requests, owns the KV cache, samples. Knows no HTTP, store or project.

Start reading at `engine.py`; `Engine._step` is the loop: schedule, run, sample, emit.
"""

from adaptive_engine.engine.engine import Engine, EngineHealth, EngineOptions
from adaptive_engine.engine.sequence import GenerationRequest, SamplingParams
from adaptive_engine.engine.stats import EngineStats
from adaptive_engine.engine.stream import Delta, Timings, TokenStream

__all__ = [
    "Delta",
    "Engine",
    "EngineHealth",
    "EngineOptions",
    "EngineStats",
    "GenerationRequest",
    "SamplingParams",
    "Timings",
    "TokenStream",
]
