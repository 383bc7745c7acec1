"""Child processes that look at schemas before this process does; see `worker.py` for what they do."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from adaptive_engine.grammar.schema.limits import DEFAULT, SchemaLimits
from adaptive_engine.grammar.schema.report import Normalised, Note, SchemaRefused
from adaptive_engine.sandbox import LimitExceeded, Limits, Pool, SandboxBusy


class CheckerBusy(Exception):
    """The check did not come to its end, for want of time or a process; that is no verdict on the schema."""


class CannotValidate(Exception):
    """Whether an answer is valid cannot be said; the text says why."""


@dataclass(frozen=True, slots=True)
class CheckLimits(Limits):
    """What the check of one schema may cost."""

    cpu_seconds: float = 0.5
    """More is refused. Of 11,305 public schemas, one takes longer to compile."""
    wall_seconds: float = 5.0
    memory_bytes: int = 1 << 30
    processes: int = 2
    """Some 50 MB each."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A schema that holds no surprises for the compiler."""

    normalised: Normalised
    unexpressed: str | None
    """Why nothing of it can be compiled, if that is so."""
    examples: tuple[str, ...]
    """Strings that match the patterns of the schema."""
    seconds: float
    """What the check took."""


class Checkers:
    """Asks the children. Any thread may call `check`; as many as there are children at a time get through."""

    def __init__(self, limits: CheckLimits | None = None) -> None:
        self._limits = limits or CheckLimits()
        self._pool = Pool("adaptive_engine.grammar.worker", self._limits)

    def check(self, schema: str) -> Checked:
        """Check a schema in JSON. Raises SchemaRefused or CheckerBusy."""
        reply = self._ask(b'{"schema":%b}' % schema.encode())
        if refused := reply.get("refused"):
            raise SchemaRefused(**refused)
        checked = reply["checked"]
        notes = tuple(Note(**note) for note in checked["notes"])
        normalised = Normalised(checked["schema"], notes, tuple(checked["enforced"]))
        return Checked(normalised, checked["unexpressed"], tuple(checked["examples"]), reply["seconds"])

    def violation(self, schema: str, answer: str) -> str | None:
        """Where and why a finished answer breaks `schema`, None when it does not.

        Raises SchemaRefused when that takes too much to find out, CheckerBusy, or CannotValidate.
        """
        reply = self._ask(b'{"schema":%b,"answer":%b}' % (schema.encode(), json.dumps(answer).encode()))
        if reason := reply.get("unknown"):
            raise CannotValidate(reason)
        violation: str | None = reply["violation"]
        return violation

    def close(self) -> None:
        """End all child processes; who waits for one gets CheckerBusy."""
        self._pool.close()

    def _ask(self, question: bytes) -> dict[str, Any]:
        try:
            return self._pool.ask(question)[0]
        except SandboxBusy as exc:
            raise CheckerBusy from exc
        except LimitExceeded as exc:
            reason = {
                "time": f"It takes more than {self._limits.cpu_seconds:g} s to compile",
                "memory": f"It takes more than {self._limits.memory_bytes >> 20} MiB to compile",
                "stack": "It leads the compiler too deep",
            }[exc.limit]
            raise SchemaRefused("schema_too_complex", "", f"{reason}. Make it smaller or simpler.") from exc


def schema_text(schema: Any, limits: SchemaLimits = DEFAULT) -> str:
    """Compact JSON of a schema. Raises SchemaRefused for one that is too large or too deep to look at."""
    try:
        text = json.dumps(schema, separators=(",", ":"))
    except RecursionError:
        raise SchemaRefused("schema_too_complex", "", f"It is nested deeper than {limits.depth} levels.") from None
    if len(text) > limits.size:
        raise SchemaRefused(
            "schema_too_complex", "", f"It has {len(text):,} bytes of JSON; at most {limits.size:,} are taken."
        )
    return text
