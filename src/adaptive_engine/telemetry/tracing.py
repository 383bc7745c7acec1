"""Traces, as the rest of the server speaks of them. `otel.py` makes them, and is imported only when it is asked to."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Seq
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final, Protocol

from adaptive_engine.telemetry.answered import Answered
from adaptive_engine.types import Usage


@dataclass(frozen=True, slots=True)
class Response:
    """How a request ended."""

    route: str
    status: int
    completion: str | None = None
    """The id of the chat completion that it was for."""
    answered: Seq[Answered] = field(default_factory=list)


class Try(Protocol):
    """One request to a provider."""

    headers: Mapping[str, str]
    """What the provider gets, so that its own spans belong to the same trace."""

    def began(self) -> None:
        """The first of the answer is there."""

    def end(self, error: str | None, usage: Usage | None = None) -> None:
        """`error` is a code. What comes after the first call is ignored."""


class Trace(Protocol):
    """One request to this server."""

    id: str

    def ask(self, model: str, vendor: str, address: tuple[str, int] | None) -> Try:
        """A provider is about to be asked, at this host and port."""

    def end(self, response: Response) -> None: ...


class Tracing(Protocol):
    """Of one server."""

    def begin(self, method: str, path: str, headers: Mapping[str, str], arrived: float) -> Trace:
        """A request `arrived`, by `time.perf_counter`. It goes on with the trace that its headers name."""

    def close(self) -> None:
        """Send what was not sent yet. Blocks, but not for long where nobody takes it."""


current: Final[ContextVar[Trace | None]] = ContextVar("current_trace", default=None)
"""Of the request in whose name something is done."""


def start(*, on: bool, content: bool) -> Tracing | None:
    """What the settings ask for. Raises InvalidRequest where its libraries are missing.

    `content`: spans have prompts and answers in them.
    """
    if not on:
        return None
    from adaptive_engine.telemetry.otel import OtelTracing

    return OtelTracing.from_environment(content=content)
