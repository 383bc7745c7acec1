"""Checks a finished answer against the client's schema, for what the masks did not enforce."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

import jsonschema_rs

# Linear in the text; what needs look-around is tried with backtracking, of which there is an end.
_PATTERNS = (
    jsonschema_rs.RegexOptions(size_limit=1 << 20, dfa_size_limit=1 << 22),
    jsonschema_rs.FancyRegexOptions(backtrack_limit=100_000, size_limit=1 << 20, dfa_size_limit=1 << 22),
)


def _real(text: str) -> float | Decimal:
    """1e999 is a number, though not as a float. No bound lies beyond floats, so how large it is does not matter."""
    value = float(text)
    return value if math.isfinite(value) else Decimal("1e400").copy_sign(Decimal(value))


def _integer(text: str) -> int | float | Decimal:
    # Python refuses to read integers of more than 4300 digits.
    return int(text) if len(text) < 400 else _real(text)


class Validator:
    """The client's schema as it was sent, with its formats asserted."""

    def __init__(self, schema: Any) -> None:
        """Raises ValueError for a schema that it cannot use."""
        problem: Exception | None = None
        for patterns in _PATTERNS:
            try:
                self._validator = jsonschema_rs.validator_for(
                    schema, validate_formats=True, pattern_options=patterns, offline=True
                )
            except (ValueError, jsonschema_rs.ReferencingError) as exc:
                problem = exc
            else:
                return
        raise ValueError(str(problem))

    def violation(self, text: str) -> str | None:
        """Where and why `text`, a complete answer, breaks the schema; None when it does not.

        Raises ValueError or RecursionError when that cannot be said. May take for ever: references can make a small
        schema mean an exponentially large one.
        """
        try:
            instance = json.loads(text, parse_float=_real, parse_int=_integer)
        except ValueError:
            return "The answer is not JSON."
        try:
            self._validator.validate(instance)
        except jsonschema_rs.ValidationError as exc:
            place = "".join(f"/{part}" for part in exc.instance_path)
            return f"{place or 'The answer'}: {exc.message[:300]}"
        return None
