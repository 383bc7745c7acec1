"""Settings of a model in a project: what requests get where they do not say, checked when they are saved."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence as Seq
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adaptive_engine.errors import InvalidRequest
from adaptive_engine.services import prompts
from adaptive_engine.services.notices import format_notices
from adaptive_engine.services.structured import StructuredOutput
from adaptive_engine.types import ChatMessage, Deployment, ExternalModel, Model, Notice, Project, uuid7
from adaptive_engine.wire.chat import ChatRequest
from adaptive_engine.wire.models import ModelSettings

if TYPE_CHECKING:
    from adaptive_engine.services.model_engines import ModelEngine

_OF_REQUESTS = ("temperature", "top_p", "max_tokens", "stop", "seed", "max_ttft_ms", "response_format")


@dataclass(frozen=True, slots=True)
class Applied:
    """A request as the settings complete it."""

    request: ChatRequest
    system_prompt: str | None
    """The deployment's, with the request's arguments put in."""
    notices: list[Notice]


def apply(request: ChatRequest, deployment: Deployment) -> Applied:
    """Complete a request. Raises InvalidRequest when an argument of the system prompt is missing."""
    arguments = request.system_prompt_args or {}
    if not deployment.settings:
        return Applied(request, None, prompts.without_template(arguments))
    settings = ModelSettings.model_validate(deployment.settings)
    defaults = {name: getattr(settings, name) for name in _OF_REQUESTS if getattr(request, name) is None}
    if request.max_completion_tokens is not None:
        defaults.pop("max_tokens", None)
    completed = request.model_copy(update={name: value for name, value in defaults.items() if value is not None})
    if settings.system_prompt is None:
        return Applied(completed, None, prompts.without_template(arguments))
    text, notices = prompts.parse(settings.system_prompt).render(arguments)
    return Applied(completed, text, notices)


def with_system_prompt(turns: list[ChatMessage], system_prompt: str | None) -> list[ChatMessage]:
    """The conversation with the deployment's prompt at its head.

    A system message that begins the conversation is appended to it: many chat templates take one, and only there.
    """
    if system_prompt is None:
        return turns
    if turns and turns[0].role == "system":
        own = turns[0]
        return [ChatMessage("system", f"{system_prompt}\n\n{own.text}", own.name), *turns[1:]]
    return [ChatMessage("system", system_prompt), *turns]


async def check(
    settings: ModelSettings, project: Project, model: Model, structured: StructuredOutput, engine: ModelEngine | None
) -> tuple[Notice, ...]:
    """What of the settings will have no effect. Without an engine, its tokens are left out of the check.

    Raises InvalidRequest for what requests would be refused for, Overloaded when there was no time to find out.
    """
    try:
        if settings.system_prompt is not None:
            prompts.parse(settings.system_prompt)
        if model.in_vllm:
            # It takes what every server that speaks OpenAI's API does.
            elsewhere = ExternalModel(model.key, "http://127.0.0.1/v1")
            place = dataclasses.replace(model, provider="openai_compatible", external=elsewhere)
            found = await _of_provider(settings, project, place, structured)
        elif model.external is None:
            found = await _of_engine(settings, project, structured, engine)
        else:
            found = await _of_provider(settings, project, model, structured)
    except InvalidRequest as exc:
        param = f"settings.{exc.param}" if exc.param else "settings"
        raise InvalidRequest(exc.message, code=exc.code, param=param) from exc
    told = [*found, *format_notices(settings.response_format)]
    return tuple(Notice(notice.code, notice.message, f"settings.{notice.param}") for notice in told)


async def _of_engine(
    settings: ModelSettings, project: Project, structured: StructuredOutput, engine: ModelEngine | None
) -> Seq[Notice]:
    if engine is None:
        wanted = (await structured.prepare(settings.response_format, project, None)).checked
    else:
        wanted = await engine.check(settings.response_format, project, settings.max_tokens)
    if settings.stop and wanted.masked:
        return [*wanted.notices, Notice("not_applied", "Stop sequences do not cut structured output.", "stop")]
    return wanted.notices


async def _of_provider(
    settings: ModelSettings, project: Project, model: Model, structured: StructuredOutput
) -> Seq[Notice]:
    """What it does not take of a request that leaves all to the settings."""
    # It brings the engine along, which commands that only show settings do not need.
    from adaptive_engine.services import external

    request = ChatRequest.model_validate({"model": project.key, "messages": [{"role": "user", "content": "?"}]})
    # The arguments of the system prompt come with requests, and no time runs here.
    elsewhere = {"system_prompt", "max_ttft_ms", "fallbacks"}
    stored = settings.model_dump(mode="json", by_alias=True, exclude_none=True, exclude=elsewhere)
    deployment = Deployment(uuid7(), project, model, is_default=False, online=True, created_at=0, settings=stored)
    return await external.notices(apply(request, deployment).request, deployment, structured)
