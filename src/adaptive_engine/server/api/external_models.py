"""/api/v1/admin/models/external: models that live elsewhere, for those who run the server."""

from __future__ import annotations

from fastapi import APIRouter, Request

from adaptive_engine.server.api.models import to_wire
from adaptive_engine.server.bodies import body_of, read_body
from adaptive_engine.server.context import AdminDep, ServicesDep
from adaptive_engine.wire import models as wire
from adaptive_engine.wire.external_models import ExternalModelCreate, ExternalModelUpdate

router = APIRouter(prefix="/admin/models")


@router.post("/external", status_code=201, openapi_extra=body_of(ExternalModelCreate))
async def add_external_model(request: Request, services: ServicesDep, admin: AdminDep) -> wire.Model:
    """Register a model of a provider. Deploying it into projects is what lets it answer."""
    return to_wire(await services.external_models.add(await read_body(request, ExternalModelCreate)), admin)


@router.patch("/{key}/external", openapi_extra=body_of(ExternalModelUpdate))
async def update_external_model(request: Request, services: ServicesDep, admin: AdminDep, key: str) -> wire.Model:
    """Change what is known of an external model: its API key, endpoint, parameters, prices. Counts at once."""
    return to_wire(await services.external_models.update(key, await read_body(request, ExternalModelUpdate)), admin)
