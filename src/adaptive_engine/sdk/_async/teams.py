"""Users who share projects: /api/v1/teams."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from adaptive_engine.sdk.http import Call
from adaptive_engine.sdk.payloads import decode, encode, path_part
from adaptive_engine.wire.teams import Team, TeamList

if TYPE_CHECKING:
    from adaptive_engine.sdk._async.client import AsyncAdaptive

# A name for it, because inside the class `list` is the method.
AllTeams: TypeAlias = list[Team]


class AsyncTeams:
    """Teams own projects, or projects are shared with them.

    ```python
    await client.teams.create("research")
    ```
    """

    def __init__(self, client: AsyncAdaptive) -> None:
        self._client = client

    async def list(self) -> AllTeams:
        """All teams for those who manage users or share projects, their own for others."""
        return decode(TeamList, await self._client._send(Call("GET", "/teams"))).data

    async def create(self, key: str, name: str | None = None) -> Team:
        """Make a team without members. Needs 'admin:manage_teams'. Raises ConflictError when the key is taken."""
        call = Call("POST", "/teams", content=encode({"key": key, "name": name}))
        return decode(Team, await self._client._send(call))

    async def delete(self, team: str) -> Team:
        """Delete a team; its members stay users. Raises ConflictError when it is the only owner of a project."""
        return decode(Team, await self._client._send(Call("DELETE", f"/teams/{path_part('team', team)}")))
