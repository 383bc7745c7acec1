"""/api/v1/ab_tests: compare models of a project on one metric over a share of its traffic."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from fastapi import APIRouter, Depends, Request

from adaptive_engine.experiments.judge import ArmReport
from adaptive_engine.server.api.parameters import known_query
from adaptive_engine.server.bodies import body_of, read_body
from adaptive_engine.server.context import PrincipalDep, Services, ServicesDep
from adaptive_engine.server.times import from_ms
from adaptive_engine.services import ab_tests
from adaptive_engine.services.ab_tests import AbTestOverview, NewAbTest
from adaptive_engine.store import Connection
from adaptive_engine.store import ab_tests as store
from adaptive_engine.types import AbTest, Principal, Project
from adaptive_engine.wire import ab_tests as wire

router = APIRouter(prefix="/ab_tests")


@router.post("", status_code=201, openapi_extra=body_of(wire.AbTestCreate))
async def create_ab_test(request: Request, services: ServicesDep, principal: PrincipalDep) -> wire.AbTest:
    """Start a test. From now on it takes its share of the requests that name no model."""
    body = await read_body(request, wire.AbTestCreate)
    project = services.routing.project(principal, body.project, needs="ab_test:manage")
    wanted = NewAbTest(**body.model_dump(exclude={"project"}, exclude_none=True))
    test = await services.change_routing(ab_tests.create, project, wanted)
    return await services.read(_described, services, {project.id: project}, test)


@router.get("", dependencies=[Depends(known_query)])
async def list_ab_tests(
    services: ServicesDep,
    principal: PrincipalDep,
    project: str | None = None,
    active: bool | None = None,
    status: wire.AbTestStatus | None = None,
) -> wire.AbTestList:
    """Tests of one project, or of all that the key may read; oldest first."""
    projects = _projects(services, principal, project)

    def read(connection: Connection) -> wire.AbTestList:
        found = store.list_for_projects(connection, list(projects), active=active, status=status)
        return wire.AbTestList(data=[_described(connection, services, projects, test) for test in found])

    return await services.read(read)


@router.get("/{key:path}/series")
async def get_ab_test_series(
    services: ServicesDep, principal: PrincipalDep, key: str, project: str | None = None
) -> wire.AbTestSeries:
    """The mean of each model over time."""
    projects = _projects(services, principal, project)

    def read(connection: Connection) -> wire.AbTestSeries:
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

    return await services.read(read)


@router.get("/{key:path}")
async def get_ab_test(
    services: ServicesDep, principal: PrincipalDep, key: str, project: str | None = None
) -> wire.AbTest:
    """A test by id or key, with its report."""
    projects = _projects(services, principal, project)

    def read(connection: Connection) -> wire.AbTest:
        return _described(connection, services, projects, ab_tests.find(connection, list(projects), key))

    return await services.read(read)


@router.post("/{key:path}/cancel")
async def cancel_ab_test(
    services: ServicesDep, principal: PrincipalDep, key: str, project: str | None = None
) -> wire.AbTest:
    """End a test without a verdict. Its requests go to the project's default model from now on."""
    if project is not None:
        services.routing.project(principal, project, needs="ab_test:manage")
    projects = _projects(services, principal, project)

    def cancel(connection: Connection) -> AbTest:
        test = ab_tests.find(connection, list(projects), key)
        services.routing.project(principal, str(test.project_id), needs="ab_test:manage")
        return ab_tests.cancel(connection, test)

    test = await services.change_routing(cancel)
    return await services.read(_described, services, projects, test)


def _projects(services: Services, principal: Principal, project: str | None) -> dict[UUID, Project]:
    """Where to look, by id."""
    return {found.id: found for found in services.routing.projects(principal, project)}


def _described(connection: Connection, services: Services, projects: dict[UUID, Project], test: AbTest) -> wire.AbTest:
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
        ended_at=from_ms(test.ended_at),
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
