"""Projects, models, and models in projects."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from adaptive_engine.types.interactions import Usage
from adaptive_engine.types.limits import UNLIMITED, Limits

ModelState = Literal["ONLINE", "PENDING", "OFFLINE", "ERROR"]
"""Whether a model answers: it does, it is being loaded, nobody wants it to, or it cannot."""


@dataclass(frozen=True, slots=True)
class Project:
    id: UUID
    key: str
    name: str
    description: str
    created_at: int
    archived_at: int | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    """`default_metric`, a metric's key, and `limits`, if there are any."""

    @property
    def archived(self) -> bool:
        return self.archived_at is not None

    @property
    def limits(self) -> Limits:
        own = self.settings.get("limits")
        return Limits(**own) if own else UNLIMITED


@dataclass(frozen=True, slots=True)
class ComputeConfig:
    """How one model is run, in tokens; None is the server's setting. Read when the model is loaded."""

    kv_cache_len: int | None = None
    max_seq_len: int | None = None


def tags_of(capabilities: Iterable[str]) -> list[str]:
    """A model's capabilities as people read them."""
    names = {"TextGeneration": "Text", "ImageUnderstanding": "Multimodal"}
    return [names.get(capability, capability) for capability in capabilities]


@dataclass(frozen=True, slots=True)
class Prices:
    """Of a million tokens."""

    prompt: float
    completion: float
    cached: float | None = None
    """Of prompt tokens that the provider had in its cache; None: they cost what others do."""
    currency: str = "USD"

    def cost(self, usage: Usage) -> float:
        cached = self.prompt if self.cached is None else self.cached
        prompt = (usage.prompt_tokens - usage.cached_tokens) * self.prompt + usage.cached_tokens * cached
        return (prompt + usage.completion_tokens * self.completion) / 1_000_000


@dataclass(frozen=True, slots=True)
class ExternalModel:
    """Where a model lives that does not live here."""

    external_model_id: str
    """As the provider calls it."""
    endpoint: str | None = None
    """None is the provider's own."""
    extra_params: dict[str, Any] = field(default_factory=dict)
    """Sent with each request as they are."""
    prices: Prices | None = None
    profile: dict[str, Any] = field(default_factory=dict)
    """What is known better than the provider's `Profile` says."""
    sealed_key: bytes | None = field(default=None, repr=False)
    """The API key, as `services/sealing.py` encrypted it."""


@dataclass(frozen=True, slots=True)
class Model:
    """A registry entry. `key` is also the name of the model directory."""

    id: UUID
    key: str
    name: str
    provider: str
    """`internal` for models that run in our engine, `vllm` for those that run in vLLM on this machine."""
    capabilities: tuple[str, ...]
    context_length: int
    """Most tokens of prompt and answer together that the model was trained for; 0: nobody said."""
    created_at: int
    compute_config: ComputeConfig = ComputeConfig()
    external: ExternalModel | None = None
    """Where it lives, unless it runs here."""

    @property
    def in_vllm(self) -> bool:
        return self.provider == "vllm"


@dataclass(frozen=True, slots=True)
class ModelMemory:
    """Bytes that a loaded model takes."""

    weights: int
    """As in its file, as often as its engine has a graph of them."""
    kv_cache: int
    """Reserved. The operating system gives it page by page, as it is written for the first time."""
    kv_cache_used: int = 0
    """Of running requests."""

    @property
    def total(self) -> int:
        return self.weights + self.kv_cache


@dataclass(frozen=True, slots=True)
class Deployment:
    """A model attached to a project."""

    id: UUID
    project: Project
    model: Model
    is_default: bool
    online: bool
    """Whether the project wants it to answer."""
    created_at: int
    settings: dict[str, Any] = field(default_factory=dict)
    """What requests that do not say otherwise get: a `wire.models.ModelSettings` as JSON, without what is not set."""
