"""/api/v1/feedback, /comparison and /outcome: what people and programs thought of completions and sessions."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Request

from adaptive_engine.server.bodies import body_of, read_body
from adaptive_engine.server.context import PrincipalDep, Services, ServicesDep
from adaptive_engine.server.times import from_ms
from adaptive_engine.services import feedback, interactions
from adaptive_engine.services.feedback import Answer, Comparing, Scoring
from adaptive_engine.store import Connection, metrics, outcomes
from adaptive_engine.types import Comparison, Principal
from adaptive_engine.wire import feedback as wire

router = APIRouter()


@router.post("/feedback", status_code=201, openapi_extra=body_of(wire.FeedbackCreate))
async def create_feedback(request: Request, services: ServicesDep, principal: PrincipalDep) -> wire.FeedbackCreated:
    """Score one completion on one metric."""
    body = await read_body(request, wire.FeedbackCreate)
    given = Scoring(body.metric, body.value, body.reason, body.details, body.user_id, body.source or "USER")
    readable = [project.id for project in services.routing.projects(principal)]
    interaction = (await services.read(interactions.find, readable, body.completion_id)).interaction
    services.routing.project(principal, str(interaction.project_id), needs="score:create")
    (row,) = await services.write(feedback.score, interaction, [given])
    services.referee.scored(interaction.ab_test_id)
    return wire.FeedbackCreated(feedback_id=row.id)


@router.post("/comparison", status_code=201, openapi_extra=body_of(wire.ComparisonCreate))
async def create_comparison(request: Request, services: ServicesDep, principal: PrincipalDep) -> wire.ComparisonCreated:
    """Say which of two completions is better on a metric, or that they are equally good or bad."""
    body = await read_body(request, wire.ComparisonCreate)
    given = _comparing(body, principal)
    by_text = given.preferred.completion_id is None or given.other.completion_id is None
    projects = _projects(services, principal, body.project)

    def write(connection: Connection) -> tuple[Comparison, UUID | None]:
        chosen = projects[0] if body.project else feedback.project_of_comparison(connection, projects, given)
        if by_text:
            # They are stored as interactions.
            services.routing.project(principal, str(chosen), needs="interaction:create")
        return feedback.compare(connection, chosen, given)

    row, ab_test_id = await services.write(write)
    services.referee.scored(ab_test_id)
    return wire.ComparisonCreated(comparison_id=row.id)


@router.post("/outcome", status_code=201, openapi_extra=body_of(wire.OutcomeCreate))
async def create_outcome(request: Request, services: ServicesDep, principal: PrincipalDep) -> wire.OutcomeCreated:
    """Give a whole session a value on one metric."""
    body = await read_body(request, wire.OutcomeCreate)
    projects = _projects(services, principal, body.project_id)
    row = await services.write(
        feedback.report_outcome, projects, body.metric, body.session_id, body.value, body.user_id
    )
    return wire.OutcomeCreated(outcome_id=row.id)


@router.get("/outcomes")
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
    """Where the caller may score: in the named project, or in any."""
    return [found.id for found in services.routing.projects(principal, project, needs="score:create")]


def _comparing(body: wire.ComparisonCreate, principal: Principal) -> Comparing:
    messages = [message.model_dump(mode="json", exclude_none=True) for message in body.messages or ()]
    if body.prompt is not None:
        messages = [{"role": "user", "content": body.prompt}]
    return Comparing(
        metric=body.metric,
        preferred=_answer(body.preferred_completion),
        other=_answer(body.other_completion),
        messages=messages,
        tied=body.tied,
        user=body.user_id,
        created_by=principal.user_id,
    )


def _answer(given: UUID | wire.ComparedText) -> Answer:
    return Answer(text=given.text, model=given.model) if isinstance(given, wire.ComparedText) else Answer(given)
