"""Requests to a model on the Ray cluster."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from adaptive_engine.deploy.ray.answer import Answer, ReplicaLost, error_of
from adaptive_engine.services.backends import Asked
from adaptive_engine.services.engine_jobs import EngineRequest
from adaptive_engine.services.engine_process import messages
from adaptive_engine.services.engine_process.engine import RemoteJob
from adaptive_engine.services.internal import engine_request
from adaptive_engine.services.structured import FormatCheck
from adaptive_engine.types import Project
from adaptive_engine.wire.chat import ResponseFormat
from adaptive_engine.wire.structured import SchemaReport

if TYPE_CHECKING:
    from ray.serve.handle import DeploymentHandle


class RayEngine:
    """See `model_engines.ModelEngine`."""

    def __init__(self, model_key: str, handle: DeploymentHandle[Any]) -> None:
        self._model_key = model_key
        # Straight to the replica instead of through Ray's object store, a delta each.
        self._handle = handle.options(
            _by_reference=False, request_serialization="pickle", response_serialization="pickle"
        )

    async def prepare(self, asked: Asked) -> RemoteJob:
        """One message prepares and starts it. Where a replica ends before it has begun, another one is asked."""
        request = engine_request(asked)
        try:
            return await self._ask(request)
        except ReplicaLost:
            return await self._ask(request)

    async def inspect(self, schema: Any) -> SchemaReport:
        return SchemaReport.model_validate(await self._call("inspect", schema))

    async def check(self, wanted: ResponseFormat | None, project: Project, max_tokens: int | None) -> FormatCheck:
        asked = messages.check_message(wanted, project, max_tokens)
        return messages.CHECK.validate_python(await self._call("check", asked))

    async def _ask(self, request: EngineRequest) -> RemoteJob:
        # How long ago: machines do not share the clock that it is told by.
        content, pixels = messages.request_message(replace(request, arrived=request.arrived - time.perf_counter()))
        # Clients choose the ids of their sessions; other projects may have the same.
        session = f"{request.project.id}/{request.session_id}" if request.session_id is not None else ""
        handle = self._handle.options(method_name="generate", stream=True, session_id=session)
        answer = Answer(self._model_key, handle.remote(content, pixels), request.choices)
        return RemoteJob(await answer.begun(), answer.streams)

    async def _call(self, method: str, *arguments: Any) -> Any:
        try:
            found = await self._handle.options(method_name=method).remote(*arguments)
        except Exception as exc:
            raise error_of(self._model_key, exc) from exc
        if "error" in found:
            raise messages.read_error(found["error"])
        return found["result"]
