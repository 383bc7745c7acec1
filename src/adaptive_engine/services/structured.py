"""`response_format` of a request: what the answer has to match, and what of that can be promised."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from adaptive_engine.errors import InvalidRequest, Overloaded
from adaptive_engine.grammar.checker import CannotValidate, CheckerBusy
from adaptive_engine.grammar.schema.report import Note, SchemaRefused
from adaptive_engine.grammar.schemas import Schemas
from adaptive_engine.telemetry.structured import structlog
from adaptive_engine.types import Notice, Project
from adaptive_engine.wire.chat import JsonSchemaFormat, ResponseFormat
from adaptive_engine.wire.structured import KeywordNote, Refusal, SchemaReport, ShortestAnswer

if TYPE_CHECKING:
    from adaptive_engine.grammar.compiler import CompiledSchema
    from adaptive_engine.grammar.constraint import Constraint
    from adaptive_engine.grammar.inspection import Inspection
    from adaptive_engine.grammar.masks import Vocabulary

log = structlog.get_logger(__name__)

_SCHEMA = "response_format.json_schema.schema"
# Unenforced keywords that are named one by one in an answer's warnings.
_MAX_NAMED = 20


@dataclass(frozen=True, slots=True)
class FormatCheck:
    """What becomes of a response format."""

    masked: bool
    """It is enforced while the answer is generated."""
    notices: tuple[Notice, ...]


@dataclass(frozen=True, slots=True)
class AnswerFormat:
    """What an answer has to match; free text unless `compiled`."""

    compiled: CompiledSchema | None = None
    closed: bool = False
    """The answer is complete before its tokens run out."""
    notices: tuple[Notice, ...] = ()
    validated: str | None = None
    """The schema, as JSON, that the finished answer is checked against; None where the masks leave no doubt."""
    external: bool = False
    """A provider answers: nothing is masked here."""
    sent: Literal["json_schema", "json_object"] | None = None
    """What of it the provider is told."""

    @property
    def masked(self) -> bool:
        return not self.external and self.compiled is not None and self.compiled.grammar is not None

    @property
    def checked(self) -> FormatCheck:
        return FormatCheck(self.masked, self.notices)

    def constraint(self) -> Constraint | None:
        """For one generation."""
        return self.compiled.constraint(closed=self.closed) if self.compiled and self.masked else None


class StructuredOutput:
    """Prepares answer formats. One per server."""

    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas

    async def inspect(self, schema: Any, vocabulary: Vocabulary | None) -> SchemaReport:
        """What would become of `schema`; without a vocabulary, with bytes for tokens. Raises Overloaded."""
        try:
            return report(await self._schemas.inspect(schema, vocabulary or _bytes()))
        except CheckerBusy as exc:
            raise _busy() from exc

    async def prepare(
        self, wanted: ResponseFormat | None, project: Project, vocabulary: Vocabulary | None
    ) -> AnswerFormat:
        """For a model's tokens; without them for bytes, which tells nearly as much about a schema.

        Raises InvalidRequest for a schema that cannot be used, Overloaded when there was no time to find out.
        """
        if wanted is None or wanted.type == "text":
            return AnswerFormat()
        envelope, compiled = await self._compile(wanted, project, vocabulary)
        notices = _notices(compiled)
        if notices and envelope is not None and envelope.strict:
            raise _strict(notices)
        if notices:
            log.warning(
                "a schema is not enforced" if compiled.unexpressed else "schema keywords are not enforced",
                project=project.key,
                reasons=[notice.message for notice in notices],
            )
        closed = bool(envelope and envelope.complete)
        if closed:
            await self._check_closable(compiled)
        told = (*notices, *_unknown(compiled, "narrowed"))
        return AnswerFormat(compiled, closed, told, None if compiled.exact else compiled.text)

    async def prepare_external(
        self,
        wanted: ResponseFormat | None,
        project: Project,
        support: Literal["json_schema", "json_object", "none"],
    ) -> AnswerFormat:
        """For a provider that takes so much of it. Raises as `prepare` does, also for a strict schema that it does not
        take.
        """
        if wanted is None or wanted.type == "text":
            return AnswerFormat()
        envelope, compiled = await self._compile(wanted, project)
        # What a provider does not take is said by its dialect, which looks at keywords of JSON Schema only.
        notices = [*_unknown(compiled, "unenforced"), *_unknown(compiled, "narrowed")]
        if support == "none" or (envelope is not None and support != "json_schema"):
            what = "any JSON object" if support == "json_object" else "free text"
            if envelope is not None and envelope.strict:
                raise InvalidRequest(
                    f"The schema is strict, and this model takes none: its answer would be {what}. Leave `strict` out "
                    "to have the finished answer checked instead.",
                    code="unsupported_response_format",
                    param="response_format",
                )
            message = f"This model does not take it: the answer is {what}, and checked when it is finished."
            notices.append(Notice("schema_not_enforced", message, "response_format"))
        if envelope is not None and envelope.complete:
            message = "Only models of our own engine can be made to close their JSON in time."
            notices.append(Notice("not_applied", message, "response_format.json_schema.complete"))
        sent: Literal["json_schema", "json_object"] | None = None if support == "none" else "json_object"
        if envelope is not None and support == "json_schema":
            sent = "json_schema"
        return AnswerFormat(compiled, notices=tuple(notices), validated=compiled.text, external=True, sent=sent)

    async def verdict(self, wanted: AnswerFormat, answer: str) -> tuple[bool | None, Notice | None]:
        """Whether a finished answer is valid, and what is to be said about it. None where the masks leave no doubt."""
        if wanted.validated is None:
            return None, None
        try:
            violation = await self._schemas.violation(wanted.validated, answer)
        except CannotValidate as exc:
            return None, Notice("schema_not_checked", str(exc), _SCHEMA)
        except SchemaRefused:
            return None, Notice("schema_not_checked", "Checking the answer takes too long.", _SCHEMA)
        except CheckerBusy:
            return None, Notice("schema_not_checked", "The server had no time to check the answer.", _SCHEMA)
        return violation is None, Notice("schema_violated", violation, _SCHEMA) if violation else None

    async def _compile(
        self, wanted: ResponseFormat, project: Project, vocabulary: Vocabulary | None = None
    ) -> tuple[JsonSchemaFormat | None, CompiledSchema]:
        """What came with the schema, and the schema; that of any object where none came."""
        envelope = wanted.json_schema if wanted.type == "json_schema" else None
        schema: Any = envelope.schema_ if envelope else {"type": "object"}
        try:
            return envelope, await self._schemas.compile(schema, vocabulary or _bytes(), project.id.bytes)
        except SchemaRefused as exc:
            raise refused(exc) from exc
        except CheckerBusy as exc:
            raise _busy() from exc

    async def _check_closable(self, compiled: CompiledSchema) -> None:
        try:
            shortest = await self._schemas.completion(compiled)
        except CheckerBusy as exc:
            raise _busy() from exc
        if shortest is None:
            raise InvalidRequest(
                "No way to complete an answer was found for this schema, so `complete` cannot be promised. "
                "Make less of it required and its patterns simpler, or leave `complete` out.",
                code="schema_not_closable",
                param="response_format.json_schema.complete",
            )


def require_room(wanted: AnswerFormat, budget: int) -> None:
    """Raises InvalidRequest when an answer that has to be complete does not fit into `budget` tokens."""
    shortest = wanted.compiled.completion if wanted.closed and wanted.compiled else None
    if shortest is not None and len(shortest) > budget:
        raise InvalidRequest(
            f"With `complete`, an answer that matches the schema takes {len(shortest)} tokens, as far as was found; "
            f"there are {budget}. Raise max_tokens, or make less of the schema required.",
            code="max_tokens_too_small",
            param="max_tokens",
        )


def report(found: Inspection) -> SchemaReport:
    """An inspection in the words of the wire."""
    by_kind: dict[str, list[KeywordNote]] = {"rewritten": [], "narrowed": [], "unenforced": []}
    for note in found.notes:
        by_kind[note.kind].append(KeywordNote(pointer=note.pointer, keyword=note.keyword, reason=note.reason))
    refusal, shortest = found.refusal, None
    if found.shortest is not None and found.shortest_tokens is not None and found.forced_share is not None:
        shortest = ShortestAnswer(
            text=found.shortest, tokens=found.shortest_tokens, forced_share=round(found.forced_share, 3)
        )
    return SchemaReport(
        verdict=found.verdict,
        enforced=list(found.enforced),
        **by_kind,
        refused=refusal and Refusal(code=refusal.code, pointer=refusal.pointer, reason=refusal.reason),
        not_enforced=found.unexpressed,
        compile_ms=round(found.compile_ms, 1),
        shortest_answer=shortest,
    )


def refused(exc: SchemaRefused) -> InvalidRequest:
    place = f" (at {exc.pointer})" if exc.pointer else ""
    return InvalidRequest(f"{exc.reason}{place}", code=exc.code, param=_param(exc.pointer))


@cache
def _bytes() -> Vocabulary:
    from adaptive_engine.grammar.masks import Vocabulary

    return Vocabulary.of_bytes()


def _notices(compiled: CompiledSchema) -> tuple[Notice, ...]:
    if compiled.unexpressed is not None:
        message = f"The schema is not enforced, the answer is free text: {compiled.unexpressed}"
        return (Notice("schema_not_enforced", message, _SCHEMA),)
    return tuple(_named([note for note in compiled.normalised.notes if note.kind == "unenforced"]))


def _unknown(compiled: CompiledSchema, kind: Literal["narrowed", "unenforced"]) -> list[Notice]:
    """Of keywords that JSON Schema does not have."""
    return _named([note for note in compiled.normalised.notes if note.unknown and note.kind == kind])


def _named(notes: list[Note]) -> list[Notice]:
    """Of notes of one kind."""
    # What is narrowed keeps all that is promised of an answer.
    code = "not_applied" if notes and notes[0].kind == "narrowed" else "schema_keyword_not_enforced"
    notices = [Notice(code, f"{note.keyword}: {note.reason}", _param(note.pointer)) for note in notes[:_MAX_NAMED]]
    if len(notes) > _MAX_NAMED:
        more = f"{len(notes) - _MAX_NAMED} more keywords of the schema are not enforced."
        notices.append(Notice(code, more, _SCHEMA))
    return notices


def _strict(notices: tuple[Notice, ...]) -> InvalidRequest:
    reasons = " ".join(f"{notice.message} (at {notice.param.partition('#')[2] or '/'})" for notice in notices[:3])
    return InvalidRequest(
        f"The schema is strict, and not all of it can be enforced. {reasons} "
        "Remove these keywords, or `strict` to have the finished answer checked instead.",
        code="invalid_schema",
        param=notices[0].param,
    )


def _busy() -> Overloaded:
    return Overloaded("The server had no time to check the schema. Try again later.")


def _param(pointer: str) -> str:
    return f"{_SCHEMA}#{pointer}" if pointer else _SCHEMA
