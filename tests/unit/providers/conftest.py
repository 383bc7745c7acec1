from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from adaptive_engine.providers import registry
from adaptive_engine.providers.addresses import AddressPolicy
from adaptive_engine.providers.base import Provider, ProviderRequest
from adaptive_engine.providers.breaker import Breaker, BreakerLimits, RetryBudget
from adaptive_engine.providers.http import Timeouts
from adaptive_engine.providers.stream import ProviderStream, Upstream
from adaptive_engine.types import ExternalModel
from faultserver import FaultServer

KEY = "sk-canary-0123456789abcdef-CANARY"
Start = Callable[..., ProviderStream]


@pytest.fixture
async def upstream() -> AsyncIterator[FaultServer]:
    async with FaultServer() as server:
        yield server


def provider_of(url: str, model: str = "good", *, timeouts: Timeouts | None = None, **profile: object) -> Provider:
    """An OpenAI-compatible one."""
    external = ExternalModel(model, url, profile=dict(profile))
    return registry.build("openai_compatible", external, KEY, AddressPolicy(), timeouts or Timeouts())


@pytest.fixture
async def start(upstream: FaultServer) -> Start:
    """Starts a generation against the fault server, with limits that a test can wait for."""
    made: dict[str, Upstream] = {}

    def begin(
        model: str,
        *,
        stream: bool = True,
        retries: int = 0,
        timeouts: Timeouts | None = None,
        breaker: BreakerLimits | None = None,
        **request: object,
    ) -> ProviderStream:
        if model not in made:
            provider = provider_of(upstream.url, model, timeouts=timeouts or Timeouts(1, 0.3, 0.3, 0.2, 5))
            total = timeouts.total if timeouts else 5.0
            guard = Breaker(breaker or BreakerLimits())
            made[model] = Upstream(provider, guard, RetryBudget(), retries, total, model, "openai_compatible")
        asked = ProviderRequest(model, [{"role": "user", "content": "?"}], stream, **request)
        return ProviderStream(made[model], made[model].provider.call(asked))

    return begin


@pytest.fixture
def until() -> Callable[[], float]:
    return lambda: asyncio.get_running_loop().time() + 5
