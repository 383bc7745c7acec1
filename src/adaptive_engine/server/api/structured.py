"""/api/v1/structured: look at a schema before it is used."""

from __future__ import annotations

from fastapi import APIRouter, Request

from adaptive_engine.server.bodies import body_of, read_body
from adaptive_engine.server.context import PrincipalDep, ServicesDep
from adaptive_engine.wire.structured import SchemaCheck, SchemaReport

router = APIRouter()


@router.post("/structured/validate", openapi_extra=body_of(SchemaCheck))
async def validate_schema(request: Request, services: ServicesDep, principal: PrincipalDep) -> SchemaReport:
    """What of a JSON schema is enforced while an answer is generated, what is checked afterwards, what is refused."""
    body = await read_body(request, SchemaCheck)
    routing = services.routing
    deployment = routing.deployment(principal, body.model) if body.model else routing.first_default(principal)
    # What a provider enforces of a schema is not known here; of its answers, what is told is what is checked.
    if deployment.model.provider != "internal":
        return await services.structured.inspect(body.wanted, None)
    return await services.backends.engine(deployment).inspect(body.wanted)
