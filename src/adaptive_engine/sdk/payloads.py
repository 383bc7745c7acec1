"""Arguments to wire format, wire format to results: everything about a request that does not wait."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict, TypeVar
from urllib.parse import quote
from uuid import UUID

import httpx2
from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError, to_json

from adaptive_engine.sdk.errors import APIError, StreamInterruptedError, from_event
from adaptive_engine.sdk.schemas import ResponseFormatInput
from adaptive_engine.sdk.settings import Timeout
from adaptive_engine.wire.chat import ChatChunk

T = TypeVar("T", bound=BaseModel)

MessageInput = Mapping[str, Any] | BaseModel
"""`{"role": ..., "content": ...}`, or a message of an earlier response."""
TimeInput = datetime | str | int
"""A datetime (local time when it has no zone), RFC 3339 text, or milliseconds since the Unix epoch."""


class LabelFilter(TypedDict, total=False):
    """Interactions with label `key`; with one of the texts in `value`, where given."""

    key: str
    value: str | Sequence[str]


class LimitsInput(TypedDict, total=False):
    """What a key or a project may ask. None removes a limit; what is not given stays as it is."""

    requests_per_minute: int | None
    tokens_per_minute: int | None
    concurrent_requests: int | None


class ProjectSettingsInput(TypedDict, total=False):
    """What can be set of a project."""

    default_metric: str | None
    limits: LimitsInput | None


# The functional form, because `from` is a Python keyword.
TimeRange = TypedDict("TimeRange", {"from": TimeInput, "to": TimeInput}, total=False)


class InteractionFilters(TypedDict, total=False):
    """Which interactions are meant: all that is given must hold. docs/interactions.md explains `filter`."""

    labels: Sequence[LabelFilter]
    models: Sequence[str]
    timerange: TimeRange
    session_id: str | UUID
    completion_id: str | UUID
    state: str | Sequence[str]
    source: str | Sequence[str]
    prompt_hash: str
    user: str | UUID
    created_by: str | UUID
    filter: Mapping[str, Any]


class ParseOptions(TypedDict, total=False):
    """The keyword arguments of `chat.parse` besides `response_format`; `chat.create` documents them."""

    model: str | None
    project: str | None
    use_case: str | None
    stop: str | Sequence[str] | None
    max_tokens: int | None
    temperature: float | None
    top_p: float | None
    seed: int | None
    n: int | None
    logprobs: bool | None
    top_logprobs: int | None
    session_id: str | UUID | None
    user: str | UUID | None
    labels: Mapping[str, str] | None
    store: bool | None
    strict: bool | None
    complete: bool | None
    ab_campaign: str | None
    max_ttft_ms: int | None
    system_prompt_args: Mapping[str, Any] | None
    ignore_eos: bool | None
    extra_body: Mapping[str, Any] | None
    extra_headers: Mapping[str, str] | None
    timeout_secs: Timeout


class ChatOptions(ParseOptions, total=False):
    """The keyword arguments of `chat.create` besides `stream`; that method documents them."""

    stream_include_usage: bool | None
    response_format: ResponseFormatInput | None


def encode(fields: Mapping[str, Any]) -> bytes:
    """JSON without the fields that are None: left out, they take the server's default.

    Raises ValueError, which names the field, for what JSON cannot say.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    try:
        return to_json(given)
    except PydanticSerializationError as exc:
        name = next(name for name, value in given.items() if not _is_json(value))
        raise ValueError(f"{name} cannot be sent as JSON: {exc}") from exc


def _is_json(value: object) -> bool:
    try:
        to_json(value)
    except PydanticSerializationError:
        return False
    return True


def decode(kind: type[T], response: httpx2.Response) -> T:
    """The body as a `kind`. Raises APIError when something else than our server answered."""
    try:
        return kind.model_validate_json(response.content)
    except ValidationError as exc:
        raise unexpected_answer(response, f"a {kind.__name__}") from exc


def unexpected_answer(response: httpx2.Response, expected: str) -> APIError:
    """The error for a 2xx answer whose body, already read, is not `expected`."""
    got = response.headers.get("content-type") or "no content type"
    return APIError(
        f"{response.request.url} answered {response.status_code} but not with {expected} ({got}). "
        "Check that base_url is an Adaptive Engine server and not older than this SDK.",
        status_code=response.status_code,
        request_id=response.headers.get("x-request-id"),
        body=response.text,
    )


def decode_chunk(data: str, request_id: str | None) -> ChatChunk:
    """One event of a stream. Raises the error that an `{"error": ...}` event carries, or StreamInterruptedError."""
    # A substring test first: most chunks are then parsed once, by pydantic, and not twice.
    try:
        body = json.loads(data) if '"error"' in data else None
        if not (isinstance(body, dict) and body.get("error")):
            return ChatChunk.model_validate_json(data)
    except ValueError as exc:
        raise StreamInterruptedError(
            f"The stream sent something that is no chunk: {data[:200]!r}. The answer may be incomplete.",
            request_id=request_id,
            body=data,
        ) from exc
    raise from_event(body, request_id=request_id)


def model_name(project: str, model: str | None) -> str:
    """`project/model`, or the project alone: its default model or A/B test."""
    return f"{project}/{model}" if model else project


def uuid_text(name: str, value: str | UUID | None) -> str | None:
    """Raises ValueError, which names the argument, for text that is not a UUID."""
    if value is None:
        return None
    try:
        return str(UUID(str(value)))
    except ValueError:
        # Sessions are the caller's to name; other ids are those of answers.
        hint = "; uuid.uuid4() makes one" if name == "session_id" else ""
        raise ValueError(f"{name} is {value!r}, which is not a UUID{hint}") from None


def path_part(name: str, value: str | UUID) -> str:
    """The value as one part of a path. Raises ValueError, which names the argument, for an empty one: its path would be
    that of a list.
    """
    text = str(value)
    if not text:
        raise ValueError(f"{name} is empty; it has to name the one that is meant")
    return quote(text, safe="")


def id_text(name: str, value: str | UUID) -> str:
    """Raises ValueError, which names the argument, for what is not a UUID, None too."""
    found = uuid_text(name, value)
    if found is None:
        raise ValueError(f"{name} is None; give a UUID")
    return found


def optional_text(value: object) -> str | None:
    return None if value is None else str(value)


def messages_body(messages: Sequence[MessageInput]) -> list[Any]:
    """Raises ValueError for a text or a message alone, whose parts would be taken for messages."""
    if isinstance(messages, str | Mapping | BaseModel) or not isinstance(messages, Iterable):
        raise ValueError('messages is no list; give one: [{"role": "user", "content": "Hello!"}]')
    return [_without_none(message) if isinstance(message, BaseModel) else message for message in messages]


def feedback_body(feedback: Mapping[str, Any]) -> dict[str, Any]:
    """A score inside `interactions.create`; `feedback_key` is what `log_metric` calls the wire's `metric`."""
    body = dict(feedback)
    if "feedback_key" in body:
        body["metric"] = body.pop("feedback_key")
    if "created_at" in body:
        body["created_at"] = time_text(body["created_at"])
    return body


def selection(project: str, filters: InteractionFilters | None, **fields: Any) -> dict[str, Any]:
    """The body of a search. Raises ValueError for a filter that does not exist."""
    filters = {} if filters is None else filters
    if not isinstance(filters, Mapping):
        raise ValueError(f'filters is {filters!r}; give a mapping: {{"models": ["llama"]}}')
    if unknown := filters.keys() - InteractionFilters.__annotations__.keys():
        known = ", ".join(InteractionFilters.__annotations__)
        raise ValueError(f"Unknown filter {', '.join(sorted(unknown))}; there are {known}")
    body: dict[str, Any] = {"project": project, **filters, **fields}
    for name in ("session_id", "completion_id"):
        body[name] = uuid_text(name, body.get(name))
    for name in ("user", "created_by"):
        body[name] = optional_text(body.get(name))
    if filters.get("timerange") is not None:
        body["timerange"] = {name: time_text(value) for name, value in filters["timerange"].items()}  # type: ignore[arg-type]
    return body


def time_text(value: TimeInput | None) -> str | None:
    if isinstance(value, datetime):
        return value.astimezone().isoformat()
    return optional_text(value)


def _without_none(message: BaseModel) -> dict[str, Any]:
    return message.model_dump(mode="json", exclude_none=True)
