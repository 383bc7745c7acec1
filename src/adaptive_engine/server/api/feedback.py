"""/api/v1/feedback, /comparison and /outcome: what people and programs thought of completions and sessions."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from fastapi import APIRouter, Depends, Request

from adaptive_engine.server.api.parameters import known_query
from adaptive_engine.server.bodies import body_of
from adaptive_engine.server.body_limit import require_small_text
from adaptive_engine.server.context import PrincipalDep, Services, ServicesDep
from adaptive_engine.server.idempotency import Keep, once
from adaptive_engine.server.times import from_ms
from adaptive_engine.services import feedback, interactions
from adaptive_engine.services.feedback import Answer, Comparing, Scoring
from adaptive_engine.services.notices import require_known_images
from adaptive_engine.store import Connection, metrics, outcomes
from adaptive_engine.types import Principal
from adaptive_engine.wire import feedback as wire

router = APIRouter()


@router.post("/feedback", status_code=201, openapi_extra=body_of(wire.FeedbackCreate))
async def create_feedback(request: Request, services: ServicesDep, principal: PrincipalDep) -> wire.FeedbackCreated:
    """Score one completion on one metric."""

    async def create(body: wire.FeedbackCreate, keep: Keep) -> wire.FeedbackCreated:
        given = Scoring(body.metric, body.value, body.reason, body.details, body.user_id, body.source or "USER")
        readable = [project.id for project in services.routing.projects(principal)]
        interaction = (await services.read(interactions.find, readable, body.completion_id)).interaction
        services.routing.project(principal, str(interaction.project_id), needs="score:create")

        def write(connection: Connection) -> wire.FeedbackCreated:
            (row,) = feedback.score(connection, interaction, [given])
            created = wire.FeedbackCreated(feedback_id=row.id)
            keep(connection, created, None)
            return created

        created = await services.write(write)
        services.referee.scored(interaction.ab_test_id)
        return created

    return await once(request, services, principal, wire.FeedbackCreate, wire.FeedbackCreated, create)


@router.post("/comparison", status_code=201, openapi_extra=body_of(wire.ComparisonCreate))
async def create_comparison(request: Request, services: ServicesDep, principal: PrincipalDep) -> wire.ComparisonCreated:
    """Say which of two completions is better on a metric, or that they are equally good or bad."""

    async def create(body: wire.ComparisonCreate, keep: Keep) -> wire.ComparisonCreated:
        require_small_text(request, body.messages or (), services.settings)
        require_known_images(body.messages or ())
        given = _comparing(body, principal)
        by_text = given.preferred.completion_id is None or given.other.completion_id is None
        projects = _projects(services, principal, body.project)
        messages = (body.messages or []) if by_text else []
        images = await services.images.read(messages)

        def write(connection: Connection) -> tuple[wire.ComparisonCreated, UUID | None]:
            chosen = projects[0] if body.project else feedback.project_of_comparison(connection, projects, given)
            services.routing.project(principal, str(chosen), needs="score:create")
            if by_text:
                # They are stored as interactions.
                services.routing.project(principal, str(chosen), needs="interaction:create")
            asked = images.stored_messages(messages, chosen) or given.messages
            row, ab_test_id = feedback.compare(
                connection, chosen, replace(given, messages=asked, images=images.files())
            )
            created = wire.ComparisonCreated(comparison_id=row.id)
            keep(connection, created, None)
            return created, ab_test_id

        created, ab_test_id = await services.write(write)
        services.referee.scored(ab_test_id)
        return created

    return await once(request, services, principal, wire.ComparisonCreate, wire.ComparisonCreated, create)


@router.post("/outcome", status_code=201, openapi_extra=body_of(wire.OutcomeCreate))
async def create_outcome(request: Request, services: ServicesDep, principal: PrincipalDep) -> wire.OutcomeCreated:
    """Give a whole session a value on one metric."""

    async def create(body: wire.OutcomeCreate, keep: Keep) -> wire.OutcomeCreated:
        seen = _projects(services, principal, body.project_id)

        def write(connection: Connection) -> wire.OutcomeCreated:
            projects = _scorable(services, principal, outcomes.projects_of_session(connection, seen, body.session_id))
            row = feedback.report_outcome(connection, projects, body.metric, body.session_id, body.value, body.user_id)
            created = wire.OutcomeCreated(outcome_id=row.id)
            keep(connection, created, None)
            return created

        return await services.write(write)

    return await once(request, services, principal, wire.OutcomeCreate, wire.OutcomeCreated, create)


@router.get("/outcomes", dependencies=[Depends(known_query)])
async def list_outcomes(
    services: ServicesDep, principal: PrincipalDep, project: str, session_id: UUID
) -> wire.OutcomeList:
    """The outcomes of a session, oldest first."""
    found = services.routing.project(principal, project, needs="interaction:read")

    def read(connection: Connection) -> wire.OutcomeList:
        names = {metric.id: metric.key for metric in metrics.list_for_project(connection, found.id)}
        return wire.OutcomeList(
            data=[
                wire.Outcome(
                    id=row.id,
                    project=found.key,
                    session_id=row.session_id,
                    metric=names[row.metric_id],
                    value=row.value,
                    user=row.user,
                    created_at=from_ms(row.created_at),
                )
                for row in outcomes.list_for_session(connection, found.id, session_id)
            ]
        )

    return await services.read(read)


def _projects(services: Services, principal: Principal, project: str | None) -> list[UUID]:
    """Where the caller may look: in the named project, where it must be permitted to score, or in all that it sees."""
    if project is not None:
        return [services.routing.project(principal, project, needs="score:create").id]
    return [found.id for found in services.routing.projects(principal)]


def _scorable(services: Services, principal: Principal, found: list[UUID]) -> list[UUID]:
    """Those in which the caller may score. Raises PermissionDenied or Conflict when it sees only others."""
    permitted = {project.id for project in services.routing.projects(principal, needs="score:create")}
    if found and not permitted.intersection(found):
        services.routing.project(principal, str(found[0]), needs="score:create")
    return [project_id for project_id in found if project_id in permitted]


def _comparing(body: wire.ComparisonCreate, principal: Principal) -> Comparing:
    return Comparing(
        metric=body.metric,
        preferred=_answer(body.preferred_completion),
        other=_answer(body.other_completion),
        messages=None if body.prompt is None else [{"role": "user", "content": body.prompt}],
        tied=body.tied,
        user=body.user_id,
        created_by=principal.user_id,
    )


def _answer(given: UUID | wire.ComparedText) -> Answer:
    return Answer(text=given.text, model=given.model) if isinstance(given, wire.ComparedText) else Answer(given)
