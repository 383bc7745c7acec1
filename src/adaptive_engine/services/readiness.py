"""Whether this server can take a request now, and what keeps it from that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from adaptive_engine.services.backends import Backends
from adaptive_engine.services.routing import Routing
from adaptive_engine.store import Recorder


@dataclass(frozen=True, slots=True)
class ReadinessState:
    status: Literal["ok", "degraded", "unavailable"]
    problems: list[str]
    """In words, each with what it is about before a colon."""

    @property
    def ready(self) -> bool:
        return self.status != "unavailable"


class Readiness:
    """Of one server. One of several models that does not answer is a problem to be told, but the others need their
    requests.
    """

    def __init__(self, backends: Backends, routing: Routing, recorder: Recorder) -> None:
        self._backends = backends
        self._routing = routing
        self._recorder = recorder
        self._draining = False

    def drain(self) -> None:
        """The server stops: nobody should send it anything new."""
        self._draining = True

    def look(self) -> ReadinessState:
        """Asks neither the store nor an engine, so it does not block."""
        wanted = self._routing.wanted()
        models = self._backends.problems(wanted)
        problems = [f"model '{key}': {reason}" for key, reason in models.items()]
        if self._recorder.problem is not None:
            problems.append(f"store: {self._recorder.problem}")
        if self._draining:
            problems.append("server: It is draining: it stops when the requests that it has are answered.")
        unavailable = self._draining or self._recorder.problem is not None or (wanted and models.keys() == wanted)
        return ReadinessState("unavailable" if unavailable else "degraded" if problems else "ok", problems)
