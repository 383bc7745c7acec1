"""Teams: users who share projects."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from adaptive_engine.wire.roles import AccessKey, Name


class TeamCreate(BaseModel):
    """POST /api/v1/teams. Without a name it is called like its key."""

    model_config = ConfigDict(extra="forbid")

    key: AccessKey
    name: Name | None = None


class Team(BaseModel):
    id: UUID
    object: Literal["team"] = "team"
    key: str
    name: str
    created_at: datetime


class TeamList(BaseModel):
    object: Literal["list"] = "list"
    data: list[Team]
