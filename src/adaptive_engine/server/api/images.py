"""/images/{project_id}/{filename}: the images of stored interactions."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from adaptive_engine.server.context import PrincipalDep, ServicesDep
from adaptive_engine.services import images

router = APIRouter()

_HEADERS = {
    # The name is of the content: what it names never changes. Others than the reader must not keep it.
    "cache-control": "private, max-age=31536000, immutable",
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'",
}
_FILE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/png": {}, "image/jpeg": {}}, "description": "The image"}
}


@router.get("/images/{project_id}/{filename}", response_class=Response, responses=_FILE)
async def get_image(services: ServicesDep, principal: PrincipalDep, project_id: str, filename: str) -> Response:
    """An image of an interaction, by the URL that the interaction's message has."""
    project = services.routing.project(principal, project_id, needs="interaction:read")
    found = await services.read(images.find, project.id, filename)
    return Response(found.data, media_type=found.media_type, headers=_HEADERS)
