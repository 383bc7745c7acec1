"""What an engine reads from a model directory beside the weights and the tokenizer."""

from __future__ import annotations

import json
from pathlib import Path

from adaptive_engine.engine.sequence import SamplingParams
from adaptive_engine.engine.template import ChatTemplate
from adaptive_engine.engine.tokenizer import Tokenizer
from adaptive_engine.errors import EngineFailed
from adaptive_engine.types import ChatMessage

_LEAST_GRAPH_BYTES = 512 * 2**20


def recommended_sampling(directory: Path) -> SamplingParams:
    """`temperature` and `top_p` of the generation config; Hugging Face's `do_sample: false` means greedy."""
    config = json.loads((directory / "generation_config.json").read_text("utf-8"))
    if config.get("do_sample") is False:
        return SamplingParams(temperature=0.0)
    temperature = float(config.get("temperature") or 1.0)
    return SamplingParams(temperature=min(temperature, 2.0), top_p=float(config.get("top_p") or 1.0))


def has_least_graph(directory: Path) -> bool:
    """Whether a second graph for the smallest steps is worth its memory: with large weights it gains little."""
    return _file_bytes(directory) <= _LEAST_GRAPH_BYTES


def weights_bytes(directory: Path) -> int:
    """What the weights take in memory, in all graphs."""
    return _file_bytes(directory) * (2 if has_least_graph(directory) else 1)


def _file_bytes(directory: Path) -> int:
    return (directory / "openvino_model.bin").stat().st_size


def load_template(directory: Path, tokenizer: Tokenizer) -> ChatTemplate:
    """Raises EngineFailed where there is none, and whatever rendering it raises."""
    path = directory / "chat_template.jinja"
    if not path.exists():
        raise EngineFailed(
            f"Model '{directory.name}' has no chat_template.jinja, so it cannot chat.", code="no_template"
        )
    template = ChatTemplate(path.read_text("utf-8"), bos=tokenizer.special.bos, eos=tokenizer.special.eos)
    # A template that cannot render this would fail at every request.
    template.render([ChatMessage("user", "Hello")])
    return template
