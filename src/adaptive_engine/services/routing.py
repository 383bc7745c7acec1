"""Which deployment answers: `project/model`, or `project` for its default model."""

from __future__ import annotations

import asyncio
import difflib
import threading
import time
from collections.abc import Iterable
from uuid import UUID

from adaptive_engine.errors import Conflict, NotFound
from adaptive_engine.services import access
from adaptive_engine.store import deployments, projects
from adaptive_engine.store.database import Database
from adaptive_engine.types import Deployment, Principal, Project

# Changes made by another process, such as `adaptive models deploy`, are seen after at most this many seconds.
_FRESH_SECONDS = 5.0
# What an archived project is still there for: to be read, to be cleared of data, and to be brought back.
_IN_ARCHIVED = frozenset({"project:read", "project:archive", "project:share", "interaction:read", "interaction:delete"})


class _Snapshot:
    """All projects and deployments at one moment."""

    def __init__(self, all_projects: Iterable[Project], all_deployments: Iterable[Deployment]) -> None:
        self.loaded_at = time.monotonic()
        self.projects = {project.key: project for project in all_projects}
        self.by_id = {project.id: project for project in self.projects.values()}
        self.deployments: dict[UUID, dict[str, Deployment]] = {p.id: {} for p in self.projects.values()}
        for deployment in all_deployments:
            self.deployments.setdefault(deployment.project.id, {})[deployment.model.key] = deployment


class Routing:
    """Resolves what a request addresses, from a snapshot of the store that is a few seconds old at most."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._snapshot = self._load()

    def project(
        self, principal: Principal, id_or_key: str, param: str = "project", *, needs: str = "project:read"
    ) -> Project:
        """The project, in which the caller has the permission `needs`.

        Raises NotFound for unknown projects and, in the same words, for those that the caller may not even see,
        PermissionDenied for others, and Conflict for what an archived project is not there for.
        """
        snapshot = self._current()
        project = snapshot.projects.get(id_or_key)
        if project is None:
            project = snapshot.by_id.get(_uuid_or_none(id_or_key))  # type: ignore[arg-type]
        if project is None or not principal.may("project:read", project.id):
            raise NotFound(
                f"Project '{id_or_key}' does not exist, or this key may not use it.{self._hint(principal, id_or_key)}",
                code="project_not_found",
                param=param,
            )
        if not principal.may(needs, project.id):
            raise access.denied(needs, project.key, param)
        if project.archived and needs not in _IN_ARCHIVED:
            raise Conflict(
                f"Project '{project.key}' is archived. Bring it back: adaptive projects unarchive {project.key}",
                code="project_archived",
                param=param,
            )
        return project

    def projects(self, principal: Principal, *, needs: str = "project:read") -> list[Project]:
        """Those in which the caller has the permission; archived ones as far as it is one that they are there for."""
        return [
            project
            for project in self._current().projects.values()
            if principal.may(needs, project.id) and (not project.archived or needs in _IN_ARCHIVED)
        ]

    def deployment(self, principal: Principal, model: str, *, needs: str = "completion:create") -> Deployment:
        """`model` as a request spells it: `project/model`, `project/` or `project`.

        Raises NotFound, or PermissionDenied when the caller lacks `needs` in the project.
        """
        project_key, _, model_key = model.partition("/")
        project = self.project(principal, project_key, param="model", needs=needs)
        attached = self._current().deployments.get(project.id, {})
        if not model_key:
            default = next((d for d in attached.values() if d.is_default), None)
            if default is None:
                raise NotFound(
                    f"Project '{project.key}' has no default model. Name one as '{project.key}/MODEL'.",
                    code="no_default_model",
                    param="model",
                )
            return default
        if model_key not in attached:
            names = ", ".join(f"'{project.key}/{key}'" for key in attached) or "none"
            raise NotFound(
                f"Model '{model_key}' is not deployed in project '{project.key}'. Deployed: {names}.",
                code="model_not_found",
                param="model",
            )
        return attached[model_key]

    def deployments(self, principal: Principal) -> list[Deployment]:
        snapshot = self._current()
        return [d for p in self.projects(principal) for d in snapshot.deployments.get(p.id, {}).values()]

    def wanted(self) -> set[str]:
        """Keys of the models that some project wants to answer, as of the last look at the store."""
        attached = self._snapshot.deployments.values()
        return {key for deployed in attached for key, deployment in deployed.items() if deployment.online}

    async def renew(self) -> None:
        """Look at the store again when the snapshot is old. To be awaited before a request is routed: the event loop
        must not wait for the store itself, which may take seconds to say that it is not there.

        Raises StorageUnavailable.
        """
        if self._is_old() and not self._lock.locked():
            await asyncio.to_thread(self._current)

    def refresh(self) -> None:
        """Let what was just committed count at once. Blocks for a query."""
        with self._lock:
            self._snapshot = self._load()

    def first_default(self, principal: Principal) -> Deployment:
        """A default model that the caller may use, for questions that any model can answer.

        Raises NotFound, or PermissionDenied when the caller may not use models anywhere.
        """
        usable = {project.id for project in self.projects(principal, needs="completion:create")}
        if not usable:
            raise access.denied("completion:create")
        for deployment in self.deployments(principal):
            if deployment.is_default and deployment.project.id in usable:
                return deployment
        raise NotFound("No project of this key has a default model. Name a model.", code="no_default_model")

    def _hint(self, principal: Principal, wanted: str) -> str:
        """What the caller may have meant, among what the caller may see."""
        for deployment in self.deployments(principal):
            if deployment.model.key == wanted:
                return f" Did you mean '{deployment.project.key}/{wanted}'? `model` is 'project' or 'project/model'."
        known = [project.key for project in self.projects(principal) if not project.archived]
        close = difflib.get_close_matches(wanted, known, n=1)
        return f" Did you mean '{close[0]}'?" if close else ""

    def _current(self) -> _Snapshot:
        if self._is_old() and self._lock.acquire(blocking=False):
            try:
                self._snapshot = self._load()
            finally:
                self._lock.release()
        return self._snapshot

    def _is_old(self) -> bool:
        return time.monotonic() - self._snapshot.loaded_at > _FRESH_SECONDS

    def _load(self) -> _Snapshot:
        with self._database.read() as connection:
            return _Snapshot(projects.list_all(connection, archived=True), deployments.list_all(connection))


def _uuid_or_none(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
