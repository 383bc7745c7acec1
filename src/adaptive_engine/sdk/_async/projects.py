"""Projects: /api/v1/projects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adaptive_engine.sdk._async.shares import AsyncShares

if TYPE_CHECKING:
    from adaptive_engine.sdk._async.client import AsyncAdaptive


class AsyncProjects(AsyncShares):
    """Projects, and the teams they are shared with.

    await client.projects.share("support", team="partners", role="read-only")
    """

    def __init__(self, client: AsyncAdaptive) -> None:
        self._client = client
