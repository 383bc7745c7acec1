"""What one GraphQL operation may ask for: measured on the document, before anything is resolved, and on the reply."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from graphql import (
    DocumentNode,
    ExecutionResult,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

MAX_TOKENS = 5_000
"""Of the document's text; the longest of the vendor's has 500."""
MAX_FRAGMENTS = 30
MAX_REPEATED = 20
"""Fields of a name that their selection has already."""
MAX_DEPTH = 15
MAX_FIELDS = 1_000
"""With fragments written out, so that a few lines cannot stand for millions."""
MAX_ROOT_FIELDS = 10
MAX_ERRORS = 10
MAX_VALUES = 100_000
"""Fields of all objects of a reply: lists within lists multiply."""


_WITH_SELECTIONS = OperationDefinitionNode | FragmentDefinitionNode


@dataclass(frozen=True, slots=True)
class _Size:
    depth: int
    fields: int


def require_comparable(document: DocumentNode) -> None:
    """Raises GraphQLError for a document whose validation would take long: all that has one name in one place is
    compared pair by pair, and so are fragments.
    """
    fragments = sum(isinstance(node, FragmentDefinitionNode) for node in document.definitions)
    selections = [node.selection_set for node in document.definitions if isinstance(node, _WITH_SELECTIONS)]
    written = [fields for each in selections for fields in _selections_of(each)]
    repeated = sum(len(fields) - len({(node.alias or node.name).value for node in fields}) for fields in written)
    for what, found, most in (
        ("fragments", fragments, MAX_FRAGMENTS),
        ("fields", sum(map(len, written)), MAX_FIELDS),
        ("fields whose name stands beside them already", repeated, MAX_REPEATED),
    ):
        if found > most:
            raise GraphQLError(f"The document has {found} {what}; at most {most} are allowed.")


def require_bounded(document: DocumentNode) -> None:
    """Raises GraphQLError for a document past a limit. It must be valid: a fragment within itself never ends."""
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    known: dict[str, _Size] = {}
    for operation in document.definitions:
        if not isinstance(operation, OperationDefinitionNode):
            continue
        roots = _count_roots(operation.selection_set, fragments)
        size = _measure(operation.selection_set, fragments, known)
        for what, found, most in (
            ("root fields", roots, MAX_ROOT_FIELDS),
            ("levels", size.depth, MAX_DEPTH),
            ("fields", size.fields, MAX_FIELDS),
        ):
            if found > most:
                raise GraphQLError(f"The operation has {found} {what}; at most {most} are allowed. Split it.")


class Budget:
    """Of the fields that one operation may resolve. Past it, the operation ends."""

    def __init__(self, values: int = MAX_VALUES) -> None:
        self._values = values
        self._left = values
        self._task: asyncio.Future[ExecutionResult] | None = None

    def resolve(self, resolver: Callable[..., Any], source: Any, info: Any, **arguments: Any) -> Any:
        """Middleware of graphql-core: calls the resolver of a field."""
        self._left -= 1
        if self._left < 0:
            if self._task is not None:
                self._task.cancel()
            raise self._refusal()
        return resolver(source, info, **arguments)

    async def run(self, operation: Awaitable[ExecutionResult]) -> ExecutionResult:
        self._task = asyncio.ensure_future(operation)
        try:
            return await self._task
        except asyncio.CancelledError:
            if self._left >= 0:
                raise
            return ExecutionResult(None, [self._refusal()])

    def _refusal(self) -> GraphQLError:
        return GraphQLError(
            f"The reply would have more than {self._values} values. Ask for smaller pages, or for fewer lists in lists."
        )


def _selections_of(selections: SelectionSetNode) -> Iterator[list[FieldNode]]:
    """The fields of each selection, from the outside in."""
    fields = _fields_of(selections)
    yield fields
    for node in fields:
        if node.selection_set is not None:
            yield from _selections_of(node.selection_set)


def _fields_of(selections: SelectionSetNode) -> list[FieldNode]:
    """Those of inline fragments too, whose place is the same."""
    found: list[FieldNode] = []
    for node in selections.selections:
        if isinstance(node, FieldNode):
            found.append(node)
        elif isinstance(node, InlineFragmentNode):
            found += _fields_of(node.selection_set)
    return found


def _count_roots(selections: SelectionSetNode, fragments: dict[str, FragmentDefinitionNode]) -> int:
    count = 0
    for node in selections.selections:
        if isinstance(node, FieldNode):
            count += 1
        elif isinstance(node, FragmentSpreadNode):
            count += _count_roots(fragments[node.name.value].selection_set, fragments)
        elif isinstance(node, InlineFragmentNode):
            count += _count_roots(node.selection_set, fragments)
    return count


def _measure(
    selections: SelectionSetNode | None, fragments: dict[str, FragmentDefinitionNode], known: dict[str, _Size]
) -> _Size:
    if selections is None:
        return _Size(0, 0)
    depth = fields = 0
    for node in selections.selections:
        if isinstance(node, FieldNode):
            inner = _measure(node.selection_set, fragments, known)
            inner = _Size(inner.depth + 1, inner.fields + 1)
        elif isinstance(node, FragmentSpreadNode):
            name = node.name.value
            # Each fragment is measured once, however often it is spread.
            if name not in known:
                known[name] = _measure(fragments[name].selection_set, fragments, known)
            inner = known[name]
        else:
            assert isinstance(node, InlineFragmentNode)
            inner = _measure(node.selection_set, fragments, known)
        depth = max(depth, inner.depth)
        fields += inner.fields
    return _Size(depth, fields)
