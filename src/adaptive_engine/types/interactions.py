"""Prompts and answers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, Literal
from uuid import UUID

from adaptive_engine.types.idempotency import KeptAnswer
from adaptive_engine.types.images import Image, StoredImage

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length", "content_filter"]
"""`content_filter` comes from external providers only."""
# What became of an interaction. `pending` rows left by a crash become `aborted` at the next start.
InteractionState = Literal["pending", "complete", "length", "cancelled", "error", "aborted"]
InteractionSource = Literal["LIVE", "OFFLINE", "AUTOMATION", "DATASET", "EVALUATION"]


_SORTED = json.JSONEncoder(sort_keys=True)


def prompt_hash(messages: Sequence[Mapping[str, Any]]) -> str:
    """The same for the same messages, as they are stored."""
    return hashlib.sha256(_SORTED.encode(messages).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One turn as the chat template sees it: text parts already joined where no image is between them."""

    role: Role
    content: str | tuple[str | Image, ...]
    """Text, or texts and images in the order of the message."""
    name: str | None = None

    @property
    def parts(self) -> tuple[str | Image, ...]:
        return (self.content,) if isinstance(self.content, str) else self.content

    @property
    def text(self) -> str:
        """Its texts without the images between them."""
        return "".join(part for part in self.parts if isinstance(part, str))

    @property
    def images(self) -> tuple[Image, ...]:
        return tuple(part for part in self.parts if isinstance(part, Image))


@dataclass(frozen=True, slots=True)
class Notice:
    """Something a request asked for that its answer does not reflect."""

    code: str
    message: str
    param: str

    def as_dict(self) -> dict[str, str]:
        return {"code": self.code, "message": self.message, "param": self.param}


@dataclass(frozen=True, slots=True)
class Usage:
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    """Prompt tokens whose keys and values were already in the cache."""

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True)
class Interaction:
    """One prompt and one completion, as stored. `id` is the completion id; times are epoch milliseconds."""

    id: UUID
    project_id: UUID
    session_id: UUID
    messages: list[dict[str, Any]]
    """As the client sent them: `{"role", "content", ...}`."""
    state: InteractionState
    source: InteractionSource
    created_at: int
    completion: str = ""
    model_id: UUID | None = None
    model_key: str | None = None
    """Kept beside the id so that the row still reads when the model is gone."""
    request_id: str | None = None
    choice_index: int = 0
    finish_reason: str | None = None
    error: dict[str, Any] | None = None
    """`{"code", "message"}` when state is `error`; `{"phase"}` when `cancelled`."""
    user: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    """Sampling parameters as they were applied."""
    usage: Usage = field(default_factory=Usage)
    timings: dict[str, float] = field(default_factory=dict)
    """Milliseconds: `queue_ms`, `ttft_ms`, `total_ms`."""
    warnings: list[dict[str, Any]] = field(default_factory=list)
    prompt_hash: str | None = None
    completed_at: int | None = None
    ab_test_id: UUID | None = None
    """The A/B test that chose the model."""
    ab_test_unit: int | None = None
    """What the arm was chosen by, a session or a user, as a number: scores of one unit are alike."""
    created_by: UUID | None = None
    """The user whose key sent it."""
    images: tuple[StoredImage, ...] = ()
    """Images that `messages` name, to be stored with it; those of one that was read are left in the store."""
    provider: str | None = None
    """Of an external model; the next two are its as well."""
    external_model: str | None = None
    attempts: list[dict[str, Any]] = field(default_factory=list)
    """Requests to providers, and models that failed before a fallback answered: `{"model", "ms", "error"}`, the last
    one without an error when it answered."""
    cost: float | None = None
    """In `currency`; None for internal models, and where prices or tokens are not known."""
    currency: str | None = None
    reasoning: str | None = None
    """What the model thought before it answered, where its provider tells it."""
    kept: KeptAnswer | None = None
    """To be stored with its outcome, when the request may be repeated."""

    def but(self, **changes: Any) -> Interaction:
        """As `dataclasses.replace`, which takes more than twice as long for so many fields."""
        return Interaction(**dict(zip(_FIELDS, _values(self), strict=True)) | changes)


_FIELDS = tuple(each.name for each in fields(Interaction))
_values = attrgetter(*_FIELDS)
