"""POST /api/graphql."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field, StringConstraints
from starlette.responses import Response

from adaptive_engine.server.bodies import body_of, read_body
from adaptive_engine.server.context import PrincipalDep, ServicesDep

router = APIRouter()
MAX_CHARACTERS = 100_000
"""Of a document; what is long belongs into variables."""
# Imported for the first operation: a tenth of a server's start and 7 MiB, and most servers are never asked.
_EXECUTION = "adaptive_engine.server.graphql.execution"


class GraphQLRequest(BaseModel):
    """As in https://graphql.github.io/graphql-over-http/."""

    query: Annotated[str, StringConstraints(max_length=MAX_CHARACTERS)]
    operation_name: str | None = Field(None, alias="operationName")
    variables: dict[str, Any] | None = None


@router.post("/graphql", openapi_extra=body_of(GraphQLRequest))
async def graphql(request: Request, services: ServicesDep, principal: PrincipalDep) -> Response:
    """For the vendor's clients; the REST routes do all of it and more. Errors are in the body of a 200."""
    body = await read_body(request, GraphQLRequest)
    execution = await asyncio.to_thread(import_module, _EXECUTION)
    reply = await execution.reply(services, principal, body.query, body.operation_name, body.variables)
    return Response(orjson.dumps(reply), media_type="application/json")
