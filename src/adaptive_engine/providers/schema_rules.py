"""Which of JSON Schema each vendor's structured output takes, as data for `schemas.py`.

Sources, as of 2026: https://platform.openai.com/docs/guides/structured-outputs#supported-schemas,
https://platform.claude.com/docs/en/build-with-claude/structured-outputs#json-schema-limitations,
https://ai.google.dev/api/generate-content#generationconfig (`responseJsonSchema`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

_SHARED = {"type", "enum", "properties", "required", "additionalProperties", "items", "anyOf", "$ref", "$defs"}


@dataclass(frozen=True, slots=True)
class SchemaRules:
    """What one vendor takes."""

    keywords: frozenset[str]
    annotations: frozenset[str] = frozenset({"title", "description"})
    formats: frozenset[str] = frozenset()
    enum_types: frozenset[str] = frozenset({"string", "integer", "number", "boolean", "null"})
    most_min_items: int | None = None
    closed: bool = False
    """Every object has `additionalProperties: false`, and every schema says what it is."""
    all_required: bool = False
    """Every property is required."""
    object_root: bool = False
    recursion: Literal["any", "optional", "none"] = "any"
    """Whether schemas may contain themselves; `optional`: only in properties that are not required."""
    limits: dict[str, int] = field(default_factory=dict)
    """The most of what `schemas.Size` counts."""


RULES: dict[str, SchemaRules] = {
    "openai": SchemaRules(
        keywords=frozenset(
            _SHARED
            | {"const", "pattern", "format", "multipleOf", "minItems", "maxItems"}
            | {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
        ),
        formats=frozenset({"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}),
        closed=True,
        all_required=True,
        object_root=True,
        limits={"properties": 5000, "depth": 10, "enum_values": 1000},
    ),
    "anthropic": SchemaRules(
        keywords=frozenset(_SHARED | {"const", "pattern", "format", "minItems"}),
        formats=frozenset(
            {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
        ),
        most_min_items=1,
        closed=True,
        recursion="none",
        limits={"optional": 24, "unions": 16},
    ),
    "gemini": SchemaRules(
        keywords=frozenset(_SHARED | {"format", "prefixItems", "minItems", "maxItems", "minimum", "maximum"}),
        formats=frozenset({"date-time", "date", "time"}),
        enum_types=frozenset({"string", "integer", "number"}),
        recursion="optional",
    ),
}
