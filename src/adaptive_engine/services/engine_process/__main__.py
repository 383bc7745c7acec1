"""The engine process: `python -m adaptive_engine.services.engine_process DESCRIPTOR OPTIONS`.

DESCRIPTOR is a socket to who started it. Connections of servers come over it as descriptors; a line goes back several
times per heartbeat, empty or with what keeps an engine from getting on. When it is closed, this process ends.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import uvloop
from pydantic import TypeAdapter

from adaptive_engine.sandbox.parent import die_with
from adaptive_engine.services.engines import Engines
from adaptive_engine.settings import EngineSettings, LogFormat, LogLevel
from adaptive_engine.telemetry.logging import configure, log_uncaught


@dataclass(frozen=True, slots=True)
class Options:
    """How an engine process is started."""

    models_dir: Path
    settings: EngineSettings
    log_format: LogFormat
    log_level: LogLevel
    beat_seconds: float
    """From one sign of life to the next."""
    parent: int


OPTIONS = TypeAdapter(Options)


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    options = OPTIONS.validate_json(sys.argv[2])
    die_with(options.parent)
    # Ctrl-C and an orderly end are the server's business: what runs is to be finished.
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    configure(options.log_format, options.log_level)
    log_uncaught()
    uvloop.run(_serve(control, options))


async def _serve(control: socket.socket, options: Options) -> None:
    loop = asyncio.get_running_loop()
    control.setblocking(False)
    accepted: list[socket.socket] = []
    arrived = asyncio.Event()

    def receive() -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(control, 4096, 64)
        except BlockingIOError:
            return
        except OSError:
            # It did not read the last signs of life before it ended.
            data, descriptors = b"", []
        if not data:
            # Nobody is left to answer. Threads of libraries may never end by themselves.
            os._exit(0)
        accepted.extend(socket.socket(fileno=descriptor) for descriptor in descriptors)
        arrived.set()

    loop.add_reader(control.fileno(), receive)
    from adaptive_engine.services.engine_process.host import Host

    host = Host(lambda on_change: Engines(options.models_dir, options.settings, on_change))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(host.keep_telling())
        tasks.create_task(_beat(control, host.hung, options.beat_seconds))
        while True:
            await arrived.wait()
            arrived.clear()
            while accepted:
                await loop.connect_accepted_socket(host.accept, accepted.pop(0))


async def _beat(control: socket.socket, hung: Callable[[], str | None], seconds: float) -> None:
    while True:
        # Who has not read the last ones needs no other. Of one that is gone, `receive` hears.
        with suppress(OSError):
            control.send(f"{hung() or ''}\n".encode())
        await asyncio.sleep(seconds)


if __name__ == "__main__":
    main()
