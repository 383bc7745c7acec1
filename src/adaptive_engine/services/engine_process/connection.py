"""The server's end of a socket to its engine process."""

from __future__ import annotations

import logging
import socket
import threading
from collections import deque
from collections.abc import Callable, Sequence

from adaptive_engine.errors import Overloaded
from adaptive_engine.services.engine_process.frames import BadFrame, Frame, FrameReader

log = logging.getLogger(__name__)

_READ_BYTES = 2**18
# What may wait for a process that does not read: it gets on, or is restarted, within seconds.
_MOST_WAITING_BYTES = 2**27


class Connection:
    """Reads in a thread of its own. `send` holds up nobody, and may be called from any thread."""

    def __init__(self, sock: socket.socket, on_frame: Callable[[Frame], None], on_end: Callable[[], None]) -> None:
        """Both are called in the reading thread; `on_end` once, when nothing can be read any more."""
        self._socket = sock
        self._on_frame = on_frame
        self._on_end = on_end
        self._changed = threading.Condition()
        self._waiting: deque[memoryview] = deque()
        self._waiting_bytes = 0
        self._ended = False
        self._reader = threading.Thread(target=self._read, name="engine-process-read", daemon=True)
        self._writer = threading.Thread(target=self._write, name="engine-process-write", daemon=True)

    def start(self) -> None:
        self._reader.start()
        self._writer.start()

    def require_room(self) -> None:
        """Raises Overloaded when too much waits for a process that does not read."""
        if self._waiting_bytes > _MOST_WAITING_BYTES:
            raise Overloaded("The engine process does not take requests fast enough. Try again later.")

    def send(self, pieces: Sequence[bytes]) -> None:
        """What is sent after the end goes nowhere: `on_end` says so."""
        with self._changed:
            for piece in pieces:
                left = memoryview(piece)
                if not self._waiting:
                    left = left[self._send_now(left) :]
                if left and not self._ended:
                    self._waiting.append(left)
                    self._waiting_bytes += len(left)
            if self._waiting:
                self._changed.notify()

    def close(self) -> None:
        """End both threads; `on_end` is called as for any other end. Not from the reading thread."""
        self._stop()
        for thread in (self._reader, self._writer):
            if thread.ident is not None:
                thread.join()
        self._socket.close()

    def _send_now(self, data: memoryview) -> int:
        """How much of it there was room for."""
        try:
            return self._socket.send(data, socket.MSG_DONTWAIT) if data else 0
        except OSError:
            # Full, or broken: the writing thread finds out which.
            return 0

    def _write(self) -> None:
        try:
            while True:
                with self._changed:
                    while not self._waiting and not self._ended:
                        self._changed.wait()
                    if self._ended:
                        return
                    first = self._waiting[0]
                self._socket.sendall(first)
                with self._changed:
                    # Ended in this moment, it has nothing left that waits.
                    if not self._ended:
                        self._waiting.popleft()
                        self._waiting_bytes -= len(first)
        except OSError:
            self._stop()

    def _read(self) -> None:
        reader = FrameReader()
        try:
            while data := self._socket.recv(_READ_BYTES):
                for frame in reader.feed(data):
                    self._on_frame(frame)
        except OSError:
            pass
        except BadFrame:
            log.exception("the engine process does not speak the protocol")
        except Exception:
            log.exception("a message of the engine process cannot be understood")
        self._stop()
        self._on_end()

    def _stop(self) -> None:
        with self._changed:
            self._ended = True
            self._waiting.clear()
            self._changed.notify()
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            # It is closed already.
            return
