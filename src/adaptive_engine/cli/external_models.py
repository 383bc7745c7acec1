"""`adaptive models add-external` and `update-external`: models of providers."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adaptive_engine.cli.options import (
    DataDir,
    Json,
    ModelKey,
    load_settings,
    open_database,
    resolve_data_dir,
    text_or_file,
)
from adaptive_engine.cli.output import print_json
from adaptive_engine.cli.running import ApiKey, Url, ask_server

if TYPE_CHECKING:
    from pydantic import BaseModel

    from adaptive_engine.types import Model

KeyOf = Annotated[
    str | None,
    typer.Option(
        "--provider-key",
        metavar="KEY",
        help="The API key at the provider: @FILE, $VARIABLE, or `-` to be asked for it, so that no history has it.",
    ),
]
Endpoint = Annotated[str | None, typer.Option(help="Where the API is, such as http://127.0.0.1:8000/v1.")]
Extra = Annotated[
    list[str] | None, typer.Option("--extra", metavar="NAME=VALUE", help="Sent with each request; the value is JSON.")
]
Profile = Annotated[
    list[str] | None, typer.Option("--profile", metavar="NAME=VALUE", help="What the model can do; see the guide.")
]
Price = Annotated[
    str | None,
    typer.Option("--price", metavar="PROMPT,COMPLETION[,CACHED]", help="Of a million tokens."),
]
Currency = Annotated[str | None, typer.Option(help="Of the price. Default: USD")]
Capability = Annotated[list[str] | None, typer.Option("--capability", help="Such as ImageUnderstanding.")]
Context = Annotated[int | None, typer.Option("--context-length", metavar="TOKENS", help="Prompt and answer.")]


def add_external(
    name: Annotated[str, typer.Argument(help="What people read; the key is made from it.")],
    model: Annotated[str, typer.Option("--model", help="What the provider calls the model.")],
    provider: Annotated[
        str, typer.Option(help="Such as openai, anthropic, google or azure; the guide has all.")
    ] = "openai",
    provider_key: KeyOf = None,
    endpoint: Endpoint = None,
    key: Annotated[str | None, typer.Option(help="The model's key here.")] = None,
    extra: Extra = None,
    profile: Profile = None,
    price: Price = None,
    currency: Currency = None,
    capability: Capability = None,
    context_length: Context = None,
    data_dir: DataDir = None,
    url: Url = None,
    api_key: ApiKey = None,
    json: Json = False,
) -> None:
    """Register a model of an external provider. `deploy` lets it answer in a project.

    \b
    Examples:
      adaptive models add-external gpt-4o --model gpt-4o --provider-key '$OPENAI_API_KEY' --price 2.5,10,1.25
      adaptive models add-external claude --provider anthropic --model claude-sonnet-4-5 --provider-key -
      adaptive models add-external llama --provider openai_compatible --endpoint http://127.0.0.1:8080/v1 --model llama
    """
    fields = _fields(provider_key, endpoint, extra, profile, price, currency, capability, context_length)
    fields |= {"name": name, "external_model_id": model, "provider": provider}
    if key is not None:
        fields["key"] = key
    directory = resolve_data_dir(data_dir)
    answer = ask_server(url, api_key, directory, lambda client: client.models.add_external(**fields))
    made = answer.key if answer else _without_server(directory, None, fields).key
    if json:
        print_json(
            {"key": made, **{field: value for field, value in fields.items() if field not in ("api_key", "key")}}
        )
    else:
        typer.echo(f"Model '{made}' is registered: '{model}' of provider {provider}.")
        typer.echo(f"To let it answer: adaptive models deploy {made}", err=True)


def update_external(
    key: ModelKey,
    model: Annotated[str | None, typer.Option("--model", help="What the provider calls the model.")] = None,
    provider_key: KeyOf = None,
    endpoint: Endpoint = None,
    extra: Extra = None,
    profile: Profile = None,
    price: Price = None,
    currency: Currency = None,
    capability: Capability = None,
    context_length: Context = None,
    data_dir: DataDir = None,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Change what is known of an external model; what is not given stays. It counts at once.

    \b
    Example:
      adaptive models update-external gpt-4o --provider-key -
    """
    from adaptive_engine.errors import InvalidRequest

    fields = _fields(provider_key, endpoint, extra, profile, price, currency, capability, context_length)
    if model is not None:
        fields["external_model_id"] = model
    if not fields:
        raise InvalidRequest("There is nothing to change: give --provider-key, --endpoint, --price or another option.")
    directory = resolve_data_dir(data_dir)
    changes: Any = fields
    if ask_server(url, api_key, directory, lambda client: client.models.update_external(key, changes)) is None:
        _without_server(directory, key, fields)
    typer.echo(f"Model '{key}' is changed.")


def _fields(
    provider_key: str | None,
    endpoint: str | None,
    extra: list[str] | None,
    profile: list[str] | None,
    price: str | None,
    currency: str | None,
    capability: list[str] | None,
    context_length: int | None,
) -> dict[str, Any]:
    given = {
        "api_key": None if provider_key is None else _secret(provider_key),
        "endpoint": endpoint,
        "extra_params": _pairs("--extra", extra),
        "profile": _pairs("--profile", profile),
        "prices": _prices(price, currency),
        "capabilities": capability,
        "context_length": context_length,
    }
    return {name: value for name, value in given.items() if value is not None}


def _secret(given: str) -> str:
    from adaptive_engine.errors import InvalidRequest

    if given == "-":
        return str(typer.prompt("API key of the provider", hide_input=True)).strip()
    if given.startswith("$"):
        if given[1:] not in os.environ:
            raise InvalidRequest(f"--provider-key: {given} is not set.")
        return os.environ[given[1:]]
    return text_or_file(given).strip()


def _pairs(option: str, given: list[str] | None) -> dict[str, Any] | None:
    from adaptive_engine.errors import InvalidRequest

    if given is None:
        return None
    found: dict[str, Any] = {}
    for argument in given:
        name, equals, text = argument.partition("=")
        if not equals or not name:
            raise InvalidRequest(f"{option}: {argument!r} is not NAME=VALUE.")
        try:
            found[name] = json.loads(text)
        except ValueError:
            found[name] = text
    return found


def _prices(given: str | None, currency: str | None) -> dict[str, Any] | None:
    from adaptive_engine.errors import InvalidRequest

    if given is None:
        if currency is not None:
            raise InvalidRequest("--currency is that of --price: give both.")
        return None
    try:
        numbers = [float(number) for number in given.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (2, 3):
        raise InvalidRequest(f"--price: {given!r} is not PROMPT,COMPLETION or PROMPT,COMPLETION,CACHED in numbers.")
    return {**dict(zip(("prompt", "completion", "cached"), numbers, strict=False)), "currency": currency or "USD"}


def _without_server(directory: Path, key: str | None, fields: dict[str, Any]) -> Model:
    """The same in the data directory."""
    from contextlib import closing

    from adaptive_engine.providers.addresses import AddressPolicy
    from adaptive_engine.server.errors import as_invalid_request
    from adaptive_engine.services import external_models
    from adaptive_engine.services.sealing import Sealer
    from adaptive_engine.services.secret import load_secret
    from adaptive_engine.wire.external_models import ExternalModelCreate, ExternalModelUpdate

    settings = load_settings(directory)
    wanted: type[BaseModel] = ExternalModelCreate if key is None else ExternalModelUpdate
    with as_invalid_request():
        given = wanted.model_validate(fields)
    external_models.check_endpoint(
        fields.get("endpoint"), AddressPolicy(private=settings.providers.allow_private_endpoints)
    )
    with closing(open_database(directory)) as database, database.write() as connection:
        sealer = Sealer(load_secret(settings))
        if isinstance(given, ExternalModelCreate):
            return external_models.register(connection, sealer, given)
        assert isinstance(given, ExternalModelUpdate)
        assert key is not None
        return external_models.update(connection, sealer, key, given)
