"""The executable schemas: one for each of the two generations of the vendor's client.

They differ in two mutations, whose arguments and results no single schema can have both ways.
"""

from __future__ import annotations

from functools import cache
from importlib import resources

from ariadne import gql, make_executable_schema
from graphql import DocumentNode, GraphQLError, GraphQLSchema, validate

from adaptive_engine.server.graphql.limits import MAX_ERRORS
from adaptive_engine.server.graphql.resolvers import BINDABLES, USE_CASE_BINDABLES

_OF_USE_CASES = {
    "deployModel(input: DeployModelInput!): DeployModelResult!": (
        "deployModel(idOrKey: IdOrKey!, wait: Boolean! = false, placement: ModelPlacementInput): String!"
    ),
    "createUser(input: UserCreate!): UserCreateResult!": "createUser(input: UserCreate!): User!",
}
"""What the older generation has instead."""


@cache
def current() -> GraphQLSchema:
    """Of clients that speak of projects."""
    return make_executable_schema(gql(_source()), *BINDABLES)


@cache
def of_use_cases() -> GraphQLSchema:
    """Of clients that speak of use cases."""
    source = _source()
    for field, older in _OF_USE_CASES.items():
        assert field in source, field
        source = source.replace(field, older)
    return make_executable_schema(gql(source), *USE_CASE_BINDABLES)


def choose(document: DocumentNode) -> tuple[GraphQLSchema, list[GraphQLError]]:
    """The schema that `document` is valid in, or the current one and what is wrong with it there."""
    errors = validate(current(), document, max_errors=MAX_ERRORS)
    if errors and not validate(of_use_cases(), document, max_errors=1):
        return of_use_cases(), []
    return current(), errors


def _source() -> str:
    files = resources.files("adaptive_engine.server.graphql") / "schema"
    return "\n".join(sorted(file.read_text("utf-8") for file in files.iterdir() if file.name.endswith(".graphql")))
