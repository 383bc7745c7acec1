"""To be part of a Ray cluster, and what it says of the applications of models."""

from __future__ import annotations

import logging
import os
import re
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from adaptive_engine.errors import InvalidRequest, Unavailable

if TYPE_CHECKING:
    from ray.serve.handle import DeploymentHandle

    from adaptive_engine.deploy.ray.options import ReplicaOptions

DEPLOYMENT = "engine"
_APPLICATION = "adaptive-{}"
_CONNECT_SECONDS = 5


@dataclass(frozen=True, slots=True)
class ApplicationStatus:
    """What Ray Serve says of a model's application."""

    state: str
    """`RUNNING`, `DEPLOYING`, `UNHEALTHY`, `DEPLOY_FAILED`, `DELETING` or `NOT_STARTED`."""
    message: str
    replicas: int
    """Those that run."""


def connect(address: str) -> None:
    """Join the cluster as a driver, which has to be done on one of its nodes. Once in a process.

    `address` is `auto`, for the cluster of this machine, or `HOST:PORT`. Raises InvalidRequest without Ray or for an
    address that cannot be one, Unavailable when no cluster answers.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address != "auto" and not re.fullmatch(r"[^/\s]+:\d+", address):
        raise InvalidRequest(
            f"'{address}' is no address of a Ray cluster: give auto, or HOST:PORT as `ray start` says."
        )
    try:
        import ray
        from ray import serve
    except ImportError as exc:
        raise InvalidRequest("Ray is not installed: pip install 'adaptive-engine[server,ray]'") from exc
    # Its news are of each handle and each replica that it finds.
    logging.getLogger(serve.__name__).setLevel(logging.WARNING)
    if ray.is_initialized():
        return
    _require_listener(address)
    try:
        ray.init(address=address, configure_logging=False, log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError) as exc:
        raise _no_cluster(address, str(exc)) from exc


def deploy(options: ReplicaOptions) -> None:
    """Start, or change, the application of a model; returns when it answers. Raises Unavailable with Ray's reason."""
    from ray import serve

    from adaptive_engine.deploy.ray.application import application

    # Requests come through handles: nobody needs Ray's own HTTP servers.
    serve.start(proxy_location="Disabled")
    name = _APPLICATION.format(options.model)
    try:
        serve.run(application(options), name=name, route_prefix=None)
    except RuntimeError as exc:
        found = applications().get(options.model)
        raise Unavailable(
            f"Model '{options.model}' does not run on the cluster: {found.message if found else exc}"
        ) from exc


def remove(model_key: str) -> bool:
    """End the application of a model and all its replicas. Whether there was one."""
    from ray import serve

    found = model_key in applications()
    if found:
        serve.delete(_APPLICATION.format(model_key))
    return found


def applications() -> dict[str, ApplicationStatus]:
    """By model key; empty where Ray Serve does not run."""
    from ray import serve

    found = {}
    for name, each in serve.status().applications.items():
        match = re.fullmatch(_APPLICATION.format("(.+)"), name)
        if match:
            deployment = each.deployments.get(DEPLOYMENT)
            replicas = deployment.replica_states.get("RUNNING", 0) if deployment else 0
            reason = (deployment.message if deployment else "") or each.message
            found[match[1]] = ApplicationStatus(str(each.status.value), _last_line(reason), replicas)
    return found


def handle(model_key: str) -> DeploymentHandle[Any]:
    """What requests of a model are given to. Of any thread."""
    from ray import serve

    return serve.get_deployment_handle(DEPLOYMENT, _APPLICATION.format(model_key))


def _last_line(message: str) -> str:
    """What went wrong, of a message that may have a traceback."""
    lines = [line.strip() for line in message.strip().splitlines()]
    return lines[-1] if lines else ""


def _require_listener(address: str) -> None:
    """Ray itself tries for a minute."""
    host, _, port = address.rpartition(":")
    if address != "auto":
        try:
            socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS).close()
        except (OSError, OverflowError) as exc:
            raise _no_cluster(address, f"{exc}.") from exc


def _no_cluster(address: str, reason: str) -> Unavailable:
    where = "on this machine" if address == "auto" else f"at {address}"
    first = reason.splitlines()[0] if reason else ""
    return Unavailable(
        f"No Ray cluster answers {where}: {first} Start one with `ray start --head`, or join one with "
        "`ray start --address HOST:PORT`."
    )
