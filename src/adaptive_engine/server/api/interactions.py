"""/api/v1/interactions: log one by hand, read, label and delete it."""

from __future__ import annotations

import asyncio
from datetime import datetime
from uuid import UUID

from fastapi import APIRouter, Request

from adaptive_engine.errors import InvalidRequest
from adaptive_engine.server.bodies import body_of, read_body
from adaptive_engine.server.body_limit import require_small_text
from adaptive_engine.server.context import PrincipalDep, Services, ServicesDep
from adaptive_engine.server.idempotency import Keep, once
from adaptive_engine.server.times import from_ms
from adaptive_engine.server.usage import usage_body
from adaptive_engine.services import interactions as service
from adaptive_engine.services.ab_tests import unit_number
from adaptive_engine.services.feedback import Scoring, score
from adaptive_engine.services.graders import enqueue
from adaptive_engine.services.images import DecodedImages
from adaptive_engine.services.notices import require_known_images
from adaptive_engine.store import Connection, interactions
from adaptive_engine.store.interactions import StoredInteraction
from adaptive_engine.types import Interaction, Principal, Project, now_ms, prompt_hash, uuid7
from adaptive_engine.wire import interactions as wire
from adaptive_engine.wire.filters import epoch_ms

router = APIRouter()


@router.post("/interactions", status_code=201, openapi_extra=body_of(wire.InteractionCreate))
async def create_interaction(
    request: Request, services: ServicesDep, principal: PrincipalDep
) -> wire.InteractionCreated:
    """Log a completion made elsewhere, with its scores if there are any."""

    async def create(body: wire.InteractionCreate, keep: Keep) -> wire.InteractionCreated:
        require_small_text(request, body.messages, services.settings)
        require_known_images(body.messages)
        project = services.routing.project(principal, body.project, needs="interaction:create")
        images = await services.images.read(body.messages)
        return await asyncio.to_thread(_create, services, principal, project, body, images, keep)

    return await once(request, services, principal, wire.InteractionCreate, wire.InteractionCreated, create)


@router.get("/interactions/{completion_id}")
async def get_interaction(
    services: ServicesDep, principal: PrincipalDep, completion_id: UUID, project: str | None = None
) -> wire.Interaction:
    """One interaction of a project, or of any project that the key may use."""
    stored = await services.read(service.find, _visible(services, principal, project), completion_id)
    return to_wire(stored, _require(services, principal, stored, "interaction:read").key)


@router.patch("/interactions/{completion_id}", openapi_extra=body_of(wire.InteractionUpdate))
async def update_interaction(
    request: Request,
    services: ServicesDep,
    principal: PrincipalDep,
    completion_id: UUID,
    project: str | None = None,
) -> wire.Interaction:
    """Change an interaction's labels."""
    body = await read_body(request, wire.InteractionUpdate)
    if body.set_labels is None and body.add is None and body.remove is None:
        raise InvalidRequest("There is nothing to change: send set, add or remove.", param="set")
    ids = _visible(services, principal, project)

    def update(connection: Connection) -> wire.Interaction:
        stored = service.find(connection, ids, completion_id)
        key = _require(services, principal, stored, "interaction:update").key
        service.change_labels(connection, stored, replace=body.set_labels, add=body.add or {}, remove=body.remove or [])
        return to_wire(service.find(connection, ids, completion_id), key)

    return await services.write(update)


@router.delete("/interactions/{completion_id}", status_code=204)
async def delete_interaction(
    services: ServicesDep, principal: PrincipalDep, completion_id: UUID, project: str | None = None
) -> None:
    """Delete an interaction with its scores and comparisons."""
    ids = _visible(services, principal, project)

    def delete(connection: Connection) -> None:
        stored = service.find(connection, ids, completion_id)
        _require(services, principal, stored, "interaction:delete")
        service.delete(connection, stored)

    await services.write(delete)


def _visible(services: Services, principal: Principal, project: str | None) -> list[UUID]:
    """The named project, or all that the caller may see."""
    return [found.id for found in services.routing.projects(principal, project)]


def _require(services: Services, principal: Principal, stored: StoredInteraction, needs: str) -> Project:
    """The interaction's project. Raises PermissionDenied."""
    return services.routing.project(principal, str(stored.interaction.project_id), needs=needs)


def _create(
    services: Services,
    principal: Principal,
    project: Project,
    body: wire.InteractionCreate,
    images: DecodedImages,
    keep: Keep,
) -> wire.InteractionCreated:
    if body.feedbacks:
        services.routing.project(principal, body.project, needs="score:create")
    field, model_key = body.named_model
    model_id = None
    if model_key is not None:
        deployment = services.routing.deployment(
            principal, f"{project.key}/{model_key}", param=field, needs="interaction:create"
        )
        model_id = deployment.model.id
    test = services.routing.ab_test(project, body.ab_campaign) if body.ab_campaign is not None else None
    if test is not None and model_id not in [arm.model_id for arm in test.arms]:
        names = ", ".join(f"'{arm.model_key}'" for arm in test.arms)
        raise InvalidRequest(f"{field}: A/B test '{test.key}' compares {names}.", param=field)
    created_at = _created_at(body.created_at, "created_at")
    session_id = body.session_id or uuid7()
    messages = images.stored_messages(body.messages, project.id)
    row = Interaction(
        id=uuid7(),
        project_id=project.id,
        session_id=session_id,
        messages=messages,
        images=images.files(),
        state="complete",
        source="OFFLINE",
        created_at=now_ms() if created_at is None else created_at,
        completion=body.completion,
        model_id=model_id,
        model_key=model_key,
        user=body.user,
        labels={**(body.metadata or {}), **(body.labels or {})},
        prompt_hash=prompt_hash(messages),
        completed_at=now_ms(),
        created_by=principal.user_id,
        ab_test_id=test.id if test else None,
        ab_test_unit=unit_number(test, body.session_id, body.user, session_id) if test else None,
    )
    given = [
        Scoring(
            f.metric,
            f.value,
            f.reason,
            f.details,
            body.user,
            created_at=_created_at(f.created_at, f"feedbacks[{at}].created_at"),
        )
        for at, f in enumerate(body.feedbacks or ())
    ]
    with services.database.write() as connection:
        interactions.insert(connection, [row])
        enqueue(connection, [row])
        rows = score(connection, row, given, "feedbacks")
        feedback_ids = [saved.id for saved in rows]
        created = wire.InteractionCreated(completion_id=row.id, session_id=session_id, feedback_ids=feedback_ids)
        keep(connection, created, row.id)
    services.grading.look()
    if rows:
        services.referee.scored(row.ab_test_id)
    return created


def _created_at(moment: datetime | None, param: str) -> int | None:
    """Raises InvalidRequest for the few times that a zone moves out of the years 1 to 9999: none could be read back."""
    try:
        return None if moment is None else epoch_ms(moment)
    except ValueError as exc:
        raise InvalidRequest(f"{param}: the time must lie in the years 1 to 9999 UTC.", param=param) from exc


def to_wire(stored: StoredInteraction, project_key: str) -> wire.Interaction:
    row = stored.interaction
    return wire.Interaction(
        id=row.id,
        completion_id=row.id,
        project=project_key,
        session_id=row.session_id,
        messages=row.messages,
        completion=row.completion,
        model=row.model_key,
        state=row.state,
        source=row.source,
        finish_reason=row.finish_reason,
        error=row.error,
        user=row.user,
        labels=row.labels,
        scores=[
            wire.InteractionScore(
                id=s.id,
                metric=s.metric_key,
                value=s.value,
                reason=s.reason,
                details=s.details,
                source=s.source,
                created_at=from_ms(s.created_at),
            )
            for s in stored.scores
        ],
        parameters=row.parameters,
        usage=wire.Usage.model_validate(usage_body(row.usage)),
        timings=row.timings,
        warnings=row.warnings,
        prompt_hash=row.prompt_hash,
        request_id=row.request_id,
        choice_index=row.choice_index,
        ab_test_id=row.ab_test_id,
        provider=row.provider,
        external_model=row.external_model,
        attempts=row.attempts,
        cost=row.cost,
        currency=row.currency,
        reasoning=row.reasoning,
        created_at=from_ms(row.created_at),
        completed_at=from_ms(row.completed_at),
        created_by=row.created_by,
    )
