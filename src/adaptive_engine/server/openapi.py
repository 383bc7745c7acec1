"""The description of the API at /openapi.json: FastAPI's, with the bodies that the routes parse themselves."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

_DEFINITIONS = "#/$defs/"
_COMPONENTS = "#/components/schemas/"


def install(app: FastAPI) -> None:
    """Describe `app` when it is first asked for."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = describe(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def describe(app: FastAPI) -> dict[str, Any]:
    """The description, in which every schema of a request is a component too.

    A body's schema comes with definitions of its own, to which nothing else in the document can point.
    """
    document = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
    components = document["components"]["schemas"]
    for path in document["paths"].values():
        for operation in path.values():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if content is not None and "title" in content["schema"]:
                content["schema"] = _lift(content["schema"], components)
    # FastAPI's own answer to what is not valid; ours is a 400.
    for path in document["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)
    for name in ("HTTPValidationError", "ValidationError"):
        components.pop(name, None)
    return document


def _lift(schema: dict[str, Any], components: dict[str, Any]) -> dict[str, str]:
    """Make components of a schema and its definitions; give a reference to it."""
    own = schema.get("$defs", {})
    body = {name: value for name, value in schema.items() if name != "$defs"}
    # The same model reads differently as a request where it has defaults or aliases.
    names = {name: _free_name(name, definition, components) for name, definition in own.items()}
    for name, definition in own.items():
        components[names[name]] = _renamed(definition, names)
    title = _free_name(schema["title"], body, components)
    components[title] = _renamed(body, names)
    return {"$ref": _COMPONENTS + title}


def _free_name(name: str, schema: dict[str, Any], components: dict[str, Any]) -> str:
    return name if name not in components or components[name] == _renamed(schema, {}) else f"{name}Input"


def _renamed(value: Any, names: dict[str, str]) -> Any:
    """`value` with its references pointing to components."""
    if isinstance(value, str) and value.startswith(_DEFINITIONS):
        name = value.removeprefix(_DEFINITIONS)
        return _COMPONENTS + names.get(name, name)
    if isinstance(value, list):
        return [_renamed(item, names) for item in value]
    if isinstance(value, dict):
        return {name: _renamed(item, names) for name, item in value.items()}
    return value
