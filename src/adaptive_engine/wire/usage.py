"""What a project has used: tokens, and what they cost where somebody sends a bill."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field


class UsageGroup(BaseModel):
    """`group` is a model's key, or when a span of time begins; null for all together, or for no model."""

    group: str | datetime | None
    interactions: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    costs: dict[str, float] = Field(default_factory=dict)
    """By currency. What runs here costs nothing that could be counted, and has none."""


class ProjectUsage(BaseModel):
    object: Literal["project_usage"] = "project_usage"
    project: str
    group_by: Literal["model", "hour", "day"] | None
    data: list[UsageGroup]
    total: UsageGroup
