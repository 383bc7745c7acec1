"""vLLM's dialect, and the contract against the stand-in that tests/vllm_standin.py is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from adaptive_engine.providers.addresses import AddressPolicy
from adaptive_engine.providers.base import JsonSchema, Profile, ProviderRequest
from adaptive_engine.providers.http import HttpClient, Origin, Timeouts
from adaptive_engine.providers.http_provider import HttpProvider
from adaptive_engine.providers.vllm import Vllm, profile_of
from adaptive_engine.vllm.command import VllmOptions
from adaptive_engine.vllm.server import Running, VllmServer
from unit.providers.contract import SchemaContract, Subject
from unit.vllm.conftest import STANDIN, model

MESSAGES = [{"role": "user", "content": "Hello!"}]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    log = tmp_path_factory.mktemp("vllm") / "vllm.log"
    server = VllmServer(model(), VllmOptions(STANDIN), log, threading.Lock())
    server.start()
    server.settled.result(30)
    assert server.status.running is not None
    yield server.status.running
    server.stop()
    server.join()


class TestVllm(SchemaContract):
    @pytest.fixture
    def subject(self, running: Running) -> Subject:
        client = HttpClient(Origin.parse(running.address.url), AddressPolicy(), Timeouts())
        return Subject(HttpProvider(Vllm(), profile_of(images=False), client, running.address.api_key), "tiny")


@pytest.mark.parametrize(
    ("wanted", "sent"),
    [
        (JsonSchema("a", {"type": "object"}, strict=True), {"json": {"type": "object"}}),
        (JsonSchema("a", True), {"json": "true"}),
        ("json_object", {"json_object": True}),
    ],
)
def test_schemas_go_into_its_own_field(wanted: Any, sent: dict[str, Any]) -> None:
    request = ProviderRequest("m", MESSAGES, False, format=wanted, extra={"cache_salt": "s", "priority": 1})
    body = Vllm().call(request, Profile(), "key").body
    assert body == {
        "model": "m",
        "messages": MESSAGES,
        "structured_outputs": sent,
        "cache_salt": "s",
        "priority": 1,
    }
