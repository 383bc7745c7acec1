"""/api/v1/keys: make, list, limit and revoke API keys."""

from __future__ import annotations

from dataclasses import asdict
from uuid import UUID

from fastapi import APIRouter, Request

from adaptive_engine.server.bodies import body_of, read_body
from adaptive_engine.server.context import PrincipalDep, ServicesDep
from adaptive_engine.server.times import from_ms, to_ms
from adaptive_engine.services import api_keys, limits
from adaptive_engine.services.api_keys import NewKey
from adaptive_engine.store import Connection, projects, users
from adaptive_engine.types import UNLIMITED, ApiKey, Principal
from adaptive_engine.wire import keys as wire
from adaptive_engine.wire.limits import Limits as WireLimits

router = APIRouter(prefix="/keys")


@router.get("")
async def list_keys(services: ServicesDep, principal: PrincipalDep) -> wire.ApiKeyList:
    """The keys that the caller may revoke, oldest first, ended ones included."""

    def read(connection: Connection) -> wire.ApiKeyList:
        names = _Names(connection)
        return wire.ApiKeyList(data=[names.to_wire(key) for key in api_keys.visible(connection, principal)])

    return await services.read(read)


@router.post("", status_code=201, openapi_extra=body_of(wire.ApiKeyCreate))
async def create_key(request: Request, services: ServicesDep, principal: PrincipalDep) -> wire.ApiKeyCreated:
    """Make a key. Its text is shown this once."""
    body = await read_body(request, wire.ApiKeyCreate)
    project = None
    if body.project is not None:
        project = services.routing.project(principal, body.project, needs="project:share")
    wanted = NewKey(
        name=body.name,
        role=body.role,
        project=project,
        user=body.user,
        expires_at=to_ms(body.expires_at),
        expiration_for_previous_keys=to_ms(body.expiration_for_previous_keys),
        limits=limits.changed(UNLIMITED, body.limits),
    )

    def create(connection: Connection, principal: Principal) -> wire.ApiKeyCreated:
        key, text = api_keys.create(connection, services.keys, principal, wanted)
        return wire.ApiKeyCreated(**_Names(connection).to_wire(key).model_dump(), api_key=text)

    return await services.change_access(principal, create)


@router.patch("/{key}", openapi_extra=body_of(wire.ApiKeyUpdate))
async def update_key(request: Request, services: ServicesDep, principal: PrincipalDep, key: str) -> wire.ApiKey:
    """Change a key's limits: here at once, on other servers within 5 seconds."""
    body = await read_body(request, wire.ApiKeyUpdate)

    def update(connection: Connection, principal: Principal) -> wire.ApiKey:
        return _Names(connection).to_wire(api_keys.limit(connection, principal, key, body.limits))

    return await services.change_access(principal, update)


@router.delete("/{key}")
async def revoke_key(services: ServicesDep, principal: PrincipalDep, key: str) -> wire.ApiKey:
    """End a key: here at once, on other servers within 5 seconds."""

    def revoke(connection: Connection, principal: Principal) -> wire.ApiKey:
        return _Names(connection).to_wire(api_keys.revoke(connection, principal, key))

    return await services.change_access(principal, revoke)


class _Names:
    """What people call the projects and users that keys refer to by id."""

    def __init__(self, connection: Connection) -> None:
        self._projects = {project.id: project.key for project in projects.list_all(connection, archived=True)}
        self._users = {user.id: user.email for user in users.list_all(connection)}

    def to_wire(self, key: ApiKey) -> wire.ApiKey:
        return wire.ApiKey(
            id=key.id,
            name=key.name,
            role=key.role or None,
            project=_name(self._projects, key.project_id),
            user=_name(self._users, key.user_id),
            created_at=from_ms(key.created_at),
            expires_at=from_ms(key.expires_at),
            revoked_at=from_ms(key.revoked_at),
            limits=WireLimits(**asdict(key.limits)),
        )


def _name(names: dict[UUID, str], found: UUID | None) -> str | None:
    """The id where there is no name any more: of deleted users."""
    return None if found is None else names.get(found, str(found))
