"""What the commands about models do for those that vLLM runs."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from adaptive_engine.cli.options import models_dir, open_database

if TYPE_CHECKING:
    from adaptive_engine.registry.vllm import VllmModel
    from adaptive_engine.types import ComputeConfig


def import_for_vllm(
    data_dir: Path, source: str, key: str | None, arguments: list[str], images: bool | None
) -> VllmModel:
    """Write down how the model is run, and make it known to servers on this data directory."""
    from adaptive_engine.registry.vllm import import_for_vllm
    from adaptive_engine.services import models

    with closing(open_database(data_dir)) as database, database.write() as connection:
        return import_for_vllm(
            source,
            models_dir(data_dir),
            key,
            arguments,
            images=images,
            # In the transaction, so that a key that is taken leaves nothing behind.
            before_writing=lambda model: models.register_vllm(connection, model),
        )


def load_all(data_dir: Path) -> tuple[list[VllmModel], list[str]]:
    """The models, and what is wrong with others."""
    from adaptive_engine.registry import CorruptModel
    from adaptive_engine.registry.vllm import VllmModel, vllm_models

    found, damaged = [], []
    for path in vllm_models(models_dir(data_dir)):
        try:
            found.append(VllmModel.load(path))
        except CorruptModel as exc:
            damaged.append(exc.message)
    return found, damaged


def describe(model: VllmModel) -> str:
    from adaptive_engine.types import tags_of

    length = f", context {model.context_length}" if model.context_length else ""
    return f"{model.source} in vLLM{length}, {', '.join(tags_of(model.capabilities))}"


def summary(model: VllmModel) -> dict[str, Any]:
    from adaptive_engine.types import tags_of

    return {
        "key": model.key,
        "name": model.name,
        "provider": "vllm",
        "source": model.source,
        "arguments": list(model.arguments),
        "context_length": model.context_length or None,
        "capabilities": list(model.capabilities),
        "tags": tags_of(model.capabilities),
        "created_at": model.created_at,
    }


def show(model: VllmModel, config: ComputeConfig) -> None:
    typer.echo(f"{model.key}: {describe(model)}. No server was asked.")
    typer.echo(f"  arguments     {' '.join(model.arguments) or 'none'}")
    typer.echo(f"  max_seq_len   {config.max_seq_len or 'vLLM chooses it'}")
