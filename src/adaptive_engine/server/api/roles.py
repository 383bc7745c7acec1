"""/api/v1/roles and /api/v1/permissions: what may be permitted, and under which names."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request

from adaptive_engine.permissions import PERMISSIONS, ROLES
from adaptive_engine.server.api.interactions import from_ms
from adaptive_engine.server.context import PrincipalDep, ServicesDep
from adaptive_engine.server.errors import parse
from adaptive_engine.server.openai.chat import require_json
from adaptive_engine.services import roles
from adaptive_engine.store import roles as store
from adaptive_engine.types import AccessRole
from adaptive_engine.wire import roles as wire

router = APIRouter()

_BODY = {"required": True, "content": {"application/json": {"schema": wire.RoleCreate.model_json_schema()}}}
_UPDATE_BODY = {"required": True, "content": {"application/json": {"schema": wire.RoleUpdate.model_json_schema()}}}


@router.get("/permissions")
async def list_permissions(_: PrincipalDep) -> wire.PermissionList:
    """Every permission, and what it lets its bearer do."""
    return wire.PermissionList(
        data=[wire.Permission(key=key, description=description) for key, description in PERMISSIONS.items()]
    )


@router.get("/roles")
async def list_roles(services: ServicesDep, _: PrincipalDep) -> wire.RoleList:
    """All roles, by key."""

    def read() -> list[AccessRole]:
        with services.database.read() as connection:
            return store.list_all(connection)

    return wire.RoleList(data=[_to_wire(role) for role in await asyncio.to_thread(read)])


@router.post("/roles", status_code=201, openapi_extra={"requestBody": _BODY})
async def create_role(request: Request, services: ServicesDep, principal: PrincipalDep) -> wire.Role:
    """Name a set of permissions, all of which the caller has."""
    require_json(request)
    body = parse(wire.RoleCreate, await request.body())

    def write() -> AccessRole:
        with services.keys.changing() as connection:
            return roles.create(connection, principal, body.key, body.name, body.permissions)

    return _to_wire(await asyncio.to_thread(write))


@router.patch("/roles/{role}", openapi_extra={"requestBody": _UPDATE_BODY})
async def update_role(request: Request, services: ServicesDep, principal: PrincipalDep, role: str) -> wire.Role:
    """Change what everybody may do who has the role."""
    require_json(request)
    body = parse(wire.RoleUpdate, await request.body())

    def write() -> AccessRole:
        with services.keys.changing() as connection:
            return roles.update(connection, principal, role, body.permissions)

    return _to_wire(await asyncio.to_thread(write))


@router.delete("/roles/{role}")
async def delete_role(services: ServicesDep, principal: PrincipalDep, role: str) -> wire.Role:
    """Delete a role that nobody has."""

    def write() -> AccessRole:
        with services.keys.changing() as connection:
            return roles.delete(connection, principal, role)

    return _to_wire(await asyncio.to_thread(write))


def _to_wire(role: AccessRole) -> wire.Role:
    return wire.Role(
        id=role.id,
        key=role.key,
        name=role.name,
        permissions=sorted(role.permissions),
        built_in=role.key in ROLES,
        created_at=from_ms(role.created_at),
    )
