"""What may be done, and the roles that come with every installation. Imports nothing of ours.

A permission is `noun:verb`. Those of the group `admin` count for the whole server, `project:create` for
a team, all others in a project.
"""

from __future__ import annotations

from typing import Final

PERMISSIONS: Final[dict[str, str]] = {
    "admin:manage_users": "create, change and delete users and service accounts, and their keys",
    "admin:manage_teams": "create teams, and say who belongs to them in which role",
    "admin:manage_roles": "create roles and change their permissions",
    "admin:manage_models": "import, configure and terminate the server's models",
    "admin:read_telemetry": "read the server's own numbers at /metrics",
    "project:create": "create projects",
    "project:read": "see a project, its models, metrics and A/B tests",
    "project:update": "change a project's name, description and settings",
    "project:archive": "archive a project and bring it back",
    "project:share": "share a project with teams, and make API keys for it",
    "model:deploy": "attach, detach and configure models in a project, and choose its default",
    "completion:create": "send requests to models",
    "interaction:read": "read stored prompts and completions, and export them",
    "interaction:create": "log completions that were made elsewhere",
    "interaction:update": "change labels of interactions",
    "interaction:delete": "delete interactions",
    "metric:manage": "register, change and delete metrics",
    "score:create": "score completions, compare them and report outcomes of sessions",
    "ab_test:manage": "create and cancel A/B tests",
    "grader:manage": "create, run and delete graders",
}
"""Each permission, and what it lets its bearer do."""

ALL: Final = frozenset(PERMISSIONS)
_OF_THE_SERVER = frozenset(key for key in PERMISSIONS if key.startswith("admin:"))

ROLES: Final[dict[str, frozenset[str]]] = {
    "admin": ALL,
    "platform_admin": frozenset({"admin:manage_users", "admin:manage_teams", "admin:manage_roles"}),
    "power_user": ALL - _OF_THE_SERVER,
    "read-only": frozenset({"project:read", "interaction:read"}),
    "inference": frozenset({"project:read", "completion:create", "interaction:create", "score:create"}),
    "annotator": frozenset({"project:read", "interaction:read", "interaction:update", "score:create"}),
    "monitor": frozenset({"admin:read_telemetry"}),
}
"""The roles of every installation. Applications use `inference`: it writes, and cannot read what others asked."""
