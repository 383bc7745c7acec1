"""A request that a deployment has taken, and the rows that its answers become."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from adaptive_engine.services.candidates import Begun
from adaptive_engine.services.images import DecodedImages
from adaptive_engine.services.notices import request_notices
from adaptive_engine.services.routing import Route
from adaptive_engine.services.structured import AnswerFormat
from adaptive_engine.types import AbTest, Deployment, Interaction, Notice, Prices, Usage, now_ms, prompt_hash, uuid7
from adaptive_engine.wire.chat import ChatRequest

# What a parameter that was not given looks like. Not False: it equals a temperature of 0.
_UNSET = (None, ())


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything that is needed to show and to store the answers."""

    deployment: Deployment
    """Which answers."""
    ab_test: AbTest | None
    """The one that chose the deployment."""
    ab_test_unit: int | None
    session_id: UUID
    choices: int
    fingerprint: str | None
    """Of the engine that answers."""
    store: bool
    messages: list[dict[str, Any]]
    """As they are stored, if they are."""
    images: DecodedImages
    """Of the messages."""
    labels: dict[str, str]
    user: str | None
    created_by: UUID | None
    """The user whose key sent it."""
    format: AnswerFormat
    response_format: dict[str, Any] | None
    """As the client sent it or the settings have it, for the record."""
    system_prompt: str | None
    """The deployment's own, as it was rendered for this request."""
    first_token_limited: bool
    logprobs: bool
    prices: Prices | None
    prompt_tokens: int
    """0 where only the provider can count them."""
    warnings: tuple[Notice, ...]


def prepare(begun: Begun, given: ChatRequest, route: Route, created_by: UUID | None) -> Prepared:
    """`given` is the request as the client sent it. An A/B test counts only what its arms answer, and a fallback is
    none: who got one was not chosen by lot.
    """
    asked, job, request = begun.asked, begun.job, begun.asked.request
    external = asked.deployment.model.external
    chosen = asked.deployment is route.deployment
    wanted, store = request.response_format, given.store is not False
    return Prepared(
        deployment=asked.deployment,
        ab_test=route.ab_test if chosen else None,
        ab_test_unit=route.ab_test_unit if chosen else None,
        session_id=asked.session_id,
        choices=given.n or 1,
        fingerprint=job.fingerprint,
        store=store,
        messages=asked.images.stored_messages(given.messages, asked.deployment.project.id) if store else [],
        images=asked.images,
        labels={**(given.metadata or {}), **(given.labels or {})},
        user=given.user,
        created_by=created_by,
        format=job.format,
        response_format=None if wanted is None else wanted.model_dump(mode="json", by_alias=True, exclude_none=True),
        system_prompt=asked.system_prompt,
        first_token_limited=request.max_ttft_ms is not None,
        logprobs=bool(request.logprobs),
        prices=external.prices if external else None,
        prompt_tokens=job.prompt_tokens,
        warnings=(*job.notices, *asked.notices, *request_notices(request)),
    )


def pending_rows(prepared: Prepared, begun: Begun, request_id: str) -> list[Interaction]:
    """One for each choice."""
    digest = prompt_hash(prepared.messages) if prepared.store else None
    return [
        Interaction(
            id=uuid7(),
            project_id=prepared.deployment.project.id,
            session_id=prepared.session_id,
            messages=prepared.messages,
            images=prepared.images.files(),
            state="pending",
            source="LIVE",
            created_at=now_ms(),
            request_id=request_id,
            choice_index=index,
            user=prepared.user,
            labels=prepared.labels,
            prompt_hash=digest,
            created_by=prepared.created_by,
            **_answer(prepared, parameters),
        )
        for index, parameters in enumerate(begun.job.parameters)
    ]


def answered(row: Interaction, prepared: Prepared, parameters: dict[str, Any]) -> Interaction:
    """The row of a choice that another deployment answers."""
    return row.but(**_answer(prepared, parameters))


def _answer(prepared: Prepared, parameters: dict[str, Any]) -> dict[str, Any]:
    """What of a row depends on the deployment that answers."""
    model = prepared.deployment.model
    parameters = {
        **parameters,
        "response_format": prepared.response_format,
        "system_prompt": prepared.system_prompt,
    }
    return {
        "model_id": model.id,
        "model_key": model.key,
        "parameters": {name: value for name, value in parameters.items() if value not in _UNSET},
        "usage": Usage(prompt_tokens=prepared.prompt_tokens),
        "warnings": [notice.as_dict() for notice in prepared.warnings],
        "ab_test_id": prepared.ab_test.id if prepared.ab_test else None,
        "ab_test_unit": prepared.ab_test_unit,
        "provider": model.provider if model.external else None,
        "external_model": model.external.external_model_id if model.external else None,
    }
