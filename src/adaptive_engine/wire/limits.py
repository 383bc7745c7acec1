"""Limits of keys and projects."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

MOST = 1_000_000_000
"""So large that it is none: with it, a key or a project is free of the server's default."""

Limit = Annotated[int, Field(ge=1, le=MOST, strict=True)]


class Limits(BaseModel):
    """What is absent or null is the server's default, which is no limit unless its settings say otherwise."""

    model_config = ConfigDict(extra="forbid")

    requests_per_minute: Limit | None = None
    tokens_per_minute: Limit | None = None
    """Of prompts and answers together."""
    concurrent_requests: Limit | None = None
