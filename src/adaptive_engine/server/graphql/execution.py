"""An operation and its reply."""

from __future__ import annotations

import inspect
from typing import Any

from graphql import ExecutionResult, GraphQLError, MiddlewareManager, execute, parse

from adaptive_engine.server.context import Services
from adaptive_engine.server.graphql import errors, schema
from adaptive_engine.server.graphql.context import Context
from adaptive_engine.server.graphql.limits import MAX_TOKENS, Budget, require_bounded, require_comparable
from adaptive_engine.types import Principal


async def reply(
    services: Services, principal: Principal, query: str, operation_name: str | None, variables: dict[str, Any] | None
) -> dict[str, Any]:
    """What the operation of `query` answers: `{"data"}`, and `{"errors"}` where there are some."""
    result = await _execute(query, operation_name, variables, Context(services, principal))
    found: dict[str, Any] = {"data": result.data}
    if result.errors:
        found["errors"] = [errors.as_json(error) for error in result.errors]
    return found


async def _execute(
    query: str, operation_name: str | None, variables: dict[str, Any] | None, context: Context
) -> ExecutionResult:
    try:
        document = parse(query, max_tokens=MAX_TOKENS)
        require_comparable(document)
        chosen, problems = schema.choose(document)
        if problems:
            return ExecutionResult(None, problems)
        require_bounded(document)
    except GraphQLError as error:
        return ExecutionResult(None, [error])
    except RecursionError:
        return ExecutionResult(None, [GraphQLError("The document is nested too deeply.")])
    budget = Budget()
    result = execute(
        chosen,
        document,
        context_value=context,
        variable_values=variables,
        operation_name=operation_name,
        middleware=MiddlewareManager(budget),
    )
    return await budget.run(result) if inspect.isawaitable(result) else result
