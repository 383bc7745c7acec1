"""/api/v1/projects/{project}/traffic: how requests ended, what they took and how long."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query

from adaptive_engine.server.api.parameters import FromQuery, ToQuery, known_query, moment
from adaptive_engine.server.context import PrincipalDep, ServicesDep
from adaptive_engine.server.times import from_ms
from adaptive_engine.services import traffic
from adaptive_engine.store.traffic import Percentiles, Traffic
from adaptive_engine.wire import traffic as wire

router = APIRouter(prefix="/projects/{project}/traffic")


@router.get("", dependencies=[Depends(known_query)])
async def get_project_traffic(
    services: ServicesDep,
    principal: PrincipalDep,
    project: str,
    width: Annotated[Literal["hour", "day"], Query(description="of what `data` has a group for each")] = "hour",
    created_from: FromQuery = None,
    created_to: ToQuery = None,
) -> wire.ProjectTraffic:
    """How many requests were answered, failed or were cancelled, with their tokens and percentiles of their times."""
    found = services.routing.project(principal, project)
    first, last = moment(created_from, "from"), moment(created_to, "to")
    report = await services.read(traffic.of_project, found, width, first, last)
    return wire.ProjectTraffic(
        project=found.key,
        width=width,
        data=[_group(each) for each in report.spans],
        models=[_group(each) for each in report.models],
        total=_group(report.total),
        searched_to=None if report.searched_to is None else from_ms(report.searched_to),
    )


def _group(found: Traffic) -> wire.TrafficGroup:
    return wire.TrafficGroup(
        group=from_ms(found.group) if isinstance(found.group, int) else found.group,
        answered=found.answered,
        failed=found.failed,
        cancelled=found.cancelled,
        prompt_tokens=found.prompt_tokens,
        cached_tokens=found.cached_tokens,
        completion_tokens=found.completion_tokens,
        time_to_first_token_ms=_percentiles(found.time_to_first_token_ms),
        latency_ms=_percentiles(found.latency_ms),
    )


def _percentiles(found: Percentiles | None) -> wire.Percentiles | None:
    return None if found is None else wire.Percentiles(**dataclasses.asdict(found))
