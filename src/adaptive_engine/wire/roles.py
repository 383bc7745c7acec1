"""Roles: named sets of permissions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, StringConstraints

# As it is typed into URLs and commands.
ACCESS_KEY_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
AccessKey = Annotated[str, StringConstraints(pattern=ACCESS_KEY_PATTERN)]
IdOrKey = Annotated[str, StringConstraints(min_length=1, max_length=320)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=256, strip_whitespace=True)]


class RoleCreate(BaseModel):
    """POST /api/v1/roles. Without a name it is called like its key."""

    model_config = ConfigDict(extra="forbid")

    key: AccessKey
    permissions: list[str]
    name: Name | None = None


class RoleUpdate(BaseModel):
    """PATCH /api/v1/roles/{role}: all permissions that it shall have."""

    model_config = ConfigDict(extra="forbid")

    permissions: list[str]


class Role(BaseModel):
    id: UUID
    object: Literal["role"] = "role"
    key: str
    name: str
    permissions: list[str]
    built_in: bool
    """It comes with the server and cannot be changed."""
    created_at: datetime


class RoleList(BaseModel):
    object: Literal["list"] = "list"
    data: list[Role]


class Permission(BaseModel):
    object: Literal["permission"] = "permission"
    key: str
    description: str


class PermissionList(BaseModel):
    object: Literal["list"] = "list"
    data: list[Permission]
