"""What `adaptive models settings` reads from its arguments, and what it does where no server can be asked."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, cast

import typer

from adaptive_engine.cli.options import text_or_file
from adaptive_engine.errors import InvalidRequest, NotFound
from adaptive_engine.services import models
from adaptive_engine.wire.models import ModelSettings

if TYPE_CHECKING:
    from adaptive_engine.sdk import Adaptive
    from adaptive_engine.store import Connection
    from adaptive_engine.wire.models import Model

Settings = tuple[dict[str, Any], list[str]]
"""All settings, and what of a change to them will have no effect."""
_FORMATS = ("text", "json_object", "json_schema")


def parse_changes(arguments: list[str]) -> dict[str, Any]:
    """`NAME=VALUE` each: a value is JSON where it can be, else text; an empty one removes. Raises InvalidRequest."""
    changes: dict[str, Any] = {}
    for argument in arguments:
        name, equals, text = argument.partition("=")
        if not equals or name not in ModelSettings.model_fields:
            names = ", ".join(ModelSettings.model_fields)
            raise InvalidRequest(f"{argument!r} is not NAME=VALUE with one of these names: {names}.")
        changes[name] = _value(name, text_or_file(text)) if text else None
    return changes


def ask_for_settings(client: Adaptive, project: str, model_key: str, change: dict[str, Any]) -> Settings:
    """Make a change, if there is one. Raises NotFound."""
    if change:
        found: Model | None = client.models.update(model_key, project=project, settings=cast(Any, change))
    else:
        found = client.models.get(model_key, project)
    # The first deployment is the one of the project that was asked for.
    settings = found.deployments[0].settings if found else None
    if found is None or settings is None:
        raise NotFound(f"Model '{model_key}' is not deployed in project '{project}', or its settings may not be seen.")
    shown = settings.model_dump(mode="json", by_alias=True, exclude_none=True)
    return shown, [warning.message for warning in found.warnings]


def save(connection: Connection, project: str, model_key: str, change: dict[str, Any]) -> Settings:
    """The same without a server."""
    from adaptive_engine.grammar.schemas import Schemas
    from adaptive_engine.server.errors import as_invalid_request
    from adaptive_engine.services import model_settings
    from adaptive_engine.services.structured import StructuredOutput

    deployment = models.find_deployment(connection, project, model_key)
    if not change:
        return deployment.settings, []
    with as_invalid_request():
        wanted = ModelSettings.model_validate(change)
        together = ModelSettings.model_validate(models.merged(deployment.settings, wanted))

    async def check() -> list[str]:
        schemas = Schemas()
        try:
            structured = StructuredOutput(schemas)
            notices = await model_settings.check(together, deployment.project, deployment.model, structured, None)
        finally:
            schemas.close()
        return [notice.message for notice in notices]

    notices = asyncio.run(check())
    return models.update(connection, deployment, settings=wanted).settings, notices


def show_settings(settings: dict[str, Any]) -> None:
    for name, value in settings.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        first, *more = text.splitlines() or [""]
        typer.echo(f"{name:16}{first}")
        for line in more:
            typer.echo(f"{'':16}{line}")
    if not settings:
        typer.echo("No settings: requests get what the model's authors recommend.", err=True)


def _value(name: str, text: str) -> Any:
    if name == "system_prompt":
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as exc:
        if name == "stop":
            return text
        if name == "fallbacks":
            return text.split(",")
        raise InvalidRequest(f"{name} is {text[:80]!r}, which is not JSON: {exc}.") from exc
    if name == "stop" and not isinstance(value, str | list):
        return text
    if name == "response_format" and isinstance(value, dict) and value.get("type") not in _FORMATS:
        # A schema as it is.
        return {"type": "json_schema", "json_schema": {"name": "answer", "schema": value}}
    return value
