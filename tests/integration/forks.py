"""`adaptive` without the seconds that Python takes to import it: a process that has, forks for each command.

`forks.run` asks it from here, and the script of `commands.py` from a shell. Arguments, environment, files and end of a
command are as if it had been started; only its code is there already.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TextIO

_FORKING = """
    import atexit, gc, json, os, select, socket, sys, threading
    from contextlib import suppress
    from importlib import import_module

    import adaptive_engine.sdk, adaptive_engine.server.app, adaptive_engine.server.assembly
    import adaptive_engine.server.graphql.execution, adaptive_engine.server.http
    import adaptive_engine.services.engine_process.client, rich.console, uvloop
    from adaptive_engine.cli import main
    from adaptive_engine.cli.app import COMMANDS

    for command in COMMANDS.values():
        import_module(command.target.split(":")[0])

    def become_a_command():
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(sys.argv[1])
            listener.listen(128)
            print("ready", flush=True)
            while True:
                if sys.stdin in select.select([listener, sys.stdin], [], [])[0]:
                    os.unlink(sys.argv[1])
                    os.rmdir(os.path.dirname(sys.argv[1]))
                    os._exit(0)
                with suppress(ChildProcessError):
                    while os.waitpid(-1, os.WNOHANG)[0]:
                        pass
                connection, _ = listener.accept()
                if os.fork() == 0:
                    break
                connection.close()
        message, files, _, _ = socket.recv_fds(connection, 1 << 16, 3)
        while not message.endswith(b"\\n"):
            message += connection.recv(1 << 16)
        if child := os.fork():
            # Who reads the command's output waits for its end.
            for number in (0, 1, 2, *files):
                os.close(number)
            connection.sendall(b"%d\\n" % child)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            connection.sendall(b"%d\\n" % status)
            os._exit(0)
        connection.close()
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        asked = json.loads(message)
        os.chdir(asked["directory"])
        os.environ.clear()
        os.environ.update(asked["environment"])
        sys.argv = ["adaptive", *asked["arguments"]]

    # What is imported is here for good; to look at it or take it apart would copy it.
    gc.collect()
    gc.freeze()
    become_a_command()
    try:
        main()
        status = 0
    except SystemExit as end:
        if not (end.code is None or isinstance(end.code, int)):
            raise
        status = end.code or 0
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status & 0xFF)
"""


@dataclass
class Forked:
    """A command that runs: as much of a `subprocess.Popen` as tests use."""

    pid: int
    stderr: TextIO | None
    _ends: socket.socket
    _said: bytes = b""
    _status: int | None = field(default=None)

    def poll(self) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self._status

    def wait(self, timeout: float | None = None) -> int:
        """The exit status; minus the signal's number after one. Raises subprocess.TimeoutExpired."""
        while self._status is None:
            self._ends.settimeout(timeout)
            try:
                said = self._ends.recv(100)
            except (TimeoutError, BlockingIOError) as exc:
                raise subprocess.TimeoutExpired("adaptive", timeout or 0) from exc
            assert said, "who waited for the command is gone"
            self._said += said
            if self._said.endswith(b"\n"):
                self._status = int(self._said)
                self._ends.close()
        return self._status

    def send_signal(self, how: signal.Signals) -> None:
        if self.poll() is None:
            # It may have ended, and its status not be told yet.
            with suppress(ProcessLookupError):
                os.kill(self.pid, how)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


@functools.cache
def address() -> str:
    """Of the process that forks, for as long as this one lives."""
    path = str(Path(tempfile.mkdtemp(prefix="adaptive-forks-")) / "socket")
    # It ends when its standard input does, which this process holds.
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(_FORKING), path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    _KEPT.append(process)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return path


_KEPT: list[subprocess.Popen[bytes]] = []


def run(arguments: Sequence[str], environment: Mapping[str, str], stdout: IO[str]) -> Forked:
    """Let `adaptive` run with these arguments and nothing to read. What it says on standard error can be read."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(address())
    asked = {"directory": os.getcwd(), "environment": dict(environment), "arguments": list(arguments)}
    reading, writing = os.pipe()
    nothing = os.open(os.devnull, os.O_RDONLY)
    socket.send_fds(connection, [json.dumps(asked).encode() + b"\n"], [nothing, stdout.fileno(), writing])
    for file in (nothing, writing):
        os.close(file)
    pid = b""
    while not pid.endswith(b"\n"):
        pid += connection.recv(1)
    return Forked(int(pid), open(reading, encoding="utf-8", errors="replace", buffering=1), connection)
