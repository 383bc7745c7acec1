"""Tokens and costs of a project's interactions, summed by the database."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from adaptive_engine.store.functions import span_start
from adaptive_engine.store.statistics import DAY_MS, HOUR_MS
from adaptive_engine.store.tables import interactions

GroupBy = Literal["model", "hour", "day"]


@dataclass(slots=True)
class UsageSum:
    """`group` is a model's key, or epoch ms."""

    group: str | int | None
    interactions: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    costs: dict[str, float] = field(default_factory=dict)

    def add(self, count: int, prompt: int, cached: int, completion: int, currency: str | None, cost: float) -> None:
        self.interactions += count
        self.prompt_tokens += prompt
        self.cached_tokens += cached
        self.completion_tokens += completion
        if currency is not None:
            self.costs[currency] = self.costs.get(currency, 0.0) + cost


def of_project(
    connection: Connection, project_id: UUID, by: GroupBy | None, created_from: int | None, created_to: int | None
) -> tuple[list[UsageSum], UsageSum]:
    """The groups in order, and all together. Of what was asked here, answered or not; times are epoch ms, the last
    exclusive.
    """
    conditions = [interactions.c.project_id == project_id, interactions.c.source == "LIVE"]
    if created_from is not None:
        conditions.append(interactions.c.created_at >= created_from)
    if created_to is not None:
        conditions.append(interactions.c.created_at < created_to)
    group: sa.ColumnElement[Any] = sa.null()
    if by == "model":
        group = interactions.c.model_key
    elif by is not None:
        group = span_start(interactions.c.created_at, HOUR_MS if by == "hour" else DAY_MS)
    query = (
        sa.select(
            group,
            sa.func.count(),
            sa.cast(sa.func.sum(interactions.c.prompt_tokens), sa.BigInteger),
            sa.cast(sa.func.sum(interactions.c.cached_tokens), sa.BigInteger),
            sa.cast(sa.func.sum(interactions.c.completion_tokens), sa.BigInteger),
            interactions.c.currency,
            sa.func.coalesce(sa.func.sum(interactions.c.cost), 0.0),
        )
        .where(*conditions)
        .group_by(*([] if by is None else [group]), interactions.c.currency)
    )
    groups: dict[str | int | None, UsageSum] = {}
    total = UsageSum(None)
    for key, *sums in connection.execute(query):
        groups.setdefault(key, UsageSum(key)).add(*sums)
        total.add(*sums)
    found = sorted(groups.values(), key=lambda each: (each.group is None, each.group))
    return [] if by is None else found, total
