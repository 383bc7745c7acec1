"""Requests that carry an Idempotency-Key: see `services/idempotency.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import UUID

from fastapi import Request
from pydantic import BaseModel

from adaptive_engine.server.bodies import Body, parse, read_raw
from adaptive_engine.server.headers import header
from adaptive_engine.server.lifespan import Services
from adaptive_engine.services.idempotency import Answer, Claim, check_key, fingerprint
from adaptive_engine.store import Connection, idempotency
from adaptive_engine.types import Principal

Result = TypeVar("Result", bound=BaseModel)

_ABSENT = "\n"
"""No header has it."""
_LARGE_BODY = 1 << 18

Keep = Callable[[Connection, BaseModel, UUID | None], None]
"""Stores the answer in the transaction of what was done; it is deleted with the interaction."""


def is_idempotent(request: Request) -> bool:
    return header(request.scope, b"idempotency-key", _ABSENT) is not _ABSENT


async def enter(request: Request, services: Services, principal: Principal, raw: bytes) -> Claim | Answer:
    """The right to do a request with this body, or what it was answered before, which the answer's headers then say.

    Raises InvalidRequest for what cannot be a key, and as `Idempotency.enter` does.
    """
    key = check_key(header(request.scope, b"idempotency-key", ""))
    path = request.scope["path"]
    # Another thread costs as much as hashing some ten kilobytes.
    is_large = len(raw) > _LARGE_BODY
    digest = await asyncio.to_thread(fingerprint, path, raw) if is_large else fingerprint(path, raw)
    entered = await services.idempotency.enter(principal.key_id, key, digest)
    request.state.replayed = isinstance(entered, Answer)
    return entered


async def once(
    request: Request,
    services: Services,
    principal: Principal,
    model: type[Body],
    result: type[Result],
    act: Callable[[Body, Keep], Awaitable[Result]],
) -> Result:
    """What `act` makes of the body, or has made of it when the request came before."""
    raw = await read_raw(request)
    if not is_idempotent(request):
        return await act(parse(model, raw), _keep_nothing)
    entered = await enter(request, services, principal, raw)
    if isinstance(entered, Answer):
        return result.model_validate_json(entered.content)

    def keep(connection: Connection, made: BaseModel, interaction_id: UUID | None) -> None:
        idempotency.keep(connection, [entered.kept(made.model_dump_json(), interaction_id)])

    try:
        made = await act(parse(model, raw), keep)
    except Exception:
        entered.release()
        raise
    except BaseException:
        # The server stops, and it may be done all the same.
        entered.leave()
        raise
    entered.answered(made.model_dump_json(), stored=True)
    return made


def _keep_nothing(connection: Connection, made: BaseModel, interaction_id: UUID | None) -> None:
    pass
