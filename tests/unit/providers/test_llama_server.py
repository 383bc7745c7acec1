"""The contract, against a real llama-server: `make install-peers`, then ADAPTIVE_TEST_PEERS=1."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from peers import PEER_PYTHON, llama_server

from adaptive_engine.providers import registry
from adaptive_engine.providers.addresses import AddressPolicy
from adaptive_engine.providers.http import Timeouts
from adaptive_engine.registry.catalog import DEFAULT_MODEL, fetch
from adaptive_engine.types import ExternalModel
from unit.providers.conftest import provider_of
from unit.providers.contract import ProviderContract, Subject

pytestmark = pytest.mark.skipif(
    "ADAPTIVE_TEST_PEERS" not in os.environ or not PEER_PYTHON.exists(), reason="ADAPTIVE_TEST_PEERS is not set"
)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with llama_server(PEER_PYTHON, fetch(DEFAULT_MODEL), threads=2, slots=2, slot_tokens=512) as running:
        yield running.url


class TestOpenAICompatible(ProviderContract):
    @pytest.fixture
    def subject(self, url: str) -> Subject:
        return Subject(provider_of(f"{url}/v1"), "default")


class TestAnthropicCompatible(ProviderContract):
    """It has Anthropic's API at /v1/messages."""

    @pytest.fixture
    def subject(self, url: str) -> Subject:
        external = ExternalModel("default", f"{url}/v1")
        provider = registry.build("anthropic_compatible", external, None, AddressPolicy(), Timeouts())
        return Subject(provider, "default")
