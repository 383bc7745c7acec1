"""Requests to models that run in our engine, on their way to it."""

from __future__ import annotations

from adaptive_engine.services import model_settings
from adaptive_engine.services.backends import Asked
from adaptive_engine.services.engine_jobs import EngineJob, EngineJobs, EngineRequest
from adaptive_engine.services.notices import detail_notices


class EngineBackend(EngineJobs):
    """An engine of this process. See `model_engines.ModelEngine`."""

    async def prepare(self, asked: Asked) -> EngineJob:
        return await self.job(engine_request(asked))


def engine_request(asked: Asked) -> EngineRequest:
    request = asked.request
    turns = asked.images.chat_messages(request.messages)
    return EngineRequest(
        project=asked.deployment.project,
        turns=model_settings.with_system_prompt(turns, asked.system_prompt),
        response_format=request.response_format,
        choices=request.n or 1,
        temperature=request.temperature,
        top_p=request.top_p,
        seed=request.seed,
        max_tokens=request.token_limit(),
        stop=request.stop_sequences(),
        ignore_eos=bool(request.ignore_eos),
        logprobs=request.alternatives(),
        session_id=asked.session_id if request.session_id is not None else None,
        max_ttft_ms=request.max_ttft_ms,
        arrived=asked.arrived,
        background=asked.background,
        notices=tuple(detail_notices(request.messages)),
    )
