"""Projects: making, changing and archiving them."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import unicodedata
from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

from adaptive_engine.errors import Conflict, InvalidRequest, NotFound
from adaptive_engine.services import limits, teams
from adaptive_engine.services.keys import KeyRing
from adaptive_engine.services.lifecycle import ModelLifecycle
from adaptive_engine.services.routing import Routing
from adaptive_engine.store import Connection, Database, deployments, metrics, projects
from adaptive_engine.types import Model, Principal, Project, now_ms, uuid7
from adaptive_engine.wire.projects import ProjectCreate, ProjectSettings, ProjectUpdate

RESERVED = frozenset({"all", "new", "none", "null"})
"""Words that command lines and addresses of pages need for themselves."""
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_UUID = re.compile(r"[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}")

Result = TypeVar("Result")


class Projects:
    """The projects of a running server. Its coroutines belong to the server's event loop, which they do not block.

    What they change counts at once here, and within 5 s in other servers on the same store.
    """

    def __init__(self, database: Database, keys: KeyRing, routing: Routing, lifecycle: ModelLifecycle) -> None:
        self._database = database
        self._keys = keys
        self._routing = routing
        self._lifecycle = lifecycle

    async def create(self, principal: Principal, given: ProjectCreate) -> Project:
        """Raises what the function `create` raises."""

        def write() -> Project:
            # Members of its team may use it from its commit on.
            with self._keys.changing_as(principal) as (connection, now):
                project = create(connection, now, given)
            self._routing.refresh()
            return project

        return await asyncio.to_thread(write)

    async def update(self, project_id: UUID, change: ProjectUpdate) -> Project:
        """Raises NotFound."""
        return await self._write(lambda connection: update(connection, project_id, change))

    async def archive(self, project_id: UUID) -> Project:
        """Refuse requests to it, and unload what only it wants; what that answers ends with ModelOffline."""

        def change(connection: Connection) -> list[Model]:
            wanted = [d.model for d in deployments.list_for_project(connection, project_id)]
            archive(connection, project_id)
            return wanted

        await self._lifecycle.commit(change)
        return await self._get(project_id)

    async def unarchive(self, project_id: UUID) -> Project:
        """Let it answer again, and load its models. What has no room in memory becomes `ERROR`, as at a start."""

        def change(connection: Connection) -> list[Model]:
            unarchive(connection, project_id)
            return [d.model for d in deployments.list_for_project(connection, project_id)]

        await self._lifecycle.commit(change)
        return await self._get(project_id)

    async def _get(self, project_id: UUID) -> Project:
        def read() -> Project:
            with self._database.read() as connection:
                return find(connection, project_id)

        return await asyncio.to_thread(read)

    async def _write(self, change: Callable[[Connection], Result]) -> Result:
        def write() -> Result:
            with self._database.write() as connection:
                result = change(connection)
            self._routing.refresh()
            return result

        return await asyncio.to_thread(write)


def create(connection: Connection, principal: Principal, given: ProjectCreate) -> Project:
    """A new project, and the team it belongs to.

    Raises InvalidRequest for a key that cannot be one, Conflict for one that is taken, and NotFound or PermissionDenied
    for a team that the caller cannot create projects for.
    """
    team = teams.for_new_project(connection, principal, given.team)
    if given.key is None and given.name is None:
        raise InvalidRequest("Give the project a key or a name.", param="key")
    key = check_key(given.key) if given.key is not None else key_from(given.name or "")
    taken = projects.get_by_key(connection, key, archived=True)
    if taken is not None:
        archived = taken.archived and principal.may("project:read", taken.id)
        way_out = "It is archived: unarchive it, or choose another key." if archived else "Choose another key."
        raise Conflict(f"Project '{key}' exists already. {way_out}", code="project_exists", param="key")
    project = Project(uuid7(), key, given.name or key, given.description or "", now_ms())
    project = dataclasses.replace(project, settings=_settings(connection, project, given.settings))
    projects.create(connection, project)
    teams.give(connection, project.id, team)
    return project


def find(connection: Connection, project_id: UUID) -> Project:
    """Archived or not. Raises NotFound."""
    project = projects.get(connection, project_id)
    if project is None:
        raise NotFound(f"Project '{project_id}' does not exist.", code="project_not_found", param="project")
    return project


def update(connection: Connection, project_id: UUID, change: ProjectUpdate) -> Project:
    """Raises NotFound for an unknown project or default metric."""
    project = find(connection, project_id)
    changed = dataclasses.replace(
        project,
        name=project.name if change.name is None else change.name,
        description=project.description if change.description is None else change.description,
        settings=_settings(connection, project, change.settings),
    )
    projects.update(connection, changed)
    return changed


def archive(connection: Connection, project_id: UUID) -> Project:
    """One that is archived stays so. Raises NotFound."""
    project = find(connection, project_id)
    archived = project if project.archived else dataclasses.replace(project, archived_at=now_ms())
    projects.update(connection, archived)
    return archived


def unarchive(connection: Connection, project_id: UUID) -> Project:
    """Raises NotFound."""
    project = dataclasses.replace(find(connection, project_id), archived_at=None)
    projects.update(connection, project)
    return project


def check_key(key: str) -> str:
    """Returns the key, or raises InvalidRequest when it cannot be a project's: requests name `project/model`."""
    if key.lower() in RESERVED:
        raise InvalidRequest(f"'{key}' is a reserved word; choose another key.", param="key")
    if _UUID.fullmatch(key):
        raise InvalidRequest("A key that looks like an id could be mistaken for one; choose another.", param="key")
    if not _KEY.fullmatch(key):
        raise InvalidRequest(
            f"{key[:80]!r} is not a project key: use 1 to 64 of A-Z, a-z, 0-9, '.', '_' and '-', "
            "starting with a letter or a digit.",
            param="key",
        )
    return key


def key_from(name: str) -> str:
    """`Kundenservice Köln` becomes `kundenservice-koln`."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    key = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:64].rstrip("-")
    if not key:
        raise InvalidRequest("No key can be made from this name: give one of letters and digits.", param="key")
    return check_key(key)


def _settings(connection: Connection, project: Project, change: ProjectSettings | None) -> dict[str, Any]:
    if change is None:
        return project.settings
    metric = change.default_metric
    if metric is not None and metrics.get_by_key(connection, project.id, metric) is None:
        raise NotFound(
            f"Metric '{metric}' is not registered here; register it, then make it the default.",
            code="metric_not_found",
            param="settings.default_metric",
        )
    merged = {**project.settings, **change.model_dump(exclude_unset=True)}
    if "limits" in change.model_fields_set:
        merged["limits"] = limits.changed(project.limits, change.limits).as_stored()
    return {name: value for name, value in merged.items() if value is not None}
