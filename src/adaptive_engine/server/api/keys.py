"""/api/v1/keys: make, list and revoke API keys."""

from __future__ import annotations

import asyncio
from datetime import datetime
from uuid import UUID

from fastapi import APIRouter, Request

from adaptive_engine.server.api.interactions import from_ms
from adaptive_engine.server.context import PrincipalDep, Services, ServicesDep
from adaptive_engine.server.errors import parse
from adaptive_engine.server.openai.chat import require_json
from adaptive_engine.services import api_keys
from adaptive_engine.services.api_keys import NewKey
from adaptive_engine.store import Connection, projects, users
from adaptive_engine.types import ApiKey, Principal
from adaptive_engine.wire import keys as wire

router = APIRouter(prefix="/keys")

_BODY = {"required": True, "content": {"application/json": {"schema": wire.ApiKeyCreate.model_json_schema()}}}


@router.get("")
async def list_keys(services: ServicesDep, principal: PrincipalDep) -> wire.ApiKeyList:
    """The keys that the caller may revoke, oldest first, ended ones included."""

    def read() -> wire.ApiKeyList:
        with services.database.read() as connection:
            names = _Names(connection)
            return wire.ApiKeyList(data=[names.to_wire(key) for key in api_keys.visible(connection, principal)])

    return await asyncio.to_thread(read)


@router.post("", status_code=201, openapi_extra={"requestBody": _BODY})
async def create_key(request: Request, services: ServicesDep, principal: PrincipalDep) -> wire.ApiKeyCreated:
    """Make a key. Its text is shown this once."""
    require_json(request)
    body = parse(wire.ApiKeyCreate, await request.body())
    return await asyncio.to_thread(_create, services, principal, body)


def _create(services: Services, principal: Principal, body: wire.ApiKeyCreate) -> wire.ApiKeyCreated:
    project = None
    if body.project is not None:
        project = services.routing.project(principal, body.project, needs="project:share")
    wanted = NewKey(
        name=body.name,
        role=body.role,
        project=project,
        user=body.user,
        expires_at=_to_ms(body.expires_at),
        expiration_for_previous_keys=_to_ms(body.expiration_for_previous_keys),
    )
    with services.keys.changing() as connection:
        key, text = api_keys.create(connection, services.keys, principal, wanted)
        shown = _Names(connection).to_wire(key)
    return wire.ApiKeyCreated(**shown.model_dump(), api_key=text)


@router.delete("/{key}")
async def revoke_key(services: ServicesDep, principal: PrincipalDep, key: str) -> wire.ApiKey:
    """End a key: here at once, on other servers within 5 seconds."""

    def write() -> wire.ApiKey:
        with services.keys.changing() as connection:
            return _Names(connection).to_wire(api_keys.revoke(connection, principal, key))

    return await asyncio.to_thread(write)


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
            expires_at=from_ms(key.expires_at) if key.expires_at is not None else None,
            revoked_at=from_ms(key.revoked_at) if key.revoked_at is not None else None,
        )


def _name(names: dict[UUID, str], found: UUID | None) -> str | None:
    """The id where there is no name any more: of deleted users."""
    return None if found is None else names.get(found, str(found))


def _to_ms(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp() * 1000)
