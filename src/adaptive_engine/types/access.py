"""Who asks, and what they may do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from adaptive_engine.types.limits import UNLIMITED, Limits

UserType = Literal["HUMAN", "SYSTEM"]
"""A person, or a service account."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: the key that authenticated the request, and what it permits (see `permissions.py`)."""

    key_id: str
    everywhere: frozenset[str] = frozenset()
    """Permissions for the server, and in each of its projects; `project:create` also when it counts in a team only."""
    in_projects: Mapping[UUID, frozenset[str]] = field(default_factory=dict)
    """Further permissions, by project."""
    user_id: UUID | None = None
    """Whose key it is; None for a key that belongs to nobody."""
    limits: Limits = UNLIMITED
    """Of the key."""

    def may_anywhere(self, permission: str) -> bool:
        """On the server, or in some project."""
        return permission in self.everywhere or any(permission in some for some in self.in_projects.values())

    def may(self, permission: str, project_id: UUID | None = None) -> bool:
        """In that project, or, without one, on the server as a whole."""
        if permission in self.everywhere:
            return True
        return project_id is not None and permission in self.in_projects.get(project_id, ())


@dataclass(frozen=True, slots=True)
class Team:
    """Users who share projects."""

    id: UUID
    key: str
    name: str
    created_at: int


@dataclass(frozen=True, slots=True)
class AccessRole:
    """A named set of permissions. (`Role` is who speaks in a chat.)"""

    id: UUID
    key: str
    name: str
    permissions: frozenset[str]
    created_at: int


@dataclass(frozen=True, slots=True)
class User:
    """A person or a service account. Who was deleted stays known to what they left behind."""

    id: UUID
    email: str
    name: str
    user_type: UserType
    created_at: int
    deleted_at: int | None = None


@dataclass(frozen=True, slots=True)
class Membership:
    """A user's place in a team."""

    user_id: UUID
    team: Team
    role: AccessRole


@dataclass(frozen=True, slots=True)
class Share:
    """What the members of a team may do in a project: what their own role and this one both permit.

    In a team that owns the project their own role alone counts.
    """

    project_id: UUID
    team: Team
    role: AccessRole
    is_owner: bool


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A stored key. The secret itself is never stored, only its keyed hash."""

    id: str
    name: str
    role: str
    """Empty for a user's key: it may do what the user may."""
    project_id: UUID | None
    digest: bytes
    created_at: int
    expires_at: int | None = None
    revoked_at: int | None = None
    user_id: UUID | None = None
    limits: Limits = UNLIMITED
