"""The description of the API at /openapi.json: FastAPI's, with the bodies that the routes parse themselves."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from fastapi import FastAPI
from fastapi.encoders import jsonable_encoder
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from adaptive_engine.wire.errors import ErrorBody

_DEFINITIONS = "#/$defs/"
_COMPONENTS = "#/components/schemas/"
_ERROR_BODY = {"application/json": {"schema": {"$ref": _COMPONENTS + ErrorBody.__name__}}}
_ERRORS = {
    "4XX": {"description": "Client Error", "content": _ERROR_BODY},
    "5XX": {"description": "Server Error", "content": _ERROR_BODY},
}


def schema_of(model: type[BaseModel]) -> dict[str, str]:
    """What a route says where the schema of `model` belongs: making it takes time, and few servers are asked for it."""
    return {"$comment": f"{model.__module__}:{model.__qualname__}"}


def install(app: FastAPI) -> None:
    """Describe `app` when it is first asked for."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = describe(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def describe(app: FastAPI) -> dict[str, Any]:
    """The description, in which the schemas that routes give themselves are components like all others.

    They come with definitions of their own, to which nothing else in the document can point.
    """
    document = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
    components = document["components"]["schemas"]
    for operation in (operation for path in document["paths"].values() for operation in path.values()):
        if "security" in operation:
            operation["responses"] |= _ERRORS
        # FastAPI's own answer to what is not valid; ours is a 400.
        operation["responses"].pop("422", None)
        for body in (operation.get("requestBody", {}), *operation["responses"].values()):
            for content in body.get("content", {}).values():
                if "$comment" in content.get("schema", {}):
                    content["schema"] = _lift(_made(content["schema"]["$comment"]), components)
    for name in ("HTTPValidationError", "ValidationError"):
        components.pop(name, None)
    return document


def _made(place: str) -> dict[str, Any]:
    """The schema that `schema_of` stands for; like all of FastAPI's, it is silent about what is null."""
    module, name = place.split(":")
    model: type[BaseModel] = getattr(import_module(module), name)
    schema: dict[str, Any] = jsonable_encoder(model.model_json_schema(), exclude_none=True)
    return schema


def _lift(schema: dict[str, Any], components: dict[str, Any]) -> dict[str, str]:
    """Make components of a schema and its definitions; give a reference to it."""
    title = schema["title"]
    definitions = {**schema.get("$defs", {}), title: {name: value for name, value in schema.items() if name != "$defs"}}
    names = {name: name for name in definitions}
    # A name that is taken changes the schemas that refer to it, and so perhaps their names.
    while names != (found := {n: _free_name(n, _renamed(definitions[n], names), components) for n in names}):
        names = found
    components.update({names[name]: _renamed(definition, names) for name, definition in definitions.items()})
    return {"$ref": _COMPONENTS + names[title]}


def _free_name(name: str, schema: dict[str, Any], components: dict[str, Any]) -> str:
    """The same model reads differently as a request where it has defaults or aliases."""
    return name if components.get(name, schema) == schema else f"{name}Input"


def _renamed(value: Any, names: dict[str, str]) -> Any:
    """`value` with its references pointing to components."""
    if isinstance(value, str) and value.startswith(_DEFINITIONS):
        return _COMPONENTS + names[value.removeprefix(_DEFINITIONS)]
    if isinstance(value, list):
        return [_renamed(item, names) for item in value]
    if isinstance(value, dict):
        return {name: _renamed(item, names) for name, item in value.items()}
    return value
