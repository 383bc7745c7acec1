"""/api/v1/projects/{project}/usage: tokens and costs."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query

from adaptive_engine.server.api.parameters import FromQuery, ToQuery, known_query, moment
from adaptive_engine.server.context import PrincipalDep, ServicesDep
from adaptive_engine.server.times import from_ms
from adaptive_engine.store import usage
from adaptive_engine.store.usage import UsageSum
from adaptive_engine.wire import usage as wire

router = APIRouter(prefix="/projects/{project}/usage")


@router.get("", dependencies=[Depends(known_query)])
async def get_project_usage(
    services: ServicesDep,
    principal: PrincipalDep,
    project: str,
    group_by: Annotated[Literal["model", "hour", "day"] | None, Query()] = None,
    created_from: FromQuery = None,
    created_to: ToQuery = None,
) -> wire.ProjectUsage:
    """Tokens of a project's interactions, and what they cost at their providers."""
    found = services.routing.project(principal, project)
    first, last = moment(created_from, "from"), moment(created_to, "to")
    groups, total = await services.read(usage.of_project, found.id, group_by, first, last)
    return wire.ProjectUsage(
        project=found.key, group_by=group_by, data=[_to_wire(group) for group in groups], total=_to_wire(total)
    )


def _to_wire(found: UsageSum) -> wire.UsageGroup:
    return wire.UsageGroup(
        group=from_ms(found.group) if isinstance(found.group, int) else found.group,
        interactions=found.interactions,
        prompt_tokens=found.prompt_tokens,
        cached_tokens=found.cached_tokens,
        completion_tokens=found.completion_tokens,
        costs=found.costs,
    )
