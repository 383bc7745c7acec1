"""`adaptive models import --url`: a server imports into its own data directory, the command follows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from adaptive_engine.cli.output import print_json
from adaptive_engine.cli.running import require_server

if TYPE_CHECKING:
    from adaptive_engine.registry import Progress
    from adaptive_engine.sdk import Adaptive
    from adaptive_engine.wire.imports import ModelImport


def import_on_server(
    url: str, api_key: str | None, data_dir: Path | None, source: str, key: str | None, *, json: bool
) -> None:
    """Ends the command with status 1 when the import does not complete."""
    from adaptive_engine.cli.progress import show_progress

    with show_progress() as progress:
        imported = require_server(url, api_key, data_dir, lambda client: _follow(client, source, key, progress))
    if json:
        print_json(imported.model_dump(mode="json"))
    if imported.state != "COMPLETED":
        reason = imported.error.message if imported.error else "it was cancelled."
        typer.echo(f"Error: '{imported.key}' was not imported: {reason}", err=True)
        raise typer.Exit(1)
    if not json:
        typer.echo(f"Model '{imported.key}' is on the server. To serve it: adaptive models deploy {imported.key}")


def _follow(client: Adaptive, source: str, key: str | None, progress: Progress) -> ModelImport:
    """How the import ended. Ctrl-C cancels it."""
    known = {entry.name for entry in client.imports.sources().catalog}
    begun = client.imports.create(source, key=key) if source in known else client.imports.create(path=source, key=key)

    def show(found: ModelImport) -> None:
        if found.stage is not None:
            progress(found.stage, found.done, found.total)

    try:
        return client.imports.wait(begun.id, show)
    except KeyboardInterrupt:
        client.imports.cancel(begun.id)
        raise
