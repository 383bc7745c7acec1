"""Models of a running server: what the store says is wanted, and what the engines make of it, changed together."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adaptive_engine.errors import ModelOffline
from adaptive_engine.services import models
from adaptive_engine.services.engines import Engines, ModelStatus
from adaptive_engine.services.routing import Routing
from adaptive_engine.settings import EngineSettings
from adaptive_engine.store import Connection, Database, deployments
from adaptive_engine.store import models as store
from adaptive_engine.types import ComputeConfig, Deployment, Model

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
        self, database: Database, routing: Routing, engines: Engines, schemas: Schemas, settings: EngineSettings
    ) -> None:
        self._database = database
        self._routing = routing
        self._engines = engines
        self._schemas = schemas
        self._settings = settings
        # What is stored and what is done about it must come in the same order.
        self._lock = threading.Lock()

    async def list(self) -> list[ModelOverview]:
        """All registered models, by key."""

        def read() -> list[ModelOverview]:
            with self._database.read() as connection:
                attached = deployments.list_all(connection)
                return [
                    ModelOverview(
                        model, [d for d in attached if d.model.id == model.id], self._engines.status(model.key)
                    )
                    for model in store.list_all(connection)
                ]

        return await asyncio.to_thread(read)

    async def get(self, model_key: str) -> ModelOverview:
        """Raises NotFound."""

        def read() -> ModelOverview:
            with self._database.read() as connection:
                model = models.find(connection, model_key)
                attached = deployments.list_for_model(connection, model_key)
            return ModelOverview(model, attached, self._engines.status(model_key))

        return await asyncio.to_thread(read)

    async def deploy(self, project_key: str, model_key: str, *, make_default: bool = False) -> None:
        """Attach a model to a project and begin to load it.

        Raises NotFound, or Conflict when there is no memory for it; then nothing is changed.
        """

        def change(connection: Connection) -> Model:
            model = models.deploy(connection, project_key, model_key, make_default=make_default).model
            self._require_memory(model)
            return model

        await self._apply(change)

    async def update(
        self, project_key: str, model_key: str, *, online: bool | None = None, make_default: bool = False
    ) -> None:
        """Let one project's model answer or not, or make it the project's default. Raises what `deploy` raises."""

        def change(connection: Connection) -> Model:
            deployment = models.find_deployment(connection, project_key, model_key)
            if online:
                self._require_memory(deployment.model)
            return models.update(connection, deployment, online=online, make_default=make_default).model

        await self._apply(change)

    async def terminate(self, model_key: str, *, force: bool = False) -> None:
        """Take a model out of memory for all projects; what it answers ends with ModelOffline.

        Raises NotFound, or Conflict when several projects want it online and `force` is not given.
        """

        def change(connection: Connection) -> Model:
            models.terminate(connection, model_key, force=force)
            return models.find(connection, model_key)

        await self._apply(change)

    async def configure(self, model_key: str, change: Callable[[ComputeConfig], ComputeConfig]) -> None:
        """Change what the model is loaded with the next time. Raises NotFound or InvalidRequest."""

        def write() -> None:
            with self._database.write() as connection:
                config = change(models.find(connection, model_key).compute_config)
                models.configure(connection, model_key, config, kv_cache_len=self._settings.kv_cache_len)

        await asyncio.to_thread(write)

    async def until_online(self, model_key: str) -> None:
        """Return when the model answers. Raises ModelOffline when it comes to nothing."""
        settled = self._engines.settled(model_key)
        if settled is not None:
            # Others wait for the same.
            await asyncio.shield(asyncio.wrap_future(settled))
        status = self._engines.status(model_key)
        if status.state != "ONLINE":
            raise ModelOffline(f"Model '{model_key}' is not online: {status.reason or 'it was terminated meanwhile.'}")

    def apply(self, change: Callable[[Connection], Model]) -> None:
        """Commit what another thread decided about a model, and let routing and engines follow. Blocks."""
        self._apply_blocking(change)

    async def _apply(self, change: Callable[[Connection], Model]) -> None:
        unloaded = await asyncio.to_thread(self._apply_blocking, change)
        if unloaded is not None:
            self._schemas.forget(unloaded)

    def _apply_blocking(self, change: Callable[[Connection], Model]) -> Vocabulary | None:
        """Commit the change and let the engines follow. Returns the vocabulary of the engine that was closed, if one
        was. Not the engine: its memory is given back here and not on the event loop, which that would hold up.
        """
        with self._lock:
            with self._database.write() as connection:
                model = change(connection)
                wanted = any(d.online for d in deployments.list_for_model(connection, model.key))
            self._routing.refresh()
            if not wanted:
                closed = self._engines.unload(model.key)
                return closed.vocabulary if closed else None
            self._engines.load(model)
            return None

    def _require_memory(self, model: Model) -> None:
        if self._engines.status(model.key).state in ("OFFLINE", "ERROR"):
            self._engines.require_memory(model)
