"""The contract, against a real llama-server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from peers import PEER_PYTHON, llama_server

from adaptive_engine.providers import registry
from adaptive_engine.providers.addresses import AddressPolicy
from adaptive_engine.providers.http import Timeouts
from adaptive_engine.registry.catalog import DEFAULT_MODEL, fetch
from adaptive_engine.types import ExternalModel
from unit.providers.conftest import provider_of
from unit.providers.contract import ModelContract, SchemaContract, Subject


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with llama_server(PEER_PYTHON, fetch(DEFAULT_MODEL), threads=2, slots=2, slot_tokens=512) as running:
        yield running.url


class TestOpenAICompatible(SchemaContract):
    @pytest.fixture
    def subject(self, url: str) -> Subject:
        return Subject(provider_of(f"{url}/v1"), "default")


class TestAnthropicCompatible(ModelContract):
    """It has Anthropic's API at /v1/messages, where it overlooks schemas."""

    @pytest.fixture
    def subject(self, url: str) -> Subject:
        external = ExternalModel("default", f"{url}/v1")
        provider = registry.build("anthropic_compatible", external, None, AddressPolicy(), Timeouts())
        return Subject(provider, "default")
