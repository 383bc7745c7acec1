"""What a provider is to the rest of the server, and what a vendor has to say about itself.

`Provider` is all that the core sees: an async iterator of deltas per generation. `HttpProvider` (http_provider.py) is
one for every vendor that is asked over HTTP; what differs between vendors is a `Dialect`: functions from our words to
theirs and back, without network, state or clock.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from adaptive_engine.providers.schemas import Reduction, reduce
from adaptive_engine.types import Delta, Notice


@dataclass(frozen=True, slots=True)
class Profile:
    """What a model can do, as data. The defaults are those of a plain OpenAI-compatible server."""

    structured: Literal["json_schema", "json_object", "none"] = "json_schema"
    """What of `response_format` it takes; `json_schema` includes `json_object`."""
    schemas: Literal["any", "openai", "anthropic", "gemini"] = "any"
    """Which schemas it takes: those of a vendor's rules in schema_rules.py, or any as it is."""
    seed: bool = True
    logprobs: bool = True
    temperature: bool = True
    """Also `top_p`: reasoning models take neither."""
    stop: int = 16
    """The most stop sequences."""
    images: bool = False
    ignore_eos: bool = False
    """It can be told to write on where its model would end, by an extra parameter."""
    max_tokens_field: str = "max_tokens"
    """The name of the limit in the request; newer models of OpenAI want `max_completion_tokens`."""
    stream_usage: bool = True
    """It takes `stream_options`; without it a stream may tell no usage."""
    end_mark: bool = True
    """Its streams end with `[DONE]`, and one that does not was cut off."""
    max_tokens: int = 0
    """The limit of an answer whose request has none, for vendors that want one in each; 0: they do not."""
    api_version: str = ""
    """The version of the API that requests name, where the vendor has several."""


@dataclass(frozen=True, slots=True)
class JsonSchema:
    """The `json_schema` of a response format."""

    name: str
    schema: dict[str, Any] | bool
    description: str | None = None
    strict: bool = False
    reductions: dict[str, Reduction] = field(default_factory=dict, repr=False, compare=False)
    """Those that were made, by vendor: a large schema takes tens of milliseconds. May be shared by all that have the
    same schema.
    """

    def reduced(self, vendor: str) -> Reduction:
        """What of it a vendor takes; see schemas.py."""
        found = self.reductions.get(vendor)
        if found is None:
            found = self.reductions[vendor] = reduce(self.schema, vendor)
        return found


@dataclass(frozen=True, slots=True)
class ProviderRequest:
    """One generation in nobody's dialect. None leaves a parameter to the provider."""

    model: str
    """As the provider calls it."""
    messages: list[dict[str, Any]]
    """OpenAI's: `role` is system, user or assistant; `content` a string or parts of type `text` and `image_url`, whose
    `image_url` is `{"url": "data:..."}`.
    """
    stream: bool
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    logprobs: int | None = None
    """How many alternatives of each token; None for no log probabilities."""
    format: JsonSchema | Literal["json_object"] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    """The model's extra parameters; they go into the request as they are, and win."""


@dataclass(frozen=True, slots=True)
class Call:
    """A POST request: path below the endpoint, headers but those of the connection, and a body to be sent as JSON."""

    path: str
    headers: Mapping[str, str] = field(repr=False)
    """The API key among them, which is not to be read wherever somebody prints this."""
    body: dict[str, Any]
    stream: bool
    notices: tuple[Notice, ...] = ()
    """What was asked for and could not be said in the dialect; `param` names the request's field."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a vendor's error body says. Empty where it has no such body."""

    message: str = ""
    code: str = ""
    context_exceeded: bool = False
    """The prompt is too long for the model."""
    key_refused: bool = False
    """It is about the API key, whatever the status says."""
    filtered: bool = False
    """The vendor's content filter refuses the prompt."""


class StreamReader(Protocol):
    """Reads the events of one stream. Both raise UpstreamFailed, or ValueError, KeyError, TypeError for garbage."""

    def read(self, data: bytes) -> Delta | None:
        """What one event adds; None when it adds nothing. The one with a finish reason, and with usage where the vendor
        tells it, is the last: it comes when the vendor's mark of the end has.
        """

    def finish(self) -> Delta | None:
        """The stream has ended by itself: the last delta if nothing is missing, None when it was cut off."""


class Dialect(Protocol):
    """How a vendor says it."""

    def call(self, request: ProviderRequest, profile: Profile, api_key: str | None) -> Call:
        """The request in the vendor's words."""

    def answer(self, body: bytes) -> Delta:
        """A whole answer: text, finish reason and usage. Raises as StreamReader does."""

    def reader(self, profile: Profile) -> StreamReader:
        """For one stream."""

    def refusal(self, body: bytes) -> Refusal:
        """What an answer with an error status says. Raises nothing."""


class Provider(Protocol):
    """Answers for one external model."""

    profile: Profile

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port at which it is asked; None without a network."""

    def call(self, request: ProviderRequest) -> Call:
        """What will be sent, and what of the request it leaves out. Costs no network."""

    def generate(self, call: Call, deadline: float) -> AsyncGenerator[Delta]:
        """The deltas of one answer; the last one has a finish reason. `deadline` is on the loop's clock.

        Raises UpstreamRejected, UpstreamFailed, UpstreamBusy or UpstreamTimeout, in mid-answer too. Closing it ends the
        provider's work at once.
        """

    def close(self) -> None:
        """Give up connections that nobody uses."""
