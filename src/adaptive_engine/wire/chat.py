"""POST /api/v1/chat/completions: request, response, stream chunk.

The shapes are OpenAI's (https://platform.openai.com/docs/api-reference/chat) plus `session_id`, `completion_id`,
`labels` and `warnings`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

MAX_MESSAGES = 4096
MAX_LABELS = 64
MAX_STOP = 16
MAX_CHOICES = 16
MAX_TOKENS = 2**31 - 1
MAX_TOP_LOGPROBS = 20

LabelKey = Annotated[str, StringConstraints(min_length=1, max_length=128)]
LabelValue = Annotated[str, StringConstraints(max_length=1024)]
Labels = Annotated[dict[LabelKey, LabelValue], Field(max_length=MAX_LABELS)]


def _few_with_labels(metadata: dict[str, str] | None, info: ValidationInfo) -> dict[str, str] | None:
    together = len((metadata or {}).keys() | (info.data.get("labels") or {}).keys())
    if together > MAX_LABELS:
        raise ValueError(f"with `labels` these are {together} labels, and there may be {MAX_LABELS}; leave some out")
    return metadata


Metadata = Annotated[Labels | None, AfterValidator(_few_with_labels)]
"""Labels by OpenAI's name. They are merged with `labels`, which a model has before them."""

MaxTokens = Annotated[int, Field(ge=1, le=MAX_TOKENS)]
Temperature = Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)]
TopP = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]


def _check_stop(stop: str | list[str]) -> str | list[str]:
    sequences = [stop] if isinstance(stop, str) else stop
    if len(sequences) > MAX_STOP:
        raise ValueError(f"at most {MAX_STOP} stop sequences")
    if any(not s or len(s) > 256 for s in sequences):
        raise ValueError("each stop sequence has 1 to 256 characters")
    return stop


Stop = Annotated[str | list[str], AfterValidator(_check_stop)]


class TextPart(BaseModel):
    model_config = ConfigDict(extra="allow")

    type: Literal["text"]
    text: str


class ImageUrl(BaseModel):
    model_config = ConfigDict(extra="allow")

    url: str
    detail: Literal["auto", "low", "high"] | None = None


class ImagePart(BaseModel):
    """`image_url` is a data URI (see `wire/images.py`), flat or in OpenAI's object."""

    model_config = ConfigDict(extra="allow")

    type: Literal["image_url"]
    image_url: str | ImageUrl

    @property
    def uri(self) -> str:
        return self.image_url if isinstance(self.image_url, str) else self.image_url.url

    @property
    def detail(self) -> str | None:
        return None if isinstance(self.image_url, str) else self.image_url.detail


ContentPart = Annotated[TextPart | ImagePart, Field(discriminator="type")]


class Message(BaseModel):
    model_config = ConfigDict(extra="allow")

    role: Literal["system", "user", "assistant"]
    content: str | list[ContentPart]
    name: Annotated[str, StringConstraints(max_length=256)] | None = None
    completion_id: UUID | None = None
    metadata: Any = None

    @field_validator("role", mode="before")
    @classmethod
    def _developer_is_system(cls, role: Any) -> Any:
        """OpenAI renamed the system role to `developer`; both mean the same here."""
        return "system" if role == "developer" else role

    def text(self) -> str:
        """The text parts joined, as the chat template gets them."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content if isinstance(part, TextPart))

    @property
    def parts(self) -> list[TextPart | ImagePart]:
        """None where the content is text alone."""
        return [] if isinstance(self.content, str) else self.content

    @property
    def images(self) -> list[ImagePart]:
        return [part for part in self.parts if isinstance(part, ImagePart)]


class StreamOptions(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)

    include_usage: bool | None = None


class JsonSchemaFormat(BaseModel):
    """The envelope of a JSON schema; OpenAI's, plus `complete`."""

    model_config = ConfigDict(extra="allow", strict=True, protected_namespaces=())

    name: Annotated[str, StringConstraints(max_length=256)] | None = None
    description: str | None = None
    schema_: Annotated[dict[str, Any] | bool, Field(alias="schema")]
    strict: bool | None = None
    """Refuse the request when anything of the schema cannot be enforced, rather than warn."""
    complete: bool | None = None
    """Close the JSON before `max_tokens` runs out."""


class ResponseFormat(BaseModel):
    """`text`, `json_object`, or `json_schema` with its envelope."""

    model_config = ConfigDict(extra="allow")

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchemaFormat | None = None

    @model_validator(mode="after")
    def _schema_is_there(self) -> ResponseFormat:
        if self.type == "json_schema" and self.json_schema is None:
            raise ValueError('`json_schema` is required: {"name": ..., "schema": {...}}')
        return self

    def is_strict(self) -> bool:
        return bool(self.json_schema and self.json_schema.strict)

    def ignores_schema(self) -> bool:
        return self.json_schema is not None and self.type != "json_schema"

    def unknown(self) -> list[str]:
        """Paths of fields that nobody reads."""
        inner = (self.json_schema.model_extra or {}) if self.json_schema else {}
        return [*(self.model_extra or {}), *(f"json_schema.{name}" for name in inner)]


class ChatRequest(BaseModel):
    """What a client may send. Fields that are not listed are kept in `model_extra` and reported as warnings."""

    # Strict: `true` is no temperature and "yes" no boolean.
    model_config = ConfigDict(extra="allow", strict=True, protected_namespaces=())

    model: Annotated[str, StringConstraints(min_length=1, max_length=512)]
    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: MaxTokens | None = None
    max_completion_tokens: MaxTokens | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    seed: Seed | None = None
    stop: Stop | None = None
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None = None
    ignore_eos: bool | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MAX_TOP_LOGPROBS)] | None = None
    session_id: UUID | None = None
    user: Annotated[str, StringConstraints(max_length=256)] | None = None
    labels: Labels | None = None
    metadata: Metadata = None
    store: bool | None = None
    max_ttft_ms: Annotated[int, Field(ge=0, le=2**63 - 1)] | None = None
    response_format: ResponseFormat | None = None
    ab_campaign: str | None = None
    system_prompt_args: dict[str, Any] | None = None
    tags: list[str] | None = None
    use_tools: bool | None = None
    tools: list[dict[str, Any]] | None = None
    constrained_decoding: dict[str, Any] | None = None

    def token_limit(self) -> int | None:
        """Of the two names that OpenAI has for it, the smaller number."""
        return min((n for n in (self.max_tokens, self.max_completion_tokens) if n is not None), default=None)

    def stop_sequences(self) -> tuple[str, ...]:
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    def alternatives(self) -> int | None:
        """How many of each token are to be told with their log probabilities; None for no log probabilities."""
        return (self.top_logprobs or 0) if self.logprobs else None

    @field_validator("top_logprobs")
    @classmethod
    def _needs_logprobs(cls, top_logprobs: int | None, info: ValidationInfo) -> int | None:
        if top_logprobs and not info.data.get("logprobs"):
            raise ValueError("this needs `logprobs`: true")
        return top_logprobs


class PromptTokensDetails(BaseModel):
    cached_tokens: int = 0


class Usage(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails = Field(default_factory=PromptTokensDetails)


class Warning(BaseModel):  # noqa: A001 - the wire's word
    """Something the request asked for that the answer does not reflect."""

    code: str
    message: str
    param: str | None = None


class TopLogprob(BaseModel):
    """`token` may show replacement characters where `bytes` are a part of one."""

    token: str
    logprob: float
    bytes: list[int]


class TokenLogprob(TopLogprob):
    """A token of the answer: how likely it was among those its schema allowed, before temperature and top_p."""

    top_logprobs: list[TopLogprob]


class Logprobs(BaseModel):
    content: list[TokenLogprob]


class ChoiceMessage(BaseModel):
    id: str
    role: str
    content: str
    reasoning_content: str | None = None
    """What the model thought before, where its provider tells it. It is also there as `reasoning`."""


class Choice(BaseModel):
    index: int
    message: ChoiceMessage
    finish_reason: str | None = None
    completion_id: UUID
    model: str
    logprobs: Logprobs | None = None
    schema_valid: bool | None = None
    """Whether the finished answer is valid, where masks could not enforce all of its schema."""


class ChatResponse(BaseModel):
    id: str
    object: str = "chat.completion"
    created: int
    model: str | None = None
    system_fingerprint: str | None = None
    """Changes with the server's version, the model's files and its settings: with all that a seed cannot hold."""
    session_id: UUID
    choices: list[Choice]
    usage: Usage
    warnings: list[Warning] = Field(default_factory=list)


class Delta(BaseModel):
    id: str
    role: str
    content: str
    reasoning_content: str | None = None


class ChunkChoice(BaseModel):
    index: int
    delta: Delta
    finish_reason: str | None = None
    completion_id: UUID
    model: str | None = None
    logprobs: Logprobs | None = None
    schema_valid: bool | None = None


class ChatChunk(BaseModel):
    """One event of a stream. `choices` is empty on the final usage chunk."""

    id: str
    object: str = "chat.completion.chunk"
    created: int
    model: str | None = None
    system_fingerprint: str | None = None
    session_id: UUID
    choices: list[ChunkChoice]
    usage: Usage | None = None
    warnings: list[Warning] = Field(default_factory=list)
