"""What a server asks of its internal models, whichever process runs them."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from adaptive_engine.errors import Conflict
from adaptive_engine.services import memory
from adaptive_engine.services.local_models import Loaded, LocalModels
from adaptive_engine.settings import EngineSettings
from adaptive_engine.types import Model, ModelMemory, Project

if TYPE_CHECKING:
    from adaptive_engine.engine import EngineStats
    from adaptive_engine.services.backends import Asked, Job
    from adaptive_engine.services.structured import FormatCheck
    from adaptive_engine.wire.chat import ResponseFormat
    from adaptive_engine.wire.structured import SchemaReport


class ModelEngine(Protocol):
    """The engine of one model that is loaded, a `backends.Backend`. Its coroutines raise what requests get."""

    async def prepare(self, asked: Asked) -> Job: ...

    async def inspect(self, schema: Any) -> SchemaReport:
        """What would become of `schema`, in the model's tokens."""

    async def check(self, wanted: ResponseFormat | None, project: Project, max_tokens: int | None) -> FormatCheck:
        """Raises InvalidRequest for a format that requests would be refused for, with `max_tokens` if given."""


class ModelEngines(LocalModels[Loaded]):
    """The internal models of one server, by key. Thread-safe."""

    def __init__(self, models_dir: Path, settings: EngineSettings) -> None:
        self._models_dir = models_dir
        self._settings = settings
        self._limit = settings.memory_limit_bytes or memory.default_limit()

    @abstractmethod
    def read_ahead(self, model_key: str) -> None:
        """Begin to read a model that will most likely be loaded; what it needs of the store is not known yet."""

    @abstractmethod
    def stats(self, model_key: str) -> EngineStats | None:
        """Of a model that is in memory, a second old at most."""

    def context_length(self, model: Model) -> int:
        active = self.status(model.key).active
        return (active and active.max_seq_len) or model.context_length

    def wait(self) -> None:
        """Return when every model that was to be loaded is, or has failed to."""
        for settled in [self.settled(key) for key in list(self.known())]:
            if settled is not None:
                settled.result()

    def require_memory(self, model: Model) -> ModelMemory | None:
        """What the model will take, as far as that can be known. Raises Conflict when there is no room for it."""
        needed = self._estimate(model)
        if needed is not None:
            self._require(model.key, needed)
        return needed

    def _estimate(self, model: Model) -> ModelMemory | None:
        directory, tokens = self._models_dir / model.key, self._kv_cache_len(model)
        try:
            return memory.estimate(directory, tokens, deterministic=self._settings.deterministic)
        except (OSError, ValueError, KeyError):
            # Loading it will say what is wrong with the directory.
            return None

    def _kv_cache_len(self, model: Model) -> int:
        return model.compute_config.kv_cache_len or self._settings.kv_cache_len

    def _require(self, model_key: str, needed: ModelMemory) -> None:
        taken = [self.status(key).memory for key in list(self.known()) if key != model_key]
        others = sum(found.total for found in taken if found is not None)
        if others + needed.total > self._limit:
            raise Conflict(
                f"Model '{model_key}' needs {memory.describe(needed.total)} "
                f"({memory.describe(needed.weights)} of weights, {memory.describe(needed.kv_cache)} of KV cache); "
                f"other models take {memory.describe(others)} of the limit of {memory.describe(self._limit)}. "
                "Take another model offline, lower kv_cache_len, or raise ADAPTIVE_ENGINE__MEMORY_LIMIT_BYTES.",
                code="memory_limit",
            )
