"""/api/v1/interactions/export: interactions as a file."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from adaptive_engine.server.api.parameters import (
    FromQuery,
    LabelQuery,
    ToQuery,
    build,
    known_query,
    label_filters,
    time_range,
)
from adaptive_engine.server.bodies import body_of, read_body
from adaptive_engine.server.context import PrincipalDep, Services, ServicesDep
from adaptive_engine.server.download import Download
from adaptive_engine.services import exports
from adaptive_engine.types import InteractionSource, InteractionState, Principal
from adaptive_engine.wire import interactions as wire

router = APIRouter()

_FILE: dict[int | str, dict[str, Any]] = {
    200: {"content": {media: {} for media in exports.MEDIA_TYPES.values()}, "description": "The file"}
}


@router.get("/interactions/export", response_class=Response, responses=_FILE, dependencies=[Depends(known_query)])
async def export_selection(
    services: ServicesDep,
    principal: PrincipalDep,
    project: str,
    format: Annotated[wire.ExportFormat, Query()] = "jsonl",  # noqa: A002 - the parameter's name
    kind: wire.ExportKind = "interactions",
    metric: str | None = None,
    model: Annotated[list[str] | None, Query()] = None,
    label: LabelQuery = None,
    session_id: UUID | None = None,
    created_from: FromQuery = None,
    created_to: ToQuery = None,
    state: InteractionState | None = None,
    source: InteractionSource | None = None,
    prompt_hash: str | None = None,
    user: str | None = None,
    after: str | None = None,
) -> Response:
    """Interactions that match simple filters, oldest first."""
    asked = build(
        wire.InteractionExport,
        project=project,
        format=format,
        kind=kind,
        metric=metric,
        models=model,
        labels=label_filters(label),
        timerange=time_range(created_from, created_to),
        session_id=session_id,
        state=state,
        source=source,
        prompt_hash=prompt_hash,
        user=user,
        after=after,
    )
    return await _download(services, principal, asked)


@router.post(
    "/interactions/export",
    response_class=Response,
    responses=_FILE,
    openapi_extra=body_of(wire.InteractionExport),
)
async def export_interactions(request: Request, services: ServicesDep, principal: PrincipalDep) -> Response:
    """Interactions that match an expression, oldest first, as JSON lines, CSV or Parquet."""
    return await _download(services, principal, await read_body(request, wire.InteractionExport))


async def _download(services: Services, principal: Principal, asked: wire.InteractionExport) -> Response:
    project = services.routing.project(principal, asked.project, needs="interaction:read")
    export = await services.read(exports.prepare, project, asked)
    return Download(
        exports.chunks(services.database, export),
        media_type=exports.MEDIA_TYPES[export.format],
        filename=f"{asked.kind}.{asked.format}",
        send_timeout=services.settings.server.send_timeout_seconds,
    )
