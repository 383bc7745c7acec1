"""/api/v1/metrics: what can be scored, what the server measures, and statistics of both."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, cast, get_args

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from adaptive_engine.errors import InvalidRequest
from adaptive_engine.server.api.parameters import FromQuery, ToQuery, known_query, moment
from adaptive_engine.server.bodies import body_of, read_body
from adaptive_engine.server.context import PrincipalDep, ServicesDep
from adaptive_engine.server.idempotency import Keep, once
from adaptive_engine.server.times import from_ms
from adaptive_engine.services import metrics
from adaptive_engine.services.metrics import MetricUse
from adaptive_engine.store import Connection
from adaptive_engine.store.statistics import Grouping, MetricGroup
from adaptive_engine.types import Metric, MetricKind, Project, ScoringType, now_ms, uuid7
from adaptive_engine.wire import feedback as wire

router = APIRouter(prefix="/metrics")

_Plain = Literal["model", "hour", "day"]


@router.post("", status_code=201, openapi_extra=body_of(wire.MetricCreate))
async def create_metric(request: Request, services: ServicesDep, principal: PrincipalDep) -> wire.Metric:
    """Register a metric in a project. Registering the same one again changes nothing."""

    async def create(body: wire.MetricCreate, keep: Keep) -> wire.Metric:
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

        def register(connection: Connection) -> wire.Metric:
            (use,) = metrics.with_use(connection, [metrics.register(connection, metric)])
            created = _to_wire(use, project)
            keep(connection, created, None)
            return created

        return await services.write(register)

    return await once(request, services, principal, wire.MetricCreate, wire.Metric, create)


@router.get("", dependencies=[Depends(known_query)])
async def list_metrics(
    services: ServicesDep,
    principal: PrincipalDep,
    project: str,
    category: Annotated[Literal["SYSTEM", "GRADER", "USER"] | None, Query(description="who gives the values")] = None,
) -> wire.MetricList:
    """The metrics of a project: those that were registered, by key, then the server's own."""
    found = services.routing.project(principal, project)
    uses = await services.read(metrics.list_for_project, found)
    return wire.MetricList(data=[_to_wire(use, found) for use in uses if category in (None, use.metric.category)])


@router.get("/{key:path}/statistics", dependencies=[Depends(known_query)])
async def get_metric_statistics(
    services: ServicesDep,
    principal: PrincipalDep,
    key: str,
    project: str,
    group_by: Annotated[str | None, Query(description="`model`, `label:KEY`, `hour` or `day`")] = None,
    by_model: Annotated[bool, Query(description="with `hour` and `day`: a group for each model of each")] = False,
    created_from: FromQuery = None,
    created_to: ToQuery = None,
) -> wire.MetricStatistics:
    """Count, mean, range and deviation of a metric's values in groups of interactions. Times are the interactions'."""
    grouping = _grouping(group_by, by_model)
    # Labels' values are what others said about their requests.
    needs = "interaction:read" if grouping.by == "label" else "project:read"
    found = services.routing.project(principal, project, needs=needs)
    first, last = moment(created_from, "from"), moment(created_to, "to")
    metric, report = await services.read(metrics.summarise, found, key, grouping, first, last)
    return wire.MetricStatistics(
        project=found.key,
        metric=metric.key,
        unit=metric.unit,
        group_by=group_by,
        data=[_group(group) for group in report.groups],
        searched_to=None if report.searched_to is None else from_ms(report.searched_to),
    )


@router.get("/{key:path}")
async def get_metric(services: ServicesDep, principal: PrincipalDep, key: str, project: str) -> wire.Metric:
    """One metric of a project, by id or key."""
    found = services.routing.project(principal, project)

    def read(connection: Connection) -> MetricUse:
        return metrics.with_use(connection, [metrics.find(connection, found, key)])[0]

    return _to_wire(await services.read(read), found)


@router.patch("/{key:path}", openapi_extra=body_of(wire.MetricUpdate))
async def update_metric(
    request: Request, services: ServicesDep, principal: PrincipalDep, key: str, project: str
) -> wire.Metric:
    """Change name, description or unit. Kind and scoring type stay: scores were given under them."""
    body = await read_body(request, wire.MetricUpdate)
    found = services.routing.project(principal, project, needs="metric:manage")
    given: dict[str, Any] = body.model_dump(exclude_unset=True)
    changes = {name: value for name, value in given.items() if name == "unit" or value is not None}

    def update(connection: Connection) -> MetricUse:
        return metrics.with_use(connection, [metrics.update(connection, found, key, changes)])[0]

    return _to_wire(await services.write(update), found)


@router.delete("/{key:path}", status_code=204)
async def delete_metric(services: ServicesDep, principal: PrincipalDep, key: str, project: str) -> Response:
    """Delete a metric with its scores, comparisons and outcomes."""
    found = services.routing.project(principal, project, needs="metric:manage")
    # Projects are routed with their settings.
    await services.change_routing(metrics.delete, found, key)
    return Response(status_code=204)


def _grouping(group_by: str | None, by_model: bool) -> Grouping:
    if by_model and group_by not in ("hour", "day"):
        raise InvalidRequest("by_model: send it with group_by=hour or group_by=day.", param="by_model")
    kind, colon, label = (group_by or "").partition(":")
    if kind == "label" and label:
        return Grouping("label", label)
    if group_by is not None and (colon or kind not in get_args(_Plain)):
        raise InvalidRequest("group_by: send model, label:KEY, hour or day.", param="group_by")
    return Grouping(cast(_Plain | None, group_by), by_model=by_model)


def _group(group: MetricGroup) -> wire.MetricGroup:
    name: str | datetime | None = from_ms(group.group) if isinstance(group.group, int) else group.group
    return wire.MetricGroup(
        group=name,
        model=group.model,
        count=group.count,
        mean=group.mean,
        min=group.min,
        max=group.max,
        stddev=group.stddev,
        sum=group.sum,
    )


def _to_wire(use: MetricUse, project: Project) -> wire.Metric:
    metric = use.metric
    return wire.Metric(
        id=metric.id,
        project=project.key,
        key=metric.key,
        name=metric.name,
        kind=metric.kind,
        scoring_type=metric.scoring_type,
        description=metric.description,
        unit=metric.unit,
        category=metric.category,
        has_direct_scores=use.has_direct_scores,
        has_comparison_scores=use.has_comparison_scores,
        created_at=from_ms(metric.created_at),
    )
