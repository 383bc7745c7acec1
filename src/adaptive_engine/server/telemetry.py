"""GET /metrics: what Prometheus collects. Not the metrics of the API, by which answers are scored."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request
from starlette.responses import Response

from adaptive_engine.server.context import Services, ServicesDep, principal
from adaptive_engine.services.access import require

PATH = "/metrics"
router = APIRouter()


@router.get(PATH, response_class=Response)
async def read_metrics(request: Request, services: ServicesDep) -> Response:
    """The server's own numbers, of all its workers, as text for Prometheus or in OpenMetrics, as `Accept` says."""
    if services.settings.telemetry.metrics == "key":
        require(await principal(request), "admin:read_telemetry")
    accept = request.headers.get("accept", "")
    body, content_type = await asyncio.to_thread(_render, services, accept)
    return Response(body, media_type=None, headers={"content-type": content_type, "cache-control": "no-store"})


def _render(services: Services, accept: str) -> tuple[bytes, str]:
    # Its library takes a tenth of a second to import, which the start of a server need not wait for.
    from adaptive_engine.telemetry.exposition import Exposition

    own, siblings = services.readings.part(), services.siblings
    if not siblings.there:
        return Exposition(own).render(accept)
    return Exposition(own, {siblings.number: own, **siblings.ask("readings")}).render(accept)
