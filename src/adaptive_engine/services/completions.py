"""Starts chat completions: resolve, prepare, admit. What runs then is in `completion.py`."""

from __future__ import annotations

import asyncio
import dataclasses
import random
import time
from typing import Any
from uuid import UUID

from adaptive_engine.engine import (
    Engine,
    FirstTokenLimit,
    GenerationRequest,
    SamplingParams,
)
from adaptive_engine.errors import InvalidRequest
from adaptive_engine.services import ab_tests, model_settings
from adaptive_engine.services.completion import Choice, Completion, Prepared
from adaptive_engine.services.engines import Engines
from adaptive_engine.services.model_settings import Applied
from adaptive_engine.services.notices import request_notices
from adaptive_engine.services.routing import Route, Routing
from adaptive_engine.services.structured import StructuredOutput, require_room
from adaptive_engine.store.recorder import Recorder
from adaptive_engine.types import (
    ChatMessage,
    Deployment,
    Interaction,
    Notice,
    Principal,
    Usage,
    now_ms,
    prompt_hash,
    uuid7,
)
from adaptive_engine.wire.chat import ChatRequest, ImagePart

# Rendering and tokenising this many characters takes about a millisecond; more goes to a thread.
_INLINE_CHARACTERS = 4_000

# What a parameter that was not given looks like. Not False: it equals a temperature of 0.
_UNSET = (None, ())


class Completions:
    """Starts completions. One per server."""

    def __init__(self, routing: Routing, engines: Engines, structured: StructuredOutput, recorder: Recorder) -> None:
        self._routing = routing
        self._engines = engines
        self._structured = structured
        self._recorder = recorder

    async def start(
        self, principal: Principal, request: ChatRequest, request_id: str, *, background: bool = False
    ) -> Completion:
        """Validate, route and admit. Everything that can be refused is refused here, before any header is sent.

        A completion in the `background` gives way to all others, and is made as it is asked for: what the model is set
        to in the project is for requests of its users.
        """
        arrived = time.perf_counter()
        session_id = request.session_id or uuid7()
        unit = ab_tests.unit(request.session_id, request.user, session_id)
        campaign = None
        if request.ab_campaign is not None:
            campaign = await self._routing.campaign(principal, request.model, request.ab_campaign)
        route = self._routing.route(principal, request.model, unit, campaign, self._engines.answers)
        engine = self._engines.get(route.deployment)
        asked = Applied(request, None, []) if background else model_settings.apply(request, route.deployment)
        prepared = await self._prepare(asked, route, session_id, engine, principal.user_id, arrived)
        choices = self._admit(prepared, engine, request_id, background=background)
        completion = Completion(prepared, choices, self._structured, self._recorder, request_id)
        if prepared.store:
            try:
                self._recorder.begin([choice.row for choice in choices])
            except BaseException:
                for choice in choices:
                    choice.stream.cancel()
                raise
        return completion

    async def _prepare(
        self,
        applied: Applied,
        route: Route,
        session_id: UUID,
        engine: Engine,
        created_by: UUID | None,
        arrived: float,
    ) -> Prepared:
        deployment, request = route.deployment, applied.request
        _refuse_images(request, deployment)
        turns = [ChatMessage(message.role, message.text(), message.name) for message in request.messages]
        turns = model_settings.with_system_prompt(turns, applied.system_prompt)
        salt = deployment.project.id.bytes
        if sum(len(turn.content) for turn in turns) + len(turns) < _INLINE_CHARACTERS:
            prompt = engine.render(turns, salt)
        else:
            prompt = await asyncio.to_thread(engine.render, turns, salt)
        engine.require_fits(prompt)
        wanted = await self._structured.prepare(request.response_format, deployment.project, engine.vocabulary)
        params = _sampling(request, engine.recommended)
        room = engine.room(prompt)
        require_room(wanted, min(params.max_tokens or room, room))
        warnings = [*wanted.notices, *applied.notices, *request_notices(request)]
        if params.stop and wanted.masked:
            # Cut at a stop sequence, JSON would no longer parse, though its finish_reason would promise that it does.
            params = dataclasses.replace(params, stop=())
            warnings.append(Notice("not_applied", "Stop sequences do not cut structured output.", "stop"))
        return Prepared(
            deployment=deployment,
            ab_test=route.ab_test,
            ab_test_unit=route.ab_test_unit,
            session_id=session_id,
            session_given=request.session_id is not None,
            prompt=prompt,
            params=params,
            choices=request.n or 1,
            fingerprint=engine.fingerprint,
            store=request.store is not False,
            messages=[message.model_dump(mode="json", exclude_none=True) for message in request.messages],
            labels={**(request.metadata or {}), **(request.labels or {})},
            user=request.user,
            created_by=created_by,
            format=wanted,
            response_format=_response_format(request),
            system_prompt=applied.system_prompt,
            first_token_limit=_first_token_limit(request, arrived),
            warnings=tuple(warnings),
        )

    def _admit(self, prepared: Prepared, engine: Engine, request_id: str, *, background: bool) -> list[Choice]:
        """All choices or none."""
        digest = prompt_hash(prepared.messages)
        params = [_for_choice(prepared.params, index) for index in range(prepared.choices)]
        streams = engine.submit_all(
            [
                GenerationRequest(
                    prepared.prompt,
                    sampling,
                    cache_salt=prepared.deployment.project.id.bytes,
                    session=prepared.session_id.bytes if prepared.session_given else None,
                    owner=prepared.deployment.project.id.bytes,
                    constraint=prepared.format.constraint(),
                    first_token_limit=prepared.first_token_limit,
                    background=background,
                )
                for sampling in params
            ]
        )
        return [
            Choice(index, stream, _pending_row(prepared, params[index], index, request_id, digest))
            for index, stream in enumerate(streams)
        ]


def _pending_row(prepared: Prepared, params: SamplingParams, index: int, request_id: str, digest: str) -> Interaction:
    deployment = prepared.deployment
    return Interaction(
        id=uuid7(),
        project_id=deployment.project.id,
        session_id=prepared.session_id,
        messages=prepared.messages,
        state="pending",
        source="LIVE",
        created_at=now_ms(),
        model_id=deployment.model.id,
        model_key=deployment.model.key,
        request_id=request_id,
        choice_index=index,
        user=prepared.user,
        labels=prepared.labels,
        parameters=_parameters(params, prepared),
        usage=Usage(prompt_tokens=len(prepared.prompt)),
        warnings=[notice.as_dict() for notice in prepared.warnings],
        prompt_hash=digest,
        created_by=prepared.created_by,
        ab_test_id=prepared.ab_test.id if prepared.ab_test else None,
        ab_test_unit=prepared.ab_test_unit,
    )


def _sampling(request: ChatRequest, recommended: SamplingParams) -> SamplingParams:
    temperature = recommended.temperature if request.temperature is None else request.temperature
    limits = [limit for limit in (request.max_tokens, request.max_completion_tokens) if limit is not None]
    stop = (request.stop,) if isinstance(request.stop, str) else tuple(request.stop or ())
    seed = request.seed
    if seed is None and temperature > 0:
        # Drawn here rather than in the engine, so that the stored parameters reproduce the answer.
        seed = random.SystemRandom().getrandbits(53)
    return SamplingParams(
        temperature=temperature,
        top_p=recommended.top_p if request.top_p is None else request.top_p,
        seed=seed,
        max_tokens=min(limits, default=None),
        stop=stop,
        ignore_eos=bool(request.ignore_eos),
        logprobs=(request.top_logprobs or 0) if request.logprobs else None,
    )


def _parameters(params: SamplingParams, prepared: Prepared) -> dict[str, Any]:
    """What is stored, so that the answer can be reproduced."""
    given = {
        **dataclasses.asdict(params),
        "response_format": prepared.response_format,
        "system_prompt": prepared.system_prompt,
    }
    return {name: value for name, value in given.items() if value not in _UNSET}


def _response_format(request: ChatRequest) -> dict[str, Any] | None:
    wanted = request.response_format
    return None if wanted is None else wanted.model_dump(mode="json", by_alias=True, exclude_none=True)


def _first_token_limit(request: ChatRequest, arrived: float) -> FirstTokenLimit | None:
    return None if request.max_ttft_ms is None else FirstTokenLimit(request.max_ttft_ms, arrived)


def _for_choice(params: SamplingParams, index: int) -> SamplingParams:
    """Choices of one request differ by their seed."""
    if index == 0 or params.seed is None:
        return params
    return dataclasses.replace(params, seed=params.seed + index)


def _refuse_images(request: ChatRequest, deployment: Deployment) -> None:
    for at, message in enumerate(request.messages):
        parts = message.content if isinstance(message.content, list) else []
        for part_at, part in enumerate(parts):
            if isinstance(part, ImagePart):
                raise InvalidRequest(
                    f"Model '{deployment.model.key}' takes text only; it cannot see images.",
                    code="modality_unsupported",
                    param=f"messages[{at}].content[{part_at}]",
                )
