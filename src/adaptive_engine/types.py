"""The small messages that cross from one layer to the next. Imports nothing of ours."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length", "content_filter"]
"""`content_filter` comes from external providers only."""

# What became of an interaction. `pending` rows left by a crash become `aborted` at the next start.
InteractionState = Literal["pending", "complete", "length", "cancelled", "error", "aborted"]
AbTestStatus = Literal["WARMUP", "IN_PROGRESS", "DONE", "CANCELLED"]
"""Some arm lacks scores; it can be decided; it was; somebody ended it."""
InteractionSource = Literal["LIVE", "OFFLINE", "AUTOMATION", "DATASET", "EVALUATION"]
MetricCategory = Literal["SYSTEM", "GRADER", "USER"]
"""Who scores: the server by itself, a grader, or people and applications."""
MetricKind = Literal["SCALAR", "BOOL"]
ModelState = Literal["ONLINE", "PENDING", "OFFLINE", "ERROR"]
"""Whether a model answers: it does, it is being loaded, nobody wants it to, or it cannot."""
JudgementState = Literal["pending", "running", "done", "failed"]
ScoreType = Literal["DIRECT", "COMPARISON"]
"""What an A/B test is judged by: values for single completions, or preferences between two."""
ScoringType = Literal["HIGHER_IS_BETTER", "LOWER_IS_BETTER"]
Tie = Literal["good", "bad"]
"""Both completions are equally good, or equally bad."""
UserType = Literal["HUMAN", "SYSTEM"]
"""A person, or a service account."""


def uuid7() -> UUID:
    """A time-ordered UUID (RFC 9562, version 7): rows inserted in order, ids that cannot be guessed."""
    value = bytearray(int(time.time_ns() // 1_000_000).to_bytes(6, "big") + os.urandom(10))
    value[6] = 0x70 | (value[6] & 0x0F)
    value[8] = 0x80 | (value[8] & 0x3F)
    return UUID(bytes=bytes(value))


def uuid_or_none(text: str) -> UUID | None:
    """For what is named by id or by key."""
    try:
        return UUID(text)
    except ValueError:
        return None


def made_at(id_: UUID) -> int:
    """When `uuid7` made this id, in epoch ms."""
    return id_.int >> 80


def now_ms() -> int:
    """Milliseconds since the Unix epoch, the unit of every stored time."""
    return time.time_ns() // 1_000_000


def prompt_hash(messages: Sequence[Mapping[str, Any]]) -> str:
    """The same for the same messages, as they are stored."""
    return hashlib.sha256(json.dumps(messages, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: the key that authenticated the request, and what it permits (see `permissions.py`)."""

    key_id: str
    everywhere: frozenset[str] = frozenset()
    """Permissions for the server, and in each of its projects; `project:create` also when it counts in a team only."""
    in_projects: Mapping[UUID, frozenset[str]] = field(default_factory=dict)
    """Further permissions, by project."""
    user_id: UUID | None = None
    """Whose key it is; None for a key that belongs to nobody."""

    def may_anywhere(self, permission: str) -> bool:
        """On the server, or in some project."""
        return permission in self.everywhere or any(permission in some for some in self.in_projects.values())

    def may(self, permission: str, project_id: UUID | None = None) -> bool:
        """In that project, or, without one, on the server as a whole."""
        if permission in self.everywhere:
            return True
        return project_id is not None and permission in self.in_projects.get(project_id, ())


@dataclass(frozen=True, slots=True)
class Project:
    id: UUID
    key: str
    name: str
    description: str
    created_at: int
    archived_at: int | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    """`default_metric`, a metric's key, if there is one."""

    @property
    def archived(self) -> bool:
        return self.archived_at is not None


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
    """`internal` for models that run in our engine."""
    capabilities: tuple[str, ...]
    context_length: int
    """Most tokens of prompt and answer together that the model was trained for; 0: nobody said."""
    created_at: int
    compute_config: ComputeConfig = ComputeConfig()
    external: ExternalModel | None = None


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


@dataclass(frozen=True, slots=True)
class Team:
    """Users who share projects."""

    id: UUID
    key: str
    name: str
    created_at: int


@dataclass(frozen=True, slots=True)
class AccessRole:
    """A named set of permissions. (`Role` is who speaks in a chat.)"""

    id: UUID
    key: str
    name: str
    permissions: frozenset[str]
    created_at: int


@dataclass(frozen=True, slots=True)
class User:
    """A person or a service account. Who was deleted stays known to what they left behind."""

    id: UUID
    email: str
    name: str
    user_type: UserType
    created_at: int
    deleted_at: int | None = None


@dataclass(frozen=True, slots=True)
class Membership:
    """A user's place in a team."""

    user_id: UUID
    team: Team
    role: AccessRole


@dataclass(frozen=True, slots=True)
class Share:
    """What the members of a team may do in a project: what their own role and this one both permit.

    In a team that owns the project their own role alone counts.
    """

    project_id: UUID
    team: Team
    role: AccessRole
    is_owner: bool


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A stored key. The secret itself is never stored, only its keyed hash."""

    id: str
    name: str
    role: str
    """Empty for a user's key: it may do what the user may."""
    project_id: UUID | None
    digest: bytes
    created_at: int
    expires_at: int | None = None
    revoked_at: int | None = None
    user_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One turn as the chat template sees it: text parts already joined."""

    role: Role
    content: str
    name: str | None = None


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
class TokenLogprob:
    """One token of an answer and how likely it was, before temperature and top-p, among those its grammar allowed."""

    token: bytes
    logprob: float
    """Natural logarithm; 0 for a token that the grammar left no choice about."""
    top: tuple[tuple[bytes, float], ...] = ()
    """The most likely tokens in its place, best first."""


@dataclass(frozen=True, slots=True)
class Timings:
    """Milliseconds since the request was submitted."""

    queue_ms: float
    """Until the scheduler admitted it; until the request that was answered went to a provider."""
    ttft_ms: float
    """Until its first token was sampled, or came from the provider."""
    total_ms: float


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of text, and on the last one why generation ended."""

    text: str
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    timings: Timings | None = None
    logprobs: tuple[TokenLogprob, ...] = ()
    """Of the tokens since the last delta, when asked for. Their text may come later, or never behind a stop string."""
    reasoning: str = ""
    """What the model thought before it answers, where a provider tells it."""


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


@dataclass(frozen=True, slots=True)
class Metric:
    id: UUID
    project_id: UUID
    key: str
    name: str
    kind: MetricKind
    scoring_type: ScoringType
    description: str
    unit: str | None
    created_at: int
    category: MetricCategory = "USER"


@dataclass(frozen=True, slots=True)
class Score:
    """The value that one metric has for one completion; booleans are 0 and 1."""

    id: UUID
    interaction_id: UUID
    metric_id: UUID
    metric_key: str
    value: float
    created_at: int
    reason: str | None = None
    details: str | None = None
    user: str | None = None
    source: MetricCategory = "USER"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Which of two completions is better on a metric, or that neither is."""

    id: UUID
    project_id: UUID
    metric_id: UUID
    preferred_id: UUID
    other_id: UUID
    created_at: int
    tied: Tie | None = None
    user: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The value that one metric has for a whole session."""

    id: UUID
    project_id: UUID
    metric_id: UUID
    session_id: UUID
    value: float
    created_at: int
    user: str | None = None


@dataclass(frozen=True, slots=True)
class AbTestArm:
    model_id: UUID
    model_key: str
    position: int


@dataclass(frozen=True, slots=True)
class AbTest:
    """Models of a project compared on one metric over a share of its traffic. Times are epoch milliseconds."""

    id: UUID
    project_id: UUID
    key: str
    name: str
    metric_id: UUID | None
    """None when the metric was deleted after the end."""
    score_type: ScoreType
    status: AbTestStatus
    traffic_split: float
    """Share of the requests that name no model, above 0 and up to 1."""
    auto_deploy: bool
    """The winner becomes the project's default."""
    alpha: float
    """The most probable that a wrong winner may be."""
    min_scores: int
    """Nothing is decided before every arm has scores from so many sessions."""
    begun_at: int
    created_at: int
    ended_at: int | None = None
    verdict: dict[str, Any] | None = None
    """How it ended: see `services.ab_tests`."""
    arms: tuple[AbTestArm, ...] = ()

    @property
    def active(self) -> bool:
        return self.status in ("WARMUP", "IN_PROGRESS")


@dataclass(frozen=True, slots=True)
class JudgeExample:
    """A judgement that people made, shown to the judge."""

    input: str
    output: str
    score: str | int
    reasoning: str | None = None


@dataclass(frozen=True, slots=True)
class Judge:
    """A model that scores completions by criteria in words."""

    model: str
    """Key of a model that is attached to the grader's project."""
    criteria: str
    scale: tuple[int, int] | None = None
    """The least and the greatest score; None for PASS, FAIL and NA."""
    template: str | None = None
    """What the judge reads, with `{{ name }}` for what there is to say; None is the usual one."""
    examples: tuple[JudgeExample, ...] = ()


@dataclass(frozen=True, slots=True)
class Grader:
    """A judge at work in a project: what it scores becomes a metric."""

    id: UUID
    project_id: UUID
    key: str
    name: str
    metric_id: UUID
    judge: Judge
    sampling_rate: float
    """The share of new interactions that it judges, 0 to 1."""
    enabled: bool
    created_at: int
