"""What a model of vLLM is asked, without asking it."""

from __future__ import annotations

import time

import pytest

from adaptive_engine.grammar.schemas import Schemas
from adaptive_engine.providers.addresses import AddressPolicy
from adaptive_engine.providers.breaker import Breaker, BreakerLimits, RetryBudget
from adaptive_engine.providers.http import HttpClient, Origin, Timeouts
from adaptive_engine.providers.http_provider import HttpProvider
from adaptive_engine.providers.stream import Upstream
from adaptive_engine.providers.vllm import Vllm, profile_of
from adaptive_engine.services.backends import Asked
from adaptive_engine.services.images import DecodedImages
from adaptive_engine.services.structured import StructuredOutput
from adaptive_engine.services.vllm import CacheSalts, VllmBackend
from adaptive_engine.types import Deployment, Model, Project, uuid7
from adaptive_engine.wire.chat import ChatRequest


@pytest.mark.parametrize("background", [False, True])
async def test_what_runs_in_the_background_gives_way(background: bool) -> None:
    client = HttpClient(Origin.parse("http://127.0.0.1:1/v1"), AddressPolicy(), Timeouts())
    provider = HttpProvider(Vllm(), profile_of(images=False), client, "k")
    upstream = Upstream(provider, Breaker(BreakerLimits()), RetryBudget(), 0, 1.0, "m", "vllm")
    schemas = Schemas()
    backend = VllmBackend(upstream, StructuredOutput(schemas), CacheSalts(b"s"))
    project, model = Project(uuid7(), "p", "", "", 0), Model(uuid7(), "m", "", "vllm", (), 0, 0)
    request = ChatRequest.model_validate(
        {"model": "p", "messages": [{"role": "user", "content": "?"}], "ignore_eos": True}
    )
    deployment = Deployment(uuid7(), project, model, True, True, 0)
    asked = Asked(deployment, request, DecodedImages(), None, (), uuid7(), time.perf_counter(), background)
    job = await backend.prepare(asked)
    schemas.close()
    assert job.calls[0].body["priority"] == int(background), "vLLM takes the smaller number first"
    assert (job.calls[0].body["ignore_eos"], job.notices) == (True, [])
