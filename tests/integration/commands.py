"""`adaptive` in a shell without the time that Python takes to import it: a process that has, forks for each command."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SERVER = """
    import json, os, signal, socket, sys
    from adaptive_engine.cli import main
    import adaptive_engine.cli.app, adaptive_engine.sdk, adaptive_engine.server.lifespan, rich.console
    from adaptive_engine.cli.app import COMMANDS
    from importlib import import_module
    for command in COMMANDS.values():
        import_module(command.target.split(":")[0])
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(sys.argv[1])
        listener.listen()
        print("ready", flush=True)
        while True:
            connection, _ = listener.accept()
            if os.fork():
                connection.close()
                continue
            message, files, _, _ = socket.recv_fds(connection, 1 << 16, 3)
            for number, file in enumerate(files):
                os.dup2(file, number)
            asked = json.loads(message)
            os.chdir(asked["directory"])
            os.environ.clear()
            os.environ.update(asked["environment"])
            sys.argv = ["adaptive", *asked["arguments"]]
            status = 0
            try:
                main()
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else int(end.code is not None)
            sys.stdout.flush()
            connection.send(bytes([status]))
            os._exit(0)
"""
_CLIENT = """\
#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect({address!r})
    asked = {{"directory": os.getcwd(), "environment": dict(os.environ), "arguments": sys.argv[1:]}}
    socket.send_fds(connection, [json.dumps(asked).encode()], [0, 1, 2])
    sys.exit(connection.recv(1)[0])
"""


@contextmanager
def quick_adaptive(directory: Path) -> Iterator[Path]:
    """A folder to put first on the PATH, with a command `adaptive`."""
    address = str(directory / "socket")
    command = directory / "bin" / "adaptive"
    command.parent.mkdir()
    command.write_text(_CLIENT.format(python=sys.executable, address=address))
    command.chmod(0o755)
    server = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(_SERVER), address], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        yield command.parent
    finally:
        server.kill()
        server.wait()
