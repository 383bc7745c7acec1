"""The engines of the models that this process has in memory: loaded, unloaded and found here."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from adaptive_engine._version import __version__
from adaptive_engine.errors import AdaptiveError, ModelOffline
from adaptive_engine.native.library import instructions
from adaptive_engine.registry import ModelDirectory
from adaptive_engine.services.local_models import ModelStatus
from adaptive_engine.services.model_engines import ModelEngines
from adaptive_engine.settings import EngineSettings
from adaptive_engine.types import ComputeConfig, Model, ModelMemory, ModelState

if TYPE_CHECKING:
    from adaptive_engine.engine import Engine, EngineOptions, EngineStats
    from adaptive_engine.engine.loading import ReadModel
    from adaptive_engine.grammar.masks import Vocabulary

log = logging.getLogger(__name__)


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


class Engines(ModelEngines["Engine"]):
    """Engines by model key. Thread-safe; one thread loads, a model after the other."""

    def __init__(
        self, models_dir: Path, settings: EngineSettings, on_change: Callable[[], None] = lambda: None
    ) -> None:
        """`on_change` is told when a model begins or ends to be loaded, and when one is gone; from any thread."""
        super().__init__(models_dir, settings)
        self._on_change = on_change
        self._lock = threading.RLock()
        self._models: dict[str, _Loading] = {}
        self._read: dict[str, Future[ReadModel]] = {}
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="load-model")
        self.loading: str | None = None
        """The model that is being loaded at this moment."""

    def read_ahead(self, model_key: str) -> None:
        self._read[model_key] = self._loader.submit(_read, self._models_dir / model_key)

    def load(self, model: Model) -> Future[None]:
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

    def unload(self, model_key: str) -> Vocabulary | None:
        gone = self.remove(model_key)
        return None if gone is None else self.end(model_key, gone)

    def remove(self, model_key: str) -> Engine | None:
        """The quick part of `unload`: what is loaded from now on stays. `end` takes the engine, if there was one."""
        with self._lock:
            self._read.pop(model_key, None)
            gone = self._models.pop(model_key, None)
            if gone is None:
                return None
            gone.settle()
            return gone.engine

    def end(self, model_key: str, engine: Engine) -> Vocabulary:
        """Close an engine that was removed, whose vocabulary this is. Blocks for a step of it."""
        vocabulary = engine.vocabulary
        engine.close(partial(ModelOffline, f"Model '{model_key}' was taken offline during this request."))
        log.info("model %s is unloaded", model_key)
        self._on_change()
        return vocabulary

    def loaded(self, model_key: str) -> Engine | None:
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

    def stats(self, model_key: str) -> EngineStats | None:
        engine = self.loaded(model_key)
        return engine.stats if engine else None

    def settled(self, model_key: str) -> Future[None] | None:
        loading = self._models.get(model_key)
        return loading.settled if loading else None

    def known(self) -> Iterable[str]:
        with self._lock:
            return list(self._models)

    def model(self, model_key: str) -> Model | None:
        """As it was to be loaded."""
        loading = self._models.get(model_key)
        return loading.model if loading else None

    def close(self) -> None:
        """Blocks until their steps, and a load, are done."""
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
        read = self._read.pop(key, None)
        if self._models.get(key) is not loading:
            return
        self.loading = key
        self._on_change()
        try:
            engine = self._engine(loading, read)
        except BaseException as exc:
            # Libraries in Rust panic with one that is no Exception, and somebody waits for this.
            self.loading = None
            self._fail(loading, exc)
            return
        self.loading = None
        with self._lock:
            wanted = self._models.get(key) is loading
            if wanted:
                loading.engine = engine
                loading.settle()
        if wanted:
            log.info("model %s is loaded", key)
            self._on_change()
        else:
            engine.close()

    def _engine(self, loading: _Loading, reading: Future[ReadModel] | None) -> Engine:
        from adaptive_engine.engine import Engine

        model = loading.model
        directory = ModelDirectory.load(self._models_dir / model.key)
        read = reading.result() if reading else None
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
            hang_seconds=self._settings.hang_seconds,
        )

    def _fail(self, loading: _Loading, error: BaseException) -> None:
        key = loading.model.key
        log.error("model %s cannot be loaded", key, exc_info=error)
        message = error.message if isinstance(error, AdaptiveError) else f"{type(error).__name__}: {error}"
        with self._lock:
            loading.failure = f"It cannot be loaded. {message.removeprefix('EntityNotFound: ')}"
            loading.settle()
        self._on_change()


def _fingerprint(directory: ModelDirectory, options: EngineOptions) -> str:
    """Changes with the build, the runtime, the model's files and how it is run: with all that texts depend on."""
    files = sorted((name, record.sha256) for name, record in directory.manifest.files.items())
    runtime = instructions() if directory.engine == "native" else metadata.version("openvino")
    parts = [__version__, runtime, files, asdict(options)]
    return "fp_" + hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def _read(directory: Path) -> ReadModel:
    from adaptive_engine.engine import read_model

    return read_model(directory)
