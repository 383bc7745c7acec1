"""Requests to models that vLLM runs here."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
from typing import Any
from uuid import UUID

from adaptive_engine.providers.stream import Upstream
from adaptive_engine.services.backends import Asked
from adaptive_engine.services.external import ProviderBackend, ProviderJob
from adaptive_engine.services.structured import StructuredOutput
from adaptive_engine.types import ExternalModel

# vLLM takes the smallest number first.
_USUAL, _BACKGROUND = 0, 1


class VllmBackend:
    """See `backends.Backend`. It is asked as a provider is, with what only vLLM takes."""

    def __init__(self, upstream: Upstream, structured: StructuredOutput, salts: CacheSalts) -> None:
        self._provider = ProviderBackend(upstream, structured)
        self._salts = salts

    async def prepare(self, asked: Asked) -> ProviderJob:
        extra: dict[str, Any] = {
            "cache_salt": self._salts.of(asked.deployment.project.id),
            "priority": _BACKGROUND if asked.background else _USUAL,
        }
        if asked.request.ignore_eos:
            extra["ignore_eos"] = True
        model = asked.deployment.model
        place = dataclasses.replace(model, external=ExternalModel(model.key, extra_params=extra))
        deployment = dataclasses.replace(asked.deployment, model=place)
        return await self._provider.prepare(dataclasses.replace(asked, deployment=deployment))


class CacheSalts:
    """What keeps the cached prefixes of projects apart. Who knew a project's salt could learn by the time of an answer
    what its prompts begin with, so it is derived from the installation's secret and shown to nobody.
    """

    def __init__(self, secret: bytes) -> None:
        # A key of its own, so that nothing that is derived from the secret elsewhere tells about this one.
        self._key = hmac.digest(secret, b"cache salts", hashlib.sha256)

    def of(self, project: UUID) -> str:
        return hmac.digest(self._key, project.bytes, hashlib.sha256).hex()
