"""What is started for a model, and with which environment."""

from __future__ import annotations

import shlex
import shutil
from dataclasses import dataclass

from adaptive_engine.errors import InvalidRequest
from adaptive_engine.privacy import child_environment
from adaptive_engine.registry.vllm import VllmModel

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class VllmOptions:
    """How all models are run."""

    command: str = "vllm"
    """As in a shell, without `serve`."""
    start_seconds: float = 1800
    """Until it answers."""
    health_seconds: float = 60
    """It is ended when it has not answered for so long."""
    stop_seconds: float = 10
    """For stopping by itself."""


def command_of(options: VllmOptions, model: VllmModel, port: int, max_model_len: int | None) -> list[str]:
    """Raises InvalidRequest where vLLM is not installed."""
    length = [] if max_model_len is None else ["--max-model-len", str(max_model_len)]
    return [
        *(*program_of(options.command), "serve", model.source),
        # The same library that masks tokens in our own engine; an argument of the model may name another.
        *("--structured-outputs-config", '{"backend": "guidance"}', "--uvicorn-log-level", "warning"),
        *model.arguments,
        # Last, so that they win.
        *("--host", HOST, "--port", str(port), "--served-model-name", model.key),
        *("--scheduling-policy", "priority", "--enable-prompt-tokens-details", *length),
    ]


def program_of(command: str) -> list[str]:
    """The command's words, the first as a path. Raises InvalidRequest where there is no such program."""
    try:
        program, *rest = shlex.split(command)
    except ValueError:
        program, rest = command, []
    found = shutil.which(program)
    if found is None:
        raise InvalidRequest(
            f"There is no command '{program}'. Install vLLM in an environment of its own and name its command in "
            "ADAPTIVE_VLLM__COMMAND, such as /opt/vllm/bin/vllm."
        )
    return [found, *rest]


def environment_of(api_key: str) -> dict[str, str]:
    """Command lines are seen by all users of a machine, so the key goes here."""
    # It would tell its makers about each start.
    silent = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    return {**child_environment(), **silent, "PYTHONUNBUFFERED": "1", "VLLM_API_KEY": api_key}
