"""What a project was asked and how that ended, over time and by model."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel


class Percentiles(BaseModel):
    """What half, 95 % and 99 % of the values do not exceed, in milliseconds, to within 1.3 %."""

    p50: float
    p95: float
    p99: float


class TrafficGroup(BaseModel):
    """`group` is when an hour or a day begins, or a model's key; null for all together, or for no model."""

    group: str | datetime | None
    answered: int
    failed: int
    cancelled: int
    """By whoever had asked."""
    prompt_tokens: int
    cached_tokens: int
    """Of the prompt tokens, those that were in the cache."""
    completion_tokens: int
    time_to_first_token_ms: Percentiles | None
    """Of what was answered; null where nothing was."""
    latency_ms: Percentiles | None
    """The same to the end of the answer."""


class ProjectTraffic(BaseModel):
    object: Literal["project_traffic"] = "project_traffic"
    project: str
    width: Literal["hour", "day"]
    data: list[TrafficGroup]
    """Hours or days (UTC) in which something was asked, oldest first."""
    models: list[TrafficGroup]
    total: TrafficGroup
    searched_to: datetime | None
    """Counting took too long: only what was asked from then on is in these numbers. Null: everything is."""
