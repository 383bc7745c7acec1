"""/api/v1/sign_in: a browser's cookie in place of an API key."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from adaptive_engine.errors import InvalidRequest
from adaptive_engine.server.browser import forget_cookie, set_cookie
from adaptive_engine.server.context import PrincipalDep, ServicesDep
from adaptive_engine.server.times import from_ms
from adaptive_engine.wire.sign_in import SignIn

router = APIRouter()


@router.post("/sign_in", status_code=201)
async def sign_in(request: Request, response: Response, services: ServicesDep, principal: PrincipalDep) -> SignIn:
    """Get a cookie that works as the API key of this request does, for at most a week."""
    if request.state.signed_in:
        raise InvalidRequest("Send the API key itself: a cookie does not make another one.", code="key_required")
    token, expires_at = services.sign_ins.issue(principal)
    set_cookie(response, request.scope, services.sign_ins, token)
    return SignIn(key=principal.key_id, expires_at=from_ms(expires_at))


@router.delete("/sign_in", status_code=204)
async def sign_out(request: Request, services: ServicesDep, _: PrincipalDep) -> Response:
    """Forget the cookie. The key stays; revoking it signs out every browser that used it."""
    response = Response(status_code=204)
    forget_cookie(response, request.scope, services.sign_ins)
    return response
