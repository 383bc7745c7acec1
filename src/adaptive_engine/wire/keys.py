"""API keys: what they permit and how long. The keys themselves are shown once."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from adaptive_engine.wire.interactions import Key as ProjectKey
from adaptive_engine.wire.limits import Limits
from adaptive_engine.wire.roles import IdOrKey, Name


class ApiKeyCreate(BaseModel):
    """POST /api/v1/keys: a key with a `role`, in one `project` or in all; or the key of a `user` (e-mail or id).

    A user's earlier keys end at once, or at `expiration_for_previous_keys`. Times carry a zone.
    """

    model_config = ConfigDict(extra="forbid")

    name: Name
    role: IdOrKey | None = None
    project: ProjectKey | None = None
    user: IdOrKey | None = None
    expires_at: AwareDatetime | None = None
    expiration_for_previous_keys: AwareDatetime | None = None
    limits: Limits | None = None


class ApiKeyUpdate(BaseModel):
    """PATCH /api/v1/keys/{key}. An absent limit stays as it is, and null removes it; null for `limits` removes all."""

    model_config = ConfigDict(extra="forbid")

    limits: Limits | None


class ApiKey(BaseModel):
    id: str
    object: Literal["api_key"] = "api_key"
    name: str
    role: str | None
    """Null for a user's key: it may do what the user may."""
    project: str | None
    """The only project it may use; null: all of them, or all of the user's."""
    user: str | None
    """Whose it is, by e-mail address."""
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    limits: Limits = Field(default_factory=Limits)
    """Its own; where it has none, the server's settings count."""


class ApiKeyCreated(ApiKey):
    """`api_key` is shown this once."""

    api_key: str


class ApiKeyList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ApiKey]
