"""The engines of the models this server has loaded."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path

import structlog

from adaptive_engine.engine import Engine, EngineOptions
from adaptive_engine.errors import AdaptiveError, ModelOffline
from adaptive_engine.types import Model

log = structlog.get_logger(__name__)


class Engines:
    """Loaded engines by model key."""

    def __init__(self, models_dir: Path, options: EngineOptions) -> None:
        self._models_dir = models_dir
        self._options = options
        self._engines: dict[str, Engine] = {}
        self._failures: dict[str, str] = {}
        self._loading: threading.Thread | None = None

    def load(self, model_key: str) -> None:
        """Load a model's engine; a failure is kept and told to whoever asks for the model. Blocks for seconds."""
        try:
            self._engines[model_key] = Engine.load(self._models_dir / model_key, self._options)
            self._failures.pop(model_key, None)
        except (AdaptiveError, OSError, ValueError, KeyError) as exc:
            log.exception("model cannot be loaded", model=model_key)
            self._failures[model_key] = str(exc)

    def load_in_background(self, model_keys: Iterable[str]) -> None:
        """Begin to load models one after the other: compiling uses a processor outside Python for seconds."""
        self._loading = threading.Thread(target=lambda: list(map(self.load, model_keys)), name="load-models")
        self._loading.start()

    def wait(self) -> None:
        """Return when all models are loaded, or have failed to."""
        if self._loading is not None:
            self._loading.join()

    def get(self, model_key: str) -> Engine:
        """Raises ModelOffline when the model is not loaded."""
        engine = self._engines.get(model_key)
        if engine is None:
            reason = self._failures.get(model_key, "the server loads newly deployed models when it starts; restart it")
            raise ModelOffline(f"Model '{model_key}' is not online: {reason}.", retry_after=30)
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
        for engine in self._engines.values():
            engine.close()
