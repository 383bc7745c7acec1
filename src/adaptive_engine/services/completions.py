"""Starts chat completions: resolve, prepare, admit. What runs then is in `completion.py`."""

from __future__ import annotations

import time
from contextlib import nullcontext
from functools import partial

from adaptive_engine.errors import AdaptiveError
from adaptive_engine.services import ab_tests, limits, model_settings
from adaptive_engine.services.backends import Asked, Backend, Backends, Job
from adaptive_engine.services.candidates import Begun, Candidates
from adaptive_engine.services.completion import Choice, Completion, Once
from adaptive_engine.services.external import ProviderBackend
from adaptive_engine.services.images import Images, require_sight
from adaptive_engine.services.limits import Limiter
from adaptive_engine.services.model_settings import Applied
from adaptive_engine.services.prepared import Prepared, pending_rows, prepare
from adaptive_engine.services.routing import Routing
from adaptive_engine.services.structured import StructuredOutput
from adaptive_engine.services.vllm import CacheSalts, VllmBackend
from adaptive_engine.store.recorder import Recorder
from adaptive_engine.telemetry.meter import Meter
from adaptive_engine.types import Deployment, Principal, uuid7
from adaptive_engine.wire.chat import ChatRequest


class Completions:
    """Starts completions. One per server."""

    def __init__(
        self,
        routing: Routing,
        backends: Backends,
        images: Images,
        structured: StructuredOutput,
        recorder: Recorder,
        salts: CacheSalts,
        meter: Meter,
        limiter: Limiter,
    ) -> None:
        self._routing = routing
        self._backends = backends
        self._images = images
        self._structured = structured
        self._recorder = recorder
        self._salts = salts
        self._meter = meter
        self._limiter = limiter

    async def start(
        self,
        principal: Principal,
        request: ChatRequest,
        request_id: str,
        *,
        background: bool = False,
        once: Once | None = None,
    ) -> Completion:
        """Validate, route and admit. What is known to be wrong is refused here, before any header is sent.

        A completion in the `background` gives way to all others, and is made as it is asked for: what the model is set
        to in the project, its fallbacks too, is for requests of its users. `once` is of a request that may be repeated.
        """
        try:
            return await self._start(principal, request, request_id, background, once)
        except AdaptiveError as exc:
            self._meter.rejected(exc.code)
            raise

    async def _start(
        self, principal: Principal, request: ChatRequest, request_id: str, background: bool, once: Once | None
    ) -> Completion:
        arrived = time.perf_counter()
        session_id = request.session_id or uuid7()
        unit = ab_tests.unit(request.session_id, request.user, session_id)
        campaign = None
        if request.ab_campaign is not None:
            campaign = await self._routing.campaign(principal, request.model, request.ab_campaign)
        route = self._routing.route(principal, request.model, unit, campaign, self._backends.answers)
        routed = time.perf_counter()
        # What judges for ourselves is nobody's request.
        hold = None if background else self._limiter.admit(principal, route.deployment.project)
        with hold or nullcontext():
            # Before they are decoded for nobody.
            require_sight(request.messages, route.deployment.model)
            images = await self._images.read(request.messages)
            if images:
                request = request.model_copy(update={"messages": images.without_files(request.messages)})
            deployments = [route.deployment]
            if not background:
                deployments += self._routing.fallbacks(route.deployment)

            def ask(deployment: Deployment) -> Asked:
                require_sight(request.messages, deployment.model)
                own = Applied(request, None, []) if background else model_settings.apply(request, deployment)
                said, notices = own.system_prompt, tuple(own.notices)
                return Asked(deployment, own.request, images, said, notices, session_id, arrived, background)

            def reserve(asked: Asked, job: Job) -> None:
                if hold is not None:
                    length = self._backends.context_length(asked.deployment.model)
                    hold.reserve(*limits.estimate(asked.request, job.prompt_tokens, length))

            candidates = Candidates(deployments, ask, self._backend, reserve)
            begun = await candidates.begin()
            prepared_of = partial(prepare, given=request, route=route, created_by=principal.user_id)
            choices = self._choices(begun, prepared := prepared_of(begun), request_id)
            if prepared.store:
                try:
                    self._recorder.begin([choice.row for choice in choices])
                except BaseException:
                    for choice in choices:
                        choice.stream.cancel()
                    raise
            return Completion(
                prepared,
                choices,
                self._structured,
                self._recorder,
                request_id,
                candidates,
                prepared_of,
                self._meter.answered,
                arrived,
                routed,
                hold,
                once,
            )

    def _backend(self, deployment: Deployment) -> Backend:
        if deployment.model.in_vllm:
            return VllmBackend(self._backends.vllm.get(deployment), self._structured, self._salts)
        if deployment.model.external is None:
            return self._backends.engine(deployment)
        return ProviderBackend(self._backends.providers.get(deployment), self._structured)

    def _choices(self, begun: Begun, prepared: Prepared, request_id: str) -> list[Choice]:
        rows = pending_rows(prepared, begun, request_id)
        return [Choice(i, stream, row) for i, (stream, row) in enumerate(zip(begun.streams, rows, strict=True))]
