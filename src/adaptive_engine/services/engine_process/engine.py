"""Requests to a model of the engine process."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence as Seq
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from adaptive_engine.engine import TokenStream
from adaptive_engine.services.backends import Asked
from adaptive_engine.services.engine_process import messages
from adaptive_engine.services.engine_process.messages import Begun
from adaptive_engine.services.internal import engine_request
from adaptive_engine.services.structured import AnswerFormat, FormatCheck
from adaptive_engine.types import Notice, Project
from adaptive_engine.wire.chat import ResponseFormat
from adaptive_engine.wire.structured import SchemaReport

if TYPE_CHECKING:
    from adaptive_engine.services.engine_process.client import EngineClient


@dataclass(frozen=True)
class RemoteJob:
    """See `backends.Job`. The engine process has begun with it already."""

    begun: Begun
    streams: Seq[TokenStream]

    @property
    def fingerprint(self) -> str:
        return self.begun.fingerprint

    @property
    def prompt_tokens(self) -> int:
        return self.begun.prompt_tokens

    @property
    def notices(self) -> Seq[Notice]:
        return self.begun.notices

    @property
    def format(self) -> AnswerFormat:
        return AnswerFormat(validated=self.begun.validated)

    @cached_property
    def parameters(self) -> Seq[dict[str, Any]]:
        return [dataclasses.asdict(params) for params in self.begun.params]

    def start(self) -> Seq[TokenStream]:
        return self.streams

    def discard(self) -> None:
        for stream in self.streams:
            stream.cancel()


class RemoteEngine:
    """See `model_engines.ModelEngine`."""

    def __init__(self, client: EngineClient, model_key: str) -> None:
        self._client = client
        self._model_key = model_key

    async def prepare(self, asked: Asked) -> RemoteJob:
        """One message prepares and starts it, so that it costs one way there and back."""
        request = engine_request(asked)
        fields, pixels = messages.request_message(request)
        number, streams = self._client.next_number(), self._client.open_streams(request.choices)
        content = {
            "type": "generate",
            "id": number,
            "model": self._model_key,
            "streams": list(streams),
            "request": fields,
        }
        try:
            begun = await asyncio.wrap_future(self._client.ask(content, payload=pixels))
        except BaseException:
            self._client.give_up(number, list(streams))
            raise
        return RemoteJob(messages.BEGUN.validate_python(begun), list(streams.values()))

    async def inspect(self, schema: Any) -> SchemaReport:
        report = await self._ask({"type": "inspect", "schema": schema})
        return SchemaReport.model_validate(report)

    async def check(self, wanted: ResponseFormat | None, project: Project, max_tokens: int | None) -> FormatCheck:
        asked = messages.check_message(wanted, project, max_tokens)
        return messages.CHECK.validate_python(await self._ask({"type": "check", **asked}))

    async def _ask(self, content: dict[str, Any]) -> Any:
        return await asyncio.wrap_future(self._client.ask({**content, "model": self._model_key}))
