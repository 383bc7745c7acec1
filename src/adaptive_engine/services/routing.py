"""Which deployment answers: `project/model`; or, for `project`, what an A/B test chooses, or its default model."""

from __future__ import annotations

import asyncio
import difflib
import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from uuid import UUID

from adaptive_engine.errors import Conflict, InvalidRequest, NotFound, StorageUnavailable
from adaptive_engine.experiments import assign
from adaptive_engine.services import access
from adaptive_engine.store import ab_tests, deployments, projects
from adaptive_engine.store.database import Database
from adaptive_engine.types import AbTest, Deployment, Principal, Project, uuid_or_none

_log = logging.getLogger(__name__)

# Changes made by another process, such as `adaptive models deploy`, are seen after at most this many seconds.
_FRESH_SECONDS = 5.0
# A store that did not answer is asked again after so many.
_OUTAGE_PAUSE = 1.0
# What an archived project is still there for: to be read, to be cleared of data, and to be brought back.
_IN_ARCHIVED = frozenset({"project:read", "project:archive", "project:share", "interaction:read", "interaction:delete"})


@dataclass(frozen=True, slots=True)
class Route:
    """Who answers a request, and the A/B test that chose it, if one did."""

    deployment: Deployment
    ab_test: AbTest | None = None
    ab_test_unit: int | None = None


class _Snapshot:
    """All projects, deployments and active A/B tests at one moment."""

    def __init__(
        self, all_projects: Iterable[Project], all_deployments: Iterable[Deployment], active_tests: Iterable[AbTest]
    ) -> None:
        self.projects = {project.key: project for project in all_projects}
        self.by_id = {project.id: project for project in self.projects.values()}
        self.deployments: dict[UUID, dict[str, Deployment]] = {p.id: {} for p in self.projects.values()}
        for deployment in all_deployments:
            self.deployments.setdefault(deployment.project.id, {})[deployment.model.key] = deployment
        self.ab_tests: dict[UUID, list[tuple[AbTest, dict[int, Deployment]]]] = {}
        """By project, oldest first: each active test with its arms."""
        for test in active_tests:
            self.ab_tests.setdefault(test.project_id, []).append((test, self.arms(test)))

    def arms(self, test: AbTest) -> dict[int, Deployment]:
        """The deployments among which a test divides its requests, by position; detached models are not there."""
        attached = self.deployments.get(test.project_id, {})
        return {arm.position: attached[arm.model_key] for arm in test.arms if arm.model_key in attached}


class Routing:
    """Resolves what a request addresses, from a snapshot of the store that is a few seconds old at most."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self.on_change: Callable[[], None] = lambda: None
        """Told of what this process has changed."""
        # A moment of the monotonic clock.
        self._old_at = 0.0
        self._out = False
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
        if project is None and (project_id := uuid_or_none(id_or_key)):
            project = snapshot.by_id.get(project_id)
        if project is None or not principal.may("project:read", project.id):
            raise NotFound(
                f"Project '{id_or_key}' does not exist, or this key may not use it."
                f"{self._hint(principal, id_or_key, param)}",
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

    def projects(self, principal: Principal, only: str | None = None, *, needs: str = "project:read") -> list[Project]:
        """Those that the caller may see and has the permission in; archived ones as far as they are there for it.

        `only` names a project: the list is that one, or this raises as `project` does.
        """
        if only is not None:
            return [self.project(principal, only, needs=needs)]
        return [
            project
            for project in self._current().projects.values()
            if principal.may("project:read", project.id)
            and principal.may(needs, project.id)
            and (not project.archived or needs in _IN_ARCHIVED)
        ]

    def deployment(
        self, principal: Principal, model: str, param: str = "model", *, needs: str = "completion:create"
    ) -> Deployment:
        """`model` as a request spells it, in the field `param`: `project/model`, `project/` or `project`.

        Raises NotFound, or PermissionDenied when the caller lacks `needs` in the project.
        """
        project_key, _, model_key = model.partition("/")
        project = self.project(principal, project_key, param, needs=needs)
        attached = self._current().deployments.get(project.id, {})
        if not model_key:
            default = next((d for d in attached.values() if d.is_default), None)
            if default is None:
                way_out = f"Name one as '{project.key}/MODEL'."
                if not attached:
                    way_out = f"It has none at all. Add one: adaptive models deploy MODEL --project {project.key}"
                raise NotFound(
                    f"Project '{project.key}' has no default model. {way_out}",
                    code="no_default_model",
                    param=param,
                )
            return default
        if model_key not in attached:
            names = ", ".join(f"'{project.key}/{key}'" for key in attached) or "none"
            raise NotFound(
                f"Model '{model_key}' is not deployed in project '{project.key}'. Deployed: {names}.",
                code="model_not_found",
                param=param,
            )
        return attached[model_key]

    def fallbacks(self, deployment: Deployment) -> list[Deployment]:
        """Who answers when it fails, in order: those of its settings that are attached to its project now."""
        keys = deployment.settings.get("fallbacks")
        if not keys:
            return []
        attached = self._current().deployments.get(deployment.project.id, {})
        return [attached[key] for key in keys if key in attached and key != deployment.model.key]

    def route(
        self,
        principal: Principal,
        model: str,
        unit: str,
        campaign: AbTest | None,
        answers: Callable[[Deployment], bool],
    ) -> Route:
        """Who answers a request for `model`, spelled as in `deployment`.

        Without a model in it, the oldest A/B test whose split admits `unit` divides its requests among those arms that
        answer now. With a `campaign`, the request enters that one. Raises NotFound, InvalidRequest for a model that the
        test cannot be asked to use, and Conflict for a test without models.
        """
        if campaign is not None:
            return self._forced(principal, model, unit, campaign, answers)
        project_key, _, model_key = model.partition("/")
        if not model_key and (active := self._current().ab_tests):
            project = self.project(principal, project_key, param="model", needs="completion:create")
            for test, arms in active.get(project.id, ()):
                lot = assign.draw(test.id, unit)
                if assign.admits(lot, test.traffic_split):
                    online = [position for position, arm in arms.items() if answers(arm)]
                    # One arm alone would only collect scores of another time than the others'.
                    if len(online) > 1:
                        return Route(arms[assign.choose(lot, online)], test, assign.unit_number(lot))
        return Route(self.deployment(principal, model))

    async def campaign(self, principal: Principal, model: str, id_or_key: str) -> AbTest:
        """The A/B test that a request for `model` names. Raises what `project` and `ab_test` raise."""
        project = self.project(principal, model.partition("/")[0], param="model", needs="completion:create")
        known = self._active(project, id_or_key)
        return known if known is not None else await asyncio.to_thread(self.ab_test, project, id_or_key)

    def ab_test(self, project: Project, id_or_key: str, param: str = "ab_campaign") -> AbTest:
        """An active A/B test of the project. Raises NotFound, or Conflict when it has ended. May block for a query."""
        known = self._active(project, id_or_key)
        if known is not None:
            return known
        # Another server may have made it a moment ago; mostly it has ended, or never was.
        with self._database.read() as connection:
            found = ab_tests.find(connection, [project.id], id_or_key)
        if not found:
            raise NotFound(
                f"Project '{project.key}' has no A/B test '{id_or_key}'. GET /api/v1/ab_tests lists them.",
                code="ab_test_not_found",
                param=param,
            )
        if not found[0].active:
            raise Conflict(
                f"A/B test '{id_or_key}' has ended ({found[0].status}) and takes no more requests. Leave {param} out.",
                code="ab_test_ended",
                param=param,
            )
        return found[0]

    def _active(self, project: Project, id_or_key: str) -> AbTest | None:
        tests = self._current().ab_tests.get(project.id, ())
        return next((test for test, _ in tests if id_or_key in (test.key, str(test.id))), None)

    def _forced(
        self, principal: Principal, model: str, unit: str, test: AbTest, answers: Callable[[Deployment], bool]
    ) -> Route:
        project_key, _, model_key = model.partition("/")
        project = self.project(principal, project_key, param="model", needs="completion:create")
        lot = assign.draw(test.id, unit)
        arms = self._current().arms(test)
        if model_key:
            # Who compares two models asks each of them; who scores one must not choose whom.
            if test.score_type == "DIRECT":
                raise InvalidRequest(
                    f"A/B test '{test.key}' chooses the model, so `model` must be '{project.key}' alone.", param="model"
                )
            named = next((arm for arm in arms.values() if arm.model.key == model_key), None)
            if named is None:
                names = ", ".join(f"'{arm.model.key}'" for arm in arms.values())
                raise InvalidRequest(f"A/B test '{test.key}' compares {names}, not '{model_key}'.", param="model")
            return Route(named, test, assign.unit_number(lot))
        # With nobody there, the one it would have been says why.
        online = [position for position, arm in arms.items() if answers(arm)] or list(arms)
        if not online:
            raise Conflict(
                f"No model of A/B test '{test.key}' is attached to project '{project.key}' any more. Cancel the test.",
                code="ab_test_without_models",
                param="ab_campaign",
            )
        return Route(arms[assign.choose(lot, online)], test, assign.unit_number(lot))

    def deployments(self, principal: Principal, only: str | None = None) -> list[Deployment]:
        """Those in the caller's projects, or in the `only` one that is named. Raises as `project` does."""
        snapshot = self._current()
        return [d for p in self.projects(principal, only) for d in snapshot.deployments.get(p.id, {}).values()]

    def wanted(self) -> set[str]:
        """Keys of the models that some project wants this server to run, as of the last look at the store."""
        attached = self._snapshot.deployments.values()
        return {
            key
            for deployed in attached
            for key, deployment in deployed.items()
            if deployment.online and deployment.model.external is None
        }

    def is_wanted(self, model_key: str) -> bool:
        """Whether some project wants this model to answer."""
        attached = self._snapshot.deployments.values()
        return any(model_key in deployed and deployed[model_key].online for deployed in attached)

    async def renew(self) -> None:
        """Look at the store again when the snapshot is old. To be awaited before a request is routed: the event loop
        must not wait for the store itself, which may take seconds to say that it is not there. Until it is back,
        requests are routed by what it said last.
        """
        if self._is_old() and not self._lock.locked():
            await asyncio.to_thread(self._current)

    def refresh(self) -> None:
        """Let what was just committed count at once, for other workers of this server too. Blocks for a query."""
        self.reload()
        self.on_change()

    def reload(self) -> None:
        """Let what another has committed count at once. Blocks for a query."""
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

    def _hint(self, principal: Principal, wanted: str, param: str) -> str:
        """What the caller may have meant, among what the caller may see."""
        for deployment in self.deployments(principal):
            if deployment.model.key == wanted:
                return f" Did you mean '{deployment.project.key}/{wanted}'? `model` is 'project' or 'project/model'."
        known = [project.key for project in self.projects(principal) if not project.archived]
        close = difflib.get_close_matches(wanted, known, n=1)
        if close:
            return f" Did you mean '{close[0]}'?"
        if param != "model" or not known:
            return ""
        # Most likely a vendor's name of a model.
        some = min(known, key=lambda key: (key != "default", key))
        return f" `model` is 'project' or 'project/model', for example '{some}'."

    def _current(self) -> _Snapshot:
        if self._is_old() and self._lock.acquire(blocking=False):
            try:
                self._snapshot = self._load()
                self._out = False
            except StorageUnavailable as error:
                if not self._out:
                    _log.warning("requests are routed by what the store said last: %s", error.message)
                self._out = True
                self._old_at = time.monotonic() + _OUTAGE_PAUSE
            finally:
                self._lock.release()
        return self._snapshot

    def _is_old(self) -> bool:
        return time.monotonic() > self._old_at

    def _load(self) -> _Snapshot:
        began = time.monotonic()
        with self._database.read() as connection:
            snapshot = _Snapshot(
                projects.list_all(connection, archived=True),
                deployments.list_all(connection),
                ab_tests.list_for_projects(connection, active=True),
            )
        self._old_at = began + _FRESH_SECONDS
        return snapshot
