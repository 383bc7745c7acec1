"""/api/v1/metrics and /api/v1/feedback: register what can be scored, then score completions."""

from __future__ import annotations

import asyncio
from typing import cast

from fastapi import APIRouter, Request

from adaptive_engine.errors import NotFound
from adaptive_engine.server.api.interactions import find, from_ms
from adaptive_engine.server.context import PrincipalDep, Services, ServicesDep
from adaptive_engine.server.errors import parse
from adaptive_engine.server.openai.chat import require_json
from adaptive_engine.services.feedback import Scoring, register, score
from adaptive_engine.store import metrics
from adaptive_engine.types import Metric, MetricKind, Principal, Project, ScoringType, now_ms, uuid7
from adaptive_engine.wire import feedback as wire

router = APIRouter()

_METRIC_BODY = {"required": True, "content": {"application/json": {"schema": wire.MetricCreate.model_json_schema()}}}
_SCORE_BODY = {"required": True, "content": {"application/json": {"schema": wire.FeedbackCreate.model_json_schema()}}}


@router.post("/metrics", status_code=201, openapi_extra={"requestBody": _METRIC_BODY})
async def create_metric(request: Request, services: ServicesDep, principal: PrincipalDep) -> wire.Metric:
    """Register a metric in a project. Registering the same one again changes nothing."""
    require_json(request)
    body = parse(wire.MetricCreate, await request.body())
    project = services.routing.project(principal, body.project, needs="metric:manage")
    metric = Metric(
        id=uuid7(),
        project_id=project.id,
        key=body.key,
        name=body.name or body.key,
        kind=cast(MetricKind, (body.kind or "SCALAR").upper()),
        scoring_type=cast(ScoringType, (body.scoring_type or "HIGHER_IS_BETTER").upper()),
        description=body.description or "",
        unit=body.unit,
        created_at=now_ms(),
    )

    def write() -> Metric:
        with services.database.write() as connection:
            return register(connection, metric)

    return _to_wire(await asyncio.to_thread(write), project)


@router.get("/metrics")
async def list_metrics(services: ServicesDep, principal: PrincipalDep, project: str) -> wire.MetricList:
    """The metrics of a project, by key."""
    found = services.routing.project(principal, project)

    def read() -> list[Metric]:
        with services.database.read() as connection:
            return metrics.list_for_project(connection, found.id)

    return wire.MetricList(data=[_to_wire(metric, found) for metric in await asyncio.to_thread(read)])


@router.get("/metrics/{key:path}")
async def get_metric(services: ServicesDep, principal: PrincipalDep, key: str, project: str) -> wire.Metric:
    """One metric of a project."""
    found = services.routing.project(principal, project)

    def read() -> Metric | None:
        with services.database.read() as connection:
            return metrics.get_by_key(connection, found.id, key)

    metric = await asyncio.to_thread(read)
    if metric is None:
        raise NotFound(f"Metric '{key}' is not registered.", code="metric_not_found", param="key")
    return _to_wire(metric, found)


@router.post("/feedback", status_code=201, openapi_extra={"requestBody": _SCORE_BODY})
async def create_feedback(request: Request, services: ServicesDep, principal: PrincipalDep) -> wire.FeedbackCreated:
    """Score one completion on one metric."""
    require_json(request)
    body = parse(wire.FeedbackCreate, await request.body())
    given = Scoring(body.metric, body.value, body.reason, body.details, body.user_id)
    return await asyncio.to_thread(_score, services, principal, body, given)


def _score(services: Services, principal: Principal, body: wire.FeedbackCreate, given: Scoring) -> wire.FeedbackCreated:
    stored = find(services, [project.id for project in services.routing.projects(principal)], body.completion_id)
    services.routing.project(principal, str(stored.interaction.project_id), needs="score:create")
    with services.database.write() as connection:
        (row,) = score(connection, stored.interaction, [given])
    return wire.FeedbackCreated(feedback_id=row.id)


def _to_wire(metric: Metric, project: Project) -> wire.Metric:
    return wire.Metric(
        id=metric.id,
        project=project.key,
        key=metric.key,
        name=metric.name,
        kind=metric.kind,
        scoring_type=metric.scoring_type,
        description=metric.description,
        unit=metric.unit,
        created_at=from_ms(metric.created_at),
    )
