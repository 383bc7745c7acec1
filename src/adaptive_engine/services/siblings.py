"""The other workers of a server: what each knows for itself, all of them can tell.

A client meets any worker, and none of them should have to be told which. Each listens on a Unix socket in a directory
that the process above them has made, which only its user may enter; a question is a pickle, and so is its answer.
"""

from __future__ import annotations

import logging
import pickle
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

_SECONDS = 5.0
"""How long a sibling may take to answer, unless more is asked for: one that is stopped never does."""
_BACKLOG = 64


class Siblings:
    """Asks the other workers, and answers them. Any thread may `ask`."""

    def __init__(self, directory: Path | None = None, number: int = 0) -> None:
        """Worker `number` of those in `directory`; None where there are no others."""
        self.number = number
        self._directory = directory
        self._answers: dict[str, Callable[..., Any]] = {}
        self._listening: socket.socket | None = None

    @property
    def there(self) -> bool:
        """Whether there may be others."""
        return self._directory is not None

    def serve(self, answers: dict[str, Callable[..., Any]]) -> None:
        """Answer each of these questions from here on, in a thread for each."""
        if self._directory is None:
            return
        self._answers = answers
        path = self._directory / str(self.number)
        # The worker before, which had the same number, has left it.
        path.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX)
        try:
            listening.bind(str(path))
            listening.listen(_BACKLOG)
        except OSError as exc:
            listening.close()
            log.error("worker %d cannot be asked by the others: %s", self.number, exc)
            return
        self._listening = listening
        threading.Thread(target=self._listen, args=(listening,), name="siblings", daemon=True).start()

    def ask(self, question: str, *arguments: Any, seconds: float = _SECONDS) -> dict[int, Any]:
        """What each of the others says, by its number, within `seconds` for all. Who says nothing is left out.

        Blocks: not for an event loop.
        """
        others = self._others()
        if not others:
            return {}
        asking = pickle.dumps((question, arguments))
        with ThreadPoolExecutor(len(others)) as threads:
            answers = threads.map(lambda path: _asked(path, asking, seconds), others.values())
            return {number: pickle.loads(answer) for number, answer in zip(others, answers, strict=True) if answer}

    def close(self) -> None:
        """Answer nobody any more."""
        if self._listening is not None:
            assert self._directory is not None
            (self._directory / str(self.number)).unlink(missing_ok=True)
            # Closing it alone would not end the wait for a connection.
            self._listening.shutdown(socket.SHUT_RDWR)
            self._listening.close()
            self._listening = None

    def _others(self) -> dict[int, Path]:
        if self._directory is None:
            return {}
        paths = {int(path.name): path for path in self._directory.iterdir()}
        return {number: paths[number] for number in sorted(paths) if number != self.number}

    def _listen(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), name="sibling", daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            try:
                connection.settimeout(_SECONDS)
                question, arguments = pickle.loads(_read(connection, time.monotonic() + _SECONDS))
                connection.sendall(pickle.dumps(self._answers[question](*arguments)))
            except Exception:
                # Who asks has the others.
                log.warning("a sibling is not answered", exc_info=True)


def _asked(path: Path, asking: bytes, seconds: float) -> bytes:
    """The answer, or nothing where there is none."""
    deadline = time.monotonic() + seconds
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.settimeout(seconds)
            connection.connect(str(path))
            connection.sendall(asking)
            connection.shutdown(socket.SHUT_WR)
            return _read(connection, deadline)
        except (ConnectionError, FileNotFoundError):
            # It has ended, and another will take its place.
            return b""
        except OSError as exc:
            log.warning("worker %s does not answer: %s", path.name, exc)
            return b""


def _read(connection: socket.socket, deadline: float) -> bytes:
    """All until the other side ends. Raises TimeoutError."""
    pieces: list[bytes] = []
    while True:
        connection.settimeout(max(deadline - time.monotonic(), 0.001))
        piece = connection.recv(1 << 16)
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)
