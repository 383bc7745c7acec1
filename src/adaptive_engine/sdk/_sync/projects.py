# Generated from _async/projects.py by scripts/unasync.py. Edit that file, then run the script.
"""Projects: /api/v1/projects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adaptive_engine.sdk._sync.shares import Shares

if TYPE_CHECKING:
    from adaptive_engine.sdk._sync.client import Adaptive


class Projects(Shares):
    """Projects, and the teams they are shared with.

    client.projects.share("support", team="partners", role="read-only")
    """

    def __init__(self, client: Adaptive) -> None:
        self._client = client
