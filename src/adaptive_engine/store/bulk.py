"""Many new rows of one table in few statements.

SQLAlchemy prepares each row anew, and SQLite is then called once for each, which gives other threads the interpreter as
often. Here a statement has up to 32 rows, and is written once for each number of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection

# Powers of two: any number of rows takes few statements, and the database sees the same ones again.
_MOST_ROWS = 32


class _Statement(NamedTuple):
    text: str
    names: list[str]
    """Of the parameters, row by row in the order of the table's columns."""
    columns: list[tuple[str, Any]]
    """With what makes a value one of the driver's; None where it is."""
    positional: bool


def insert(connection: Connection, table: sa.Table, rows: Sequence[dict[str, Any]]) -> None:
    """Each of `rows` has a value for every column."""
    done = 0
    while done < len(rows):
        count = min(_MOST_ROWS, 1 << (len(rows) - done).bit_length() - 1)
        statement = _statement(table, connection.dialect, count)
        values = [
            row[name] if process is None else process(row[name])
            for row in rows[done : done + count]
            for name, process in statement.columns
        ]
        parameters = tuple(values) if statement.positional else dict(zip(statement.names, values, strict=True))
        connection.exec_driver_sql(statement.text, parameters)
        done += count


@lru_cache(maxsize=64)
def _statement(table: sa.Table, dialect: sa.Dialect, count: int) -> _Statement:
    rows = [
        {column.name: sa.bindparam(f"{column.name}_{at}", type_=column.type) for column in table.c}
        for at in range(count)
    ]
    compiled = table.insert().values(rows).compile(dialect=dialect)
    names = [parameter.key for row in rows for parameter in row.values()]
    columns = [(column.name, column.type.dialect_impl(dialect).bind_processor(dialect)) for column in table.c]
    return _Statement(str(compiled), names, columns, dialect.positional)
