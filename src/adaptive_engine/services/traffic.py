"""Traffic of a project: for how long a time it can be asked."""

from __future__ import annotations

from adaptive_engine.errors import InvalidRequest
from adaptive_engine.store import Connection, traffic
from adaptive_engine.store.traffic import WIDTHS, TrafficReport, Width
from adaptive_engine.types import Project, now_ms

MAX_SPANS = 2000
DEFAULT_SPANS = {"hour": 7 * 24, "day": 30}


def of_project(
    connection: Connection, project: Project, width: Width, created_from: int | None, created_to: int | None
) -> TrafficReport:
    """What was asked from one moment to another (epoch ms, the last exclusive); by default in the last 7 days by the
    hour, 30 by the day.

    Raises InvalidRequest for more than MAX_SPANS hours or days.
    """
    end = now_ms() if created_to is None else created_to
    start = end - DEFAULT_SPANS[width] * WIDTHS[width] if created_from is None else created_from
    if end - start > MAX_SPANS * WIDTHS[width]:
        wider = " or ask by the day" if width == "hour" else ""
        raise InvalidRequest(
            f"from: that is more than {MAX_SPANS} {width}s before the end. Ask for a shorter time{wider}.",
            param="from",
        )
    return traffic.of_project(connection, project.id, width, start, created_to)
