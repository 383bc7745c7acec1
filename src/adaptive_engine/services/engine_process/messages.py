"""What goes between a server and its engine process, as JSON and back."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from adaptive_engine import errors
from adaptive_engine.engine import EngineStats, SamplingParams, TokenStream
from adaptive_engine.errors import AdaptiveError, InternalError
from adaptive_engine.services.engine_jobs import EngineJob, EngineRequest
from adaptive_engine.services.local_models import ModelStatus
from adaptive_engine.services.structured import FormatCheck
from adaptive_engine.types import ChatMessage, Delta, Image, Model, Notice, Project, Timings, TokenLogprob, Usage
from adaptive_engine.wire.chat import ResponseFormat

REQUEST = TypeAdapter(EngineRequest)


@dataclass(frozen=True, slots=True)
class ModelNews:
    """A model of the engine process."""

    model: Model
    status: ModelStatus
    stats: EngineStats | None
    """Of a loaded model."""


@dataclass(frozen=True, slots=True)
class Begun:
    """What a server shows and stores of a request that an engine has taken."""

    fingerprint: str
    prompt_tokens: int
    params: tuple[SamplingParams, ...]
    """Of each choice."""
    notices: tuple[Notice, ...]
    validated: str | None
    """See `AnswerFormat`."""


NEWS = TypeAdapter(ModelNews)
MODEL = TypeAdapter(Model)
BEGUN = TypeAdapter(Begun)
PROJECT = TypeAdapter(Project)
CHECK = TypeAdapter(FormatCheck)


def request_message(request: EngineRequest) -> tuple[dict[str, Any], bytes]:
    """A request, and the pixels of its images one behind the other."""
    images = [image for turn in request.turns for image in turn.images]
    fields = REQUEST.dump_python(dataclasses.replace(request, turns=(), response_format=None), mode="json")
    fields["response_format"] = _format(request.response_format)
    fields["turns"] = [[turn.role, _content(turn), turn.name] for turn in request.turns]
    return fields, b"".join(image.pixels for image in images)


def read_request(fields: dict[str, Any], pixels: bytes) -> EngineRequest:
    turns, at = [], 0
    for role, content, name in fields.pop("turns"):
        parts: list[str | Image] = []
        for part in [content] if isinstance(content, str) else content:
            if isinstance(part, str):
                parts.append(part)
            else:
                digest, width, height = part
                size = 3 * width * height
                parts.append(Image(bytes.fromhex(digest), width, height, pixels[at : at + size]))
                at += size
        turns.append(ChatMessage(role, content if isinstance(content, str) else tuple(parts), name))
    request = REQUEST.validate_python({**fields, "turns": []})
    return dataclasses.replace(request, turns=turns)


def check_message(wanted: ResponseFormat | None, project: Project, max_tokens: int | None) -> dict[str, Any]:
    """What `ModelEngine.check` is asked."""
    return {
        "format": _format(wanted),
        "project": PROJECT.dump_python(project, mode="json"),
        "max_tokens": max_tokens,
    }


def read_check(content: dict[str, Any]) -> tuple[ResponseFormat | None, Project, int | None]:
    wanted = content["format"] and ResponseFormat.model_validate(content["format"])
    return wanted, PROJECT.validate_python(content["project"]), content["max_tokens"]


def _format(wanted: ResponseFormat | None) -> dict[str, Any] | None:
    # Not as JSON of pydantic's: that has null for a number that is too large for a double.
    return None if wanted is None else wanted.model_dump(by_alias=True)


def _content(turn: ChatMessage) -> str | list[Any]:
    if isinstance(turn.content, str):
        return turn.content
    return [part if isinstance(part, str) else [part.digest.hex(), part.width, part.height] for part in turn.content]


def error_message(error: BaseException) -> dict[str, Any]:
    """Of an error that clients may see; of any other one its place in the log."""
    if not isinstance(error, AdaptiveError):
        error = InternalError("The request failed unexpectedly in the engine process.")
    return {"class": type(error).__name__, "fields": vars(error)}


def read_error(content: dict[str, Any]) -> AdaptiveError:
    """The error as it was raised, though not by its constructor, which may want what is no field of it."""
    kind = getattr(errors, content["class"], InternalError)
    error: AdaptiveError = kind.__new__(kind, content["fields"]["message"])
    vars(error).update(content["fields"])
    return error


def begun_message(job: EngineJob) -> Any:
    begun = Begun(job.fingerprint, job.prompt_tokens, job.params, tuple(job.notices), job.format.validated)
    return BEGUN.dump_python(begun, mode="json")


def delta_entry(stream: int, tokens: int, delta: Delta) -> list[Any]:
    """`tokens` is how many the stream has generated."""
    if delta.finish_reason is None and not delta.logprobs:
        return [stream, tokens, delta.text]
    last = None
    if delta.finish_reason is not None and delta.usage is not None and delta.timings is not None:
        last = [delta.finish_reason, dataclasses.astuple(delta.usage), dataclasses.astuple(delta.timings)]
    return [stream, tokens, delta.text, last, [_logprob(each) for each in delta.logprobs]]


def failed_entry(stream: int, tokens: int, error: BaseException) -> list[Any]:
    return [stream, tokens, error_message(error)]


def admitted_entry(stream: int, cached_tokens: int) -> list[Any]:
    """The stream's prompt is being computed."""
    return [stream, 0, None, cached_tokens]


def read_entry(entry: list[Any], stream: TokenStream) -> Delta | AdaptiveError | None:
    """What of an entry its reader is to hear; counts and phase of `stream` are set here."""
    _, tokens, content, *rest = entry
    if content is None:
        stream.phase, stream.cached_tokens = "prefill", rest[0]
        return None
    stream.completion_tokens = tokens
    if isinstance(content, dict):
        stream.phase = "done"
        return read_error(content)
    delta = read_delta(entry)
    stream.phase = "decode" if delta.finish_reason is None else "done"
    return delta


def read_delta(entry: list[Any]) -> Delta:
    """Of an entry with a text."""
    if len(entry) == 3:
        return Delta(entry[2])
    _, _, text, last, logprobs = entry
    scored = tuple(
        TokenLogprob(_token(token), _number(p), tuple((_token(other), _number(q)) for other, q in top))
        for token, p, top in logprobs
    )
    if last is None:
        return Delta(text, logprobs=scored)
    reason, usage, timings = last
    return Delta(text, reason, Usage(*usage), Timings(*timings), scored)


def _logprob(found: TokenLogprob) -> list[Any]:
    top = [[token.decode("latin-1"), logprob] for token, logprob in found.top]
    return [found.token.decode("latin-1"), found.logprob, top]


def _token(text: str) -> bytes:
    return text.encode("latin-1")


def _number(found: float | None) -> float:
    """JSON has no infinity, which is the logarithm of nothing."""
    return float("-inf") if found is None else found
