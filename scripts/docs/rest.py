"""Pages about the REST API, made of its OpenAPI description: one for each tag."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

Json = dict[str, Any]

_REFERENCE = "#/components/schemas/"


def pages(description: Json) -> dict[str, str]:
    """Markdown by the name of the page."""
    by_tag: dict[str, list[tuple[str, str, Json]]] = defaultdict(list)
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            by_tag[operation["tags"][0]].append((method.upper(), path, operation))
    return {
        re.sub(r"\W+", "_", tag.lower()): _page(tag, operations, description["components"]["schemas"])
        for tag, operations in by_tag.items()
    }


def _page(tag: str, operations: list[tuple[str, str, Json]], schemas: Json) -> str:
    parts = [f"# {tag[0].upper()}{tag[1:]}", ""]
    used: list[str] = []
    for method, path, operation in operations:
        parts += [f"## {method} {path}", "", operation.get("description", "").replace("\n", " "), ""]
        parts += _parameters(operation.get("parameters", []), used)
        parts += _body(operation.get("requestBody"), used)
        parts += _responses(operation["responses"], used)
    if used:
        parts += ["## Types", ""]
    for name in used:
        # Grows while it is read: types have parts that are types.
        parts += [f"### {name}", "", *_type(schemas[name], used)]
    return "\n".join(parts)


def _parameters(parameters: list[Json], used: list[str]) -> list[str]:
    if not parameters:
        return []
    rows = [
        f"| `{each['name']}` | {each['in']} | {_kind(each['schema'], used)} | {'yes' if each.get('required') else ''} "
        f"| {_about(each) or _about(each['schema'])} |"
        for each in parameters
    ]
    return ["| Parameter | In | Type | Required | |", "|---|---|---|---|---|", *rows, ""]


def _body(body: Json | None, used: list[str]) -> list[str]:
    if body is None:
        return []
    kinds = [_kind(content.get("schema", {}), used) for content in body["content"].values()]
    return [f"Body: {' or '.join(kinds)}", ""]


def _responses(responses: Json, used: list[str]) -> list[str]:
    lines = []
    for status, response in responses.items():
        kinds = [
            f"{_kind(content['schema'], used)}" if content.get("schema") else f"`{media_type}`"
            for media_type, content in response.get("content", {}).items()
        ]
        lines.append(f"- {status}: {' or '.join(kinds) or 'no body'}")
    return [*lines, ""]


def _type(schema: Json, used: list[str]) -> list[str]:
    lines = [_about(schema), ""] if schema.get("description") else []
    properties = schema.get("properties")
    if not properties:
        return [*lines, _kind(schema, used), ""]
    required = schema.get("required", ())
    rows = [
        f"| `{name}` | {_kind(field, used)} | {'yes' if name in required else ''} | {_default(field)}{_about(field)} |"
        for name, field in properties.items()
    ]
    return [*lines, "| Field | Type | Required | |", "|---|---|---|---|", *rows, ""]


def _kind(schema: Json, used: list[str]) -> str:
    """What a value is, in a cell of a table."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(_REFERENCE)
        if name not in used:
            used.append(name)
        return f"[{name}](#{name.lower()})"
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return " or ".join(dict.fromkeys(_kind(part, used) for part in schema[word]))
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    kind = schema.get("type", "anything")
    if isinstance(kind, list):
        kind = " or ".join(kind)
    if kind == "array":
        return f"list of {_kind(schema.get('items', {}), used)}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_kind(schema['additionalProperties'], used)}"
    return kind if "format" not in schema else f"{kind} ({schema['format']})"


def _default(field: Json) -> str:
    value = field.get("default")
    return (
        "" if value in (None, "", [], {}) else f"Default: `{str(value).lower() if value in (True, False) else value}`. "
    )


def _about(described: Json) -> str:
    return " ".join(described.get("description", "").split()).replace("|", "\\|")
