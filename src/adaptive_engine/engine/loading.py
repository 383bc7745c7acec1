"""What an engine is made of, from a model directory."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from adaptive_engine.engine.options import EngineOptions
from adaptive_engine.engine.runner import Graph, Runner
from adaptive_engine.engine.sequence import SamplingParams
from adaptive_engine.engine.template import ChatTemplate
from adaptive_engine.engine.tokenizer import Tokenizer
from adaptive_engine.errors import EngineFailed
from adaptive_engine.grammar.masks import Vocabulary
from adaptive_engine.types import ChatMessage

_LEAST_GRAPH_BYTES = 512 * 2**20


@dataclass(frozen=True, slots=True)
class LoadedModel:
    runner: Runner
    tokenizer: Tokenizer
    vocabulary: Vocabulary
    template: ChatTemplate
    max_seq_len: int
    """Tokens of prompt and answer together that the model can take, or shall."""
    recommended: SamplingParams
    """How the model's authors would have it sampled."""
    weights_bytes: int
    """What the weights take in memory."""


def load_model(directory: Path, options: EngineOptions, graph: Graph, *, beside_others: bool) -> LoadedModel:
    """Compile `graph`, and read what else there is. `beside_others` holds up less what this process does meanwhile."""
    with ThreadPoolExecutor(1) as elsewhere:
        # Compiling takes seconds outside Python; the rest is ready before it is.
        compiling = elsewhere.submit(
            Runner.load,
            graph,
            kv_tokens=options.kv_cache_len,
            precision=options.precision,
            threads=options.threads,
        )
        if beside_others:
            # What follows holds the interpreter, and for longer while the compiler has the cores.
            wait([compiling])
        config = json.loads((directory / "config.json").read_text("utf-8"))
        tokenizer = Tokenizer.load(directory)
        return LoadedModel(
            tokenizer=tokenizer,
            vocabulary=Vocabulary.load(directory, size=graph.vocab_size, end_ids=tokenizer.special.end_ids),
            template=load_template(directory, tokenizer),
            max_seq_len=options.max_seq_len or int(config["max_position_embeddings"]),
            recommended=recommended_sampling(directory),
            weights_bytes=weights_bytes(directory),
            runner=compiling.result(),
        )


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
