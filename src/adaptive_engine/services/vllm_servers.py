"""The models that vLLM runs for this server: their processes, and what requests to them need."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator
from concurrent.futures import Future
from contextlib import aclosing
from dataclasses import replace

from adaptive_engine.errors import AdaptiveError, EngineFailed, ModelLoading, ModelOffline, UpstreamFailed
from adaptive_engine.providers.addresses import AddressPolicy
from adaptive_engine.providers.base import Call, Profile, Provider, ProviderRequest
from adaptive_engine.providers.breaker import Breaker, BreakerLimits, RetryBudget
from adaptive_engine.providers.http import HttpClient, Origin
from adaptive_engine.providers.http_provider import HttpProvider
from adaptive_engine.providers.stream import Upstream
from adaptive_engine.providers.vllm import Vllm, profile_of
from adaptive_engine.registry.vllm import VllmModel
from adaptive_engine.services.engines import ModelStatus
from adaptive_engine.services.providers import timeouts_of
from adaptive_engine.settings import Settings
from adaptive_engine.types import ComputeConfig, Delta, Deployment, Model
from adaptive_engine.vllm.command import VllmOptions
from adaptive_engine.vllm.server import Running, VllmServer

_NOT_TOLD = "it was deployed without telling this server; deploy it again, or restart the server"
# The server looks after the process itself.
_NO_BREAKER = BreakerLimits(failures=0, slow_seconds=0)


class VllmServers:
    """Has what `Engines` has for models of our own engine. Thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._models_dir = settings.models_dir
        self._logs_dir = settings.data_dir / "logs"
        self._options = VllmOptions(
            settings.vllm.command,
            settings.vllm.start_timeout_seconds,
            settings.vllm.health_timeout_seconds,
            settings.vllm.stop_seconds,
        )
        self._retries = settings.providers.retries
        self._timeouts = timeouts_of(settings.providers)
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._servers: dict[str, VllmServer] = {}
        self._ending: list[VllmServer] = []
        self._loaded_from: dict[str, ComputeConfig] = {}
        self._failures: dict[str, str] = {}
        self._upstreams: dict[str, tuple[Running, Upstream]] = {}

    def load(self, model: Model) -> Future[None]:
        """Start a model, unless it runs or is about to; one that waits for another start has it at once.

        The result is done when it answers for the first time, or has failed to: `status` tells.
        """
        with self._lock:
            known = self._servers.get(model.key)
            if known is not None and not known.failed:
                return known.settled
            if known is not None:
                self._stop(model.key)
            self._failures.pop(model.key, None)
            self._loaded_from[model.key] = model.compute_config
            try:
                imported = VllmModel.load(self._models_dir / model.key)
            except (AdaptiveError, OSError) as exc:
                self._failures[model.key] = exc.message if isinstance(exc, AdaptiveError) else str(exc)
                done: Future[None] = Future()
                done.set_result(None)
                return done
            self._ending = [server for server in self._ending if not server.ended]
            server = VllmServer(
                imported,
                self._options,
                self._logs_dir / f"vllm-{model.key}.log",
                self._turn,
                max_model_len=model.compute_config.max_seq_len,
                after=tuple(self._ending),
            )
            self._servers[model.key] = server
            server.start()
            return server.settled

    def unload(self, model_key: str) -> None:
        """Let a model end; requests that it answers end with ModelOffline. Does not wait for its process."""
        with self._lock:
            self._failures.pop(model_key, None)
            self._stop(model_key)

    def get(self, deployment: Deployment) -> Upstream:
        """Raises ModelLoading or ModelOffline."""
        key, project = deployment.model.key, deployment.project.key
        if not deployment.online:
            raise ModelOffline(
                f"Model '{key}' is offline in project '{project}'. An administrator can bring it back: "
                f"adaptive models deploy {key} --project {project}"
            )
        server = self._servers.get(key)
        if server is None:
            raise ModelOffline(f"Model '{key}' is not online: {self._failures.get(key, _NOT_TOLD)}.")
        status = server.status
        if status.state == "PENDING":
            raise ModelLoading(key)
        if status.running is None:
            raise ModelOffline(f"Model '{key}' is not online: {status.reason}")
        known = self._upstreams.get(key)
        if known is None or known[0] is not status.running:
            known = self._upstreams[key] = status.running, self._upstream(server, status.running)
        return known[1]

    def status(self, model_key: str) -> ModelStatus:
        config = self._loaded_from.get(model_key)
        server = self._servers.get(model_key)
        if server is None:
            failure = self._failures.get(model_key)
            return ModelStatus("OFFLINE") if failure is None else ModelStatus("ERROR", failure, loaded_from=config)
        status = server.status
        running = status.running
        if running is None:
            return ModelStatus(status.state, status.reason, loaded_from=config)
        memory = running.memory
        if memory is not None:
            memory = replace(memory, kv_cache_used=int(server.cache_usage * memory.kv_cache))
        active = ComputeConfig(running.cache_tokens, running.max_model_len or None)
        return ModelStatus(status.state, None, memory, active, config)

    def settled(self, model_key: str) -> Future[None] | None:
        """Done when the model answers, failed, or was given up; None when nobody wants it."""
        server = self._servers.get(model_key)
        return server.settled if server else None

    def online(self, model_key: str) -> bool:
        return self.status(model_key).state == "ONLINE"

    def answers(self, deployment: Deployment) -> bool:
        """Whether a request to it would be answered now."""
        return deployment.online and self.online(deployment.model.key)

    def context_length(self, model: Model) -> int:
        """Most tokens of prompt and answer together, as vLLM runs the model; 0: nobody said."""
        active = self.status(model.key).active
        return (active.max_seq_len if active else None) or model.compute_config.max_seq_len or model.context_length

    def known(self) -> set[str]:
        """Keys of the models that it was told to run."""
        return self._servers.keys() | self._failures.keys()

    def problems(self, wanted: set[str]) -> dict[str, str]:
        """For each model of `wanted` that does not answer, why."""
        states = {key: self.status(key) for key in sorted(wanted)}
        return {key: status.reason or _NOT_TOLD for key, status in states.items() if status.state != "ONLINE"}

    def close(self) -> None:
        """End all. Returns when no process is left."""
        with self._lock:
            for key in list(self._servers):
                self._stop(key)
        for server in self._ending:
            server.join()

    def _stop(self, model_key: str) -> None:
        server = self._servers.pop(model_key, None)
        self._upstreams.pop(model_key, None)
        if server is not None:
            server.stop()
            self._ending.append(server)

    def _upstream(self, server: VllmServer, running: Running) -> Upstream:
        client = HttpClient(Origin.parse(running.address.url), AddressPolicy(), self._timeouts)
        profile = profile_of(images="ImageUnderstanding" in server.model.capabilities)
        provider = _Watched(HttpProvider(Vllm(), profile, client, running.address.api_key), server)
        total = self._timeouts.total
        return Upstream(provider, Breaker(_NO_BREAKER), RetryBudget(), self._retries, total, server.model.key)


class _Watched:
    """A provider whose process is ours: what becomes of its connections is told as what became of the model."""

    def __init__(self, provider: Provider, server: VllmServer) -> None:
        self._provider = provider
        self._server = server
        self.profile: Profile = provider.profile

    def call(self, request: ProviderRequest) -> Call:
        return self._provider.call(request)

    async def generate(self, call: Call, deadline: float) -> AsyncGenerator[Delta]:
        try:
            async with aclosing(self._provider.generate(call, deadline)) as deltas:
                async for delta in deltas:
                    yield delta
        except UpstreamFailed as exc:
            if exc.code not in ("upstream_unreachable", "upstream_incomplete"):
                raise
            key = self._server.model.key
            if self._server.stopping:
                raise ModelOffline(f"Model '{key}' was taken offline during this request.") from exc
            if exc.code == "upstream_unreachable":
                # It has just ended, and will be started again.
                raise ModelLoading(key) from exc
            raise EngineFailed(f"vLLM, which runs model '{key}', broke off in the middle of this request.") from exc

    def close(self) -> None:
        self._provider.close()
