"""What the benchmarks share: servers as processes of their own, and the machine that the figures hold for."""

from __future__ import annotations

import os
import platform
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

KEY = "benchmark-admin-key-0001"


@dataclass(frozen=True)
class Server:
    url: str
    pid: int
    launched: float
    """`time.perf_counter()` just before its process was started."""


@contextmanager
def running(
    command: Sequence[str], ready: str, env: Mapping[str, str] | None = None, *, log: int = subprocess.STDOUT
) -> Iterator[Server]:
    """A server that ends with the block. `ready` matches the line that says so; its group 1 is the URL.

    `log` is where standard error goes: by default, that line may be there.
    """
    launched = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=log, text=True, env={**os.environ, **(env or {})}
    )
    reader = threading.Thread(target=_drain, args=[process], daemon=True)
    try:
        url = _wait_until_ready(process, ready)
        reader.start()
        yield Server(url, process.pid, launched)
    finally:
        _stop(process)
        if reader.ident is not None:
            reader.join()


def running_server(data_dir: Path, env: Mapping[str, str] | None = None) -> AbstractContextManager[Server]:
    """Our own server with its key and its store on."""
    command = [str(Path(sys.executable).with_name("adaptive")), "serve", "--port", "0", "--data-dir", str(data_dir)]
    return running(command, r"ready at (http://\S+)", {"ADAPTIVE_ADMIN_API_KEY": KEY, **(env or {})})


def _wait_until_ready(process: subprocess.Popen[str], ready: str) -> str:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        if found := re.search(ready, line):
            return found[1]
        lines.append(line)
    raise RuntimeError("the server did not start: " + "".join(lines)[-2000:])


def _drain(process: subprocess.Popen[str]) -> None:
    """Its log must not fill the pipe."""
    assert process.stdout is not None
    for _ in process.stdout:
        pass


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def end_in_order() -> None:
    """SIGTERM ends this process like Ctrl-C: the servers that it started end first."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def percentile(values: list[float], share: float) -> float:
    """Of no values, NaN."""
    return sorted(values)[min(int(share * len(values)), len(values) - 1)] if values else float("nan")


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()
