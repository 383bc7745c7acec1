"""API keys: /api/v1/keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from pydantic_core import to_json

from adaptive_engine.sdk.http import Call
from adaptive_engine.sdk.payloads import LimitsInput, TimeInput, decode, encode, path_part, time_text
from adaptive_engine.wire.keys import ApiKey, ApiKeyCreated, ApiKeyList

if TYPE_CHECKING:
    from adaptive_engine.sdk._async.client import AsyncAdaptive

# A name for it, because inside the class `list` is the method.
ApiKeys: TypeAlias = list[ApiKey]


class AsyncKeys:
    """Keys of users, and keys with a role that belong to nobody.

    ```python
    key = await client.keys.create("web-shop", role="inference", project="support")
    print(key.api_key)
    ```
    """

    def __init__(self, client: AsyncAdaptive) -> None:
        self._client = client

    async def list(self) -> ApiKeys:
        """The keys that this client may revoke, oldest first, ended ones included."""
        return decode(ApiKeyList, await self._client._send(Call("GET", "/keys"))).data

    async def create(
        self,
        name: str,
        role: str | None = None,
        project: str | None = None,
        user: str | None = None,
        expires_at: TimeInput | None = None,
        expiration_for_previous_keys: TimeInput | None = None,
        limits: LimitsInput | None = None,
    ) -> ApiKeyCreated:
        """Make a key with a `role`, in one `project` or in all; or a key of `user` (e-mail or id), who may be you.

        Its text is in `api_key` and cannot be shown again. The user's earlier keys end at once, or at
        `expiration_for_previous_keys`. `limits` are its `requests_per_minute`, `tokens_per_minute` and
        `concurrent_requests`. Raises PermissionDeniedError for a key that permits more than yours.
        """
        fields = {
            "name": name,
            "role": role,
            "project": project,
            "user": user,
            "expires_at": time_text(expires_at),
            "expiration_for_previous_keys": time_text(expiration_for_previous_keys),
            "limits": limits,
        }
        return decode(ApiKeyCreated, await self._client._send(Call("POST", "/keys", content=encode(fields))))

    async def update(self, key: str, *, limits: LimitsInput | None) -> ApiKey:
        """Change the limits of the key with this id, those that are given; None removes all."""
        call = Call("PATCH", f"/keys/{path_part('key', key)}", content=to_json({"limits": limits}))
        return decode(ApiKey, await self._client._send(call))

    async def revoke(self, key: str) -> ApiKey:
        """End the key with this id. Raises ConflictError for the last admin key."""
        return decode(ApiKey, await self._client._send(Call("DELETE", f"/keys/{path_part('key', key)}")))
