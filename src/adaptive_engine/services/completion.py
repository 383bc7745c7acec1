"""A running completion: reads its answers, and records how each of them ends."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from adaptive_engine.errors import AdaptiveError, InternalError
from adaptive_engine.services.backends import AnswerStream
from adaptive_engine.services.candidates import Begun, Candidates
from adaptive_engine.services.idempotency import Claim
from adaptive_engine.services.limits import Hold
from adaptive_engine.services.prepared import Prepared, answered
from adaptive_engine.services.structured import StructuredOutput
from adaptive_engine.store.recorder import Recorder
from adaptive_engine.telemetry.answered import Answered, Structured
from adaptive_engine.telemetry.structured import structlog
from adaptive_engine.types import Delta, Interaction, InteractionState, Notice, TokenLogprob, Usage, now_ms

log = structlog.get_logger(__name__)

_STATES: dict[str, InteractionState] = {"stop": "complete", "length": "length", "content_filter": "complete"}


class Choice:
    """One generation of a completion, and the row that it becomes."""

    def __init__(self, index: int, stream: AnswerStream, row: Interaction) -> None:
        self.index = index
        self.stream = stream
        self.row = row
        self.message_id = f"msg-{row.id.hex}"
        self.pieces: list[str] = []
        self.reasoning: list[str] = []
        self.recorded = False
        self.schema_valid: bool | None = None
        """What a validator said about the finished answer; None where the masks leave no doubt."""
        self.notices: list[Notice] = []
        self.failed: list[dict[str, Any]] = []
        """Attempts of models that failed before this stream's."""
        self.in_vain = False
        """They include this stream's."""
        self.logprobs: list[TokenLogprob] = []

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    async def read(self) -> Delta:
        """The next delta. Its text is the row's from here on, whoever still has to pass it on."""
        delta = await anext(self.stream)
        self.pieces.append(delta.text)
        if delta.reasoning:
            self.reasoning.append(delta.reasoning)
        self.logprobs += delta.logprobs
        return delta

    def warn(self, notice: Notice, field: str = "message.content") -> None:
        """Of the finished answer; `field` is that of the choice."""
        notice = dataclasses.replace(notice, param=f"choices[{self.index}].{field}")
        self.row = self.row.but(warnings=[*self.row.warnings, notice.as_dict()])
        self.notices.append(notice)

    def ended(self, state: InteractionState, **changes: Any) -> Interaction:
        """The row in its final state, with the text and the tokens there are."""
        self.pieces.append(self.stream.take_waiting())
        if self.failed or self.stream.attempts:
            own = () if self.in_vain else self.stream.attempts
            changes["attempts"] = [*self.failed, *(attempt.as_dict() for attempt in own)]
        if self.reasoning:
            changes["reasoning"] = "".join(self.reasoning)
        if "usage" not in changes:
            tokens = self.row.usage.prompt_tokens, self.stream.completion_tokens, self.stream.cached_tokens
            changes["usage"] = Usage(*tokens)
        return self.row.but(state=state, completion=self.text, completed_at=now_ms(), **changes)


class Once:
    """Keeps the answer of a completion that may be asked for again."""

    def __init__(self, claim: Claim, answer: Callable[[Completion], tuple[str, str | None]]) -> None:
        """`answer` is that of a completion that has ended: all of it, and what is stored of it."""
        self.claim = claim
        self._answer = answer
        self._content = ""

    def render(self, completion: Completion, last: Interaction) -> Interaction:
        """The row that ended last, with the answer."""
        self._content, kept = self._answer(completion)
        return last.but(kept=self.claim.kept(kept, last.id))

    def answered(self, *, stored: bool) -> None:
        """The rows are recorded, or need not be."""
        self.claim.answered(self._content, stored=stored)


class Completion:
    """A running completion. Read `deltas` to the end, or `cancel`; both leave nothing running and everything stored."""

    def __init__(
        self,
        prepared: Prepared,
        choices: list[Choice],
        structured: StructuredOutput,
        recorder: Recorder,
        request_id: str,
        candidates: Candidates | None = None,
        prepare: Callable[[Begun], Prepared] | None = None,
        tell: Callable[[Answered], None] | None = None,
        arrived: float = 0.0,
        routed: float = 0.0,
        hold: Hold | None = None,
        once: Once | None = None,
    ) -> None:
        """`candidates` answer when these choices fail before they have said anything, as `prepare` makes of them.

        `tell` hears of each choice when it has ended. The request `arrived`, and it was known who answers, at these
        moments of `time.perf_counter`. `hold` is what it has of a limit, and is settled at the end; `once`
        keeps the answer for those who repeat the request.
        """
        self.id = request_id
        self.created = now_ms() // 1000
        self.prepared = prepared
        self.choices = choices
        self._structured = structured
        self._recorder = recorder
        self._candidates = candidates
        self._prepare = prepare
        self._tell = tell
        self._arrived = arrived
        self._routed = routed
        self._hold = hold
        self._once = once
        self._begun = time.perf_counter()
        self.answered: list[Answered] = []
        """What became of the choices that have ended, where somebody is told."""
        if candidates is not None:
            for choice in choices:
                choice.failed = list(candidates.failed)

    @property
    def usage(self) -> Usage:
        """Of all choices together; the prompt counts once."""
        rows = [choice.row.usage for choice in self.choices]
        return Usage(
            prompt_tokens=rows[0].prompt_tokens,
            completion_tokens=sum(row.completion_tokens for row in rows),
            cached_tokens=rows[0].cached_tokens,
        )

    @property
    def ended(self) -> bool:
        """No more deltas come."""
        return all(choice.recorded for choice in self.choices)

    def limit_headers(self) -> dict[str, str]:
        """What is left of the limits of its key and project, now."""
        return {} if self._hold is None else self._hold.headers()

    @property
    def unsettled(self) -> bool:
        """Which model answers, or whether one does, is not known before the first delta."""
        return self.waited is not None or (self._candidates is not None and self._candidates.more)

    @property
    def waited(self) -> float | None:
        """Seconds in which there was only a provider to wait for; None when an engine answers."""
        waited = [choice.stream.waited for choice in self.choices]
        return max((seconds for seconds in waited if seconds is not None), default=None)

    async def deltas(self) -> AsyncIterator[tuple[Choice, Delta]]:
        """Deltas of all choices as they come. One with a finish reason comes after its row is committed.

        Raises what went wrong, once every choice is stopped and recorded.
        """
        try:
            while True:
                said = False
                try:
                    alone = self.choices[0]
                    if len(self.choices) == 1:
                        while not alone.recorded:
                            delta = await alone.read()
                            said = True
                            yield alone, delta if delta.finish_reason is None else await self._take(alone, delta)
                    else:
                        async for choice, delta in _merge(self.choices):
                            said = True
                            yield choice, await self._take(choice, delta)
                    return
                except AdaptiveError as exc:
                    if said or self._candidates is None:
                        raise
                    await self._fall_back(self._candidates, exc)
        except Exception as exc:
            known = isinstance(exc, AdaptiveError)
            error = exc if isinstance(exc, AdaptiveError) else InternalError("The completion failed unexpectedly.")
            await self._abandon("error", {"code": error.code, "message": error.message})
            error.headers = self.limit_headers() | error.headers
            if known:
                raise
            log.error("a completion failed", completion=self.id, exc_info=exc)
            raise error from exc

    async def cancel(self) -> None:
        """The client has left: stop within one step and record what there is."""
        await self._abandon("cancelled", None)

    async def _fall_back(self, candidates: Candidates, error: AdaptiveError) -> None:
        """Let the next candidate answer, in the same rows. Raises as `Candidates.require_next` does."""
        candidates.require_next(error)
        for choice in self.choices:
            choice.stream.cancel()
        attempts = [attempt.as_dict() for choice in self.choices for attempt in choice.stream.attempts]
        candidates.gave_up(self.prepared.deployment, attempts, error)
        for choice in self.choices:
            choice.failed, choice.in_vain = candidates.failed, True
        begun = await candidates.begin()
        assert self._prepare is not None
        self.prepared = self._prepare(begun)
        self._begun = time.perf_counter()
        for choice, stream in zip(self.choices, begun.streams, strict=True):
            choice.stream, choice.in_vain = stream, False
            choice.row = answered(choice.row, self.prepared, begun.job.parameters[choice.index])

    async def _take(self, choice: Choice, delta: Delta) -> Delta:
        if delta.finish_reason is None:
            return delta
        generated = time.perf_counter()
        if delta.finish_reason == "stop":
            await self._check(choice)
        if self.prepared.logprobs and choice.text and not choice.logprobs:
            self._warn_of_logprobs(choice)
        changes: dict[str, Any] = {"finish_reason": delta.finish_reason}
        if delta.timings is not None:
            changes["timings"] = delta.timings.as_dict()
        if delta.usage is None:
            choice.warn(Notice("usage_unknown", "The provider does not say how many tokens it took.", ""))
        else:
            changes["usage"] = delta.usage
            if (prices := self.prepared.prices) is not None:
                changes |= {"cost": prices.cost(delta.usage), "currency": prices.currency}
        choice.row = choice.ended(_STATES[delta.finish_reason], **changes)
        last = all(other.recorded for other in self.choices if other is not choice)
        if self._once is not None and last:
            choice.row = self._once.render(self, choice.row)
        if self.prepared.store:
            await self._recorder.finish([choice.row])
        choice.recorded = True
        if last:
            self._settle()
            if self._once is not None:
                self._once.answered(stored=self.prepared.store)
        self._report(choice, choice.row, generated)
        return delta

    async def _check(self, choice: Choice) -> None:
        choice.schema_valid, notice = await self._structured.verdict(self.prepared.format, choice.text)
        if notice is not None:
            choice.warn(notice)

    def _warn_of_logprobs(self, choice: Choice) -> None:
        """Unless it was known before that the model tells none."""
        if all(notice.param != "logprobs" for notice in self.prepared.warnings):
            choice.warn(Notice("not_applied", "The provider told no log probabilities.", ""), "logprobs")

    async def _abandon(self, state: InteractionState, error: dict[str, Any] | None) -> None:
        generated = time.perf_counter()
        open_choices = [choice for choice in self.choices if not choice.recorded]
        rows = []
        for choice in open_choices:
            phase = choice.stream.phase
            choice.stream.cancel()
            choice.recorded = True
            choice.row = choice.ended(state, error=error or {"phase": phase}, finish_reason=None, kept=None)
            rows.append(choice.row)
        self._settle()
        try:
            if rows and self.prepared.store:
                await self._recorder.finish(rows)
        finally:
            if self._once is not None:
                # Behind what was recorded before: that may have been the answer.
                self._once.claim.release()
            for choice, row in zip(open_choices, rows, strict=True):
                self._report(choice, row, generated)

    def _settle(self) -> None:
        if self._hold is not None:
            in_vain = not any(c.row.usage.completion_tokens or c.row.state != "error" for c in self.choices)
            self._hold.settle(None if in_vain else self.usage)

    def _report(self, choice: Choice, row: Interaction, generated: float) -> None:
        if self._tell is None:
            return
        outcome = _structured(self.prepared, choice, row)
        ended = time.perf_counter()
        waited = choice.stream.waited
        answered = Answered(row, self._arrived, self._routed, self._begun, generated, ended, waited, outcome)
        self.answered.append(answered)
        self._tell(answered)


def _structured(prepared: Prepared, choice: Choice, row: Interaction) -> Structured | None:
    wanted = prepared.format.compiled
    if wanted is None or row.finish_reason is None:
        return None
    if row.finish_reason != "stop":
        return "cut"
    if choice.schema_valid is not None:
        return "valid" if choice.schema_valid else "invalid"
    return "enforced" if prepared.format.masked and wanted.exact else "not_checked"


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
