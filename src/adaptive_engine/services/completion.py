"""A running completion: reads its answers, and records how each of them ends."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog

from adaptive_engine.engine import (
    Delta,
    FirstTokenLimit,
    SamplingParams,
    TokenLogprob,
    TokenStream,
)
from adaptive_engine.errors import AdaptiveError, InternalError
from adaptive_engine.services.structured import AnswerFormat, StructuredOutput
from adaptive_engine.store.recorder import Recorder
from adaptive_engine.types import (
    AbTest,
    Deployment,
    Interaction,
    InteractionState,
    Notice,
    Usage,
    now_ms,
)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request after routing, settings and rendering: everything that is needed to run and to store it."""

    deployment: Deployment
    ab_test: AbTest | None
    """The one that chose the deployment."""
    ab_test_unit: int | None
    session_id: UUID
    session_given: bool
    """The client named the session; otherwise the id is new, and nobody may ever come back with it."""
    prompt: tuple[int, ...]
    params: SamplingParams
    choices: int
    fingerprint: str
    """Of the engine that answers."""
    store: bool
    messages: list[dict[str, Any]]
    labels: dict[str, str]
    user: str | None
    created_by: UUID | None
    """The user whose key sent it."""
    format: AnswerFormat
    response_format: dict[str, Any] | None
    """As the client sent it or the settings have it, for the record."""
    system_prompt: str | None
    """The deployment's own, as it was rendered for this request."""
    first_token_limit: FirstTokenLimit | None
    warnings: tuple[Notice, ...]


class Choice:
    """One generation of a completion, and the row that it becomes."""

    def __init__(self, index: int, stream: TokenStream, row: Interaction) -> None:
        self.index = index
        self.stream = stream
        self.row = row
        self.message_id = f"msg-{row.id.hex}"
        self.pieces: list[str] = []
        self.recorded = False
        self.schema_valid: bool | None = None
        """What a validator said about the finished answer; None where the masks leave no doubt."""
        self.notices: list[Notice] = []
        self.logprobs: list[TokenLogprob] = []

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    async def read(self) -> Delta:
        """The next delta. Its text is the row's from here on, whoever still has to pass it on."""
        delta = await anext(self.stream)
        self.pieces.append(delta.text)
        self.logprobs += delta.logprobs
        return delta

    def ended(self, state: InteractionState, **changes: Any) -> Interaction:
        """The row in its final state, with the text and the tokens there are."""
        self.pieces.append(self.stream.take_waiting())
        usage = dataclasses.replace(
            self.row.usage,
            completion_tokens=self.stream.completion_tokens,
            cached_tokens=self.stream.cached_tokens,
        )
        changes = {"usage": usage, **changes}
        return dataclasses.replace(self.row, state=state, completion=self.text, completed_at=now_ms(), **changes)


class Completion:
    """A running completion. Read `deltas` to the end, or `cancel`; both leave nothing running and everything stored."""

    def __init__(
        self,
        prepared: Prepared,
        choices: list[Choice],
        structured: StructuredOutput,
        recorder: Recorder,
        request_id: str,
    ) -> None:
        self.id = request_id
        self.created = now_ms() // 1000
        self.prepared = prepared
        self.choices = choices
        self._structured = structured
        self._recorder = recorder

    @property
    def usage(self) -> Usage:
        """Of all choices together; the prompt counts once."""
        rows = [choice.row.usage for choice in self.choices]
        return Usage(
            prompt_tokens=len(self.prepared.prompt),
            completion_tokens=sum(row.completion_tokens for row in rows),
            cached_tokens=rows[0].cached_tokens,
        )

    async def deltas(self) -> AsyncIterator[tuple[Choice, Delta]]:
        """Deltas of all choices as they come. One with a finish reason comes after its row is committed.

        Raises what went wrong, once every choice is stopped and recorded.
        """
        try:
            alone = self.choices[0]
            if len(self.choices) == 1:
                while not alone.recorded:
                    yield alone, await self._take(alone, await alone.read())
            else:
                async for choice, delta in _merge(self.choices):
                    yield choice, await self._take(choice, delta)
        except Exception as exc:
            known = isinstance(exc, AdaptiveError)
            error = exc if isinstance(exc, AdaptiveError) else InternalError("The completion failed unexpectedly.")
            await self._abandon("error", {"code": error.code, "message": error.message})
            if known:
                raise
            log.error("a completion failed", completion=self.id, exc_info=exc)
            raise error from exc

    async def cancel(self) -> None:
        """The client has left: stop within one step and record what there is."""
        await self._abandon("cancelled", None)

    async def _take(self, choice: Choice, delta: Delta) -> Delta:
        if delta.finish_reason == "stop":
            await self._check(choice)
        if delta.finish_reason is not None and delta.usage is not None and delta.timings is not None:
            timings = {name: round(value, 3) for name, value in dataclasses.asdict(delta.timings).items()}
            choice.row = choice.ended(
                "complete" if delta.finish_reason == "stop" else "length",
                finish_reason=delta.finish_reason,
                usage=delta.usage,
                timings=timings,
            )
            if self.prepared.store:
                await self._recorder.finish([choice.row])
            choice.recorded = True
        return delta

    async def _check(self, choice: Choice) -> None:
        choice.schema_valid, notice = await self._structured.verdict(self.prepared.format, choice.text)
        if notice is not None:
            notice = dataclasses.replace(notice, param=f"choices[{choice.index}].message.content")
            choice.row = dataclasses.replace(choice.row, warnings=[*choice.row.warnings, notice.as_dict()])
            choice.notices.append(notice)

    async def _abandon(self, state: InteractionState, error: dict[str, Any] | None) -> None:
        open_choices = [choice for choice in self.choices if not choice.recorded]
        rows = []
        for choice in open_choices:
            phase = choice.stream.phase
            choice.stream.cancel()
            choice.recorded = True
            rows.append(choice.ended(state, error=error or {"phase": phase}, finish_reason=None))
        if rows and self.prepared.store:
            await self._recorder.finish(rows)


async def _merge(choices: list[Choice]) -> AsyncIterator[tuple[Choice, Delta]]:
    """Deltas of several streams in the order they come. On an error the others are left for the caller to stop.

    What was ready in the same moment as the error comes before it.
    """
    waiting = {asyncio.ensure_future(choice.read()): choice for choice in choices}
    try:
        while waiting:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in sorted(done, key=lambda task: task.exception() is not None):
                choice = waiting.pop(task)
                delta = task.result()
                if delta.finish_reason is None:
                    waiting[asyncio.ensure_future(choice.read())] = choice
                yield choice, delta
    finally:
        for task in waiting:
            task.cancel()
