"""Where the subschemas of a document are, and what its references point to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote, urldefrag, urljoin

from adaptive_engine.grammar.schema.report import SchemaRefused

Schema = dict[str, Any] | bool

ONE: Final = frozenset(
    [
        "additionalProperties",
        "additionalItems",
        "contains",
        "else",
        "if",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
        "contentSchema",
    ]
)
MANY: Final = frozenset(["allOf", "anyOf", "oneOf", "prefixItems"])
NAMED: Final = frozenset(["$defs", "definitions", "dependentSchemas", "patternProperties", "properties"])
_INDEX = re.compile(r"0|[1-9][0-9]*", re.ASCII)


def escape(key: str | int) -> str:
    """One step of a JSON pointer."""
    return str(key).replace("~", "~0").replace("/", "~1")


def children(node: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The subschemas one level below `node`, each with the pointer that leads to it."""
    for key, value in node.items():
        if key in ONE:
            yield f"/{key}", value
        elif key == "items" and not isinstance(value, list):
            yield "/items", value
        elif (key in MANY or key == "items") and isinstance(value, list):
            for index, item in enumerate(value):
                yield f"/{key}/{index}", item
        elif key in NAMED and isinstance(value, dict):
            for name, item in value.items():
                yield f"/{key}/{escape(name)}", item
        elif key == "dependencies" and isinstance(value, dict):
            for name, item in value.items():
                if not isinstance(item, list):
                    yield f"/{key}/{escape(name)}", item


@dataclass(slots=True)
class Document:
    """An indexed schema. Nodes are the client's own objects, told apart by identity, and are not changed."""

    root: Schema
    # Every subschema object in reach, in document order, with its pointer.
    nodes: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    # id of a node -> its pointer, and -> the nodes its `$ref` and `$dynamicRef` lead to.
    pointers: dict[int, str] = field(default_factory=dict)
    targets: dict[tuple[int, str], Schema] = field(default_factory=dict)
    # Dynamic references with several possible targets.
    ambiguous: set[int] = field(default_factory=set)
    _old: bool = False
    _bases: dict[int, str] = field(default_factory=dict)
    _resources: dict[str, tuple[str, Schema]] = field(default_factory=dict)
    _anchors: dict[tuple[str, str], Schema] = field(default_factory=dict)
    _dynamic: dict[str, list[Schema]] = field(default_factory=dict)

    @classmethod
    def of(cls, root: Schema) -> Document:
        """Index `root`. Raises `SchemaRefused` where a reference cannot be resolved."""
        document = cls(root)
        dialect = root.get("$schema") if isinstance(root, dict) else None
        document._old = isinstance(dialect, str) and "draft-04" in dialect
        document._resources[""] = ("", root)
        document._index(root, "", "")
        done = 0
        # Resolving may reach definitions in places that no keyword names, so the list grows meanwhile.
        while done < len(document.nodes):
            pointer, node = document.nodes[done]
            done += 1
            for keyword in ("$ref", "$dynamicRef", "$recursiveRef"):
                if isinstance(node.get(keyword), str):
                    target = document._resolve(node, keyword, f"{pointer}/{keyword}")
                    document.targets[id(node), keyword] = target
        return document

    def pointer(self, node: object) -> str | None:
        """Where a node of the client's schema stands; None for one that was made while rewriting."""
        return self.pointers.get(id(node))

    def _index(self, start: Schema, pointer: str, base: str) -> None:
        stack: list[tuple[str, Any, str]] = [(pointer, start, base)]
        while stack:
            at, node, base = stack.pop()
            if not isinstance(node, dict) or id(node) in self.pointers:
                continue
            name = node.get("id" if self._old else "$id")
            if isinstance(name, str) and at != "" and not name.startswith("#"):
                base = urldefrag(urljoin(base, name))[0]
                self._resources.setdefault(base, (at, node))
            elif isinstance(name, str):
                base = urldefrag(urljoin(base, name))[0]
                self._resources.setdefault(base, (at, node))
                if "#" in name:
                    self._anchors.setdefault((base, name.partition("#")[2]), node)
            for keyword in ("$anchor", "$dynamicAnchor"):
                if isinstance(anchor := node.get(keyword), str):
                    self._anchors.setdefault((base, anchor), node)
                    if keyword == "$dynamicAnchor":
                        self._dynamic.setdefault(anchor, []).append(node)
            self.nodes.append((at, node))
            self.pointers[id(node)] = at
            self._bases[id(node)] = base
            stack.extend((at + step, child, base) for step, child in reversed(list(children(node))))

    def _resolve(self, node: dict[str, Any], keyword: str, at: str) -> Schema:
        reference: str = node[keyword]
        if keyword == "$dynamicRef" and len(self._dynamic.get(urldefrag(reference)[1], ())) > 1:
            self.ambiguous.add(id(node))
        base = self._bases[id(node)]
        uri, fragment = urldefrag(urljoin(base, reference) if not reference.startswith("#") else base + reference)
        fragment = unquote(fragment)
        if uri == base and uri not in self._resources:
            uri = ""
        if uri not in self._resources:
            raise SchemaRefused(
                "invalid_schema",
                at,
                f"'{reference[:200]}' is outside this schema, and remote references are never fetched. "
                "Put the definition under $defs and refer to it there.",
            )
        pointer, resource = self._resources[uri]
        if fragment and not fragment.startswith("/"):
            if (uri, fragment) in self._anchors:
                return self._anchors[uri, fragment]
            raise SchemaRefused("invalid_schema", at, f"There is no anchor '{fragment[:200]}' in this schema.")
        target, missing = _follow(resource, fragment)
        if missing is not None:
            raise SchemaRefused(
                "invalid_schema",
                at,
                f"'{reference[:200]}' points to nothing: there is no '{missing[:200]}' there. Define it under $defs.",
            )
        if not isinstance(target, dict | bool):
            raise SchemaRefused("invalid_schema", at, f"'{reference[:200]}' does not point to a schema.")
        self._index(target, pointer + fragment, uri)
        return target


def _follow(resource: Any, fragment: str) -> tuple[Any, str | None]:
    """The value at a JSON pointer, or the first step of it that leads nowhere."""
    for step in fragment.split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        if isinstance(resource, dict) and step in resource:
            resource = resource[step]
        elif isinstance(resource, list) and _INDEX.fullmatch(step) and int(step) < len(resource):
            resource = resource[int(step)]
        else:
            return None, step
    return resource, None
