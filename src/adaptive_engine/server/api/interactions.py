"""/api/v1/interactions: log by hand, read, list."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import TypeAdapter, ValidationError

from adaptive_engine.errors import InvalidRequest, NotFound
from adaptive_engine.server.context import PrincipalDep, Services, ServicesDep
from adaptive_engine.server.errors import parse
from adaptive_engine.server.openai.chat import require_json
from adaptive_engine.services.ab_tests import unit_number
from adaptive_engine.services.feedback import Scoring, score
from adaptive_engine.store import interactions
from adaptive_engine.store.interactions import InteractionFilter, InteractionPage, StoredInteraction
from adaptive_engine.types import (
    Interaction,
    InteractionSource,
    InteractionState,
    Principal,
    now_ms,
    prompt_hash,
    uuid7,
)
from adaptive_engine.wire import interactions as wire

router = APIRouter()

_MAX_PAGE = 1000
_DATETIME = TypeAdapter(datetime)
_BODY = {"required": True, "content": {"application/json": {"schema": wire.InteractionCreate.model_json_schema()}}}


@router.post("/interactions", status_code=201, openapi_extra={"requestBody": _BODY})
async def create_interaction(
    request: Request, services: ServicesDep, principal: PrincipalDep
) -> wire.InteractionCreated:
    """Log a completion made elsewhere, with its scores if there are any."""
    require_json(request)
    body = parse(wire.InteractionCreate, await request.body())
    return await asyncio.to_thread(_create, services, principal, body)


@router.get("/interactions")
async def list_interactions(
    services: ServicesDep,
    principal: PrincipalDep,
    project: str,
    model: Annotated[list[str] | None, Query()] = None,
    label: Annotated[list[str] | None, Query(description="`key` or `key=value`; one key's values are or-ed")] = None,
    session_id: UUID | None = None,
    completion_id: UUID | None = None,
    created_from: Annotated[str | None, Query(alias="from", description="RFC 3339 or epoch ms, inclusive")] = None,
    created_to: Annotated[str | None, Query(alias="to", description="RFC 3339 or epoch ms, exclusive")] = None,
    state: InteractionState | None = None,
    source: InteractionSource | None = None,
    prompt_hash: str | None = None,
    user: str | None = None,
    limit: Annotated[int, Query(ge=1, le=_MAX_PAGE)] = 50,
    after: str | None = None,
) -> wire.InteractionList:
    """A page of interactions, newest first. Filters are and-ed."""
    found = services.routing.project(principal, project, needs="interaction:read")
    wanted = InteractionFilter(
        project_id=found.id,
        models=tuple(model or ()),
        labels=tuple(_label(text) for text in label or ()),
        session_id=session_id,
        created_from=epoch_ms(created_from, "from"),
        created_to=epoch_ms(created_to, "to"),
        source=source,
        state=state,
        prompt_hash=prompt_hash,
        completion_id=completion_id,
        user=user,
    )

    def read() -> InteractionPage:
        with services.database.read() as connection:
            return interactions.list_page(connection, wanted, limit, after)

    page = await asyncio.to_thread(read)
    return wire.InteractionList(
        data=[_to_wire(item, found.key) for item in page.items],
        has_more=page.next_cursor is not None,
        next_cursor=page.next_cursor,
    )


@router.get("/interactions/{completion_id}")
async def get_interaction(
    services: ServicesDep, principal: PrincipalDep, completion_id: UUID, project: str | None = None
) -> wire.Interaction:
    """One interaction of a project, or of any project that the key may use."""
    if project is None:
        visible = services.routing.projects(principal)
    else:
        visible = [services.routing.project(principal, project, needs="interaction:read")]
    stored = await asyncio.to_thread(find, services, [p.id for p in visible], completion_id)
    project_id = str(stored.interaction.project_id)
    return _to_wire(stored, services.routing.project(principal, project_id, needs="interaction:read").key)


def find(services: Services, project_ids: list[UUID], completion_id: UUID) -> StoredInteraction:
    """Raises NotFound for an interaction that is not in these projects. Blocks: not for the event loop."""
    with services.database.read() as connection:
        stored = interactions.get(connection, project_ids, completion_id)
    if stored is None:
        raise NotFound(
            f"Interaction '{completion_id}' does not exist.", code="interaction_not_found", param="completion_id"
        )
    return stored


def _create(services: Services, principal: Principal, body: wire.InteractionCreate) -> wire.InteractionCreated:
    project = services.routing.project(principal, body.project, needs="interaction:create")
    if body.feedbacks:
        services.routing.project(principal, body.project, needs="score:create")
    model_id = None
    if body.model_service is not None:
        name = f"{project.key}/{body.model_service}"
        model_id = services.routing.deployment(principal, name, needs="interaction:create").model.id
    test = services.routing.ab_test(project, body.ab_campaign) if body.ab_campaign is not None else None
    if test is not None and model_id not in [arm.model_id for arm in test.arms]:
        names = ", ".join(f"'{arm.model_key}'" for arm in test.arms)
        raise InvalidRequest(f"model_service: A/B test '{test.key}' compares {names}.", param="model_service")
    session_id = body.session_id or uuid7()
    messages = [message.model_dump(mode="json", exclude_none=True) for message in body.messages]
    row = Interaction(
        id=uuid7(),
        project_id=project.id,
        session_id=session_id,
        messages=messages,
        state="complete",
        source="OFFLINE",
        created_at=_created_at(body.created_at) if body.created_at else now_ms(),
        completion=body.completion,
        model_id=model_id,
        model_key=body.model_service,
        user=body.user,
        labels={**(body.metadata or {}), **(body.labels or {})},
        prompt_hash=prompt_hash(messages),
        completed_at=now_ms(),
        created_by=principal.user_id,
        ab_test_id=test.id if test else None,
        ab_test_unit=unit_number(test, body.session_id, body.user, session_id) if test else None,
    )
    given = [Scoring(f.metric, f.value, f.reason, f.details, body.user) for f in body.feedbacks or ()]
    with services.database.write() as connection:
        interactions.insert(connection, [row])
        rows = score(connection, row, given)
    if rows:
        services.referee.scored(row.ab_test_id)
    return wire.InteractionCreated(
        completion_id=row.id, session_id=row.session_id, feedback_ids=[saved.id for saved in rows]
    )


def _label(text: str) -> tuple[str, tuple[str, ...]]:
    key, equals, value = text.partition("=")
    return key, (value,) if equals else ()


def epoch_ms(text: str | None, param: str) -> int | None:
    if text is None:
        return None
    if re.fullmatch(r"-?[0-9]{1,15}", text):
        return int(text)
    try:
        return _to_ms(_DATETIME.validate_python(text))
    except (ValidationError, OverflowError) as exc:
        raise InvalidRequest(f"{param}: send an RFC 3339 time or epoch milliseconds.", param=param) from exc


def _to_ms(moment: datetime) -> int:
    """A time without a zone is UTC."""
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _created_at(moment: datetime) -> int:
    """Raises InvalidRequest for the few times that a zone moves out of the years 1 to 9999: none could be read back."""
    try:
        return _to_ms(moment.astimezone(UTC) if moment.tzinfo else moment)
    except OverflowError as exc:
        raise InvalidRequest("created_at: the time must lie in the years 1 to 9999 UTC.", param="created_at") from exc


def from_ms(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def _to_wire(stored: StoredInteraction, project_key: str) -> wire.Interaction:
    row = stored.interaction
    usage: dict[str, Any] = {
        "prompt_tokens": row.usage.prompt_tokens,
        "completion_tokens": row.usage.completion_tokens,
        "total_tokens": row.usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": row.usage.cached_tokens},
    }
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
        usage=wire.Usage.model_validate(usage),
        timings=row.timings,
        warnings=row.warnings,
        prompt_hash=row.prompt_hash,
        request_id=row.request_id,
        choice_index=row.choice_index,
        ab_test_id=row.ab_test_id,
        created_at=from_ms(row.created_at),
        completed_at=from_ms(row.completed_at) if row.completed_at is not None else None,
    )
