"""vLLM's chat completions: OpenAI's, and what vLLM adds to them.

Source: https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html, .../features/structured_outputs.html and
.../design/prefix_caching.html (`cache_salt`). `priority`, `cache_salt` and `ignore_eos` come as extra parameters.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import orjson

from adaptive_engine.providers.base import Call, JsonSchema, Profile, ProviderRequest
from adaptive_engine.providers.openai_compatible import OpenAICompatible


def profile_of(*, images: bool) -> Profile:
    """What every model that vLLM runs can do."""
    return Profile(images=images, ignore_eos=True)


class Vllm(OpenAICompatible):
    """The dialect."""

    def call(self, request: ProviderRequest, profile: Profile, api_key: str | None) -> Call:
        call = super().call(request, profile, api_key)
        if request.format is None:
            return call
        body = {name: value for name, value in call.body.items() if name != "response_format"}
        return dataclasses.replace(call, body={"structured_outputs": _structured_outputs(request.format), **body})


def _structured_outputs(wanted: Any) -> dict[str, Any]:
    if not isinstance(wanted, JsonSchema):
        return {"json_object": True}
    # It takes objects and texts; both say `true`.
    return {"json": wanted.schema if isinstance(wanted.schema, dict) else orjson.dumps(wanted.schema).decode()}
