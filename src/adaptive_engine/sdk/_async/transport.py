"""Sends one call, as often as the retry rules allow."""

from __future__ import annotations

import asyncio

import httpx2

from adaptive_engine.sdk import retry
from adaptive_engine.sdk.http import Call, connection_error, status_error, tls
from adaptive_engine.sdk.settings import Settings


class AsyncTransport:
    """Sends calls over one HTTP client, which it closes only if it made it."""

    def __init__(self, settings: Settings, http_client: httpx2.AsyncClient | None) -> None:
        self.settings = settings
        self._client = http_client or httpx2.AsyncClient(verify=tls(settings))
        self._owns_client = http_client is None

    async def aclose(self) -> None:
        if self._owns_client:
            await self._client.aclose()

    async def send(self, call: Call) -> httpx2.Response:
        """A 2xx response. Raises APIConnectionError or APIStatusError when another try would not help."""
        attempt = 0
        while True:
            last = attempt == self.settings.max_retries
            try:
                response = await self._try(call)
            except httpx2.RequestError as exc:
                delay = retry.after_failure(exc, attempt)
                if last or delay is None:
                    raise connection_error(exc, self.settings) from exc
            else:
                if response.is_success:
                    return response
                delay = retry.after_status(response.status_code, response.headers, attempt)
                if last or delay is None:
                    raise status_error(response, self.settings)
            await asyncio.sleep(delay)
            attempt += 1

    async def _try(self, call: Call) -> httpx2.Response:
        response = await self._client.send(call.build(self._client, self.settings), stream=call.stream)
        if not response.is_success:
            await response.aread()
        return response
