"""/api/v1/interactions: log by hand, read, list and search, group, label, delete."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request

from adaptive_engine.errors import InvalidRequest
from adaptive_engine.server.context import PrincipalDep, Services, ServicesDep
from adaptive_engine.server.errors import build, parse
from adaptive_engine.server.openai.chat import require_json
from adaptive_engine.services import interactions as service
from adaptive_engine.services.ab_tests import unit_number
from adaptive_engine.services.feedback import Scoring, score
from adaptive_engine.services.graders import enqueue
from adaptive_engine.store import groups, interactions, pages
from adaptive_engine.store.filters import conjuncts
from adaptive_engine.store.groups import Group
from adaptive_engine.store.interactions import StoredInteraction
from adaptive_engine.store.pages import Count, InteractionPage, PageRequest
from adaptive_engine.types import (
    Interaction,
    InteractionSource,
    InteractionState,
    Principal,
    Project,
    now_ms,
    prompt_hash,
    uuid7,
)
from adaptive_engine.wire import interactions as wire
from adaptive_engine.wire.chat import ImagePart
from adaptive_engine.wire.filters import epoch_ms

router = APIRouter()

DEFAULT_PAGE = 50
LabelQuery = Annotated[list[str] | None, Query(description="`key` or `key=value`; one key's values are or-ed")]
FromQuery = Annotated[str | None, Query(alias="from", description="RFC 3339 or epoch ms, inclusive")]
ToQuery = Annotated[str | None, Query(alias="to", description="RFC 3339 or epoch ms, exclusive")]


def known_query(request: Request) -> None:
    """For routes that filter: a misspelled filter that is not seen would let everything pass. Raises InvalidRequest."""
    known = {field.alias for field in request.scope["route"].dependant.query_params}
    # Where both are given, `project` counts.
    for name in request.query_params.keys() - known - {"use_case"}:
        raise InvalidRequest(
            f"{name[:64]}: there is no such parameter here. There are {', '.join(sorted(known))}.", param=name[:64]
        )


def body_of(model: Any) -> dict[str, Any]:
    """What the API description says of a body that the route parses itself."""
    schema = model.model_json_schema()
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


@router.post("/interactions", status_code=201, openapi_extra=body_of(wire.InteractionCreate))
async def create_interaction(
    request: Request, services: ServicesDep, principal: PrincipalDep
) -> wire.InteractionCreated:
    """Log a completion made elsewhere, with its scores if there are any."""
    require_json(request)
    body = parse(wire.InteractionCreate, await request.body())
    return await asyncio.to_thread(_create, services, principal, body)


@router.get("/interactions", dependencies=[Depends(known_query)])
async def list_interactions(
    services: ServicesDep,
    principal: PrincipalDep,
    project: str,
    model: Annotated[list[str] | None, Query()] = None,
    label: LabelQuery = None,
    session_id: UUID | None = None,
    completion_id: UUID | None = None,
    created_from: FromQuery = None,
    created_to: ToQuery = None,
    state: InteractionState | None = None,
    source: InteractionSource | None = None,
    prompt_hash: str | None = None,
    user: str | None = None,
    limit: Annotated[int, Query(ge=1, le=wire.MAX_PAGE)] = DEFAULT_PAGE,
    after: str | None = None,
    before: str | None = None,
    count: bool = False,
) -> wire.InteractionList:
    """A page of interactions, newest first. Filters are and-ed. `before` alone gives the page that ends there."""
    wanted = build(
        wire.InteractionSearch,
        project=project,
        models=model,
        labels=label_filters(label),
        timerange=time_range(created_from, created_to),
        session_id=session_id,
        completion_id=completion_id,
        state=state,
        source=source,
        prompt_hash=prompt_hash,
        user=user,
        limit=None if before and not after else limit,
        last=limit if before and not after else None,
        after=after,
        before=before,
        count=count,
    )
    return await _search(services, principal, wanted)


@router.post("/interactions/search", openapi_extra=body_of(wire.InteractionSearch))
async def search_interactions(request: Request, services: ServicesDep, principal: PrincipalDep) -> wire.InteractionList:
    """A page of the interactions that match an expression, newest first unless `order` says otherwise."""
    require_json(request)
    return await _search(services, principal, parse(wire.InteractionSearch, await request.body()))


@router.post("/interactions/groups", openapi_extra=body_of(wire.GroupSearch))
async def group_interactions(request: Request, services: ServicesDep, principal: PrincipalDep) -> wire.GroupList:
    """Interactions by model or by prompt: how many, how they were scored, and the newest of each."""
    require_json(request)
    body = parse(wire.GroupSearch, await request.body())
    project = services.routing.project(principal, body.project, needs="interaction:read")
    return await asyncio.to_thread(_groups, services, project, body)


@router.post("/interactions/delete", openapi_extra=body_of(wire.InteractionsDelete))
async def delete_interactions(
    request: Request, services: ServicesDep, principal: PrincipalDep
) -> wire.InteractionsDeleted:
    """Delete what is selected, in batches. Interactions that are still running stay."""
    require_json(request)
    body = parse(wire.InteractionsDelete, await request.body())
    project = services.routing.project(principal, body.project, needs="interaction:delete")

    def work() -> int:
        with services.database.read() as connection:
            wanted = service.select(connection, project, body)
        if not body.all and not conjuncts(wanted.where):
            raise InvalidRequest(
                'Nothing selects what to delete. Give a filter, or "all": true for every interaction of the project.',
                param="all",
            )
        return sum(service.delete_all(services.database, wanted))

    return wire.InteractionsDeleted(deleted=await asyncio.to_thread(work))


@router.get("/interactions/{completion_id}")
async def get_interaction(
    services: ServicesDep, principal: PrincipalDep, completion_id: UUID, project: str | None = None
) -> wire.Interaction:
    """One interaction of a project, or of any project that the key may use."""
    stored = await asyncio.to_thread(find, services, _visible(services, principal, project), completion_id)
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
    require_json(request)
    body = parse(wire.InteractionUpdate, await request.body())
    if body.set_labels is None and body.add is None and body.remove is None:
        raise InvalidRequest("There is nothing to change: send set, add or remove.", param="set")
    ids = _visible(services, principal, project)

    def work() -> wire.Interaction:
        with services.database.write() as connection:
            stored = service.find(connection, ids, completion_id)
            key = _require(services, principal, stored, "interaction:update").key
            service.change_labels(
                connection, stored, replace=body.set_labels, add=body.add or {}, remove=body.remove or []
            )
            return to_wire(service.find(connection, ids, completion_id), key)

    return await asyncio.to_thread(work)


@router.delete("/interactions/{completion_id}", status_code=204)
async def delete_interaction(
    services: ServicesDep, principal: PrincipalDep, completion_id: UUID, project: str | None = None
) -> None:
    """Delete an interaction with its scores and comparisons."""
    ids = _visible(services, principal, project)

    def work() -> None:
        with services.database.write() as connection:
            stored = service.find(connection, ids, completion_id)
            _require(services, principal, stored, "interaction:delete")
            service.delete(connection, stored)

    await asyncio.to_thread(work)


def find(services: Services, project_ids: list[UUID], completion_id: UUID) -> StoredInteraction:
    """Raises NotFound for an interaction that is not in these projects. Blocks: not for the event loop."""
    with services.database.read() as connection:
        return service.find(connection, project_ids, completion_id)


def label_filters(texts: list[str] | None) -> list[dict[str, Any]]:
    """Of `key` and `key=value`."""
    parts = [text.partition("=") for text in texts or ()]
    return [{"key": key, **({"value": value} if equals else {})} for key, equals, value in parts]


def time_range(start: str | None, end: str | None) -> dict[str, int] | None:
    """Of the query's `from` and `to`. Raises InvalidRequest."""
    moments = (("from", moment(start, "from")), ("to", moment(end, "to")))
    return {name: value for name, value in moments if value is not None} or None


def moment(text: str | None, param: str) -> int | None:
    """Epoch ms. Raises InvalidRequest."""
    try:
        return None if text is None else epoch_ms(text)
    except ValueError as exc:
        raise InvalidRequest(f"{param}: {exc}.", param=param) from exc


def from_ms(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def _visible(services: Services, principal: Principal, project: str | None) -> list[UUID]:
    """The named project, or all that the caller may see."""
    if project is None:
        return [found.id for found in services.routing.projects(principal)]
    return [services.routing.project(principal, project).id]


def _require(services: Services, principal: Principal, stored: StoredInteraction, needs: str) -> Project:
    """The interaction's project. Raises PermissionDenied."""
    return services.routing.project(principal, str(stored.interaction.project_id), needs=needs)


async def _search(services: Services, principal: Principal, body: wire.InteractionSearch) -> wire.InteractionList:
    project = services.routing.project(principal, body.project, needs="interaction:read")
    if body.limit is not None and body.last is not None:
        raise InvalidRequest("Give `limit` or `last`, not both.", param="last")
    backward = body.last is not None
    size = (body.last if backward else body.limit) or DEFAULT_PAGE
    order = tuple((each.field, each.order) for each in body.order or ()) or pages.NEWEST
    if len({field for field, _ in order}) < len(order):
        raise InvalidRequest("Each field can be ordered by once.", param="order")
    page = PageRequest(size, order, body.after, body.before, backward)

    def read() -> tuple[InteractionPage, Count | None]:
        with services.database.read() as connection:
            wanted = service.select(connection, project, body)
            found = pages.list_page(connection, wanted, page)
            return found, pages.count(connection, wanted) if body.count else None

    found, total = await asyncio.to_thread(read)
    return _list(found, project, total)


def _groups(services: Services, project: Project, body: wire.GroupSearch) -> wire.GroupList:
    with services.database.read() as connection:
        wanted = service.select(connection, project, body)
        order = (body.order, "DESC" if body.descending else "ASC")
        found = groups.list_groups(
            connection,
            wanted,
            body.group_by,
            order=order,  # type: ignore[arg-type]
            limit=body.limit,
            offset=body.offset,
        )
        newest: list[wire.InteractionList] = []
        for group in found.items:
            page = InteractionPage((), None, None, False, group.count > 0)
            if body.interactions:
                of_group = groups.within(wanted, body.group_by, group.key)
                page = pages.list_page(connection, of_group, PageRequest(body.interactions))
            newest.append(_list(page, project, None))
    return wire.GroupList(
        group_by=body.group_by,
        data=[_group(group, some) for group, some in zip(found.items, newest, strict=True)],
        total_count=found.total,
        has_more=body.offset + len(found.items) < found.total,
        searched_to=None if found.searched_to is None else from_ms(found.searched_to),
    )


def _group(group: Group, newest: wire.InteractionList) -> wire.Group:
    return wire.Group(
        key=group.key,
        count=group.count,
        scores=[
            wire.ScoreStatistics(
                metric=each.metric_key,
                metric_id=each.metric_id,
                count=each.count,
                mean=each.mean,
                min=each.min,
                max=each.max,
                stddev=each.stddev,
                sum=each.sum,
            )
            for each in group.scores
        ],
        interactions=newest,
    )


def _create(services: Services, principal: Principal, body: wire.InteractionCreate) -> wire.InteractionCreated:
    project = services.routing.project(principal, body.project, needs="interaction:create")
    _refuse_images(body)
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
        enqueue(connection, [row])
        rows = score(connection, row, given)
    services.grading.look()
    if rows:
        services.referee.scored(row.ab_test_id)
    return wire.InteractionCreated(
        completion_id=row.id, session_id=row.session_id, feedback_ids=[saved.id for saved in rows]
    )


def _refuse_images(body: wire.InteractionCreate) -> None:
    for at, message in enumerate(body.messages):
        for part_at, part in enumerate(message.content if isinstance(message.content, list) else []):
            if isinstance(part, ImagePart):
                raise InvalidRequest(
                    "Images cannot be stored yet; log the text parts alone.",
                    code="modality_unsupported",
                    param=f"messages[{at}].content[{part_at}]",
                )


def _created_at(moment: datetime) -> int:
    """Raises InvalidRequest for the few times that a zone moves out of the years 1 to 9999: none could be read back."""
    try:
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        return int(moment.timestamp() * 1000)
    except OverflowError as exc:
        raise InvalidRequest("created_at: the time must lie in the years 1 to 9999 UTC.", param="created_at") from exc


def _list(page: InteractionPage, project: Project, total: Count | None) -> wire.InteractionList:
    return wire.InteractionList(
        data=[to_wire(item, project.key) for item in page.items],
        has_more=page.has_next,
        next_cursor=page.end_cursor if page.has_next else None,
        has_previous=page.has_previous,
        previous_cursor=page.start_cursor if page.has_previous else None,
        searched_to=None if page.searched_to is None else from_ms(page.searched_to),
        total_count=None if total is None else total.value,
        total_count_is_exact=None if total is None else total.exact,
    )


def to_wire(stored: StoredInteraction, project_key: str) -> wire.Interaction:
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
        provider=row.provider,
        external_model=row.external_model,
        attempts=row.attempts,
        cost=row.cost,
        currency=row.currency,
        reasoning=row.reasoning,
        created_at=from_ms(row.created_at),
        completed_at=from_ms(row.completed_at) if row.completed_at is not None else None,
        created_by=row.created_by,
    )
