"""What files a model directory has, and what they say of its size. Needs no OpenVINO."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from adaptive_engine.native import FILE as NATIVE_FILE

VISION_FILE = "openvino_vision_embeddings_model.xml"
TEXT_FILE = "openvino_text_embeddings_model.xml"

# Graphs of smaller weights are compiled a second time where that makes something faster.
_SECOND_GRAPH_BYTES = 512 * 2**20


def language_file(directory: Path) -> str:
    """As optimum-intel names the language model, alone or beside the graphs that see."""
    return "openvino_language_model.xml" if (directory / TEXT_FILE).exists() else "openvino_model.xml"


def is_native(directory: Path) -> bool:
    """Whether the model runs on our own runtime."""
    return (directory / NATIVE_FILE).exists()


def sees(directory: Path) -> bool:
    """Whether the model takes images beside text."""
    return (directory / VISION_FILE).exists()


def language_config(config: dict[str, Any]) -> dict[str, Any]:
    """The part of a `config.json` that is about the language model; all of it where there is nothing else."""
    text: dict[str, Any] = config.get("text_config", config)
    return text


def has_second_graph(directory: Path, graph: str) -> bool:
    """Whether a second graph of the same weights is worth its memory: with large ones it gains little."""
    return _bytes_of(directory, graph) <= _SECOND_GRAPH_BYTES


def weights_bytes(directory: Path) -> int:
    """What the weights take in memory, in all graphs."""
    if is_native(directory):
        return (directory / NATIVE_FILE).stat().st_size
    twice = [_bytes_of(directory, language_file(directory)), _bytes_of(directory, VISION_FILE)]
    return sum(size * (2 if size <= _SECOND_GRAPH_BYTES else 1) for size in twice) + _bytes_of(directory, TEXT_FILE)


def _bytes_of(directory: Path, graph: str) -> int:
    """Of the weights of a graph; 0 where there is no such graph."""
    path = (directory / graph).with_suffix(".bin")
    return path.stat().st_size if path.exists() else 0
