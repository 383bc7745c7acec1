"""What vLLM has written since it was started: the memory that it took, and why it failed.

It tells neither over HTTP. The lines are those of vLLM 0.10 to 0.32; where they change, memory is not known, and the
reason of a failure is the last line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from adaptive_engine.types import ModelMemory
from adaptive_engine.vllm.process import START_MARK

_TAIL_BYTES = 1 << 20
_MAX_REASON = 300
# Each process of a model that is split over several devices writes these of its own share.
_WEIGHTS = re.compile(r"Model loading took ([\d.]+) GiB")
_CACHE = re.compile(r"Available KV cache memory: ([\d.]+) GiB|\(([\d.]+)/[\d.]+\) GiB for KV cache")
_CACHE_TOKENS = re.compile(r"KV cache size: ([\d,]+) tokens")
# `(EngineCore pid=30735) ERROR 11-22 04:49:29 [core.py:133] `, or a part of it.
_PREFIX = re.compile(r"^(?:\([^)]*\) ?)?(?:[A-Z]+ \d\d-\d\d [\d:]+ \[[^\]]*\] ?)?")
_ERROR = re.compile(r"^(?:[\w.]+(?:Error|Exception|Interrupt)|[\w :./-]{0,80}\berror): \S")
# Another process has said what it was.
_VAGUE = ("Engine core initialization failed", "Engine process failed to start", "WorkerProc initialization failed")


@dataclass(frozen=True, slots=True)
class StartReport:
    memory: ModelMemory | None = None
    cache_tokens: int | None = None


def report(log: Path, weights_bytes: int) -> StartReport:
    """`weights_bytes` is the size of the model's files, for builds that do not say what they took."""
    text = _read(log)
    weights = int(sum(float(found) for found in _WEIGHTS.findall(text)) * 2**30) or weights_bytes
    cache = int(sum(float(one or other) for one, other in _CACHE.findall(text)) * 2**30)
    tokens = _CACHE_TOKENS.search(text)
    return StartReport(
        ModelMemory(weights, cache) if weights and cache else None,
        int(tokens[1].replace(",", "")) if tokens else None,
    )


def failure(log: Path) -> str:
    """What it said last of an error; the last line where there is none; empty where it said nothing."""
    lines = [_PREFIX.sub("", line).strip() for line in _read(log).splitlines()]
    said = [line for line in lines if line]
    errors = [line for line in said if _ERROR.match(line) and not any(vague in line for vague in _VAGUE)]
    found = (errors or said or [""])[-1]
    text = "".join(character for character in found if character.isprintable())
    return text if len(text) <= _MAX_REASON else f"{text[:_MAX_REASON]}..."


def _read(log: Path) -> str:
    """Of the last start, as far as the file goes back."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            text = file.read(_TAIL_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
    return text.rpartition(START_MARK)[2].partition("\n")[2] if START_MARK in text else text
