"""API keys as people handle them: who may make, see and end which. What a key is made of is in `keys.py`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from adaptive_engine.errors import InvalidRequest, NotFound, PermissionDenied
from adaptive_engine.services import access, limits, roles, users
from adaptive_engine.services.keys import KeyRing
from adaptive_engine.store import Connection, api_keys, team_members
from adaptive_engine.types import UNLIMITED, ApiKey, Limits, Principal, Project, User, now_ms
from adaptive_engine.wire import limits as wire

_LATEST = 253_402_300_799_999
"""The last millisecond that has a date."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key with a `role`, in one project or in all, or one of a `user` (id or e-mail). Times are epoch ms."""

    name: str
    role: str | None = None
    project: Project | None = None
    user: str | None = None
    expires_at: int | None = None
    expiration_for_previous_keys: int | None = None
    """Until when the user's earlier keys work on; they end at once without it."""
    limits: Limits = UNLIMITED


def create(connection: Connection, ring: KeyRing, principal: Principal, wanted: NewKey) -> tuple[ApiKey, str]:
    """The key, and its text, which nobody can read again.

    It has the caller's limits where none are given. Raises InvalidRequest, NotFound for an unknown role or user,
    Conflict when the last admin's key would end, and PermissionDenied for a key that permits more than the caller may
    do, for longer than the caller's own key lasts, or with wider limits.
    """
    _require_sound(wanted)
    allowed = _no_wider(principal, wanted.limits)
    if wanted.user is not None:
        user = _user(connection, principal, wanted.user)
        _require_no_longer_life(connection, principal, wanted)
        key, text = ring.make(wanted.name, "", expires_at=wanted.expires_at, user_id=user.id, limits=allowed)
        with access.admin_kept(connection):
            api_keys.end_all_of_user(connection, user.id, now_ms(), wanted.expiration_for_previous_keys)
            api_keys.create(connection, key)
        return key, text
    role = _role(connection, principal, wanted)
    _require_no_longer_life(connection, principal, wanted)
    project_id = wanted.project.id if wanted.project else None
    key, text = ring.make(wanted.name, role, project_id, wanted.expires_at, limits=allowed)
    api_keys.create(connection, key)
    return key, text


def create_first(connection: Connection, ring: KeyRing, principal: Principal, user: User) -> str:
    """The text of a key for a user who was just created. Raises as `create` does."""
    _, text = create(connection, ring, principal, NewKey(name=user.name, user=user.email))
    return text


def visible(connection: Connection, principal: Principal) -> list[ApiKey]:
    """Their own keys, those of projects that they may make keys for, or all. Oldest first, ended ones included."""
    return [key for key in api_keys.list_all(connection) if _may_see(principal, key)]


def limit(connection: Connection, principal: Principal, key_id: str, change: wire.Limits | None) -> ApiKey:
    """Change a key's limits. Raises NotFound as `revoke` does, and PermissionDenied for the caller's own key, for keys
    of their own that others limit, and for wider limits than the caller's.
    """
    key = _find(connection, principal, key_id)
    in_project = key.project_id is not None and principal.may("project:share", key.project_id)
    if not principal.may("admin:manage_users") and (key_id == principal.key_id or not in_project):
        raise access.denied("admin:manage_users", param="key")
    changed = replace(key, limits=_no_wider(principal, limits.changed(key.limits, change)))
    api_keys.limit(connection, key_id, changed.limits)
    return changed


def revoke(connection: Connection, principal: Principal, key_id: str) -> ApiKey:
    """End a key. Raises NotFound, also for keys of others, and Conflict for the last admin's."""
    _find(connection, principal, key_id)
    with access.admin_kept(connection):
        api_keys.revoke(connection, key_id, now_ms())
    revoked = api_keys.get(connection, key_id)
    assert revoked is not None
    return revoked


def _find(connection: Connection, principal: Principal, key_id: str) -> ApiKey:
    """A key that the caller may change."""
    key = api_keys.get(connection, key_id)
    if key is None or not _may_see(principal, key):
        raise NotFound(f"API key '{key_id}' does not exist.", code="key_not_found", param="key")
    permitted = access.principal_of_key(connection, key)
    access.require_not_above(principal, permitted.everywhere if permitted else (), "key")
    return key


def _no_wider(principal: Principal, wanted: Limits) -> Limits:
    """`wanted`, with the caller's own limits for those that are not given. Who manages users could lift them anyway."""
    if principal.may("admin:manage_users"):
        return wanted
    own, given = asdict(principal.limits), asdict(wanted)
    for name, limit in own.items():
        if limit is not None and given[name] is not None and given[name] > limit:
            raise PermissionDenied(
                f"limits.{name}: a key cannot give a wider limit than its own, which is {limit}.",
                param=f"limits.{name}",
            )
    return Limits(**{name: own[name] if limit is None else limit for name, limit in given.items()})


def _may_see(principal: Principal, key: ApiKey) -> bool:
    if key.user_id is not None and key.user_id == principal.user_id:
        return True
    if key.project_id is not None and principal.may("project:share", key.project_id):
        return True
    return key.id == principal.key_id or principal.may("admin:manage_users")


def _require_sound(wanted: NewKey) -> None:
    if not wanted.name.strip():
        raise InvalidRequest("name: say what the key is for, for example the application that uses it.", param="name")
    if (wanted.role is None) == (wanted.user is None):
        raise InvalidRequest(
            "role: send either a role, or the user whose permissions the key shall have.", param="role"
        )
    if wanted.user is not None and wanted.project is not None:
        raise InvalidRequest("project: a user's key works in all projects of the user. Leave it out.", param="project")
    if wanted.user is None and wanted.expiration_for_previous_keys is not None:
        raise InvalidRequest(
            "expiration_for_previous_keys: only a user has previous keys.", param="expiration_for_previous_keys"
        )
    for name in ("expires_at", "expiration_for_previous_keys"):
        moment = getattr(wanted, name)
        if moment is not None and moment <= now_ms():
            raise InvalidRequest(f"{name}: this time has passed.", param=name)
        if moment is not None and moment > _LATEST:
            raise InvalidRequest(f"{name}: the time must lie before the year 10000. Leave it out for ever.", param=name)


def _user(connection: Connection, principal: Principal, id_or_email: str) -> User:
    """Whose key it will be. What one may do oneself counts without any permission."""
    own = users.own(connection, principal)
    if own is not None and id_or_email.lower() in (own.user.email, str(own.user.id)):
        return own.user
    access.require(principal, "admin:manage_users")
    user = users.find(connection, id_or_email)
    for member in team_members.list_for_user(connection, user.id):
        held = access.permissions_in_team(connection, principal, member.team)
        access.require_held(held, access.counting_in_team(member.role.permissions, member.team), "user")
    return user


def _role(connection: Connection, principal: Principal, wanted: NewKey) -> str:
    assert wanted.role is not None
    project = wanted.project
    if project is None:
        access.require(principal, "admin:manage_users")
        role = roles.find(connection, wanted.role)
        access.require_held(access.permissions_in_team(connection, principal, None), role.permissions, "role")
        return role.key
    if not principal.may("project:share", project.id):
        raise access.denied("project:share", project.key)
    role = roles.find(connection, wanted.role)
    given = access.counting_in_project(role.permissions)
    if not given:
        raise InvalidRequest(
            f"role: '{role.key}' permits nothing in a project. Leave project out, or choose another role.", param="role"
        )
    access.require_held(access.permissions_in(principal, project.id), given, "role")
    return role.key


def _require_no_longer_life(connection: Connection, principal: Principal, wanted: NewKey) -> None:
    """A key that was lent for a day must not make one that lasts. Who manages users could do so anyway."""
    own = api_keys.get(connection, principal.key_id)
    limit = own.expires_at if own else None
    if limit is None or principal.may("admin:manage_users"):
        return
    if wanted.expires_at is None or wanted.expires_at > limit:
        raise PermissionDenied(
            "expires_at: a key cannot make one that outlives it. Send an earlier time.", param="expires_at"
        )
