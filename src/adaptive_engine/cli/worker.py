"""One of several processes that serve: `python -m adaptive_engine.cli.worker CONTROL LISTENING OPTIONS`.

Started by `adaptive serve --workers N`, with a socket to it, the socket to take connections from, and the command line.
`server/workers.py` says what goes over the first.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adaptive_engine.cli.app import ending_with_a_line
from adaptive_engine.cli.options import load_settings
from adaptive_engine.cli.serve import announce_stop, arm_failpoints, with_options
from adaptive_engine.sandbox.parent import die_with

if TYPE_CHECKING:
    from adaptive_engine.server.lifespan import Services
    from adaptive_engine.services.engine_process.client import EngineClient

log = logging.getLogger(__name__)


class _Control:
    """The socket to who started this process, and who tells it of others."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._lock = threading.Lock()
        self._services: Services | None = None

    def listen(self, engines: EngineClient) -> None:
        """Give connections to the engine process to `engines`, and tell it when that has ended."""
        threading.Thread(target=self._listen, args=(engines,), name="control", daemon=True).start()

    def serve(self, services: Services) -> None:
        """Tell others of changes, and be told of theirs."""
        self._services = services
        services.routing.on_change = services.keys.on_change = lambda: self.say({"changed": True})

    def say(self, content: dict[str, Any]) -> None:
        with self._lock:
            self._socket.sendall(json.dumps(content).encode() + b"\n")

    def _listen(self, engines: EngineClient) -> None:
        unread = b""
        while True:
            data, descriptors, _, _ = socket.recv_fds(self._socket, 65536, 16)
            if not data:
                # Who started this process is gone, and with it the models.
                os._exit(1)
            *lines, unread = (unread + data).split(b"\n")
            for line in lines:
                self._hear(json.loads(line), engines)
            # Read together with them, a connection came last: what ended was the one before.
            for descriptor in descriptors:
                engines.attach(socket.socket(fileno=descriptor))

    def _hear(self, content: dict[str, Any], engines: EngineClient) -> None:
        if "engine_ended" in content:
            engines.ended(content["engine_ended"])
        if "changed" in content and self._services is not None:
            self._services.keys.forget()
            try:
                self._services.routing.reload()
            except Exception:
                # It is looked at again within seconds.
                log.warning("a change by another worker is seen later", exc_info=True)


def main() -> None:
    control, listening = (socket.socket(fileno=int(descriptor)) for descriptor in sys.argv[1:3])
    options = json.loads(sys.argv[3])
    die_with(options.pop("parent"))
    with ending_with_a_line():
        serve(control, listening, options)


def serve(control: socket.socket, listening: socket.socket, options: dict[str, Any]) -> None:
    directory, number = Path(options.pop("siblings")), options.pop("number")
    settings = with_options(load_settings(Path(options.pop("data_dir"))), **options)
    arm_failpoints()
    from adaptive_engine.registry import ensure_default_model
    from adaptive_engine.server.app import create_app
    from adaptive_engine.server.assembly import assembled
    from adaptive_engine.server.http import run
    from adaptive_engine.services.engine_process.client import EngineClient
    from adaptive_engine.services.siblings import Siblings
    from adaptive_engine.telemetry.logging import configure, log_uncaught
    from adaptive_engine.telemetry.redaction import hide

    configure(settings.log_format, settings.log_level)
    log_uncaught()
    for secret in settings.secrets():
        hide(secret)
    hub = _Control(control)
    engines = EngineClient(settings.models_dir, settings.engine, on_lost=lambda: hub.say({"connect": True}))
    hub.listen(engines)
    default = ensure_default_model(settings.models_dir)
    with assembled(settings, default, engines, Siblings(directory, number)) as (services, new_key):
        hub.serve(services)
        hub.say({"assembled": True})
        app = create_app(services)
        engines.wait()

        def on_ready(url: str) -> None:
            services.backends.providers.listens_at(url)
            hub.say({"ready": True, "new_key": new_key})

        def on_stop(running: int) -> None:
            services.readiness.drain()
            announce_stop(running)

        run(app, settings.server, on_ready, on_stop, listening)


if __name__ == "__main__":
    main()
