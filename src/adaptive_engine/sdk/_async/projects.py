"""/api/v1/projects, and the teams they are shared with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from adaptive_engine.sdk._async.shares import AsyncShares
from adaptive_engine.sdk.errors import NotFoundError
from adaptive_engine.sdk.http import Call
from adaptive_engine.sdk.payloads import ProjectSettingsInput, TimeRange, decode, encode, path_part, time_text
from adaptive_engine.sdk.settings import choose_project
from adaptive_engine.wire.projects import Project, ProjectList
from adaptive_engine.wire.traffic import ProjectTraffic
from adaptive_engine.wire.usage import ProjectUsage

if TYPE_CHECKING:
    from adaptive_engine.sdk._async.client import AsyncAdaptive

# A name for it, because inside the class `list` is the method.
FoundProjects: TypeAlias = list[Project]


class AsyncProjects(AsyncShares):
    """The projects that the key may see, and the teams they are shared with.

    ```python
    await client.projects.create("support", name="Customer support")
    await client.models.attach("qwen3", wait=True, project="support")
    await client.projects.share("support", team="partners", role="read-only")
    ```
    """

    def __init__(self, client: AsyncAdaptive) -> None:
        self._client = client

    async def create(
        self,
        key: str | None = None,
        name: str | None = None,
        description: str | None = None,
        team: str | None = None,
        *,
        settings: ProjectSettingsInput | None = None,
    ) -> Project:
        """Make a project. Without a key it is made from the name; without a name it is the key. `settings` are as in
        `update`.

        It belongs to `team`, one of the caller's, or to team `default`. Raises ConflictError when the
        key is taken, if only by an archived project.
        """
        fields = {"key": key, "name": name, "description": description, "team": team, "settings": settings}
        return decode(Project, await self._client._send(Call("POST", "/projects", content=encode(fields))))

    async def list(self, *, archived: bool = False) -> FoundProjects:
        """Those in use, by key; with `archived`, those that are not."""
        query = [("archived", "true")] if archived else []
        return decode(ProjectList, await self._client._send(Call("GET", "/projects", query=query))).data

    async def get(self, project: str | None = None) -> Project | None:
        """One project by key or id, archived or not; None when there is none that the key may see."""
        try:
            response = await self._client._send(Call("GET", self._path(project)))
        except NotFoundError as error:
            if error.code != "project_not_found":
                raise
            return None
        return decode(Project, response)

    async def update(
        self,
        project: str | None = None,
        *,
        name: str | None = None,
        description: str | None = None,
        settings: ProjectSettingsInput | None = None,
    ) -> Project:
        """Change what is given. `settings` has `default_metric`, a metric's key, and `limits`: `requests_per_minute`,
        `tokens_per_minute` and `concurrent_requests` of all its keys together. None removes each of these.
        """
        body = encode({"name": name, "description": description, "settings": settings})
        return decode(Project, await self._client._send(Call("PATCH", self._path(project), content=body)))

    async def usage(
        self,
        project: str | None = None,
        group_by: Literal["model", "hour", "day"] | None = None,
        timerange: TimeRange | None = None,
    ) -> ProjectUsage:
        """Tokens of the project's interactions, and what they cost at their providers, by currency.

        `timerange` is as in `interactions.list`.
        """
        given = {"group_by": group_by, **{name: time_text(value) for name, value in (timerange or {}).items()}}  # type: ignore[arg-type]
        query = [(name, value) for name, value in given.items() if value is not None]
        call = Call("GET", f"{self._path(project)}/usage", query=query)
        return decode(ProjectUsage, await self._client._send(call))

    async def traffic(
        self,
        project: str | None = None,
        width: Literal["hour", "day"] = "hour",
        timerange: TimeRange | None = None,
    ) -> ProjectTraffic:
        """How many requests were answered, failed or were cancelled, in each hour or day and of each model, with their
        tokens and percentiles of their times.

        `timerange` is as in `interactions.list`; without one, it is the last 7 days of hours or 30 days.
        """
        given = {"width": width, **{name: time_text(value) for name, value in (timerange or {}).items()}}  # type: ignore[arg-type]
        query = [(name, value) for name, value in given.items() if value is not None]
        call = Call("GET", f"{self._path(project)}/traffic", query=query)
        return decode(ProjectTraffic, await self._client._send(call))

    async def archive(self, project: str) -> Project:
        """Refuse requests to the project and unload what only it wants; what is stored stays readable."""
        return decode(Project, await self._client._send(Call("POST", f"{self._path(project)}/archive")))

    async def unarchive(self, project: str) -> Project:
        """Bring an archived project back, with its models."""
        return decode(Project, await self._client._send(Call("POST", f"{self._path(project)}/unarchive")))

    def _path(self, project: str | None) -> str:
        return f"/projects/{path_part('project', choose_project(project, None, self._client.default_project))}"
