"""How a project's requests ended, what they took and how long, over time and by model.

One walk from the newest on sees each interaction once. Its times are counted in classes, of which percentiles are read:
unlike sorted values, counts of several walks, hours or models add up, and the walk can stop in time.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from adaptive_engine.store.filters import And, Between, Equals, InteractionFilter
from adaptive_engine.store.functions import json_number, span_start, whole
from adaptive_engine.store.scans import Scan
from adaptive_engine.store.statistics import DAY_MS, HOUR_MS
from adaptive_engine.store.tables import interactions

Width = Literal["hour", "day"]

WIDTHS: dict[Width, int] = {"hour": HOUR_MS, "day": DAY_MS}
# What has not been seen by then (s) is not counted, and the answer says so.
TRAFFIC_SECONDS = 1.0

# Times are counted in tenths of a millisecond. Up to FINE of them each has a class of its own; from there on a decade
# has 160: up to twice its beginning they are 2 hundredths of that wide, up to five times 5, then 10.
FINE = 100
_LAST_DECADE = 10**9


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Milliseconds that half, 95 % and 99 % of the values do not exceed, to within 1.3 % or 0.05 ms."""

    p50: float
    p95: float
    p99: float


@dataclass(slots=True)
class Traffic:
    """What was asked and has ended. `group` is when a span of time begins (epoch ms), or a model's key."""

    group: int | str | None
    answered: int = 0
    """Complete, or as long as they were allowed to be."""
    failed: int = 0
    """Ended by an error, or with the server."""
    cancelled: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    first_token: Counter[int] = field(default_factory=Counter)
    latency: Counter[int] = field(default_factory=Counter)
    """How many answers took so long, by the beginning of the class."""

    @property
    def time_to_first_token_ms(self) -> Percentiles | None:
        return _percentiles(self.first_token)

    @property
    def latency_ms(self) -> Percentiles | None:
        """To the end of the answer; None where nothing was answered."""
        return _percentiles(self.latency)


@dataclass(frozen=True, slots=True)
class TrafficReport:
    spans: list[Traffic]
    """Those in which something ended, oldest first."""
    models: list[Traffic]
    """By key; what no model was found for comes last."""
    total: Traffic
    searched_to: int | None
    """Epoch ms: only what was asked from then on is counted; None: all."""


def of_project(
    connection: Connection, project_id: UUID, width: Width, created_from: int | None, created_to: int | None
) -> TrafficReport:
    """Of what was asked here. Times are epoch ms, the last exclusive, and those at which it was asked."""
    live = And((Equals("source", ("LIVE",)), Between(created_from, created_to)))
    scan = Scan(connection, InteractionFilter(project_id, live), seconds=TRAFFIC_SECONDS)
    spans: dict[int, Traffic] = {}
    models: dict[str | None, Traffic] = {}
    total = Traffic(None)
    for window in scan.windows():
        for seen in window.selects(*_columns(width)):
            for row in connection.execute(_counted(seen)):
                span = spans.setdefault(row.span, Traffic(row.span))
                model = models.setdefault(row.model, Traffic(row.model))
                for traffic in (span, model, total):
                    _add(traffic, row)
    return TrafficReport(
        sorted(spans.values(), key=lambda each: each.group),  # type: ignore[arg-type,return-value]
        sorted(models.values(), key=lambda each: (each.group is None, each.group)),
        total,
        None if scan.stopped_at is None else scan.stopped_at.created_at,
    )


def _columns(width: Width) -> tuple[sa.ColumnElement[Any], ...]:
    answered = interactions.c.state.in_(("complete", "length"))
    ended = sa.case(
        (answered, "answered"),
        (interactions.c.state.in_(("error", "aborted")), "failed"),
        (interactions.c.state == "cancelled", "cancelled"),
        # Still running: it is counted when it has ended.
        else_=None,
    )

    def time(name: str) -> sa.ColumnElement[Any]:
        return sa.case((answered, _class(json_number(interactions.c.timings, name))), else_=None)

    return (
        span_start(interactions.c.created_at, WIDTHS[width]).label("span"),
        interactions.c.model_key.label("model"),
        ended.label("ended"),
        interactions.c.prompt_tokens,
        interactions.c.cached_tokens,
        interactions.c.completion_tokens,
        time("ttft_ms").label("first_token"),
        time("total_ms").label("latency"),
    )


def _class(ms: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Where the class begins that a time is in; NULL of NULL."""
    tenths = whole(ms * 10)
    classes = [(ms < end / 10, span_start(tenths, width)) for end, width in _CLASSES]
    return sa.case(*classes, (ms.is_not(None), _LAST_DECADE), else_=None)


def _classes() -> list[tuple[int, int]]:
    """Up to where classes have which width, in tenths of a millisecond."""
    found = [(FINE, 1)]
    decade = FINE
    while decade < _LAST_DECADE:
        found += [(2 * decade, decade // 50), (5 * decade, decade // 20), (10 * decade, decade // 10)]
        decade *= 10
    return found


_CLASSES = _classes()


def _counted(seen: sa.Select[Any]) -> sa.CompoundSelect[Any]:
    """Rows of span, model, `what` and its class or end, how many they are, and their tokens."""
    # Read once: the second and third part go through what the first one found.
    rows = seen.cte("seen")

    def part(what: str, key: sa.ColumnElement[Any], *tokens: sa.ColumnElement[Any]) -> sa.Select[Any]:
        query = sa.select(
            rows.c.span,
            rows.c.model,
            sa.literal_column(f"'{what}'", sa.Text).label("what"),
            sa.cast(key, sa.Text).label("key"),
            sa.func.count().label("count"),
            *(sa.cast(each, sa.BigInteger) for each in tokens),
        )
        return query.where(key.is_not(None)).group_by(rows.c.span, rows.c.model, key)

    nothing = [sa.null()] * 3
    tokens = [sa.func.sum(rows.c[name]) for name in ("prompt_tokens", "cached_tokens", "completion_tokens")]
    return sa.union_all(
        part("ended", rows.c.ended, *tokens),
        part("first_token", rows.c.first_token, *nothing),
        part("latency", rows.c.latency, *nothing),
    )


def _add(traffic: Traffic, row: Any) -> None:
    _, _, what, key, count, prompt, cached, completion = row
    if what == "first_token":
        traffic.first_token[int(key)] += count
    elif what == "latency":
        traffic.latency[int(key)] += count
    else:
        setattr(traffic, key, getattr(traffic, key) + count)
        traffic.prompt_tokens += prompt
        traffic.cached_tokens += cached
        traffic.completion_tokens += completion


def _percentiles(counts: Counter[int]) -> Percentiles | None:
    if not counts:
        return None
    starts = sorted(counts)
    found = []
    for share in (50, 95, 99):
        # The rank of the value, as one would count it by hand.
        left = -(-counts.total() * share // 100)
        for start in starts:
            left -= counts[start]
            if left <= 0:
                found.append(_middle(start))
                break
    return Percentiles(*found)


def _middle(start: int) -> float:
    """Of the class that begins there, in milliseconds."""
    width = next((width for end, width in _CLASSES if start < end), 0)
    return (start + width / 2) / 10
