"""OpenAI itself: its address, and which of its models take what.

Source: https://platform.openai.com/docs/guides/reasoning, https://platform.openai.com/docs/guides/structured-outputs.
"""

from __future__ import annotations

import re

from adaptive_engine.providers.base import Profile

ENDPOINT = "https://api.openai.com/v1"

_REASONING = re.compile(r"o\d|gpt-5(?!.*chat)")
_BEFORE_SCHEMAS = re.compile(r"gpt-3\.5|gpt-4(?!o|\.|-turbo-2024-04)(-|$)|gpt-4o-2024-05-13")
_TEXT_ONLY = re.compile(r"gpt-3\.5|gpt-4(-0|$)|o1-mini|o3-mini")


def profile_of(model: str) -> Profile:
    """By the model's name."""
    reasoning = _REASONING.match(model) is not None
    return Profile(
        structured="json_object" if _BEFORE_SCHEMAS.match(model) else "json_schema",
        schemas="openai",
        temperature=not reasoning,
        logprobs=not reasoning,
        stop=0 if reasoning else 4,
        images=_TEXT_ONLY.match(model) is None,
        max_tokens_field="max_completion_tokens",
    )
