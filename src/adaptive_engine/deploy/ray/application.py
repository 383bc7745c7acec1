"""The Ray Serve application of a model."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from ray import serve
from ray.serve import Application
from ray.serve.config import AutoscalingConfig, AutoscalingPolicy, RequestRouterConfig

from adaptive_engine import __version__
from adaptive_engine.deploy.ray.autoscaling import replicas_for_load
from adaptive_engine.deploy.ray.cluster import DEPLOYMENT
from adaptive_engine.deploy.ray.options import ReplicaOptions
from adaptive_engine.deploy.ray.replica import EngineReplica
from adaptive_engine.deploy.ray.router import SessionRouter

# Beyond what runs at the same time, so that a free place is taken at once and not when a router looks again.
_WAITING_SHARE = 0.25
_HEALTH_PERIOD_SECONDS = 5
_MOST_BACKOFF_SECONDS = 0.1


def application(args: ReplicaOptions | dict[str, Any]) -> Application:
    """Also for the `import_path` of Ray Serve's configuration files, whose `args` are the fields of ReplicaOptions."""
    chosen = ReplicaOptions.model_validate(args)
    running = chosen.engine.max_running
    options: dict[str, Any] = {
        "name": DEPLOYMENT,
        "ray_actor_options": {"num_cpus": chosen.cpus},
        "max_ongoing_requests": running + max(1, int(_WAITING_SHARE * running)),
        # Of each server; the next one is told to come again.
        "max_queued_requests": chosen.engine.max_waiting,
        "health_check_period_s": _HEALTH_PERIOD_SECONDS,
        "health_check_timeout_s": chosen.engine.hang_seconds,
        "autoscaling_config": AutoscalingConfig(
            min_replicas=chosen.min_replicas,
            max_replicas=chosen.max_replicas,
            target_ongoing_requests=chosen.target_requests,
            upscale_delay_s=chosen.upscale_delay_seconds,
            downscale_delay_s=chosen.downscale_delay_seconds,
            policy=AutoscalingPolicy(policy_function=replicas_for_load),
        ),
        "request_router_config": RequestRouterConfig(
            request_router_class=SessionRouter, max_backoff_s=_MOST_BACKOFF_SECONDS
        ),
    }
    # Replicas of the same version go on when only their number changes. Without one, Ray Serve restarts them each time.
    arguments = chosen.model_dump(mode="json", include={"model", "models_dir", "cpus", "engine"})
    version = hashlib.sha256(f"{__version__} {json.dumps(arguments, sort_keys=True)}".encode()).hexdigest()
    deployment = serve.deployment(**options)(EngineReplica).options(version=version, _internal=True)
    bound: Application = deployment.bind(arguments)
    return bound
