"""The models that vLLM runs for this server: their processes, and what requests to them need."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator
from concurrent.futures import Future
from contextlib import aclosing
from dataclasses import replace

from adaptive_engine.errors import AdaptiveError, Conflict, EngineFailed, ModelLoading, ModelOffline, UpstreamFailed
from adaptive_engine.providers.addresses import AddressPolicy
from adaptive_engine.providers.base import Call, Profile, Provider, ProviderRequest
from adaptive_engine.providers.breaker import Breaker, BreakerLimits, RetryBudget
from adaptive_engine.providers.http import HttpClient, Origin
from adaptive_engine.providers.http_provider import HttpProvider
from adaptive_engine.providers.stream import Upstream
from adaptive_engine.providers.vllm import Vllm, profile_of
from adaptive_engine.registry.vllm import VllmModel
from adaptive_engine.services.local_models import LocalModels, ModelStatus
from adaptive_engine.services.providers import timeouts_of
from adaptive_engine.settings import Settings
from adaptive_engine.types import ComputeConfig, Delta, Model
from adaptive_engine.vllm.command import VllmOptions
from adaptive_engine.vllm.server import Running, VllmServer

# The server looks after the process itself.
_NO_BREAKER = BreakerLimits(failures=0, slow_seconds=0)


class VllmServers(LocalModels[Upstream]):
    """Thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._models_dir = settings.models_dir
        self._has_workers = settings.server.workers > 1
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
        """One that waits for another start has it at once."""
        with self._lock:
            known = self._servers.get(model.key)
            if known is not None and not known.failed:
                return known.settled
            if known is not None:
                self._stop(model.key)
            self._failures.pop(model.key, None)
            self._loaded_from[model.key] = model.compute_config
            try:
                if self._has_workers:
                    raise Conflict(
                        "Each of several workers would start a vLLM of its own. Leave --workers out, or run vLLM by "
                        "itself and register it as an external model."
                    )
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
        """Does not wait for its process."""
        with self._lock:
            self._failures.pop(model_key, None)
            self._stop(model_key)

    def loaded(self, model_key: str) -> Upstream | None:
        server = self._servers.get(model_key)
        running = server.status.running if server else None
        if server is None or running is None:
            return None
        known = self._upstreams.get(model_key)
        if known is None or known[0] is not running:
            known = self._upstreams[model_key] = running, self._upstream(server, running)
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
        server = self._servers.get(model_key)
        return server.settled if server else None

    def context_length(self, model: Model) -> int:
        active = self.status(model.key).active
        return (active.max_seq_len if active else None) or model.compute_config.max_seq_len or model.context_length

    def known(self) -> set[str]:
        return self._servers.keys() | self._failures.keys()

    def close(self) -> None:
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
        return Upstream(provider, Breaker(_NO_BREAKER), RetryBudget(), self._retries, total, server.model.key, "vllm")


class _Watched:
    """A provider whose process is ours: what becomes of its connections is told as what became of the model."""

    def __init__(self, provider: Provider, server: VllmServer) -> None:
        self._provider = provider
        self._server = server
        self.profile: Profile = provider.profile
        self.address = provider.address

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
