"""What may be permitted, and what this client may do: /api/v1/permissions and /api/v1/me."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adaptive_engine.sdk.http import Call
from adaptive_engine.sdk.payloads import decode
from adaptive_engine.wire.roles import PermissionList
from adaptive_engine.wire.users import Me

if TYPE_CHECKING:
    from adaptive_engine.sdk._async.client import AsyncAdaptive


class AsyncPermissions:
    """Permissions, of which roles are made."""

    def __init__(self, client: AsyncAdaptive) -> None:
        self._client = client

    async def list(self) -> list[str]:
        """All permissions there are, such as 'interaction:read'."""
        found = decode(PermissionList, await self._client._send(Call("GET", "/permissions"))).data
        return [permission.key for permission in found]

    async def own(self) -> Me:
        """What this client's key may do, on the server and in each project."""
        return decode(Me, await self._client._send(Call("GET", "/me")))
