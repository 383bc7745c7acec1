"""/api/v1/admin/models/external: models that live elsewhere, for those who run the server."""

from __future__ import annotations

from fastapi import APIRouter, Request

from adaptive_engine.server.api.models import to_wire
from adaptive_engine.server.context import AdminDep, ServicesDep
from adaptive_engine.server.errors import parse
from adaptive_engine.server.openai.chat import require_json
from adaptive_engine.wire import models as wire
from adaptive_engine.wire.external_models import ExternalModelCreate, ExternalModelUpdate

router = APIRouter(prefix="/admin/models")

_ADD_BODY = {"required": True, "content": {"application/json": {"schema": ExternalModelCreate.model_json_schema()}}}
_UPDATE_BODY = {"required": True, "content": {"application/json": {"schema": ExternalModelUpdate.model_json_schema()}}}


@router.post("/external", status_code=201, openapi_extra={"requestBody": _ADD_BODY})
async def add_external_model(request: Request, services: ServicesDep, admin: AdminDep) -> wire.Model:
    """Register a model of a provider. Deploying it into projects is what lets it answer."""
    require_json(request)
    return to_wire(await services.external_models.add(parse(ExternalModelCreate, await request.body())), admin)


@router.patch("/{key}/external", openapi_extra={"requestBody": _UPDATE_BODY})
async def update_external_model(request: Request, services: ServicesDep, admin: AdminDep, key: str) -> wire.Model:
    """Change what is known of an external model: its API key, endpoint, parameters, prices. Counts at once."""
    require_json(request)
    return to_wire(await services.external_models.update(key, parse(ExternalModelUpdate, await request.body())), admin)
