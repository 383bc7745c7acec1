"""The internal models of a server whose engines run on a Ray cluster."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future, wait
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from adaptive_engine.deploy.ray import cluster
from adaptive_engine.deploy.ray.engine import RayEngine
from adaptive_engine.engine import EngineStats
from adaptive_engine.services.engine_process import messages
from adaptive_engine.services.engine_process.messages import ModelNews
from adaptive_engine.services.local_models import ModelStatus
from adaptive_engine.services.model_engines import ModelEngines
from adaptive_engine.settings import EngineSettings
from adaptive_engine.types import Model, ModelMemory

log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
# All replicas are asked for their numbers; Ray Serve does not want that often.
_NEWS_SECONDS = 5.0
_NEWS_TIMEOUT_SECONDS = 5.0
# A server waits for so long for replicas before it takes requests.
_START_SECONDS = 20.0


@dataclass(eq=False)
class _Deployed:
    """A model that somebody wants, or that has an application on the cluster."""

    status: ModelStatus
    handle: Any = None
    engine: RayEngine | None = None
    news: list[ModelNews] = field(default_factory=list)
    asked: float = 0.0
    """When its replicas were last asked, by `time.monotonic`."""
    settled: Future[None] = field(default_factory=Future)


class RayEngines(ModelEngines[RayEngine]):
    """Mirrors what the cluster says of its applications. What runs there is the operator's choice, by `adaptive deploy
    ray`: loading a model here means to wait for its application, unloading it to ask it no more.
    """

    def __init__(self, models_dir: Path, settings: EngineSettings, address: str) -> None:
        """Raises what `cluster.connect` raises."""
        super().__init__(models_dir, settings)
        cluster.connect(address)
        self._lock = threading.Lock()
        self._models: dict[str, _Deployed] = {}
        self._unloaded: set[str] = set()
        self._closing = threading.Event()
        self._look_now = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="ray-watch", daemon=True)
        self._thread.start()

    def read_ahead(self, model_key: str) -> None:
        """Replicas read for themselves."""

    def load(self, model: Model) -> Future[None]:
        with self._lock:
            self._unloaded.discard(model.key)
            deployed = self._models.setdefault(model.key, _Deployed(ModelStatus("PENDING", _ASKED)))
            if deployed.status.state == "ERROR":
                deployed.status, deployed.settled = ModelStatus("PENDING", _ASKED), Future()
            self._look_now.set()
            return deployed.settled

    def unload(self, model_key: str) -> None:
        """What its replicas answer at that moment runs to its end."""
        with self._lock:
            self._unloaded.add(model_key)
            gone = self._models.pop(model_key, None)
        if gone is not None:
            _settle(gone)

    def loaded(self, model_key: str) -> RayEngine | None:
        deployed = self._models.get(model_key)
        return deployed.engine if deployed is not None and deployed.status.state == "ONLINE" else None

    def status(self, model_key: str) -> ModelStatus:
        deployed = self._models.get(model_key)
        return deployed.status if deployed is not None else ModelStatus("OFFLINE")

    def stats(self, model_key: str) -> EngineStats | None:
        """Of all replicas together, some seconds old."""
        deployed = self._models.get(model_key)
        found = [news.stats for news in deployed.news if news.stats] if deployed is not None else []
        if not found:
            return None
        return EngineStats(
            **{each.name: sum(getattr(stats, each.name) for stats in found) for each in fields(EngineStats)}
        )

    def settled(self, model_key: str) -> Future[None] | None:
        deployed = self._models.get(model_key)
        return deployed.settled if deployed is not None else None

    def known(self) -> Iterable[str]:
        with self._lock:
            return list(self._models)

    def wait(self) -> None:
        """Return when all models answer, or cannot; or soon, as what is still to be started there may take any time."""
        settled = [found for key in self.known() if (found := self.settled(key)) is not None]
        wait(settled, _START_SECONDS)

    def require_memory(self, model: Model) -> None:
        """It is not this machine's."""

    def close(self) -> None:
        """Requests under way are not ended: the server has waited for them, and the replicas are not its own."""
        with self._lock:
            for deployed in self._models.values():
                _settle(deployed)
            self._models.clear()
        self._closing.set()
        self._look_now.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _watch(self) -> None:
        reason = ""
        while not self._closing.is_set():
            self._look_now.clear()
            try:
                self._look()
                reason = ""
            except Exception as exc:
                if not reason:
                    log.exception("the Ray cluster does not answer")
                reason = f"The Ray cluster does not answer: {exc}".splitlines()[0]
                with self._lock:
                    for deployed in self._models.values():
                        deployed.status = ModelStatus("ERROR", reason)
                        _settle(deployed)
            self._look_now.wait(_LOOK_SECONDS)

    def _look(self) -> None:
        found = cluster.applications()
        with self._lock:
            for key in found.keys() - self._models.keys() - self._unloaded:
                self._models[key] = _Deployed(ModelStatus("PENDING", _ASKED))
            models = dict(self._models)
        for key, deployed in models.items():
            application = found.get(key)
            if application is None:
                deployed.handle = deployed.engine = None
                deployed.status = ModelStatus("ERROR", _NO_APPLICATION.format(key))
            else:
                self._ask(key, deployed, running=application.replicas > 0)
                deployed.status = _status(application, deployed)
            if deployed.status.state != "PENDING":
                _settle(deployed)

    def _ask(self, key: str, deployed: _Deployed, *, running: bool) -> None:
        """Ask the replicas for their news when it is time."""
        if not running:
            deployed.news = []
            return
        if deployed.news and time.monotonic() - deployed.asked < _NEWS_SECONDS:
            return
        if deployed.handle is None:
            deployed.handle = cluster.handle(key)
            deployed.engine = RayEngine(key, deployed.handle)
        try:
            answers = deployed.handle.broadcast("news").results(timeout_s=_NEWS_TIMEOUT_SECONDS, return_exceptions=True)
        except TimeoutError:
            answers = []
        deployed.news = [messages.NEWS.validate_python(each) for each in answers if not isinstance(each, Exception)]
        deployed.asked = time.monotonic()


_ASKED = "The Ray cluster is asked for it."
_NO_APPLICATION = "The Ray cluster has no application for it: adaptive deploy ray {}"


def _status(application: cluster.ApplicationStatus, deployed: _Deployed) -> ModelStatus:
    if application.state == "DEPLOY_FAILED":
        return ModelStatus("ERROR", f"Its application on the Ray cluster failed: {application.message}")
    if not deployed.news:
        return ModelStatus("PENDING", f"Its replicas are being started. {application.message}".strip())
    statuses = [news.status for news in deployed.news]
    parts = [status.memory for status in statuses if status.memory is not None]
    memory = ModelMemory(
        sum(part.weights for part in parts),
        sum(part.kv_cache for part in parts),
        sum(part.kv_cache_used for part in parts),
    )
    # What a replica was loaded with is the operator's choice and not the model's: no reload is ever due.
    return ModelStatus("ONLINE", None, memory, statuses[0].active)


def _settle(deployed: _Deployed) -> None:
    if not deployed.settled.done():
        deployed.settled.set_result(None)
