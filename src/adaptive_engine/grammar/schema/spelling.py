"""Keywords that JSON Schema does not have, and by which something was probably meant: misspelled ones, and OpenAPI's
`nullable`. Validators ignore what they do not know, so what was meant would be lost in silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Any, Final

from adaptive_engine.grammar.schema.modern import ASSERTING

# Of drafts 4 to 2020-12 and OpenAPI. They assert nothing, or are told by another keyword.
_KNOWN: Final = ASSERTING | {
    *("$anchor", "$comment", "$defs", "$dynamicAnchor", "$dynamicRef", "$id", "$recursiveAnchor", "$recursiveRef"),
    *("$ref", "$schema", "$vocabulary", "additionalItems", "contentEncoding", "contentMediaType", "contentSchema"),
    *("default", "definitions", "dependencies", "deprecated", "description", "discriminator", "example", "examples"),
    *("externalDocs", "id", "nullable", "readOnly", "title", "writeOnly", "xml"),
}
# What other languages, and draft 3, call them.
_ELSEWHERE: Final = {
    "disallow": "not",
    "divisibleby": "multipleOf",
    "extends": "allOf",
    "max": "maximum",
    "maxlen": "maxLength",
    "min": "minimum",
    "minlen": "minLength",
    "regex": "pattern",
}
# Beside none of these, `nullable` says what holds anyway.
_NARROWING: Final = frozenset({"$ref", "allOf", "anyOf", "const", "enum", "oneOf", "type"})
_SQUEEZED: Final = {keyword.casefold(): keyword for keyword in ASSERTING}
_LONG_ENOUGH: Final = [keyword for keyword in _SQUEEZED if len(keyword) >= 4]
# One wrong letter of six is let pass, two that are missing are not: `form` is not `format`.
_LIKENESS: Final = 0.83
_MOST_LETTERS: Final = 30
# Different ones that are looked at; each takes some 0.1 ms.
_MOST_KEYS: Final = 200


def misspelled(nodes: Iterable[tuple[str, dict[str, Any]]]) -> Iterator[tuple[str, str, str]]:
    """Pointer of the schema object, its key, and the keyword that was probably meant."""
    meant: dict[str, str | None] = {}
    for pointer, node in nodes:
        for key in node:
            if key in _KNOWN:
                continue
            if key not in meant:
                if len(meant) >= _MOST_KEYS:
                    continue
                meant[key] = _meant(key)
            keyword = meant[key]
            # Who has both knows what the other one is for.
            if keyword is not None and keyword not in node:
                yield pointer, key, keyword


def in_vain_nullable(nodes: Iterable[tuple[str, dict[str, Any]]]) -> Iterator[str]:
    """Pointers of the schema objects that are `nullable` and for all that do not allow null, as far as they tell."""
    for pointer, node in nodes:
        if node.get("nullable") is True and node.keys() & _NARROWING and not _names_null(node):
            yield pointer


def _names_null(node: dict[str, Any]) -> bool:
    if node.keys() & {"type", "enum", "const"}:
        return _lists_null(node)
    branches = [*node.get("anyOf", ()), *node.get("oneOf", ())]
    return any(_lists_null(branch) for branch in branches if isinstance(branch, dict))


def _lists_null(node: dict[str, Any]) -> bool:
    if "type" in node:
        return "null" in (node["type"] if isinstance(node["type"], list) else [node["type"]])
    return None in node.get("enum", [node.get("const", "")])


def _meant(key: str) -> str | None:
    # `_format` is how somebody switches a keyword off, `x-format` an extension.
    if len(key) > _MOST_LETTERS or not key[:1].isalpha() or key.startswith("x-"):
        return None
    squeezed = key.replace("_", "").replace("-", "").casefold()
    if known := _SQUEEZED.get(squeezed) or _ELSEWHERE.get(squeezed):
        return known
    close = get_close_matches(squeezed, _LONG_ENOUGH, 1, _LIKENESS)
    return _SQUEEZED[close[0]] if close else None
