"""POST /api/v1/structured/validate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adaptive_engine.sdk.http import Call
from adaptive_engine.sdk.payloads import decode, encode
from adaptive_engine.sdk.schemas import ResponseFormatInput, response_format_body
from adaptive_engine.wire.structured import SchemaReport

if TYPE_CHECKING:
    from adaptive_engine.sdk._async.client import AsyncAdaptive


class AsyncStructured:
    """Looks at a schema before it is used.

    ```python
    report = await client.structured.validate(City)
    print(report.verdict, report.unenforced)
    ```
    """

    def __init__(self, client: AsyncAdaptive) -> None:
        self._client = client

    async def validate(self, response_format: ResponseFormatInput, *, model: str | None = None) -> SchemaReport:
        """What of `response_format`, as `chat.create` takes it, is enforced, only checked afterwards, or refused.

        `model`, as "project" or "project/model", is whose tokens are counted; by default any.
        """
        body = {"response_format": response_format_body(response_format), "model": model}
        response = await self._client._send(Call("POST", "/structured/validate", content=encode(body)))
        return decode(SchemaReport, response)
