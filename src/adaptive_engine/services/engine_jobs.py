"""Requests beside the engine that runs them: templates, tokens and grammars. Needs no store."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections.abc import Callable
from collections.abc import Sequence as Seq
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from uuid import UUID

from adaptive_engine.engine import FirstTokenLimit, GenerationRequest, Prompt, SamplingParams, TokenStream
from adaptive_engine.services.structured import AnswerFormat, FormatCheck, StructuredOutput, require_room
from adaptive_engine.types import ChatMessage, Notice, Project, choice_seed
from adaptive_engine.wire.chat import ResponseFormat
from adaptive_engine.wire.structured import SchemaReport

if TYPE_CHECKING:
    from adaptive_engine.engine import Engine

# Rendering and tokenising this many characters takes about a millisecond; more goes to a thread.
_INLINE_CHARACTERS = 4_000


@dataclass(frozen=True, slots=True)
class EngineRequest:
    """All that an engine's side hears of a request. What is None or empty is the model's choice."""

    project: Project
    turns: Seq[ChatMessage]
    response_format: ResponseFormat | None
    choices: int
    temperature: float | None
    top_p: float | None
    seed: int | None
    max_tokens: int | None
    stop: tuple[str, ...]
    ignore_eos: bool
    logprobs: int | None
    """Alternatives of each token; None for no log probabilities at all."""
    session_id: UUID | None
    max_ttft_ms: int | None
    arrived: float
    """By `time.perf_counter`, which all processes of a machine share."""
    background: bool
    notices: tuple[Notice, ...]
    """What it is known not to reflect before an engine has seen it."""

    @property
    def images(self) -> bool:
        return any(turn.images for turn in self.turns)


@dataclass(frozen=True)
class EngineJob:
    """See `backends.Job`."""

    engine: Engine
    request: EngineRequest
    prompt: Prompt
    params: tuple[SamplingParams, ...]
    """Of each choice."""
    format: AnswerFormat
    notices: Seq[Notice]

    @property
    def fingerprint(self) -> str:
        return self.engine.fingerprint

    @property
    def prompt_tokens(self) -> int:
        return len(self.prompt)

    @cached_property
    def parameters(self) -> Seq[dict[str, Any]]:
        return [dataclasses.asdict(params) for params in self.params]

    def discard(self) -> None:
        """Nothing has begun."""

    def start(
        self, make_stream: Callable[[Callable[[TokenStream], None]], TokenStream] = TokenStream
    ) -> Seq[TokenStream]:
        """`make_stream` makes the stream of a choice, given what cancels it."""
        request = self.request
        project = request.project.id.bytes
        limit = None if request.max_ttft_ms is None else FirstTokenLimit(request.max_ttft_ms, request.arrived)
        return self.engine.submit_all(
            [
                GenerationRequest(
                    self.prompt,
                    params,
                    cache_salt=project,
                    session=request.session_id.bytes if request.session_id is not None else None,
                    owner=project,
                    constraint=self.format.constraint(),
                    first_token_limit=limit,
                    background=request.background,
                )
                for params in self.params
            ],
            make_stream,
        )


class EngineJobs:
    """Makes jobs for an engine of this process. See `model_engines.ModelEngine`."""

    def __init__(self, engine: Engine, structured: StructuredOutput) -> None:
        self._engine = engine
        self._structured = structured

    async def job(self, request: EngineRequest) -> EngineJob:
        engine, turns = self._engine, list(request.turns)
        salt = request.project.id.bytes
        engine.require_room(salt, request.choices)
        if not request.images and sum(len(turn.text) for turn in turns) + len(turns) < _INLINE_CHARACTERS:
            prompt = engine.render(turns, salt)
        else:
            prompt = await asyncio.to_thread(engine.render, turns, salt)
        engine.require_fits(prompt)
        wanted = await self._structured.prepare(request.response_format, request.project, engine.vocabulary)
        params = _sampling(request, engine.recommended)
        room = engine.room(prompt)
        require_room(wanted, min(params.max_tokens or room, room))
        notices = [*wanted.notices, *request.notices]
        if params.stop and wanted.masked:
            # Cut at a stop sequence, JSON would no longer parse, though its finish_reason would promise that it does.
            params = dataclasses.replace(params, stop=())
            notices.append(Notice("not_applied", "Stop sequences do not cut structured output.", "stop"))
        choices = tuple(_for_choice(params, index) for index in range(request.choices))
        return EngineJob(engine, request, prompt, choices, wanted, notices)

    async def inspect(self, schema: Any) -> SchemaReport:
        return await self._structured.inspect(schema, self._engine.vocabulary)

    async def check(self, wanted: ResponseFormat | None, project: Project, max_tokens: int | None) -> FormatCheck:
        prepared = await self._structured.prepare(wanted, project, self._engine.vocabulary)
        if max_tokens is not None:
            require_room(prepared, max_tokens)
        return prepared.checked


def _sampling(request: EngineRequest, recommended: SamplingParams) -> SamplingParams:
    temperature = recommended.temperature if request.temperature is None else request.temperature
    seed = request.seed
    if seed is None and temperature > 0:
        # Drawn here rather than in the engine, so that the stored parameters reproduce the answer.
        seed = random.SystemRandom().getrandbits(53)
    return SamplingParams(
        temperature=temperature,
        top_p=recommended.top_p if request.top_p is None else request.top_p,
        seed=seed,
        max_tokens=request.max_tokens,
        stop=request.stop,
        ignore_eos=request.ignore_eos,
        logprobs=request.logprobs,
    )


def _for_choice(params: SamplingParams, index: int) -> SamplingParams:
    if index == 0 or params.seed is None:
        return params
    return dataclasses.replace(params, seed=choice_seed(params.seed, index))
