"""Named sets of permissions: /api/v1/roles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from adaptive_engine.sdk.http import Call
from adaptive_engine.sdk.payloads import decode, encode, path_part
from adaptive_engine.wire.roles import Role, RoleList

if TYPE_CHECKING:
    from adaptive_engine.sdk._async.client import AsyncAdaptive

# A name for it, because inside the class `list` is the method.
AllRoles: TypeAlias = list[Role]


class AsyncRoles:
    """Roles: those that come with the server, and your own.

    ```python
    await client.roles.create("reviewer", ["project:read", "interaction:read"])
    ```
    """

    def __init__(self, client: AsyncAdaptive) -> None:
        self._client = client

    async def list(self) -> AllRoles:
        """All roles."""
        return decode(RoleList, await self._client._send(Call("GET", "/roles"))).data

    async def create(self, key: str, permissions: Sequence[str], name: str | None = None) -> Role:
        """Make a role of permissions that you have yourself. Needs 'admin:manage_roles', as all that follow do."""
        body = encode({"key": key, "permissions": [*permissions], "name": name})
        return decode(Role, await self._client._send(Call("POST", "/roles", content=body)))

    async def update(self, role: str, permissions: Sequence[str]) -> Role:
        """Give the role these permissions instead of those it has."""
        call = Call("PATCH", _path(role), content=encode({"permissions": [*permissions]}))
        return decode(Role, await self._client._send(call))

    async def delete(self, role: str) -> Role:
        """Delete a role. Raises ConflictError while somebody has it."""
        return decode(Role, await self._client._send(Call("DELETE", _path(role))))


def _path(role: str) -> str:
    return f"/roles/{path_part('role', role)}"
