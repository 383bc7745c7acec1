"""The child process of an import: `python -m adaptive_engine.registry.convert WORK PATH`.

Native code reads files that nobody vouches for, so it runs where a crash costs an import and not the server.
Exit status 0, or 1 with the reason on standard error. WORK is one of `WORKS`.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import Any

LANGUAGE_MODEL_INPUTS = {"attention_mask", "beam_idx"}


def convert_gguf(path: Path) -> None:
    """Writes the IR and the OpenVINO tokenizer beside the GGUF file."""
    _convert(path)
    _join_projections(path)


def _convert(path: Path) -> None:
    from adaptive_engine.privacy import silence_openvino

    silence_openvino()
    import openvino_genai

    # Its compiled pipeline is thrown away: there is no call that only converts.
    openvino_genai.LLMPipeline(str(path), "CPU", enable_save_ov_model=True)


def convert_sentencepiece_gguf(path: Path) -> None:
    """Writes the IR alone: the converter writes it first and then fails on the vocabulary, which we convert."""
    target = path.with_name("openvino_model.xml")
    try:
        _convert(path)
    except (IndexError, RuntimeError):
        if not target.exists():
            raise
    _join_projections(path)
    check_model(target)


def _join_projections(path: Path) -> None:
    from adaptive_engine.registry.projections import join_projections

    join_projections(path.with_name("openvino_model.xml"))


def check_model(path: Path) -> None:
    """Raises ValueError unless the IR is a stateful language model, as the engine needs, and compiles."""
    _check_graph(path, {"input_ids"} | LANGUAGE_MODEL_INPUTS, "a stateful language model")


def check_vision_model(directory: Path) -> None:
    """Raises ValueError unless the three IRs are what the engine needs of a model that takes images, and compile."""
    inputs = {"inputs_embeds"} | LANGUAGE_MODEL_INPUTS
    language = directory / "openvino_language_model.xml"
    models = [
        _check_graph(language, inputs, "a stateful language model that takes vectors"),
        _check_graph(directory / "openvino_vision_embeddings_model.xml", {"pixel_values"}, "a vision encoder"),
        _check_graph(directory / "openvino_text_embeddings_model.xml", set(), "a table of embeddings"),
    ]
    ports = [models[0].input("inputs_embeds"), models[1].output(0), models[2].output(0)]
    sizes = [port.partial_shape[-1] for port in ports]
    if len({size.get_length() for size in sizes if size.is_static}) > 1:
        raise ValueError(f"its graphs do not fit together: vectors of {', '.join(map(str, sizes))} numbers")


def _check_graph(path: Path, inputs: set[str], what: str) -> Any:
    from adaptive_engine.privacy import silence_openvino

    silence_openvino()
    import openvino

    core = openvino.Core()
    model = core.read_model(str(path))
    missing = inputs - {name for port in model.inputs for name in port.get_names()}
    if missing:
        raise ValueError(f"{path.name} is not {what}: it has no input {', '.join(sorted(missing))}")
    core.compile_model(model, "CPU")
    return model


WORKS = {
    "gguf": convert_gguf,
    "sentencepiece-gguf": convert_sentencepiece_gguf,
    "check": check_model,
    "check-vision": check_vision_model,
}


def main(arguments: list[str]) -> int:
    work, path = arguments
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _volunteer_for_oom()
    try:
        WORKS[work](Path(path))
    except Exception as exc:
        print(exc, file=sys.stderr)  # noqa: T201 - standard error is this program's answer
        return 1
    return 0


def _volunteer_for_oom() -> None:
    """A file that asks for too much memory should cost this process, not the server."""
    try:
        Path("/proc/self/oom_score_adj").write_text("1000")
    except OSError:
        return  # Not Linux, or not allowed: the import runs all the same.


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
