"""What is said about a client's schema: why it is refused, and what became of its keywords."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Code = Literal["invalid_schema", "unsatisfiable_schema", "schema_too_complex"]


class SchemaRefused(Exception):
    """The schema cannot be used. `pointer` is the JSON pointer of the cause in the client's schema, "" its root."""

    def __init__(self, code: Code, pointer: str, reason: str) -> None:
        super().__init__(f"{pointer or '(root)'}: {reason}")
        self.code: Code = code
        self.pointer = pointer
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Note:
    """What became of one keyword that the engine cannot take as it is.

    `rewritten`: another spelling, the same instances. `narrowed`: every instance is valid, but some valid ones cannot
    be produced. `unenforced`: ignored while generating, so the finished text has to be validated.
    """

    kind: Literal["rewritten", "narrowed", "unenforced"]
    pointer: str
    keyword: str
    reason: str
    unknown: bool = False
    """JSON Schema has no such keyword, so whoever reads the schema will not do what was probably meant."""


@dataclass(frozen=True, slots=True)
class Normalised:
    """A schema of such keywords as the engine enforces; `enforced` names those that are the client's own."""

    schema: dict[str, Any]
    notes: tuple[Note, ...]
    enforced: tuple[str, ...]

    @property
    def exact(self) -> bool:
        """Whether every text the engine can produce is valid, so that validating it again cannot fail."""
        return all(note.kind != "unenforced" for note in self.notes)
