"""The engines of the models this server has in memory: loaded, unloaded and found here."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from adaptive_engine._version import __version__
from adaptive_engine.errors import AdaptiveError, Conflict, ModelLoading, ModelOffline
from adaptive_engine.registry import ModelDirectory
from adaptive_engine.services import memory
from adaptive_engine.settings import EngineSettings
from adaptive_engine.types import ComputeConfig, Deployment, Model, ModelMemory, ModelState

if TYPE_CHECKING:
    from adaptive_engine.engine import Engine, EngineOptions
    from adaptive_engine.engine.runner import Graph

log = logging.getLogger(__name__)

_NOT_TOLD = "it was deployed without telling this server; deploy it again, or restart the server"


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """What has become of a model on this server."""

    state: ModelState
    reason: str | None = None
    """Why it does not answer."""
    memory: ModelMemory | None = None
    """Of a loaded model; of one that is being loaded, what it will take."""
    active: ComputeConfig | None = None
    """What a loaded model runs with; no number is None."""
    loaded_from: ComputeConfig | None = None
    """The model's own settings when it was loaded."""


@dataclass(eq=False)
class _Loading:
    """A model that is to be in memory, from the wish to its end."""

    model: Model
    estimate: ModelMemory | None = None
    engine: Engine | None = None
    failure: str | None = None
    settled: Future[None] = field(default_factory=Future)
    """Done when it is loaded, has failed, or is not wanted any more. Never fails itself."""

    @property
    def problem(self) -> str | None:
        """Why it does not answer, unless it is still being loaded."""
        if self.failure is not None or self.engine is None:
            return self.failure
        return self.engine.health().reason or None

    def settle(self) -> None:
        if not self.settled.done():
            self.settled.set_result(None)


class Engines:
    """Engines by model key. Thread-safe; one thread loads, a model after the other."""

    def __init__(self, models_dir: Path, settings: EngineSettings) -> None:
        self._models_dir = models_dir
        self._settings = settings
        self._limit = settings.memory_limit_bytes or memory.default_limit()
        self._lock = threading.RLock()
        self._models: dict[str, _Loading] = {}
        self._graphs: dict[str, Future[Graph]] = {}
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="load-model")

    def read_ahead(self, model_key: str) -> None:
        """Begin to read a model that will most likely be loaded; what it needs of the store is not known yet."""
        self._graphs[model_key] = self._loader.submit(_read, self._models_dir / model_key)

    def load(self, model: Model) -> Future[None]:
        """Load a model, unless it is loaded or about to be; one that has failed is tried again. Does not block.

        The result is done when the model answers, or does not: `status` tells.
        """
        with self._lock:
            known = self._models.get(model.key)
            if known is not None and known.problem is None:
                return known.settled
            if known is not None and known.engine is not None:
                self._loader.submit(known.engine.close)
            loading = _Loading(model)
            self._models[model.key] = loading
            try:
                loading.estimate = self.require_memory(model)
            except AdaptiveError as exc:
                self._fail(loading, exc)
            else:
                self._loader.submit(self._load, loading)
            return loading.settled

    def unload(self, model_key: str) -> Engine | None:
        """Take a model out of memory; requests that it answers end with ModelOffline. Blocks for a step of it.

        Returns the engine that was closed, if there was one. A load under way is given up at its end.
        """
        with self._lock:
            self._graphs.pop(model_key, None)
            gone = self._models.pop(model_key, None)
            if gone is not None:
                gone.settle()
        if gone is None or gone.engine is None:
            return None
        gone.engine.close(partial(ModelOffline, f"Model '{model_key}' was taken offline during this request."))
        log.info("model %s is unloaded", model_key)
        return gone.engine

    def get(self, deployment: Deployment) -> Engine:
        """Raises ModelLoading or ModelOffline."""
        key, project = deployment.model.key, deployment.project.key
        if not deployment.online:
            raise ModelOffline(
                f"Model '{key}' is offline in project '{project}'. An administrator can bring it back: "
                f"adaptive models deploy {key} --project {project}"
            )
        loading = self._models.get(key)
        if loading is None:
            raise ModelOffline(f"Model '{key}' is not loaded: {_NOT_TOLD}.")
        if (problem := loading.problem) is not None:
            raise ModelOffline(f"Model '{key}' is not online: {problem}")
        if loading.engine is None:
            raise ModelLoading(key)
        return loading.engine

    def loaded(self, model_key: str) -> Engine | None:
        """The engine of a model that is in memory, whoever wants it."""
        loading = self._models.get(model_key)
        return loading.engine if loading else None

    def status(self, model_key: str) -> ModelStatus:
        loading = self._models.get(model_key)
        if loading is None:
            return ModelStatus("OFFLINE")
        if loading.failure is not None:
            return ModelStatus("ERROR", loading.failure)
        engine, config = loading.engine, loading.model.compute_config
        if engine is None:
            return ModelStatus("PENDING", "It is being loaded.", loading.estimate, loaded_from=config)
        active = ComputeConfig(engine.options.kv_cache_len, engine.max_seq_len)
        health = engine.health()
        state: ModelState = "ONLINE" if health.alive else "ERROR"
        return ModelStatus(state, health.reason or None, engine.memory, active, config)

    def settled(self, model_key: str) -> Future[None] | None:
        """Done when the model is loaded, failed, or was given up; None when nobody wants it."""
        loading = self._models.get(model_key)
        return loading.settled if loading else None

    def online(self, model_key: str) -> bool:
        loading = self._models.get(model_key)
        return loading is not None and loading.engine is not None and loading.problem is None

    def answers(self, deployment: Deployment) -> bool:
        """Whether a request to it would be answered now."""
        return deployment.online and self.online(deployment.model.key)

    def context_length(self, model: Model) -> int:
        """Most tokens of prompt and answer together, as this server runs the model."""
        loading = self._models.get(model.key)
        return loading.engine.max_seq_len if loading and loading.engine else model.context_length

    def problems(self, wanted: set[str]) -> dict[str, str]:
        """For each model of `wanted` that does not answer, why."""
        states = {key: self.status(key) for key in sorted(wanted)}
        return {key: status.reason or _NOT_TOLD for key, status in states.items() if status.state != "ONLINE"}

    def require_memory(self, model: Model) -> ModelMemory | None:
        """What the model will take, as far as that can be known. Raises Conflict when there is no room for it."""
        directory, tokens = self._models_dir / model.key, self._kv_cache_len(model)
        try:
            needed = memory.estimate(directory, tokens, deterministic=self._settings.deterministic)
        except (OSError, ValueError, KeyError):
            # Loading it will say what is wrong with the directory.
            return None
        self._require(model.key, needed)
        return needed

    def wait(self) -> None:
        """Return when every model that was to be loaded is, or has failed to."""
        with self._lock:
            underway = [loading.settled for loading in self._models.values()]
        for settled in underway:
            settled.result()

    def close(self) -> None:
        """Stop all engines; what still runs ends with an error. Blocks until their steps, and a load, are done."""
        with self._lock:
            gone = list(self._models.values())
            self._models.clear()
            for loading in gone:
                loading.settle()
        self._loader.shutdown(cancel_futures=True)
        for loading in gone:
            if loading.engine is not None:
                loading.engine.close()

    def _load(self, loading: _Loading) -> None:
        """In the loader's thread."""
        key = loading.model.key
        graph = self._graphs.pop(key, None)
        if self._models.get(key) is not loading:
            return
        try:
            engine = self._engine(loading, graph)
        except BaseException as exc:
            # Libraries in Rust panic with one that is no Exception, and somebody waits for this.
            self._fail(loading, exc)
            return
        with self._lock:
            wanted = self._models.get(key) is loading
            if wanted:
                loading.engine = engine
                loading.settle()
        if wanted:
            log.info("model %s is loaded", key)
        else:
            engine.close()

    def _engine(self, loading: _Loading, graph: Future[Graph] | None) -> Engine:
        from adaptive_engine.engine import Engine

        model = loading.model
        directory = ModelDirectory.load(self._models_dir / model.key)
        read = graph.result() if graph else None
        others = any(other.engine for other in list(self._models.values()))
        options = self._options(model)
        engine = Engine.load(directory.path, options, read, beside_others=others)
        engine.fingerprint = _fingerprint(directory, options)
        if loading.estimate is None:
            try:
                self._require(model.key, engine.memory)
            except AdaptiveError:
                engine.close()
                raise
        return engine

    def _options(self, model: Model) -> EngineOptions:
        from adaptive_engine.engine import EngineOptions

        config = model.compute_config
        longest = config.max_seq_len or self._settings.max_seq_len or model.context_length
        return EngineOptions(
            precision="deterministic" if self._settings.deterministic else "fast",
            speculation=self._settings.speculation,
            kv_cache_len=self._kv_cache_len(model),
            max_seq_len=min(longest, model.context_length),
            max_running=self._settings.max_running,
            max_waiting=self._settings.max_waiting,
            session_keep_seconds=self._settings.session_keep_seconds,
            max_waiting_tokens=self._settings.max_waiting_tokens,
            threads=self._settings.threads,
        )

    def _kv_cache_len(self, model: Model) -> int:
        return model.compute_config.kv_cache_len or self._settings.kv_cache_len

    def _require(self, model_key: str, needed: ModelMemory) -> None:
        with self._lock:
            others = sum(self._taken(other) for key, other in self._models.items() if key != model_key)
        if others + needed.total > self._limit:
            raise Conflict(
                f"Model '{model_key}' needs {memory.describe(needed.total)} "
                f"({memory.describe(needed.weights)} of weights, {memory.describe(needed.kv_cache)} of KV cache); "
                f"other models take {memory.describe(others)} of the limit of {memory.describe(self._limit)}. "
                "Take another model offline, lower kv_cache_len, or raise ADAPTIVE_ENGINE__MEMORY_LIMIT_BYTES.",
                code="memory_limit",
            )

    def _taken(self, loading: _Loading) -> int:
        if loading.failure is not None:
            return 0
        found = loading.engine.memory if loading.engine else loading.estimate
        return found.total if found else 0

    def _fail(self, loading: _Loading, error: BaseException) -> None:
        key = loading.model.key
        log.error("model %s cannot be loaded", key, exc_info=error)
        message = error.message if isinstance(error, AdaptiveError) else f"{type(error).__name__}: {error}"
        with self._lock:
            loading.failure = f"It cannot be loaded. {message.removeprefix('EntityNotFound: ')}"
            loading.settle()


def _fingerprint(directory: ModelDirectory, options: EngineOptions) -> str:
    """Changes with the build, the runtime, the model's files and how it is run: with all that texts depend on."""
    files = sorted((name, record.sha256) for name, record in directory.manifest.files.items())
    parts = [__version__, metadata.version("openvino"), files, asdict(options)]
    return "fp_" + hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def _read(directory: Path) -> Graph:
    from adaptive_engine.engine import read_graph

    return read_graph(directory)
