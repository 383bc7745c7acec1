"""The types of columns that hold text and JSON: whatever a client sends comes back, on every database."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import orjson
import sqlalchemy as sa


def _without_surrogates(text: str) -> str:
    """`text` with each lone surrogate as U+FFFD: no database and no JSON encoder takes one."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _storable(value: Any) -> Any:
    """`value` as orjson can write it and read it back: as orjson itself has it, NaN is null and 2**70 a float."""
    if isinstance(value, str):
        return _without_surrogates(value)
    if isinstance(value, dict):
        return {_without_surrogates(str(key)): _storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(item) for item in value]
    if isinstance(value, int | float) and not abs(value) < 2**63:
        return float(value) if abs(value) <= sys.float_info.max else None
    return value


_ESCAPE = "\x10"
"""ASCII's data link escape, which nobody types."""
_ESCAPED = re.compile(_ESCAPE + "(.)", re.DOTALL)


def _without_nul(text: str) -> str:
    """`text` for a database that has no NUL in text: NUL is the escape and `0`, the escape itself is doubled."""
    if "\0" not in text and _ESCAPE not in text:
        return text
    return text.replace(_ESCAPE, _ESCAPE * 2).replace("\0", _ESCAPE + "0")


def _with_nul(text: str) -> str:
    """The inverse of `_without_nul`."""
    if _ESCAPE not in text:
        return text
    return _ESCAPED.sub(lambda found: "\0" if found[1] == "0" else found[1], text)


class Text(sa.TypeDecorator[str]):
    """Text of any origin. NUL is kept; a lone surrogate becomes U+FFFD instead of an error."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        if value is None:
            return None
        value = _without_surrogates(value)
        return _without_nul(value) if dialect.name == "postgresql" else value

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> str | None:
        return value if value is None or dialect.name != "postgresql" else _with_nul(value)


class Json(sa.TypeDecorator[Any]):
    """JSON as text: the same bytes on every database, and `\\u0000`, which PostgreSQL's json types refuse, survives."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        if value is None:
            return None
        try:
            return orjson.dumps(value).decode()
        except TypeError:
            # Lone surrogates, integers past 64 bits, or nesting past 254, for which orjson has no option.
            return json.dumps(_storable(value), separators=(",", ":"))

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> Any:
        return None if value is None else orjson.loads(value)
