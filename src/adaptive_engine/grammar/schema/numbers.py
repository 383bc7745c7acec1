"""Numbers as the engine has them: doubles, written without an exponent."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

# The engine's doubles are exact up to here, and so is every reader of JSON.
SAFE: Final = 2**53 - 1
# The engine builds an automaton with as many states as the divisor has values: time grows with its square.
MAX_DIVISOR: Final = 10_000
MAX_MULTIPLES: Final = 1_000
_MAX_WORK: Final = 20_000


def exact(value: Any) -> bool:
    """Whether the engine writes this value as it is, when it is asked for by `const` or `enum`."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return True
    if isinstance(value, int):
        return abs(value) <= SAFE
    if isinstance(value, float):
        if value.is_integer():
            return abs(value) <= SAFE
        # Tiny numbers would be written with an exponent, which is another text but also one the engine does not take.
        return abs(value) >= 1e-9 and len(Decimal(repr(value)).as_tuple().digits) <= 15
    parts = value.values() if isinstance(value, dict) else value
    return all(map(exact, parts))


def leaks(node: dict[str, Any], keyword: str) -> bool:
    """Whether the engine takes a bound that is excluded: a whole number, with the other bound less than 1 away."""
    if not keyword.startswith("exclusive") or not float(node[keyword]).is_integer():
        return False
    others = ("maximum", "exclusiveMaximum") if keyword == "exclusiveMinimum" else ("minimum", "exclusiveMinimum")
    return any(abs(node[other] - node[keyword]) < 1 for other in others if other in node)


def fraction(number: float) -> Fraction:
    """The decimal number as it was written."""
    return Fraction(repr(number)) if isinstance(number, float) else Fraction(number)


def divisor(number: float) -> int:
    """The divisor without its decimal point, which is what the engine counts in; 0 where the engine gets it wrong."""
    exact_value = fraction(number)
    if abs(exact_value) > SAFE:
        return 0
    if exact_value.denominator > 10**9:
        return 0
    power = 0
    while exact_value.denominator != 1:
        exact_value *= 10
        power += 1
    # The engine moves the point with doubles: 123.456 becomes 12345599999999998 there.
    moved = float(number)
    for _ in range(power):
        moved *= 10
    return int(exact_value) if moved == exact_value else 0


def multiples(node: dict[str, Any], only_integers: bool) -> list[float] | None:
    """All multiples of `multipleOf` within the bounds of `node`; None if there are too many of them."""
    step = fraction(node["multipleOf"])
    if only_integers:
        step = Fraction(math.lcm(step.numerator, step.denominator) if step.denominator > 1 else step.numerator)
    bounds = [node.get("minimum"), node.get("exclusiveMinimum"), node.get("maximum"), node.get("exclusiveMaximum")]
    lows = [math.ceil(fraction(bounds[0]) / step)] if bounds[0] is not None else []
    lows += [math.floor(fraction(bounds[1]) / step) + 1] if bounds[1] is not None else []
    highs = [math.floor(fraction(bounds[2]) / step)] if bounds[2] is not None else []
    highs += [math.ceil(fraction(bounds[3]) / step) - 1] if bounds[3] is not None else []
    if not lows or not highs or min(highs) - max(lows) >= MAX_MULTIPLES:
        return None
    found = [k * step for k in range(max(lows), min(highs) + 1)]
    result = [int(value) if value.denominator == 1 else float(value) for value in found]
    return result if all(map(exact, result)) else None


def banned_divisors(nodes: list[dict[str, Any]], modern: Callable[[dict[str, Any]], dict[str, Any]]) -> set[float]:
    """Divisors to leave out: the engine multiplies those that meet in one value, and the product would be too large."""
    if len({node["multipleOf"] for node in nodes if "multipleOf" in node}) < 2:
        return set()
    banned: set[float] = set()
    work = 0
    for start in nodes:
        found: list[float] = []
        seen, stack = {id(start)}, [start]
        while stack:
            node = stack.pop()
            if "multipleOf" in node and node["multipleOf"] not in found:
                found.append(node["multipleOf"])
            below = [part for key in ("$ref", "allOf", "anyOf", "oneOf") for part in node.get(key, ())]
            below += [node[key] for key in ("if", "then", "else", "not") if key in node]
            below += list(node.get("dependentSchemas", {}).values())
            for part in below:
                new = modern(part) if isinstance(part, dict) else None
                if new is not None and id(new) not in seen:
                    seen.add(id(new))
                    stack.append(new)
        work += len(seen)
        if work > _MAX_WORK:
            # Too entangled to tell who meets whom: as if all of them did.
            found = [node["multipleOf"] for node in nodes if "multipleOf" in node]
        if len(found) > 1:
            total = 1
            # Decimals share one point, so that each counts with the finest of them.
            scale = max(fraction(number).denominator for number in found)
            for number in sorted(set(found), key=divisor):
                new_total = math.lcm(total, max(1, int(fraction(number) * scale)))
                if new_total > MAX_DIVISOR:
                    banned.add(number)
                else:
                    total = new_total
        if work > _MAX_WORK:
            break
    return banned
