"""/api/v1/feedback, /comparison and /outcome: what people and programs thought of completions and sessions."""

from __future__ import annotations

import asyncio
from uuid import UUID

from fastapi import APIRouter, Request

from adaptive_engine.server.api.interactions import from_ms
from adaptive_engine.server.context import PrincipalDep, Services, ServicesDep
from adaptive_engine.server.errors import parse
from adaptive_engine.server.openai.chat import require_json
from adaptive_engine.services import feedback, interactions
from adaptive_engine.services.feedback import Answer, Comparing, Scoring
from adaptive_engine.store import metrics, outcomes
from adaptive_engine.types import Principal
from adaptive_engine.wire import feedback as wire

router = APIRouter()

_SCORE_BODY = {"required": True, "content": {"application/json": {"schema": wire.FeedbackCreate.model_json_schema()}}}
_COMPARISON_BODY = {
    "required": True,
    "content": {"application/json": {"schema": wire.ComparisonCreate.model_json_schema()}},
}
_OUTCOME_BODY = {"required": True, "content": {"application/json": {"schema": wire.OutcomeCreate.model_json_schema()}}}


@router.post("/feedback", status_code=201, openapi_extra={"requestBody": _SCORE_BODY})
async def create_feedback(request: Request, services: ServicesDep, principal: PrincipalDep) -> wire.FeedbackCreated:
    """Score one completion on one metric."""
    require_json(request)
    body = parse(wire.FeedbackCreate, await request.body())
    given = Scoring(body.metric, body.value, body.reason, body.details, body.user_id, body.source or "USER")
    readable = [project.id for project in services.routing.projects(principal)]

    def write() -> wire.FeedbackCreated:
        with services.database.read() as connection:
            interaction = interactions.find(connection, readable, body.completion_id).interaction
        services.routing.project(principal, str(interaction.project_id), needs="score:create")
        with services.database.write() as connection:
            (row,) = feedback.score(connection, interaction, [given])
        services.referee.scored(interaction.ab_test_id)
        return wire.FeedbackCreated(feedback_id=row.id)

    return await asyncio.to_thread(write)


@router.post("/comparison", status_code=201, openapi_extra={"requestBody": _COMPARISON_BODY})
async def create_comparison(request: Request, services: ServicesDep, principal: PrincipalDep) -> wire.ComparisonCreated:
    """Say which of two completions is better on a metric, or that they are equally good or bad."""
    require_json(request)
    body = parse(wire.ComparisonCreate, await request.body())
    given = _comparing(body, principal)
    by_text = given.preferred.completion_id is None or given.other.completion_id is None
    projects = _projects(services, principal, body.project)

    def write() -> wire.ComparisonCreated:
        with services.database.write() as connection:
            chosen = projects[0] if body.project else feedback.project_of_comparison(connection, projects, given)
            if by_text:
                # They are stored as interactions.
                services.routing.project(principal, str(chosen), needs="interaction:create")
            row, ab_test_id = feedback.compare(connection, chosen, given)
        services.referee.scored(ab_test_id)
        return wire.ComparisonCreated(comparison_id=row.id)

    return await asyncio.to_thread(write)


@router.post("/outcome", status_code=201, openapi_extra={"requestBody": _OUTCOME_BODY})
async def create_outcome(request: Request, services: ServicesDep, principal: PrincipalDep) -> wire.OutcomeCreated:
    """Give a whole session a value on one metric."""
    require_json(request)
    body = parse(wire.OutcomeCreate, await request.body())
    projects = _projects(services, principal, body.project_id)

    def write() -> wire.OutcomeCreated:
        with services.database.write() as connection:
            row = feedback.report_outcome(connection, projects, body.metric, body.session_id, body.value, body.user_id)
        return wire.OutcomeCreated(outcome_id=row.id)

    return await asyncio.to_thread(write)


@router.get("/outcomes")
async def list_outcomes(
    services: ServicesDep, principal: PrincipalDep, project: str, session_id: UUID
) -> wire.OutcomeList:
    """The outcomes of a session, oldest first."""
    found = services.routing.project(principal, project, needs="interaction:read")

    def read() -> wire.OutcomeList:
        with services.database.read() as connection:
            names = {metric.id: metric.key for metric in metrics.list_for_project(connection, found.id)}
            rows = outcomes.list_for_session(connection, found.id, session_id)
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
                for row in rows
            ]
        )

    return await asyncio.to_thread(read)


def _projects(services: Services, principal: Principal, project: str | None) -> list[UUID]:
    """Where the caller may score: in the named project, or in any."""
    if project is None:
        return [found.id for found in services.routing.projects(principal, needs="score:create")]
    return [services.routing.project(principal, project, needs="score:create").id]


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
