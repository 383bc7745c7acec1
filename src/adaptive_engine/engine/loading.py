"""What an engine is made of, from a model directory."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from adaptive_engine.engine.files import (
    VISION_FILE,
    has_second_graph,
    is_native,
    language_config,
    language_file,
    sees,
    weights_bytes,
)
from adaptive_engine.engine.native import NativeModel, NativeRunner, read_native
from adaptive_engine.engine.options import EngineOptions
from adaptive_engine.engine.runner import Runner
from adaptive_engine.engine.sequence import SamplingParams
from adaptive_engine.engine.template import ChatTemplate
from adaptive_engine.engine.tokenizer import SpecialTokens, Tokenizer, read_definition
from adaptive_engine.engine.vision.family import load_family
from adaptive_engine.engine.vision.sight import Sight
from adaptive_engine.errors import EngineFailed
from adaptive_engine.grammar.masks import Vocabulary
from adaptive_engine.types import ChatMessage

if TYPE_CHECKING:
    from adaptive_engine.engine.openvino.runner import Graph
    from adaptive_engine.engine.vision.graph import VisionGraph

    ReadModel = Graph | NativeModel


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
    sight: Sight | None = None
    """How it sees images, if it can."""
    vision: VisionGraph | None = None
    speed_up: Callable[[], None] | None = None
    """Makes the runner faster. Takes seconds, and may run beside steps; raises RuntimeError."""


def read_model(directory: Path) -> ReadModel:
    """What a runner is made of. May hold the interpreter for half a second. Raises EngineFailed."""
    if is_native(directory):
        return read_native(directory)
    # A third of a second, and 60 MB.
    from adaptive_engine.engine.openvino.runner import read_graph

    return read_graph(directory)


def load_model(directory: Path, options: EngineOptions, read: ReadModel, *, beside_others: bool) -> LoadedModel:
    """Make a runner of what was `read`, and read what else there is. `beside_others` holds up less what this process
    does meanwhile.
    """
    with ThreadPoolExecutor(1) as elsewhere:
        # Compiling takes seconds outside Python; the rest is ready before it is.
        compiling = elsewhere.submit(_load_runner, directory, read, options)
        if beside_others:
            # What follows holds the interpreter, and for longer while the compiler has the cores.
            wait([compiling])
        config = json.loads((directory / "config.json").read_text("utf-8"))
        definition = read_definition(directory)
        tokenizer = Tokenizer(definition, SpecialTokens.read(directory))
        vocabulary = Vocabulary.of(definition, size=read.vocab_size, end_ids=tokenizer.special.end_ids)
        template = load_template(directory, tokenizer)
        sight, vision = load_sight(directory, tokenizer), load_vision(directory, options)
        runner, speed_up = compiling.result()
        return LoadedModel(
            tokenizer=tokenizer,
            vocabulary=vocabulary,
            template=template,
            sight=sight,
            vision=vision,
            max_seq_len=options.max_seq_len or int(language_config(config)["max_position_embeddings"]),
            recommended=recommended_sampling(directory),
            weights_bytes=weights_bytes(directory),
            runner=runner,
            speed_up=speed_up,
        )


def _load_runner(directory: Path, read: ReadModel, options: EngineOptions) -> tuple[Runner, Callable[[], None] | None]:
    if isinstance(read, NativeModel):
        return NativeRunner(read, kv_tokens=options.kv_cache_len, threads=options.threads), None
    from adaptive_engine.engine.openvino.runner import OpenVinoRunner

    runner = OpenVinoRunner.load(
        read, kv_tokens=options.kv_cache_len, precision=options.precision, threads=options.threads
    )
    speeds_up = has_second_graph(directory, language_file(directory))
    return runner, partial(runner.add_least_graph, read) if speeds_up else None


def recommended_sampling(directory: Path) -> SamplingParams:
    """`temperature` and `top_p` of the generation config; Hugging Face's `do_sample: false` means greedy."""
    config = json.loads((directory / "generation_config.json").read_text("utf-8"))
    if config.get("do_sample") is False:
        return SamplingParams(temperature=0.0)
    temperature = float(config.get("temperature") or 1.0)
    return SamplingParams(temperature=min(temperature, 2.0), top_p=float(config.get("top_p") or 1.0))


def load_sight(directory: Path, tokenizer: Tokenizer) -> Sight | None:
    """None for a model that cannot see. Raises EngineFailed."""
    if not sees(directory):
        return None
    family = load_family(directory)
    ids = tokenizer.encode(family.image_token)
    if len(ids) != 1 or tokenizer.token_bytes[ids[0]]:
        raise EngineFailed(
            f"The tokenizer of model '{directory.name}' has no control token {family.image_token}.",
            code="vision_config",
        )
    return Sight(family, ids[0])


def load_vision(directory: Path, options: EngineOptions) -> VisionGraph | None:
    """None for a model that cannot see. Raises EngineFailed."""
    if not sees(directory):
        return None
    # How many threads compute may change the last bits.
    from adaptive_engine.engine.vision.graph import VisionGraph

    twice = options.precision != "deterministic" and has_second_graph(directory, VISION_FILE)
    try:
        return VisionGraph.load(directory, options.threads, twice=twice)
    except RuntimeError as exc:
        raise EngineFailed(f"OpenVINO cannot load {VISION_FILE}: {str(exc)[-500:]}", code="model_load") from exc


def load_template(directory: Path, tokenizer: Tokenizer) -> ChatTemplate:
    """Raises EngineFailed where there is none, and whatever rendering it raises."""
    path = directory / "chat_template.jinja"
    if not path.exists():
        raise EngineFailed(
            f"Model '{directory.name}' has no chat_template.jinja, so it cannot chat.", code="no_template"
        )
    special = tokenizer.special
    template = ChatTemplate(path.read_text("utf-8"), bos=special.bos, eos=special.eos, in_parts=sees(directory))
    # A template that cannot render this would fail at every request.
    template.render([ChatMessage("user", "Hello")])
    return template
