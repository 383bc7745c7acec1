"""The contract, for what can be had without a network."""

from __future__ import annotations

import pytest

from adaptive_engine.providers.base import Profile
from adaptive_engine.providers.fake import FakeProvider
from faultserver import FaultServer
from unit.providers.conftest import provider_of
from unit.providers.contract import ProviderContract, SchemaContract, Subject


class TestFake(SchemaContract):
    @pytest.fixture
    def subject(self) -> Subject:
        return Subject(FakeProvider(Profile()), "fake")


class TestOpenAICompatible(ProviderContract):
    """Against a scripted server, written from OpenAI's public reference."""

    @pytest.fixture
    def subject(self, upstream: FaultServer) -> Subject:
        return Subject(provider_of(upstream.url), "good")
