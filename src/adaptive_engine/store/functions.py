"""SQL that the two databases spell differently, and what only one of them can."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


def labels_are_by_value(connection: sa.Connection) -> bool:
    """Whether an index has the labels of a key by value; else it has them in listing order, whatever they are."""
    return connection.dialect.name != "postgresql"


def insert_unknown(connection: sa.Connection, table: sa.Table) -> sa.Insert:
    """An insert that leaves rows alone whose keys are taken."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()


class json_number(FunctionElement[float]):
    """`json_number(column, key)`: a number inside a JSON object that is stored as text, NULL where there is none."""

    type = sa.Double()
    inherit_cache = True

    def __init__(self, column: sa.ColumnElement[Any], key: str) -> None:
        super().__init__(column, sa.literal(key, literal_execute=True))


@compiles(json_number, "sqlite")
def _json_number_sqlite(element: json_number, compiler: SQLCompiler, **options: Any) -> str:
    column, key = (compiler.process(clause, **options) for clause in element.clauses)
    return f"json_extract({column}, '$.' || {key})"


@compiles(json_number, "postgresql")
def _json_number_postgresql(element: json_number, compiler: SQLCompiler, **options: Any) -> str:
    column, key = (compiler.process(clause, **options) for clause in element.clauses)
    return f"CAST(CAST({column} AS JSON) ->> {key} AS DOUBLE PRECISION)"


class whole(FunctionElement[int]):
    """`whole(number)`: without what stands behind the point; of numbers that are not negative."""

    type = sa.BigInteger()
    inherit_cache = True


@compiles(whole, "sqlite")
def _whole_sqlite(element: whole, compiler: SQLCompiler, **options: Any) -> str:
    return f"CAST({compiler.process(element.clauses, **options)} AS INTEGER)"


@compiles(whole, "postgresql")
def _whole_postgresql(element: whole, compiler: SQLCompiler, **options: Any) -> str:
    return f"CAST(floor({compiler.process(element.clauses, **options)}) AS BIGINT)"


def span_start(time_ms: sa.ColumnElement[int], width_ms: int) -> sa.ColumnElement[int]:
    """When the span of that width, counted from the epoch, began in which a time lies. Can be grouped by."""
    # Not a parameter: PostgreSQL would not see that the expression selected is the one grouped by.
    width = sa.literal_column(str(int(width_ms)), sa.BigInteger)
    return time_ms - time_ms % width


class _MessageTexts(FunctionElement[str]):
    name = "message_texts"
    inherit_cache = True


def message_texts(messages: sa.ColumnElement[Any]) -> sa.TableValuedAlias:
    """A table with one column `text`: what is said in a column of messages, a row per message, parts joined."""
    return _MessageTexts(messages).table_valued("text")


@compiles(_MessageTexts, "sqlite")
def _message_texts_sqlite(element: _MessageTexts, compiler: SQLCompiler, **options: Any) -> str:
    column = compiler.process(element.clauses, **options)
    # json_each goes through a list in order, and group_concat takes what comes.
    joined = "SELECT group_concat(json_extract(value, '$.text'), '') FROM json_each(said.value, '$.content')"
    parts = f"({joined} WHERE json_extract(value, '$.type') = 'text')"
    whole = "json_extract(said.value, '$.content')"
    text = f"CASE json_type(said.value, '$.content') WHEN 'array' THEN {parts} ELSE {whole} END"
    return f"(SELECT {text} AS text FROM json_each({column}) AS said)"


@compiles(_MessageTexts, "postgresql")
def _message_texts_postgresql(element: _MessageTexts, compiler: SQLCompiler, **options: Any) -> str:
    column = compiler.process(element.clauses, **options)
    # PostgreSQL's JSON types refuse a NUL, which JSON allows.
    messages = f"CAST(replace({column}, '\\u0000', ' ') AS jsonb)"
    listed = "jsonb_array_elements(said -> 'content') WITH ORDINALITY AS part (one, at)"
    joined = f"SELECT string_agg(one ->> 'text', '' ORDER BY at) FROM {listed} WHERE one ->> 'type' = 'text'"
    text = f"CASE jsonb_typeof(said -> 'content') WHEN 'array' THEN ({joined}) ELSE said ->> 'content' END"
    return f"(SELECT {text} AS text FROM jsonb_array_elements({messages}) AS said)"
