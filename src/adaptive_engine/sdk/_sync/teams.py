# Generated from _async/teams.py by scripts/unasync.py. Edit that file, then run the script.
"""Users who share projects: /api/v1/teams."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from adaptive_engine.sdk.http import Call
from adaptive_engine.sdk.payloads import decode, encode, path_part
from adaptive_engine.wire.teams import Team, TeamList

if TYPE_CHECKING:
    from adaptive_engine.sdk._sync.client import Adaptive

# A name for it, because inside the class `list` is the method.
AllTeams: TypeAlias = list[Team]


class Teams:
    """Teams own projects, or projects are shared with them.

    ```python
    client.teams.create("research")
    ```
    """

    def __init__(self, client: Adaptive) -> None:
        self._client = client

    def list(self) -> AllTeams:
        """All teams for those who manage users or share projects, their own for others."""
        return decode(TeamList, self._client._send(Call("GET", "/teams"))).data

    def create(self, key: str, name: str | None = None) -> Team:
        """Make a team without members. Needs 'admin:manage_teams'. Raises ConflictError when the key is taken."""
        call = Call("POST", "/teams", content=encode({"key": key, "name": name}))
        return decode(Team, self._client._send(call))

    def delete(self, team: str) -> Team:
        """Delete a team; its members stay users. Raises ConflictError when it is the only owner of a project."""
        return decode(Team, self._client._send(Call("DELETE", f"/teams/{path_part('team', team)}")))
