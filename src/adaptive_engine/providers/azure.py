"""Azure OpenAI: OpenAI's chat completions at a resource of one's own, where models are deployments.

Source: https://learn.microsoft.com/azure/ai-foundry/openai/reference and .../openai/api-version-lifecycle,
.../openai/concepts/content-filter. The endpoint is that of the resource, https://NAME.openai.azure.com. Version `v1` is
asked at /openai/v1 with the deployment as the model; a dated version at the deployment's own URL.
"""

from __future__ import annotations

import dataclasses
from typing import Any
from urllib.parse import quote

import orjson

from adaptive_engine.providers import openai
from adaptive_engine.providers.base import Call, Profile, ProviderRequest, Refusal
from adaptive_engine.providers.openai_compatible import OpenAICompatible

_VERSION = "v1"


def profile_of(deployment: str) -> Profile:
    """By the deployment's name, as far as it says which model that is."""
    return dataclasses.replace(openai.profile_of(deployment), api_version=_VERSION)


class AzureOpenAI(OpenAICompatible):
    """The dialect."""

    def call(self, request: ProviderRequest, profile: Profile, api_key: str | None) -> Call:
        call = super().call(request, profile, None)
        headers = {**call.headers, **({"api-key": api_key} if api_key else {})}
        if profile.api_version == "v1":
            return dataclasses.replace(call, path=f"/openai/v1{call.path}", headers=headers)
        deployment, version = quote(request.model, safe=""), quote(profile.api_version, safe="")
        path = f"/openai/deployments/{deployment}{call.path}?api-version={version}"
        return dataclasses.replace(call, path=path, headers=headers)

    def refusal(self, body: bytes) -> Refusal:
        refusal = super().refusal(body)
        if refusal.code != "content_filter":
            return refusal
        found = ", ".join(_filtered(body))
        message = f"{refusal.message} ({found})" if found else refusal.message
        return dataclasses.replace(refusal, message=message, filtered=True)


def _filtered(body: bytes) -> list[str]:
    """What the filter found in the prompt, such as `violence`."""
    inner: Any = orjson.loads(body)["error"].get("innererror")
    results = inner.get("content_filter_result") if isinstance(inner, dict) else None
    if not isinstance(results, dict):
        return []
    return [name for name, result in results.items() if isinstance(result, dict) and result.get("filtered")]
