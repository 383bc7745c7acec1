"""Users: people and service accounts, and their places in teams."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StringConstraints

from adaptive_engine.wire.roles import IdOrKey, Name

EMAIL_PATTERN = r"^[^@\s\x00-\x1f\x7f/]+@[^@\s\x00-\x1f\x7f/]+$"
Email = Annotated[str, StringConstraints(max_length=320, pattern=EMAIL_PATTERN)]
UserType = Literal["HUMAN", "SYSTEM"]


class TeamWithRole(BaseModel):
    """A place in a team. Sent, both are keys or ids; answers have keys."""

    model_config = ConfigDict(extra="forbid")

    team: IdOrKey
    role: IdOrKey


class UserCreate(BaseModel):
    """POST /api/v1/users. A service account (SYSTEM) has a name of a-z, 0-9, hyphen and underscore.

    Its e-mail address is made of that where none is given.
    """

    model_config = ConfigDict(extra="forbid")

    name: Name
    email: Email | None = None
    user_type: UserType = "HUMAN"
    teams: list[TeamWithRole] = Field(default_factory=list, max_length=100)
    generate_api_key: StrictBool = False


class User(BaseModel):
    id: UUID
    object: Literal["user"] = "user"
    email: str
    name: str
    user_type: UserType
    created_at: datetime
    teams: list[TeamWithRole]


class UserCreated(User):
    """`api_key` is shown this once, and only where one was asked for."""

    api_key: str | None = None


class UserList(BaseModel):
    object: Literal["list"] = "list"
    data: list[User]


class TeamMemberSet(BaseModel):
    """PUT /api/v1/users/{user}/teams/{team}: the user's role there."""

    model_config = ConfigDict(extra="forbid")

    role: IdOrKey


class Me(BaseModel):
    """GET /api/v1/me: what the key of this request may do."""

    object: Literal["me"] = "me"
    key: str
    """The key's id."""
    user: User | None
    """Null for a key that belongs to nobody."""
    permissions: list[str]
    """On the whole server, and in all projects."""
    projects: dict[str, list[str]]
    """By the keys of the projects that it may see: what it may do there, these permissions included."""
