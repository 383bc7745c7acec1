"""/api/v1/graders: judges of a project's interactions."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from adaptive_engine.errors import NotFound
from adaptive_engine.server.bodies import body_of, read_body
from adaptive_engine.server.context import PrincipalDep, ServicesDep
from adaptive_engine.server.idempotency import Keep, once
from adaptive_engine.server.times import from_ms, to_ms
from adaptive_engine.services import graders, interactions
from adaptive_engine.services.graders import GraderOverview
from adaptive_engine.store import Connection
from adaptive_engine.store.judgements import Backfill
from adaptive_engine.types import Judge, JudgeExample, Project
from adaptive_engine.wire import graders as wire

router = APIRouter(prefix="/graders")

_MANAGE = "grader:manage"
# Examples and criteria may quote what people said.
_READ = "interaction:read"


@router.post("", status_code=201, openapi_extra=body_of(wire.GraderCreate))
async def create_grader(request: Request, services: ServicesDep, principal: PrincipalDep) -> wire.Grader:
    """Make a grader. From now on it judges its share of the project's new interactions."""

    async def create(body: wire.GraderCreate, keep: Keep) -> wire.Grader:
        project = services.routing.project(principal, body.project, needs=_MANAGE)
        judge = Judge(
            model=body.model,
            criteria=body.criteria,
            scale=(body.scale.min, body.scale.max) if body.scale else None,
            template=body.template,
            examples=_examples(body.examples),
        )

        def write(connection: Connection) -> wire.Grader:
            overview = graders.create(
                connection,
                project.id,
                body.key,
                judge,
                name=body.name,
                metric=body.metric,
                sampling_rate=body.sampling_rate,
                enabled=body.enabled,
            )
            created = _to_wire(overview, project)
            keep(connection, created, None)
            return created

        return await services.write(write)

    return await once(request, services, principal, wire.GraderCreate, wire.Grader, create)


@router.get("")
async def list_graders(services: ServicesDep, principal: PrincipalDep, project: str) -> wire.GraderList:
    """The graders of a project, by key."""
    found = services.routing.project(principal, project, needs=_READ)
    overviews = await services.read(graders.list_for_project, found.id)
    return wire.GraderList(data=[_to_wire(overview, found) for overview in overviews])


@router.get("/{key:path}")
async def get_grader(services: ServicesDep, principal: PrincipalDep, key: str, project: str) -> wire.Grader:
    """One grader, and how far it is."""
    found = services.routing.project(principal, project, needs=_READ)
    return _to_wire(await services.read(graders.get, found.id, key), found)


@router.patch("/{key:path}", openapi_extra=body_of(wire.GraderUpdate))
async def update_grader(
    request: Request, services: ServicesDep, principal: PrincipalDep, key: str, project: str
) -> wire.Grader:
    """Change a grader; `enabled: false` lets it rest. What it has judged stays."""
    body = await read_body(request, wire.GraderUpdate)
    found = services.routing.project(principal, project, needs=_MANAGE)
    changes = {name: getattr(body, name) for name in body.model_fields_set}
    if body.examples is not None:
        changes["examples"] = _examples(body.examples)
    overview = await services.write(graders.update, found.id, key, changes)
    return _to_wire(overview, found)


@router.delete("/{key:path}", status_code=204)
async def delete_grader(services: ServicesDep, principal: PrincipalDep, key: str, project: str) -> Response:
    """Delete a grader. Its metric and its scores stay."""
    found = services.routing.project(principal, project, needs=_MANAGE)
    await services.write(graders.delete, found.id, key)
    return Response(status_code=204)


@router.post("/{key:path}/run", status_code=202, openapi_extra=body_of(wire.GraderRun, required=False))
async def run_grader(
    request: Request, services: ServicesDep, principal: PrincipalDep, key: str, project: str
) -> wire.GraderRunStarted:
    """Judge what is stored already, in the background."""
    body = await read_body(request, wire.GraderRun, required=False)
    found = services.routing.project(principal, project, needs=_MANAGE)
    wanted = Backfill(
        created_from=to_ms(body.created_from),
        created_to=to_ms(body.created_to),
        models=tuple(body.models),
        limit=body.limit,
        again=body.again,
    )
    overview, queued = await services.write(graders.run, found.id, key, wanted)
    services.grading.look()
    return wire.GraderRunStarted(queued=queued, grader=_to_wire(overview, found))


@router.post("/{key:path}/cancel")
async def cancel_grader(
    services: ServicesDep, principal: PrincipalDep, key: str, project: str
) -> wire.GraderRunCancelled:
    """Drop what waits to be judged. What is being judged is finished."""
    found = services.routing.project(principal, project, needs=_MANAGE)
    overview, dropped = await services.write(graders.cancel, found.id, key)
    return wire.GraderRunCancelled(dropped=dropped, grader=_to_wire(overview, found))


@router.post("/{key:path}/try", openapi_extra=body_of(wire.GraderTry))
async def try_grader(
    request: Request, services: ServicesDep, principal: PrincipalDep, key: str, project: str
) -> wire.Judgement:
    """What the grader says about one interaction. Nothing is stored."""
    body = await read_body(request, wire.GraderTry)
    found = services.routing.project(principal, project, needs=_MANAGE)
    overview = await services.read(graders.get, found.id, key)
    # Its reasons may quote what was said.
    services.routing.project(principal, project, needs=_READ)
    stored = await services.read(interactions.find, [found.id], body.completion_id)
    judged = stored.interaction
    if not judged.completion:
        raise NotFound("This interaction has no answer to judge.", code="no_completion", param="completion_id")
    verdict, score, reasoning = await services.grading.judge(overview.grader.judge, found.id, judged)
    return wire.Judgement(verdict=verdict, score=score, reasoning=reasoning)


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
