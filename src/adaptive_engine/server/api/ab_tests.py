"""/api/v1/ab_tests: compare models of a project on one metric over a share of its traffic."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from uuid import UUID

from fastapi import APIRouter, Request

from adaptive_engine.experiments.judge import ArmReport
from adaptive_engine.server.api.interactions import from_ms
from adaptive_engine.server.context import PrincipalDep, Services, ServicesDep
from adaptive_engine.server.errors import parse
from adaptive_engine.server.openai.chat import require_json
from adaptive_engine.services import ab_tests
from adaptive_engine.services.ab_tests import AbTestOverview, NewAbTest
from adaptive_engine.store import Connection
from adaptive_engine.store import ab_tests as store
from adaptive_engine.types import AbTest, Principal, Project
from adaptive_engine.wire import ab_tests as wire

router = APIRouter(prefix="/ab_tests")

_BODY = {"required": True, "content": {"application/json": {"schema": wire.AbTestCreate.model_json_schema()}}}


@router.post("", status_code=201, openapi_extra={"requestBody": _BODY})
async def create_ab_test(request: Request, services: ServicesDep, principal: PrincipalDep) -> wire.AbTest:
    """Start a test. From now on it takes its share of the requests that name no model."""
    require_json(request)
    body = parse(wire.AbTestCreate, await request.body())
    project = services.routing.project(principal, body.project, needs="ab_test:manage")
    wanted = NewAbTest(**body.model_dump(exclude={"project"}, exclude_none=True))

    def write() -> wire.AbTest:
        with services.database.write() as connection:
            test = ab_tests.create(connection, project, wanted)
        services.routing.refresh()
        return _read(services, project, test)

    return await asyncio.to_thread(write)


@router.get("")
async def list_ab_tests(
    services: ServicesDep,
    principal: PrincipalDep,
    project: str | None = None,
    active: bool | None = None,
    status: wire.AbTestStatus | None = None,
) -> wire.AbTestList:
    """Tests of one project, or of all that the key may read; oldest first."""
    projects = _projects(services, principal, project)

    def read() -> wire.AbTestList:
        with services.database.read() as connection:
            found = store.list_for_projects(connection, list(projects), active=active, status=status)
            return wire.AbTestList(data=[_described(services, connection, projects, test) for test in found])

    return await asyncio.to_thread(read)


@router.get("/{key:path}/series")
async def get_ab_test_series(
    services: ServicesDep, principal: PrincipalDep, key: str, project: str | None = None
) -> wire.AbTestSeries:
    """The mean of each model over time."""
    projects = _projects(services, principal, project)

    def read() -> wire.AbTestSeries:
        with services.database.read() as connection:
            test = ab_tests.find(connection, list(projects), key)
            series = ab_tests.series(connection, test)
        names = {arm.model_id: arm.model_key for arm in test.arms}
        return wire.AbTestSeries(
            width_seconds=series.width_ms // 1000,
            data=[
                wire.AbTestBucket(
                    begins_at=from_ms(bucket.begins_at),
                    model=names[bucket.model_id],
                    scores=bucket.scores,
                    mean=bucket.mean,
                )
                for bucket in series.buckets
            ],
        )

    return await asyncio.to_thread(read)


@router.get("/{key:path}")
async def get_ab_test(
    services: ServicesDep, principal: PrincipalDep, key: str, project: str | None = None
) -> wire.AbTest:
    """A test by id or key, with its report."""
    projects = _projects(services, principal, project)

    def read() -> wire.AbTest:
        with services.database.read() as connection:
            return _described(services, connection, projects, ab_tests.find(connection, list(projects), key))

    return await asyncio.to_thread(read)


@router.post("/{key:path}/cancel")
async def cancel_ab_test(
    services: ServicesDep, principal: PrincipalDep, key: str, project: str | None = None
) -> wire.AbTest:
    """End a test without a verdict. Its requests go to the project's default model from now on."""
    projects = _projects(services, principal, project, needs="ab_test:manage")

    def write() -> wire.AbTest:
        with services.database.write() as connection:
            test = ab_tests.find(connection, list(projects), key)
            services.routing.project(principal, str(test.project_id), needs="ab_test:manage")
            test = ab_tests.cancel(connection, test)
        services.routing.refresh()
        return _read(services, projects[test.project_id], test)

    return await asyncio.to_thread(write)


def _projects(
    services: Services, principal: Principal, project: str | None, *, needs: str = "project:read"
) -> dict[UUID, Project]:
    """Where to look, by id."""
    if project is None:
        return {found.id: found for found in services.routing.projects(principal)}
    found = services.routing.project(principal, project, needs=needs)
    return {found.id: found}


def _read(services: Services, project: Project, test: AbTest) -> wire.AbTest:
    with services.database.read() as connection:
        return _described(services, connection, {project.id: project}, test)


def _described(services: Services, connection: Connection, projects: dict[UUID, Project], test: AbTest) -> wire.AbTest:
    return _to_wire(ab_tests.describe(connection, projects[test.project_id], test, services.backends.answers))


def _to_wire(overview: AbTestOverview) -> wire.AbTest:
    test, report = overview.test, overview.report
    models = {arm.model_id: wire.AbTestModel(id=arm.model_id, key=arm.model_key) for arm in test.arms}
    return wire.AbTest(
        id=test.id,
        project=overview.project.key,
        key=test.key,
        name=test.name,
        metric=overview.metric.key if overview.metric else None,
        models=list(models.values()),
        score_type=test.score_type,
        status=test.status,
        traffic_split=test.traffic_split,
        auto_deploy=test.auto_deploy,
        alpha=test.alpha,
        min_scores=test.min_scores,
        scores=overview.scores,
        has_enough_scores=report.has_enough_scores,
        report=wire.AbTestReport(
            p_value=report.p_value,
            variants=[_variant(arm, overview.requests.get(arm.model_id, 0), models.__getitem__) for arm in report.arms],
        ),
        verdict=wire.AbTestVerdict.model_validate(test.verdict) if test.verdict else None,
        warnings=list(overview.warnings),
        begun_at=from_ms(test.begun_at),
        ended_at=from_ms(test.ended_at) if test.ended_at is not None else None,
        created_at=from_ms(test.created_at),
    )


def _variant(arm: ArmReport, requests: int, model: Callable[[UUID], wire.AbTestModel]) -> wire.AbTestVariant:
    return wire.AbTestVariant(
        model=model(arm.model_id),
        requests=requests,
        scores=arm.scores,
        units=arm.units,
        mean=arm.mean,
        interval=wire.Interval(**arm.interval._asdict()) if arm.interval else None,
        comparisons=None
        if arm.comparisons is None
        else [
            wire.AbTestComparison(
                model=model(pair.other_id),
                scores=pair.scores,
                wins=pair.wins,
                losses=pair.losses,
                ties_good=pair.ties_good,
                ties_bad=pair.ties_bad,
            )
            for pair in arm.comparisons
        ],
    )
