"""Projects: what requests, keys, metrics and interactions belong to."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from adaptive_engine.wire.interactions import Comment, Key
from adaptive_engine.wire.limits import Limits

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class ProjectSettings(BaseModel):
    """In a change, an absent field stays as it is and null removes it."""

    model_config = ConfigDict(extra="forbid")

    default_metric: Key | None = None
    """The key of a metric of the project."""
    limits: Limits | None = None
    """Of all its keys together. Of these too, an absent one stays as it is."""


class ProjectCreate(BaseModel):
    """POST /api/v1/projects. Without a key it is made from the name; without a name it is the key."""

    model_config = ConfigDict(extra="forbid")

    key: str | None = None
    name: Name | None = None
    description: Comment | None = None
    team: str | None = None
    """The key or id of the team that owns it; team `default` if it is absent."""
    settings: ProjectSettings | None = None


class ProjectUpdate(BaseModel):
    """PATCH /api/v1/projects/{project}. What is absent or null stays as it is; a key cannot change."""

    model_config = ConfigDict(extra="forbid")

    name: Name | None = None
    description: Comment | None = None
    settings: ProjectSettings | None = None


class Project(BaseModel):
    id: UUID
    object: Literal["project"] = "project"
    key: str
    name: str
    description: str
    settings: ProjectSettings = Field(default_factory=ProjectSettings)
    permissions: list[str] = Field(default_factory=list)
    """What the key that asks may do in it."""
    created_at: datetime
    archived_at: datetime | None = None


class ProjectList(BaseModel):
    object: Literal["list"] = "list"
    data: list[Project]
