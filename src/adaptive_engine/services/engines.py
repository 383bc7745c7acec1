"""The engines of the models this server has loaded."""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from adaptive_engine.errors import ModelOffline
from adaptive_engine.settings import EngineSettings
from adaptive_engine.types import Model

if TYPE_CHECKING:
    from adaptive_engine.engine import Engine
    from adaptive_engine.engine.runner import Graph

log = logging.getLogger(__name__)


class Engines:
    """Loaded engines by model key."""

    def __init__(self, models_dir: Path, settings: EngineSettings) -> None:
        self._models_dir = models_dir
        self._settings = settings
        self._engines: dict[str, Engine] = {}
        self._failures: dict[str, str] = {}
        self._compiler = ThreadPoolExecutor(1, thread_name_prefix="compile-model")
        self._compiling: dict[str, Future[Engine]] = {}

    def load_in_background(self, model_key: str) -> None:
        """Read a model and begin to compile it; a failure is told to whoever asks for the model."""
        from adaptive_engine.engine import read_graph

        directory = self._models_dir / model_key
        try:
            # Reading holds the interpreter anyway. Here it does not slow down what runs beside the compilation.
            compiling = self._compiler.submit(self._compile, directory, read_graph(directory))
        except Exception as exc:
            self._fail(model_key, exc)
        else:
            self._compiling[model_key] = compiling

    def wait(self) -> None:
        """Return when all models are loaded, or have failed to."""
        while self._compiling:
            model_key, compiling = self._compiling.popitem()
            try:
                self._engines[model_key] = compiling.result()
            except Exception as exc:
                self._fail(model_key, exc)

    def get(self, model_key: str) -> Engine:
        """Raises ModelOffline when the model is not loaded."""
        engine = self._engines.get(model_key)
        if engine is None:
            reason = self._failures.get(model_key, "the server loads newly deployed models when it starts; restart it")
            raise ModelOffline(f"Model '{model_key}' is not online: {reason}.")
        return engine

    def online(self, model_key: str) -> bool:
        return model_key in self._engines

    def context_length(self, model: Model) -> int:
        """Most tokens of prompt and answer together, as this server runs the model."""
        engine = self._engines.get(model.key)
        return engine.max_seq_len if engine else model.context_length

    def problems(self) -> list[str]:
        """Why models that should answer cannot."""
        found = [f"model '{key}': {reason}" for key, reason in self._failures.items()]
        for key, engine in self._engines.items():
            health = engine.health()
            if not health.alive:
                found.append(f"model '{key}': {health.reason}")
        return found

    def close(self) -> None:
        """Stop all engines; what still runs ends with an error. Blocks until their steps are done."""
        self.wait()
        self._compiler.shutdown()
        for engine in self._engines.values():
            engine.close()

    def _compile(self, directory: Path, graph: Graph) -> Engine:
        from adaptive_engine.engine import Engine, EngineOptions

        options = EngineOptions(
            precision="deterministic" if self._settings.deterministic else "fast",
            speculation=self._settings.speculation,
            kv_cache_len=self._settings.kv_cache_len,
            max_seq_len=self._settings.max_seq_len,
            max_running=self._settings.max_running,
            max_waiting=self._settings.max_waiting,
            session_keep_seconds=self._settings.session_keep_seconds,
            max_waiting_tokens=self._settings.max_waiting_tokens,
            threads=self._settings.threads,
        )
        return Engine.load(directory, options, graph)

    def _fail(self, model_key: str, error: Exception) -> None:
        log.error("model %s cannot be loaded", model_key, exc_info=error)
        self._failures[model_key] = f"it cannot be loaded ({error})"
