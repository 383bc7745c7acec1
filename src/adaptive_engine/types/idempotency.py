"""Requests that may be repeated without being done twice."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """What a request with an Idempotency-Key was answered, to be stored in the transaction of what it did."""

    owner: str
    """The id of the API key that sent it."""
    key: str
    claimed_at: int
    """Epoch ms."""
    content: str | None
    """None where it is not kept; who asks again is told that it was answered."""
    interaction_id: UUID | None = None
    """With this interaction it is deleted."""
