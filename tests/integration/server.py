"""Starts real servers for tests: the installed command, a real model, a data directory of their own."""

from __future__ import annotations

import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from adaptive_engine.registry import ModelDirectory
from integration import forks

ADMIN_KEY = "test-admin-key-of-the-suite"
MODEL = "smollm2-135m-instruct"
# For a machine that has other things to do.
START_SECONDS = 180
Process = subprocess.Popen[str] | forks.Forked
# Several servers run at a time: threads of one that wait for each other take the processors from the others.
_QUICK = {"ADAPTIVE_ENGINE__THREADS": "1"}
_READY = re.compile(r"ready at (http://\S+) \(pid (\d+)\)")


@dataclass
class Server:
    """A running `adaptive serve`."""

    url: str
    data_dir: Path
    process: Process
    api_key: str = ADMIN_KEY
    log: Path = field(default_factory=Path)

    @property
    def api(self) -> str:
        return f"{self.url}/api/v1"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.api_key}"}

    def logs(self, text: str, timeout: float = 10) -> bool:
        """Whether the log says `text`, now or soon: it is copied by a thread."""
        deadline = time.monotonic() + timeout
        while text not in self.log.read_text():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def stop(self, how: signal.Signals = signal.SIGTERM, timeout: float = 60) -> int:
        """End it and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(timeout)


def place_model(model_dir: Path, data_dir: Path, key: str | None = None) -> ModelDirectory:
    """Give a data directory an imported model, under its own key or another, without copying 100 MB."""
    target = data_dir / "models" / (key or model_dir.name)
    if not target.exists():
        shutil.copytree(model_dir, target, copy_function=_link_weights)
        replace(ModelDirectory.load(model_dir).manifest, key=target.name).write(target)
    return ModelDirectory.load(target)


def _link_weights(source: str, target: str) -> None:
    """The rest is small, and tests change it."""
    if source.endswith(".bin"):
        os.link(source, target)
    else:
        shutil.copy(source, target)


def start(data_dir: Path, *options: str, env: dict[str, str] | None = None, quick: bool = False) -> Server:
    """Start on a free port and return when it says that it is ready.

    A `quick` one is spared the imports, see `forks.py`, and computes in one thread; others are what everybody starts.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    log = data_dir / f"server-{time.monotonic_ns()}.log"
    arguments = ["serve", "--port", "0", "--data-dir", str(data_dir), *options]
    environment = {**os.environ, "ADAPTIVE_ADMIN_API_KEY": ADMIN_KEY, "NO_COLOR": "1", **(env or {})}
    with log.open("w") as sink:
        if quick:
            process: Process = forks.run(arguments, _QUICK | environment, sink)
        else:
            process = subprocess.Popen(
                [str(Path(sys.executable).with_name("adaptive")), *arguments],
                stdout=sink,
                stderr=subprocess.PIPE,
                text=True,
                env=environment,
                bufsize=1,
            )
    url = _wait_until_ready(process, log)
    return Server(url, data_dir, process, log=log)


def _wait_until_ready(process: Process, log: Path) -> str:
    """Copy the server's standard error into its log; return the URL of its ready line."""
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    threading.Thread(target=_copy, args=(process, log, lines), daemon=True).start()
    said = ""
    deadline = time.monotonic() + START_SECONDS
    with suppress(queue.Empty):
        while (line := lines.get(timeout=max(0, deadline - time.monotonic()))) is not None:
            said += line
            if found := _READY.search(line):
                return found[1]
    process.kill()
    raise AssertionError(f"the server did not get ready, and ended with {process.wait(10)}:\n{said}")


def _copy(process: Process, log: Path, lines: queue.SimpleQueue[str | None]) -> None:
    """To its end: a pipe that nobody reads would stop the server when it is full."""
    assert process.stderr is not None
    with log.open("a") as sink:
        for line in process.stderr:
            sink.write(line)
            sink.flush()
            lines.put(line)
    lines.put(None)
