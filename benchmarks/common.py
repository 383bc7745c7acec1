"""What the benchmarks share: the server as a process of its own, and the machine that the figures hold for."""

from __future__ import annotations

import os
import platform
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

KEY = "benchmark-admin-key-0001"


def start_server(data_dir: Path, env: Mapping[str, str] | None = None) -> tuple[subprocess.Popen[str], str, float]:
    """The process, its URL, and the seconds it took to get ready."""
    start = time.perf_counter()
    command = [str(Path(sys.executable).with_name("adaptive")), "serve", "--port", "0", "--data-dir", str(data_dir)]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, "ADAPTIVE_ADMIN_API_KEY": KEY, **(env or {})}
    )
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        if found := re.search(r"ready at (http://\S+)", line):
            return process, found[1], time.perf_counter() - start
        lines.append(line)
    raise RuntimeError("the server did not start: " + "".join(lines)[-2000:])


def drain(process: subprocess.Popen[str]) -> None:
    """Its log must not fill the pipe."""
    assert process.stderr is not None
    for _ in process.stderr:
        pass


def stop(process: subprocess.Popen[Any]) -> None:
    process.terminate()
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def running_server(data_dir: Path, env: Mapping[str, str] | None = None) -> Iterator[str]:
    """The URL of a server that ends with the block."""
    process, url, _ = start_server(data_dir, env)
    log = threading.Thread(target=drain, args=[process], daemon=True)
    log.start()
    try:
        yield url
    finally:
        stop(process)
        log.join()


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
