"""`adaptive` in a shell, without the time that Python takes to import it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from integration import forks
from integration.server import Server

_CLIENT = """\
#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect({address!r})
    asked = {{"directory": os.getcwd(), "environment": dict(os.environ), "arguments": sys.argv[1:]}}
    socket.send_fds(connection, [json.dumps(asked).encode() + b"\\n"], [0, 1, 2])
    _, status = connection.makefile()
    sys.exit(int(status))
"""


@dataclass(frozen=True, slots=True)
class CommandLine:
    """`adaptive` of somebody who has the server's data directory and its key."""

    folder: Path
    """To put first on the PATH."""

    def __call__(self, server: Server, *arguments: str, status: int = 0, key: str | None = None) -> str:
        """What a command prints."""
        environment = {
            **os.environ,
            "ADAPTIVE_DATA_DIR": str(server.data_dir),
            "ADAPTIVE_API_KEY": server.api_key if key is None else key,
            "NO_COLOR": "1",
        }
        done = subprocess.run(
            [self.folder / "adaptive", *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        assert done.returncode == status, done.stdout
        return done.stdout


def quick_adaptive(directory: Path) -> Path:
    """A folder to put first on the PATH, with a command `adaptive`."""
    command = directory / "bin" / "adaptive"
    command.parent.mkdir()
    command.write_text(_CLIENT.format(python=sys.executable, address=forks.address()))
    command.chmod(0o755)
    return command.parent
