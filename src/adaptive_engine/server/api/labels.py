"""/api/v1/labels: which labels a project's interactions have."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from adaptive_engine.server.api.parameters import known_query
from adaptive_engine.server.context import PrincipalDep, ServicesDep
from adaptive_engine.server.times import from_ms
from adaptive_engine.store import labels
from adaptive_engine.store.labels import LabelUsage
from adaptive_engine.wire import interactions as wire

router = APIRouter()

_MAX_KEYS = 200


@router.get("/labels", dependencies=[Depends(known_query)])
async def list_labels(
    services: ServicesDep,
    principal: PrincipalDep,
    project: str,
    key: Annotated[str | None, Query(description="Only this key")] = None,
    values: Annotated[int, Query(ge=1, le=1000, description="Most values of each key")] = 20,
) -> wire.LabelUsageList:
    """The keys of labels, each with its first values, in order; how many interactions have them, and since when."""
    found = services.routing.project(principal, project, needs="interaction:read")
    usage, more = await services.read(labels.usage, found.id, keys=_MAX_KEYS, values=values, key=key)
    return wire.LabelUsageList(data=[_to_wire(each) for each in usage], has_more=more)


def _to_wire(usage: LabelUsage) -> wire.LabelUsage:
    return wire.LabelUsage(
        key=usage.key,
        count=usage.count,
        count_is_exact=usage.exact,
        last_used=from_ms(usage.last_used),
        values=[
            wire.LabelValueUsage(
                value=each.value, count=each.count, count_is_exact=each.exact, last_used=from_ms(each.last_used)
            )
            for each in usage.values
        ],
        has_more_values=usage.more_values,
    )
