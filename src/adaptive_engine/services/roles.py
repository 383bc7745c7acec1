"""Roles: those of every installation, and further ones."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from adaptive_engine.errors import Conflict, InvalidRequest, NotFound
from adaptive_engine.permissions import ALL, ROLES
from adaptive_engine.services import access
from adaptive_engine.store import Connection, api_keys, roles, team_members
from adaptive_engine.types import AccessRole, Principal, now_ms, uuid7, uuid_or_none

_SPELLINGS = {"platform-admin": "platform_admin"}


def ensure_built_in(connection: Connection) -> None:
    """Write the roles of every installation, as this version has them."""
    for key, permissions in ROLES.items():
        known = roles.get_by_key(connection, key)
        if known is None:
            name = key.replace("_", " ").replace("-", " ").capitalize()
            roles.create(connection, AccessRole(uuid7(), key, name, permissions, now_ms()))
        elif known.permissions != permissions:
            roles.set_permissions(connection, known.id, permissions)


def find(connection: Connection, id_or_key: str, param: str = "role") -> AccessRole:
    """Raises NotFound."""
    found = roles.get_by_key(connection, _SPELLINGS.get(id_or_key, id_or_key))
    if found is None and (role_id := uuid_or_none(id_or_key)):
        found = roles.get(connection, role_id)
    if found is None:
        known = ", ".join(role.key for role in roles.list_all(connection))
        raise NotFound(f"Role '{id_or_key}' does not exist. Roles: {known}.", code="role_not_found", param=param)
    return found


def create(
    connection: Connection, principal: Principal, key: str, name: str | None, permissions: Collection[str]
) -> AccessRole:
    """Raises Conflict when the key is taken, and PermissionDenied for permissions that the caller does not have."""
    access.require(principal, "admin:manage_roles")
    if key in _SPELLINGS:
        raise Conflict(f"'{key}' is another spelling of role '{_SPELLINGS[key]}'. Choose another key.", param="key")
    if roles.get_by_key(connection, key) is not None:
        raise Conflict(f"Role '{key}' exists already. Choose another key.", code="role_exists", param="key")
    _require_known(permissions)
    access.require_held(_held(connection, principal), permissions, "permissions")
    role = AccessRole(uuid7(), key, name or key, frozenset(permissions), now_ms())
    roles.create(connection, role)
    return role


def update(connection: Connection, principal: Principal, id_or_key: str, permissions: Collection[str]) -> AccessRole:
    """Change what everybody may do who has the role. Raises what `create` raises, and NotFound."""
    role = _changeable(connection, principal, id_or_key)
    _require_known(permissions)
    # It counts in every team at once, so what the caller has in one of them is not enough.
    held = access.permissions_in_team(connection, principal, None)
    access.require_held(held, set(permissions) - role.permissions, "permissions")
    access.require_not_above(principal, role.permissions - set(permissions), "permissions")
    roles.set_permissions(connection, role.id, permissions)
    return replace(role, permissions=frozenset(permissions))


def delete(connection: Connection, principal: Principal, id_or_key: str) -> AccessRole:
    """Raises NotFound, or Conflict while a user, a share or a key has it."""
    role = _changeable(connection, principal, id_or_key)
    if roles.is_held(connection, role.id) or api_keys.any_with_role(connection, role.key, now_ms()):
        raise Conflict(
            f"Role '{role.key}' is in use. Give those users, shares and keys that have it another one first.",
            code="role_in_use",
            param="role",
        )
    roles.delete(connection, role.id)
    return role


def _changeable(connection: Connection, principal: Principal, id_or_key: str) -> AccessRole:
    access.require(principal, "admin:manage_roles")
    role = find(connection, id_or_key)
    if role.key in ROLES:
        raise Conflict(
            f"Role '{role.key}' comes with the server and cannot be changed. Create one of your own.",
            code="built_in_role",
            param="role",
        )
    return role


def _held(connection: Connection, principal: Principal) -> frozenset[str]:
    """What the caller may do somewhere: a role alone gives nothing to anybody yet."""
    if principal.user_id is None:
        return principal.everywhere
    memberships = team_members.list_for_user(connection, principal.user_id)
    return frozenset[str]().union(*(access.counting_in_team(m.role.permissions, m.team) for m in memberships))


def _require_known(permissions: Collection[str]) -> None:
    unknown = sorted(set(permissions) - ALL)
    if unknown:
        raise InvalidRequest(
            f"permissions: there is no '{unknown[0]}'. GET /api/v1/permissions lists them.", param="permissions"
        )
