"""How many replicas a model needs. Ray Serve's controller calls this; it takes the function without this package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ray.serve.config import AutoscalingContext

# Beyond this, requests wait for blocks, and running ones may have to be computed again.
_FULL_CACHE = 0.8


def replicas_for_load(context: AutoscalingContext) -> tuple[float, dict[str, Any]]:
    """As many as keep requests, running and waiting, and KV cache of each below their targets.

    Bounds, delays and rounding up are Ray Serve's. The second value is the policy's memory, of which it has none.
    """
    by_requests = context.total_num_requests / context.config.target_ongoing_requests
    cache = (context.aggregated_metrics or {}).get("kv_cache_used") or {}
    return max(by_requests, sum(cache.values()) / _FULL_CACHE), {}
