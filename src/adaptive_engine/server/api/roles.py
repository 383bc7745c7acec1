"""/api/v1/roles and /api/v1/permissions: what may be permitted, and under which names."""

from __future__ import annotations

from fastapi import APIRouter, Request

from adaptive_engine.permissions import PERMISSIONS, ROLES
from adaptive_engine.server.bodies import body_of, read_body
from adaptive_engine.server.context import PrincipalDep, ServicesDep
from adaptive_engine.server.times import from_ms
from adaptive_engine.services import roles
from adaptive_engine.store import roles as store
from adaptive_engine.types import AccessRole
from adaptive_engine.wire import roles as wire

router = APIRouter()


@router.get("/permissions")
async def list_permissions(_: PrincipalDep) -> wire.PermissionList:
    """Every permission, and what it lets its bearer do."""
    return wire.PermissionList(
        data=[wire.Permission(key=key, description=description) for key, description in PERMISSIONS.items()]
    )


@router.get("/roles")
async def list_roles(services: ServicesDep, _: PrincipalDep) -> wire.RoleList:
    """All roles, by key."""
    return wire.RoleList(data=[_to_wire(role) for role in await services.read(store.list_all)])


@router.post("/roles", status_code=201, openapi_extra=body_of(wire.RoleCreate))
async def create_role(request: Request, services: ServicesDep, principal: PrincipalDep) -> wire.Role:
    """Name a set of permissions, all of which the caller has."""
    body = await read_body(request, wire.RoleCreate)
    return _to_wire(await services.change_access(principal, roles.create, body.key, body.name, body.permissions))


@router.patch("/roles/{role}", openapi_extra=body_of(wire.RoleUpdate))
async def update_role(request: Request, services: ServicesDep, principal: PrincipalDep, role: str) -> wire.Role:
    """Change what everybody may do who has the role."""
    body = await read_body(request, wire.RoleUpdate)
    return _to_wire(await services.change_access(principal, roles.update, role, body.permissions))


@router.delete("/roles/{role}")
async def delete_role(services: ServicesDep, principal: PrincipalDep, role: str) -> wire.Role:
    """Delete a role that nobody has."""
    return _to_wire(await services.change_access(principal, roles.delete, role))


def _to_wire(role: AccessRole) -> wire.Role:
    return wire.Role(
        id=role.id,
        key=role.key,
        name=role.name,
        permissions=sorted(role.permissions),
        built_in=role.key in ROLES,
        created_at=from_ms(role.created_at),
    )
