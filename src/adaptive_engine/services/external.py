"""Requests to models that live elsewhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence as Seq
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakKeyDictionary

from adaptive_engine.errors import FirstTokenTimeout, InvalidRequest
from adaptive_engine.providers import registry
from adaptive_engine.providers.addresses import AddressPolicy
from adaptive_engine.providers.base import Call, JsonSchema, ProviderRequest
from adaptive_engine.providers.breaker import Breaker, BreakerLimits, RetryBudget
from adaptive_engine.providers.http import Timeouts
from adaptive_engine.providers.schemas import Reduction
from adaptive_engine.providers.stream import FirstTokenLimit, ProviderStream, Upstream
from adaptive_engine.services.backends import Asked
from adaptive_engine.services.images import DecodedImages
from adaptive_engine.services.structured import AnswerFormat, StructuredOutput
from adaptive_engine.types import Deployment, ExternalModel, Notice, choice_seed, uuid7
from adaptive_engine.wire.chat import ChatRequest, ImagePart, Message, TextPart

if TYPE_CHECKING:
    from adaptive_engine.grammar.compiler import CompiledSchema

# What vendors take of a schema, for as long as that is kept: apart for each project, therefore.
_reductions: WeakKeyDictionary[CompiledSchema, dict[str, Reduction]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class ProviderJob:
    """See `backends.Job`."""

    upstream: Upstream
    calls: tuple[Call, ...]
    """Of each choice."""
    parameters: Seq[dict[str, Any]]
    format: AnswerFormat
    notices: Seq[Notice]
    limit: FirstTokenLimit | None
    fingerprint: None = None
    prompt_tokens: int = 0

    def start(self) -> Seq[ProviderStream]:
        return [ProviderStream(self.upstream, call, self.limit) for call in self.calls]

    def discard(self) -> None:
        """Nothing has begun."""


class ProviderBackend:
    """See `backends.Backend`."""

    def __init__(self, upstream: Upstream, structured: StructuredOutput) -> None:
        self._upstream = upstream
        self._structured = structured

    async def prepare(self, asked: Asked) -> ProviderJob:
        request, deployment, profile = asked.request, asked.deployment, self._upstream.provider.profile
        external = deployment.model.external
        assert external is not None
        messages = _messages(asked)
        wanted = await self._structured.prepare_external(
            request.response_format, deployment.project, profile.structured
        )
        limit = None
        if request.max_ttft_ms is not None:
            left = asked.arrived + request.max_ttft_ms / 1000 - time.perf_counter()
            if left <= 0:
                raise FirstTokenTimeout(request.max_ttft_ms, "it was over before the provider could be asked")
            limit = FirstTokenLimit(request.max_ttft_ms, asyncio.get_running_loop().time() + left)
        sent = _format(request, wanted)
        if isinstance(sent, JsonSchema) and profile.schemas not in ("any", *sent.reductions):
            await asyncio.to_thread(sent.reduced, profile.schemas)
        parameters = [_parameters(request, index) for index in range(request.n or 1)]
        requests = [_provider_request(request, messages, external, sent, own) for own in parameters]
        calls = tuple(self._upstream.provider.call(each) for each in requests)
        notices = [*wanted.notices, *calls[0].notices]
        if request.ignore_eos and not profile.ignore_eos:
            notices.append(Notice("not_applied", "Providers end answers where their models do.", "ignore_eos"))
        lost = [notice for notice in calls[0].notices if notice.param.startswith("response_format")]
        if lost and request.response_format and request.response_format.is_strict():
            raise InvalidRequest(
                f"The schema is strict, and the provider does not take all of it. {lost[0].message} "
                "Change that, or leave `strict` out to have the finished answer checked instead.",
                code="invalid_schema",
                param=lost[0].param,
            )
        return ProviderJob(self._upstream, calls, parameters, wanted, notices, limit)


async def notices(request: ChatRequest, deployment: Deployment, structured: StructuredOutput) -> Seq[Notice]:
    """What of a request without images would not be taken. Raises as `ProviderBackend.prepare` does. Asks nobody."""
    model = deployment.model
    assert model.external is not None
    provider = registry.build(model.provider, model.external, None, AddressPolicy(), Timeouts())
    upstream = Upstream(provider, Breaker(BreakerLimits()), RetryBudget(), 0, 0.0, model.key, model.provider)
    asked = Asked(deployment, request, DecodedImages(), None, (), uuid7(), time.perf_counter())
    return (await ProviderBackend(upstream, structured).prepare(asked)).notices


def _provider_request(
    request: ChatRequest,
    messages: list[dict[str, Any]],
    external: ExternalModel,
    sent: JsonSchema | Literal["json_object"] | None,
    parameters: dict[str, Any],
) -> ProviderRequest:
    return ProviderRequest(
        external.external_model_id,
        messages,
        bool(request.stream),
        format=sent,
        extra=external.extra_params,
        **parameters,
    )


def _parameters(request: ChatRequest, index: int) -> dict[str, Any]:
    """Those of ProviderRequest that a client gave."""
    stop = request.stop_sequences()
    given = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        "seed": None if request.seed is None else choice_seed(request.seed, index),
        "max_tokens": request.token_limit(),
        "logprobs": request.alternatives(),
    }
    found: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    return {**found, "stop": stop} if stop else found


def _format(request: ChatRequest, wanted: AnswerFormat) -> JsonSchema | Literal["json_object"] | None:
    if wanted.sent != "json_schema":
        return wanted.sent
    assert request.response_format is not None
    assert wanted.compiled is not None
    envelope = request.response_format.json_schema
    assert envelope is not None
    known = _reductions.setdefault(wanted.compiled, {})
    return JsonSchema(envelope.name or "answer", envelope.schema_, envelope.description, bool(envelope.strict), known)


def _messages(asked: Asked) -> list[dict[str, Any]]:
    request, system_prompt = asked.request, asked.system_prompt
    messages = [_message(message, at, asked.images) for at, message in enumerate(request.messages)]
    if system_prompt is None:
        return messages
    if messages and messages[0]["role"] == "system":
        own = request.messages[0].text()
        return [{**messages[0], "content": f"{system_prompt}\n\n{own}"}, *messages[1:]]
    return [{"role": "system", "content": system_prompt}, *messages]


def _message(message: Message, at: int, images: DecodedImages) -> dict[str, Any]:
    sent: dict[str, Any] = {"role": message.role, "content": message.text()}
    if message.name is not None:
        sent["name"] = message.name
    if message.images:
        sent["content"] = [_part(part, at, part_at, images) for part_at, part in enumerate(message.parts)]
    return sent


def _part(part: TextPart | ImagePart, at: int, part_at: int, images: DecodedImages) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    image = {"url": images.uri(at, part_at)}
    return {"type": "image_url", "image_url": image if part.detail is None else {**image, "detail": part.detail}}
