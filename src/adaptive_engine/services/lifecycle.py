"""Models of a running server: what the store says is wanted, and what the engines make of it, changed together."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from collections.abc import Sequence as Seq
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adaptive_engine.errors import ModelOffline
from adaptive_engine.services import model_settings, models
from adaptive_engine.services.backends import Backends
from adaptive_engine.services.local_models import ModelStatus
from adaptive_engine.services.routing import Routing
from adaptive_engine.services.structured import StructuredOutput
from adaptive_engine.settings import EngineSettings
from adaptive_engine.store import Connection, Database, deployments
from adaptive_engine.store import models as store
from adaptive_engine.types import ComputeConfig, Deployment, Model, Notice, Project
from adaptive_engine.wire.models import ModelSettings

if TYPE_CHECKING:
    from adaptive_engine.grammar.masks import Vocabulary
    from adaptive_engine.grammar.schemas import Schemas


@dataclass(frozen=True, slots=True)
class ModelOverview:
    """A registered model, where it is deployed, and how it fares on this server."""

    model: Model
    deployments: list[Deployment]
    status: ModelStatus

    @property
    def reload_needed(self) -> bool:
        """Whether it runs with other settings than its own by now."""
        return self.status.loaded_from not in (None, self.model.compute_config)


class ModelLifecycle:
    """Deploys and terminates models. Its coroutines belong to the server's event loop, which they do not block."""

    def __init__(
        self,
        database: Database,
        routing: Routing,
        backends: Backends,
        schemas: Schemas,
        structured: StructuredOutput,
        settings: EngineSettings,
    ) -> None:
        self._database = database
        self._routing = routing
        self._backends = backends
        self._engines = backends.engines
        self._schemas = schemas
        self._structured = structured
        self._settings = settings
        # What is stored and what is done about it must come in the same order.
        self._lock = threading.Lock()

    async def list(self) -> list[ModelOverview]:
        """All registered models, by key."""

        def read() -> list[ModelOverview]:
            with self._database.read() as connection:
                attached = deployments.list_all(connection)
                return [
                    self._overview(model, [d for d in attached if d.model.id == model.id])
                    for model in store.list_all(connection)
                ]

        return await asyncio.to_thread(read)

    async def list_for_project(self, project: Project) -> Seq[ModelOverview]:
        """The models of one project, by key, with where else they are deployed."""

        def read() -> list[ModelOverview]:
            with self._database.read() as connection:
                return [
                    self._overview(each.model, deployments.list_for_model(connection, each.model.key))
                    for each in deployments.list_for_project(connection, project.id)
                ]

        return await asyncio.to_thread(read)

    async def get(self, model_key: str) -> ModelOverview:
        """Raises NotFound."""

        def read() -> ModelOverview:
            with self._database.read() as connection:
                model = models.find(connection, model_key)
                attached = deployments.list_for_model(connection, model_key)
            return self._overview(model, attached)

        return await asyncio.to_thread(read)

    async def deploy(
        self,
        project: Project,
        model_key: str,
        *,
        online: bool = True,
        make_default: bool = False,
        settings: ModelSettings | None = None,
    ) -> tuple[Notice, ...]:
        """Attach a model to a project and begin to load it. With `online` False it is attached, and else left as it is.

        Returns what of the settings will have no effect. Raises NotFound, InvalidRequest for settings that requests
        would be refused for, or Conflict when there is no memory for the model; then nothing is changed.
        """
        notices = await self._check(project, model_key, settings)

        def change(connection: Connection) -> list[Model]:
            deployment = models.attach(connection, project.key, model_key, online=online)
            models.update(connection, deployment, online=online or None, make_default=make_default, settings=settings)
            if online:
                self._require_memory(deployment.model)
            return [deployment.model]

        await self.commit(change)
        return notices

    async def update(
        self,
        project: Project,
        model_key: str,
        *,
        online: bool | None = None,
        make_default: bool = False,
        settings: ModelSettings | None = None,
    ) -> tuple[Notice, ...]:
        """Let one project's model answer or not, make it the project's default, or change its settings there.

        Returns and raises what `deploy` does.
        """
        notices = await self._check(project, model_key, settings)

        def change(connection: Connection) -> list[Model]:
            deployment = models.find_deployment(connection, project.key, model_key)
            if online:
                self._require_memory(deployment.model)
            models.update(connection, deployment, online=online, make_default=make_default, settings=settings)
            return [] if online is None else [deployment.model]

        await self.commit(change)
        return notices

    async def detach(self, project: Project, model_key: str, *, force: bool = False) -> None:
        """Take a model out of a project, and out of memory if no other project wants it; then what it answers ends with
        ModelOffline. Its files stay.

        Raises NotFound, or Conflict for the default of a project that has other models, unless `force` is given.
        """

        def change(connection: Connection) -> list[Model]:
            deployment = models.find_deployment(connection, project.key, model_key)
            models.detach(connection, deployment, force=force)
            return [deployment.model]

        await self.commit(change)

    async def terminate(self, model_key: str, *, force: bool = False) -> None:
        """Take a model out of memory for all projects; what it answers ends with ModelOffline.

        Raises NotFound, or Conflict when several projects want it online and `force` is not given.
        """

        def change(connection: Connection) -> list[Model]:
            models.terminate(connection, model_key, force=force)
            return [models.find(connection, model_key)]

        await self.commit(change)

    async def configure(self, model_key: str, change: Callable[[ComputeConfig], ComputeConfig]) -> None:
        """Change what the model is loaded with the next time. Raises NotFound or InvalidRequest."""

        def write() -> None:
            with self._database.write() as connection:
                config = change(models.find(connection, model_key).compute_config)
                models.configure(connection, model_key, config, kv_cache_len=self._settings.kv_cache_len)

        await asyncio.to_thread(write)

    async def until_online(self, model_key: str) -> None:
        """Return when the model answers. Raises ModelOffline when it comes to nothing."""
        settled = self._backends.local((await self.get(model_key)).model).settled(model_key)
        if settled is not None:
            # Others wait for the same.
            await asyncio.shield(asyncio.wrap_future(settled))
        status = (await self.get(model_key)).status
        if status.state != "ONLINE":
            raise ModelOffline(f"Model '{model_key}' is not online: {status.reason or 'it was terminated meanwhile.'}")

    async def commit(self, change: Callable[[Connection], Seq[Model]]) -> None:
        """Commit a change to what is wanted; the models that it returns are then loaded or unloaded accordingly."""
        for unloaded in await asyncio.to_thread(self._apply_blocking, change):
            self._schemas.forget(unloaded)

    def _apply_blocking(self, change: Callable[[Connection], Seq[Model]]) -> Seq[Vocabulary]:
        """Commit the change and let the engines follow. Returns the vocabularies of the engines that were closed. Not
        the engines: their memory is given back here and not on the event loop, which that would hold up.
        """
        unloaded = []
        with self._lock:
            with self._database.write() as connection:
                changed = [model for model in change(connection) if model.external is None]
                wanted = self._wanted(connection, changed)
            gone = [model for model in changed if model not in wanted]
            # In this order no request is routed to a model that nobody has begun to load, or that is gone already.
            self._load(wanted)
            self._routing.refresh()
            for model in gone:
                if (vocabulary := self._backends.local(model).unload(model.key)) is not None:
                    unloaded.append(vocabulary)
            if gone:
                # Another server of the same engine process may have been told to deploy it meanwhile.
                with self._database.read() as connection:
                    self._load(self._wanted(connection, gone))
        return unloaded

    def _wanted(self, connection: Connection, among: Seq[Model]) -> Seq[Model]:
        """Those that some project wants online."""
        return [model for model in among if any(d.online for d in deployments.list_for_model(connection, model.key))]

    def _load(self, wanted: Seq[Model]) -> None:
        for model in wanted:
            self._backends.local(model).load(model)

    async def _check(self, project: Project, model_key: str, settings: ModelSettings | None) -> tuple[Notice, ...]:
        """Settings are checked together: a schema may need more tokens than another setting allows."""
        if settings is None:
            return ()

        def read() -> tuple[Model, Deployment | None]:
            with self._database.read() as connection:
                return models.find(connection, model_key), deployments.get(connection, project.id, model_key)

        model, known = await asyncio.to_thread(read)
        together = ModelSettings.model_validate(models.merged(known.settings if known else {}, settings))
        engine = self._backends.loaded(model_key)
        return await model_settings.check(together, project, model, self._structured, engine)

    def _overview(self, model: Model, attached: Seq[Deployment]) -> ModelOverview:
        wanted = any(deployment.online for deployment in attached)
        return ModelOverview(model, [*attached], self._backends.status(model, wanted=wanted))

    def _require_memory(self, model: Model) -> None:
        if model.provider == "internal" and self._engines.status(model.key).state in ("OFFLINE", "ERROR"):
            self._engines.require_memory(model)
