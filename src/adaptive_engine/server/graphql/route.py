"""POST /api/graphql."""

from __future__ import annotations

import inspect
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Request
from graphql import ExecutionResult, GraphQLError, MiddlewareManager, execute, parse
from pydantic import BaseModel, Field, StringConstraints
from starlette.responses import Response

from adaptive_engine.server.bodies import body_of, read_body
from adaptive_engine.server.context import PrincipalDep, ServicesDep
from adaptive_engine.server.graphql import errors, schema
from adaptive_engine.server.graphql.context import Context
from adaptive_engine.server.graphql.limits import (
    MAX_CHARACTERS,
    MAX_TOKENS,
    Budget,
    require_bounded,
    require_comparable,
)

router = APIRouter()


class GraphQLRequest(BaseModel):
    """As in https://graphql.github.io/graphql-over-http/."""

    query: Annotated[str, StringConstraints(max_length=MAX_CHARACTERS)]
    operation_name: str | None = Field(None, alias="operationName")
    variables: dict[str, Any] | None = None


@router.post("/graphql", openapi_extra=body_of(GraphQLRequest))
async def graphql(request: Request, services: ServicesDep, principal: PrincipalDep) -> Response:
    """For the vendor's clients; the REST routes do all of it and more. Errors are in the body of a 200."""
    body = await read_body(request, GraphQLRequest)
    result = await _execute(body, Context(services, principal))
    reply: dict[str, Any] = {"data": result.data}
    if result.errors:
        reply["errors"] = [errors.as_json(error) for error in result.errors]
    return Response(orjson.dumps(reply), media_type="application/json")


async def _execute(body: GraphQLRequest, context: Context) -> ExecutionResult:
    try:
        document = parse(body.query, max_tokens=MAX_TOKENS)
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
        variable_values=body.variables,
        operation_name=body.operation_name,
        middleware=MiddlewareManager(budget),
    )
    return await budget.run(result) if inspect.isawaitable(result) else result
