"""Which replica a request goes to. Ray Serve's routers run this in the servers; it travels without this package."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from ray.serve.experimental.consistent_hash_router import ConsistentHashRouter

if TYPE_CHECKING:
    from ray.serve.request_router import PendingRequest, RunningReplica


class SessionRouter(ConsistentHashRouter):  # type: ignore[misc]  # mypy does not see into Ray
    """A session goes to the replica that has its earlier turns, by a hash that all servers share; when that is full,
    to the next. What has no session goes to the less busy of two replicas, where its base class would not look.
    """

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        if pending_request is None or pending_request.metadata.session_id:
            ranked: list[list[RunningReplica]] = await super().choose_replicas(candidate_replicas, pending_request)
            return ranked
        # Or else its caller would ask again without a pause.
        pending_request.routing_context.should_backoff = True
        return [random.sample(candidate_replicas, min(2, len(candidate_replicas)))]
