"""Which teams a project belongs to or is open for: /api/v1/projects/{project}/shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adaptive_engine.sdk.http import Call
from adaptive_engine.sdk.payloads import decode, encode, path_part
from adaptive_engine.wire.shares import Share, ShareList

if TYPE_CHECKING:
    from adaptive_engine.sdk._async.client import AsyncAdaptive


class AsyncShares:
    """The part of `client.projects` that is about teams. Projects, teams and roles are named by their keys."""

    _client: AsyncAdaptive

    async def shares(self, project: str) -> list[Share]:
        """The teams of the project."""
        return decode(ShareList, await self._client._send(Call("GET", _path(project)))).data

    async def share(self, project: str, team: str, role: str, is_owner: bool = False) -> list[Share]:
        """Open the project for a team, or change the role that it is shared with; an owner stays one.

        Returns all teams of the project. Needs 'project:share'.
        """
        before = await self.shares(project)
        owns = is_owner or any(share.is_owner for share in before if share.team == team)
        others = [share for share in before if share.team != team]
        return await self._replace(project, [*others, Share(team=team, role=role, is_owner=owns)])

    async def unshare(self, project: str, team: str) -> list[Share]:
        """Close the project for a team. Raises BadRequestError when no owner would be left."""
        before = await self.shares(project)
        return await self._replace(project, [share for share in before if share.team != team])

    async def _replace(self, project: str, shares: list[Share]) -> list[Share]:
        call = Call("PUT", _path(project), content=encode({"shares": [share.model_dump() for share in shares]}))
        return decode(ShareList, await self._client._send(call)).data


def _path(project: str) -> str:
    return f"/projects/{path_part('project', project)}/shares"
