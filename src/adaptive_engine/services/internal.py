"""Requests to models that run in our engine."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections.abc import Sequence as Seq
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from adaptive_engine.engine import Engine, FirstTokenLimit, GenerationRequest, Prompt, SamplingParams, TokenStream
from adaptive_engine.services import model_settings
from adaptive_engine.services.backends import Asked
from adaptive_engine.services.notices import detail_notices
from adaptive_engine.services.structured import AnswerFormat, StructuredOutput, require_room
from adaptive_engine.types import Notice
from adaptive_engine.wire.chat import ChatRequest

# Rendering and tokenising this many characters takes about a millisecond; more goes to a thread.
_INLINE_CHARACTERS = 4_000


@dataclass(frozen=True)
class EngineJob:
    """See `backends.Job`."""

    engine: Engine
    asked: Asked
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

    def start(self) -> Seq[TokenStream]:
        asked, request = self.asked, self.asked.request
        project = asked.deployment.project.id.bytes
        limit = None if request.max_ttft_ms is None else FirstTokenLimit(request.max_ttft_ms, asked.arrived)
        return self.engine.submit_all(
            [
                GenerationRequest(
                    self.prompt,
                    params,
                    cache_salt=project,
                    session=asked.session_id.bytes if request.session_id is not None else None,
                    owner=project,
                    constraint=self.format.constraint(),
                    first_token_limit=limit,
                    background=asked.background,
                )
                for params in self.params
            ]
        )


class EngineBackend:
    """See `backends.Backend`."""

    def __init__(self, engine: Engine, structured: StructuredOutput) -> None:
        self._engine = engine
        self._structured = structured

    async def prepare(self, asked: Asked) -> EngineJob:
        engine, deployment, request = self._engine, asked.deployment, asked.request
        turns = asked.images.chat_messages(request.messages)
        turns = model_settings.with_system_prompt(turns, asked.system_prompt)
        salt = deployment.project.id.bytes
        if not asked.images and sum(len(turn.text) for turn in turns) + len(turns) < _INLINE_CHARACTERS:
            prompt = engine.render(turns, salt)
        else:
            prompt = await asyncio.to_thread(engine.render, turns, salt)
        engine.require_fits(prompt)
        wanted = await self._structured.prepare(request.response_format, deployment.project, engine.vocabulary)
        params = _sampling(request, engine.recommended)
        room = engine.room(prompt)
        require_room(wanted, min(params.max_tokens or room, room))
        notices = [*wanted.notices, *detail_notices(request.messages)]
        if params.stop and wanted.masked:
            # Cut at a stop sequence, JSON would no longer parse, though its finish_reason would promise that it does.
            params = dataclasses.replace(params, stop=())
            notices.append(Notice("not_applied", "Stop sequences do not cut structured output.", "stop"))
        choices = tuple(_for_choice(params, index) for index in range(request.n or 1))
        return EngineJob(engine, asked, prompt, choices, wanted, notices)


def _sampling(request: ChatRequest, recommended: SamplingParams) -> SamplingParams:
    temperature = recommended.temperature if request.temperature is None else request.temperature
    stop = (request.stop,) if isinstance(request.stop, str) else tuple(request.stop or ())
    seed = request.seed
    if seed is None and temperature > 0:
        # Drawn here rather than in the engine, so that the stored parameters reproduce the answer.
        seed = random.SystemRandom().getrandbits(53)
    return SamplingParams(
        temperature=temperature,
        top_p=recommended.top_p if request.top_p is None else request.top_p,
        seed=seed,
        max_tokens=request.token_limit(),
        stop=stop,
        ignore_eos=bool(request.ignore_eos),
        logprobs=(request.top_logprobs or 0) if request.logprobs else None,
    )


def _for_choice(params: SamplingParams, index: int) -> SamplingParams:
    """Choices of one request differ by their seed."""
    if index == 0 or params.seed is None:
        return params
    return dataclasses.replace(params, seed=params.seed + index)
