"""Rewritings of keywords about the items of arrays. Each takes the node and returns what to add to it instead."""

from __future__ import annotations

from itertools import combinations
from math import comb
from typing import TYPE_CHECKING, Any, Final

from adaptive_engine.grammar.schema.algebra import Inexact, type_of
from adaptive_engine.grammar.schema.document import Schema
from adaptive_engine.grammar.schema.modern import any_of
from adaptive_engine.grammar.schema.satisfiable import identity

if TYPE_CHECKING:
    from adaptive_engine.grammar.schema.keywords import Node

_MAX_ARRANGEMENTS: Final = 400
_MAX_PLACES: Final = 64


def unique_items(node: Node) -> Schema:
    """List all arrays without repeats, where the items are few."""
    longest, places = _places(node)
    if longest is not None and longest <= 1:
        return True
    domain = node.rewriter.algebra.values(node.node["items"]) if "items" in node.node and not places else None
    if domain is not None and (longest is None or longest > len(domain)):
        longest = len(domain)
        node.extra.append({"maxItems": longest})
    if longest is None:
        raise Inexact("items that were used before cannot be excluded")
    domains = [node.rewriter.algebra.values(place) for place in places]
    if len(domains) < longest:
        domains += [domain] * (min(longest, _MAX_ARRANGEMENTS) - len(domains))
    found: list[list[Any]] = [[]]
    least = node.node.get("minItems", 0)
    layer: list[tuple[list[Any], frozenset[str]]] = [([], frozenset())]
    result = found if least == 0 else []
    for length, choices in enumerate(domains[:longest], 1):
        if choices is None:
            raise Inexact("items that were used before cannot be excluded")
        if len(layer) * max(0, len(choices) - length + 1) + len(result) > _MAX_ARRANGEMENTS * 2:
            raise Inexact("the arrangements of different items are too many")
        layer = [
            ([*items, value], seen | {key})
            for items, seen in layer
            for value in choices
            if (key := identity(value)) not in seen
        ]
        if len(layer) + len(result) > _MAX_ARRANGEMENTS:
            raise Inexact("the arrangements of different items are too many")
        result += [items for items, _ in layer] if length >= least else []
    others = node.kinds - {"array"}
    return any_of([*([{"enum": result}] if result else []), *([type_of(others)] if others else [])])


def _places(node: Node) -> tuple[int | None, list[Schema]]:
    """How many items there can be, and the schemas of the first ones."""
    prefix = list(node.node.get("prefixItems", ()))
    longest = node.node.get("maxItems")
    if node.node.get("items") is False:
        longest = len(prefix) if longest is None else min(longest, len(prefix))
    return longest, prefix if longest is None else prefix[:longest]


def contains(node: Node) -> Schema:
    wanted = node.node["contains"]
    least, most = node.node.get("minContains", 1), node.node.get("maxContains")
    algebra = node.rewriter.algebra
    no_array = type_of(node.kinds - {"array"}) if node.kinds - {"array"} else False
    if most is not None and least > most:
        return no_array
    if least == 0 and most is None:
        return True
    if wanted is True or wanted == {} or (wanted == node.node.get("items") and "prefixItems" not in node.node):
        return {"minItems": least} | ({} if most is None else {"maxItems": most})
    if most == 0:
        return {"items": any_of(algebra.negate(wanted))}
    if (
        "items" in node.node
        and "prefixItems" not in node.node
        and algebra.all_disjoint([node.node["items"], wanted], {})
    ):
        return no_array if least else True
    longest, _ = _places(node)
    if longest is None or longest > 16:
        raise Inexact("there is no small limit on the number of items")
    if least > longest:
        return no_array
    sizes = range(least, min(longest, most) + 1) if most is not None else [least]
    if sum(comb(longest, size) for size in sizes) > _MAX_PLACES:
        raise Inexact("the places of matching items are too many")
    other: Schema = True if most is None else any_of(algebra.negate(wanted))
    result: list[dict[str, Any]] = []
    for size in sizes:
        for chosen in combinations(range(longest), size):
            length = longest if most is not None else max(chosen, default=-1) + 1
            places = [wanted if place in chosen else other for place in range(length)]
            result.append({"minItems": max(chosen, default=-1) + 1, "prefixItems": places})
    return any_of(result)


def unevaluated_items(node: Node) -> Schema:
    value = node.node["unevaluatedItems"]
    if value is True or value == {}:
        return True
    rest = {key: item for key, item in node.node.items() if key != "unevaluatedItems"}
    flats = node.rewriter.algebra.flat(rest)
    if any("items" in flat or "unevaluatedItems" in flat for flat in flats):
        return True
    count = max((len(flat.get("prefixItems", ())) for flat in flats), default=0)
    for inner in node.rewriter.algebra.in_place(rest):
        if "contains" in inner or "items" in inner or len(inner.get("prefixItems", ())) > count:
            raise Inexact("which items are evaluated depends on the items themselves")
    return {"items": value} | ({"prefixItems": [True] * count} if count else {})


REWRITES: Final = (
    ("uniqueItems", unique_items),
    ("contains", contains),
    ("unevaluatedItems", unevaluated_items),
)
