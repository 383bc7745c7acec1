"""/api/v1/graders: judges of a project's interactions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from fastapi import APIRouter, Request
from starlette.responses import Response

from adaptive_engine.errors import NotFound
from adaptive_engine.server.api.interactions import find, from_ms
from adaptive_engine.server.context import PrincipalDep, Services, ServicesDep
from adaptive_engine.server.errors import parse
from adaptive_engine.server.openai.chat import require_json
from adaptive_engine.services import graders
from adaptive_engine.services.graders import GraderOverview
from adaptive_engine.store import Connection
from adaptive_engine.store.judgements import Backfill
from adaptive_engine.types import Judge, JudgeExample, Project
from adaptive_engine.wire import graders as wire

router = APIRouter(prefix="/graders")

Result = TypeVar("Result")

_MANAGE = "grader:manage"
_CREATE_BODY = {"required": True, "content": {"application/json": {"schema": wire.GraderCreate.model_json_schema()}}}
_UPDATE_BODY = {"required": True, "content": {"application/json": {"schema": wire.GraderUpdate.model_json_schema()}}}
_RUN_BODY = {"content": {"application/json": {"schema": wire.GraderRun.model_json_schema()}}}
_TRY_BODY = {"required": True, "content": {"application/json": {"schema": wire.GraderTry.model_json_schema()}}}


@router.post("", status_code=201, openapi_extra={"requestBody": _CREATE_BODY})
async def create_grader(request: Request, services: ServicesDep, principal: PrincipalDep) -> wire.Grader:
    """Make a grader. From now on it judges its share of the project's new interactions."""
    require_json(request)
    body = parse(wire.GraderCreate, await request.body())
    project = services.routing.project(principal, body.project, needs=_MANAGE)
    judge = Judge(
        model=body.model,
        criteria=body.criteria,
        scale=(body.scale.min, body.scale.max) if body.scale else None,
        template=body.template,
        examples=_examples(body.examples),
    )

    def create(connection: Connection) -> GraderOverview:
        return graders.create(
            connection,
            project.id,
            body.key,
            judge,
            name=body.name,
            metric=body.metric,
            sampling_rate=body.sampling_rate,
            enabled=body.enabled,
        )

    return _to_wire(await _write(services, create), project)


@router.get("")
async def list_graders(services: ServicesDep, principal: PrincipalDep, project: str) -> wire.GraderList:
    """The graders of a project, by key."""
    found = services.routing.project(principal, project)
    overviews = await _read(services, lambda connection: graders.list_for_project(connection, found.id))
    return wire.GraderList(data=[_to_wire(overview, found) for overview in overviews])


@router.get("/{key:path}")
async def get_grader(services: ServicesDep, principal: PrincipalDep, key: str, project: str) -> wire.Grader:
    """One grader, and how far it is."""
    found = services.routing.project(principal, project)
    return _to_wire(await _read(services, lambda connection: graders.get(connection, found.id, key)), found)


@router.patch("/{key:path}", openapi_extra={"requestBody": _UPDATE_BODY})
async def update_grader(
    request: Request, services: ServicesDep, principal: PrincipalDep, key: str, project: str
) -> wire.Grader:
    """Change a grader; `enabled: false` lets it rest. What it has judged stays."""
    require_json(request)
    body = parse(wire.GraderUpdate, await request.body())
    found = services.routing.project(principal, project, needs=_MANAGE)
    changes = {name: getattr(body, name) for name in body.model_fields_set}
    if body.examples is not None:
        changes["examples"] = _examples(body.examples)
    overview = await _write(services, lambda connection: graders.update(connection, found.id, key, changes))
    return _to_wire(overview, found)


@router.delete("/{key:path}", status_code=204)
async def delete_grader(services: ServicesDep, principal: PrincipalDep, key: str, project: str) -> Response:
    """Delete a grader. Its metric and its scores stay."""
    found = services.routing.project(principal, project, needs=_MANAGE)
    await _write(services, lambda connection: graders.delete(connection, found.id, key))
    return Response(status_code=204)


@router.post("/{key:path}/run", status_code=202, openapi_extra={"requestBody": _RUN_BODY})
async def run_grader(
    request: Request, services: ServicesDep, principal: PrincipalDep, key: str, project: str
) -> wire.GraderRunStarted:
    """Judge what is stored already, in the background."""
    require_json(request)
    body = parse(wire.GraderRun, await request.body() or b"{}")
    found = services.routing.project(principal, project, needs=_MANAGE)
    wanted = Backfill(
        created_from=_ms(body.created_from),
        created_to=_ms(body.created_to),
        models=tuple(body.models),
        limit=body.limit,
        again=body.again,
    )
    overview, queued = await _write(services, lambda connection: graders.run(connection, found.id, key, wanted))
    services.grading.look()
    return wire.GraderRunStarted(queued=queued, grader=_to_wire(overview, found))


@router.post("/{key:path}/cancel")
async def cancel_grader(
    services: ServicesDep, principal: PrincipalDep, key: str, project: str
) -> wire.GraderRunCancelled:
    """Drop what waits to be judged. What is being judged is finished."""
    found = services.routing.project(principal, project, needs=_MANAGE)
    overview, dropped = await _write(services, lambda connection: graders.cancel(connection, found.id, key))
    return wire.GraderRunCancelled(dropped=dropped, grader=_to_wire(overview, found))


@router.post("/{key:path}/try", openapi_extra={"requestBody": _TRY_BODY})
async def try_grader(
    request: Request, services: ServicesDep, principal: PrincipalDep, key: str, project: str
) -> wire.Judgement:
    """What the grader says about one interaction. Nothing is stored."""
    require_json(request)
    body = parse(wire.GraderTry, await request.body())
    found = services.routing.project(principal, project, needs="interaction:read")
    overview = await _read(services, lambda connection: graders.get(connection, found.id, key))
    stored = await asyncio.to_thread(find, services, [found.id], body.completion_id)
    judged = stored.interaction
    if not judged.completion:
        raise NotFound("This interaction has no answer to judge.", code="no_completion", param="completion_id")
    verdict, score, reasoning = await services.grading.judge(overview.grader.judge, found.id, judged)
    return wire.Judgement(verdict=verdict, score=score, reasoning=reasoning)


async def _read(services: Services, query: Callable[[Connection], Result]) -> Result:
    def run() -> Result:
        with services.database.read() as connection:
            return query(connection)

    return await asyncio.to_thread(run)


async def _write(services: Services, change: Callable[[Connection], Result]) -> Result:
    def run() -> Result:
        with services.database.write() as connection:
            return change(connection)

    return await asyncio.to_thread(run)


def _ms(moment: datetime | None) -> int | None:
    """A time without a zone is UTC."""
    if moment is None:
        return None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _examples(given: list[wire.JudgeExample]) -> tuple[JudgeExample, ...]:
    return tuple(JudgeExample(one.input, one.output, one.score, one.reasoning) for one in given)


def _to_wire(overview: GraderOverview, project: Project) -> wire.Grader:
    grader, judge, progress = overview.grader, overview.grader.judge, overview.progress
    return wire.Grader(
        id=grader.id,
        project=project.key,
        key=grader.key,
        name=grader.name,
        metric=overview.metric.key,
        model=judge.model,
        criteria=judge.criteria,
        scale=wire.Scale(min=judge.scale[0], max=judge.scale[1]) if judge.scale else None,
        template=judge.template,
        examples=[
            wire.JudgeExample.model_validate(
                {"input": one.input, "output": one.output, "score": one.score, "reasoning": one.reasoning}
            )
            for one in judge.examples
        ],
        sampling_rate=grader.sampling_rate,
        enabled=grader.enabled,
        created_at=from_ms(grader.created_at),
        progress=wire.GraderProgress(
            pending=progress.pending,
            running=progress.running,
            done=progress.done,
            failed=progress.failed,
            problem=progress.problem,
        ),
    )
