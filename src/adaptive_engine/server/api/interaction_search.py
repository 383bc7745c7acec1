"""/api/v1/interactions, /search, /groups and /delete: those that are selected, by page, by group, or to be deleted."""

from __future__ import annotations

import asyncio
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request

from adaptive_engine.errors import InvalidRequest
from adaptive_engine.server.api.interactions import to_wire
from adaptive_engine.server.api.parameters import (
    FromQuery,
    LabelQuery,
    ToQuery,
    build,
    known_query,
    label_filters,
    time_range,
)
from adaptive_engine.server.bodies import body_of, read_body
from adaptive_engine.server.context import PrincipalDep, Services, ServicesDep
from adaptive_engine.server.times import from_ms
from adaptive_engine.services import interactions
from adaptive_engine.store import Connection, groups, pages
from adaptive_engine.store.filters import holds
from adaptive_engine.store.groups import Group
from adaptive_engine.store.pages import Count, InteractionPage, PageRequest
from adaptive_engine.types import InteractionSource, InteractionState, Principal, Project
from adaptive_engine.wire import interactions as wire

router = APIRouter()


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
    limit: Annotated[int, Query(ge=1, le=wire.MAX_PAGE)] = wire.DEFAULT_PAGE,
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
    return await _search(services, principal, await read_body(request, wire.InteractionSearch))


@router.post("/interactions/groups", openapi_extra=body_of(wire.GroupSearch))
async def group_interactions(request: Request, services: ServicesDep, principal: PrincipalDep) -> wire.GroupList:
    """Interactions by model or by prompt: how many, how they were scored, and the newest of each."""
    body = await read_body(request, wire.GroupSearch)
    project = services.routing.project(principal, body.project, needs="interaction:read")
    return await services.read(_groups, project, body)


@router.post("/interactions/delete", openapi_extra=body_of(wire.InteractionsDelete))
async def delete_interactions(
    request: Request, services: ServicesDep, principal: PrincipalDep
) -> wire.InteractionsDeleted:
    """Delete what is selected, in batches. Interactions that are still running stay."""
    body = await read_body(request, wire.InteractionsDelete)
    project = services.routing.project(principal, body.project, needs="interaction:delete")
    wanted = await services.read(interactions.select, project, body)
    if not body.all and holds(wanted.where):
        raise InvalidRequest(
            'Nothing selects what to delete. Give a filter, or "all": true for every interaction of the project.',
            param="all",
        )
    deleted = await asyncio.to_thread(lambda: sum(interactions.delete_all(services.database, wanted)))
    return wire.InteractionsDeleted(deleted=deleted)


async def _search(services: Services, principal: Principal, body: wire.InteractionSearch) -> wire.InteractionList:
    project = services.routing.project(principal, body.project, needs="interaction:read")
    if body.limit is not None and body.last is not None:
        raise InvalidRequest("Give `limit` or `last`, not both.", param="last")
    backward = body.last is not None
    size = (body.last if backward else body.limit) or wire.DEFAULT_PAGE
    order = tuple((each.field, each.order) for each in body.order or ()) or pages.NEWEST
    if len({field for field, _ in order}) < len(order):
        raise InvalidRequest("Each field can be ordered by once.", param="order")
    page = PageRequest(size, order, body.after, body.before, backward)

    def read(connection: Connection) -> tuple[InteractionPage, Count | None]:
        wanted = interactions.select(connection, project, body)
        found = pages.list_page(connection, wanted, page)
        return found, pages.count(connection, wanted) if body.count else None

    found, total = await services.read(read)
    return _list(found, project, total)


def _groups(connection: Connection, project: Project, body: wire.GroupSearch) -> wire.GroupList:
    wanted = interactions.select(connection, project, body)
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
        searched_to=from_ms(found.searched_to),
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


def _list(page: InteractionPage, project: Project, total: Count | None) -> wire.InteractionList:
    return wire.InteractionList(
        data=[to_wire(item, project.key) for item in page.items],
        has_more=page.has_next,
        next_cursor=page.end_cursor if page.has_next else None,
        has_previous=page.has_previous,
        previous_cursor=page.start_cursor if page.has_previous else None,
        searched_to=from_ms(page.searched_to),
        total_count=None if total is None else total.value,
        total_count_is_exact=None if total is None else total.exact,
    )
