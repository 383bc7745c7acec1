"""The server's end of a socket to its engine process."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest

from adaptive_engine.errors import Overloaded
from adaptive_engine.services.engine_process import connection as module
from adaptive_engine.services.engine_process import frames
from adaptive_engine.services.engine_process.connection import Connection

SECONDS = 30


def test_it_may_end_while_something_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    class Taken(socket.socket):
        """Ends as soon as it has taken what the writing thread has for it."""

        def sendall(self, *_: object) -> None:
            connection._stop()
            taken.set()

    taken = threading.Event()
    failed: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", failed.append)
    ours, theirs = socket.socketpair()
    with theirs:
        connection = Connection(Taken(fileno=ours.detach()), lambda frame: None, lambda: None)
        connection.start()
        # More than there is room for at once.
        connection.send([bytes(2**22)])
        assert taken.wait(SECONDS)
        connection.close()
    assert failed == []


def test_what_a_process_does_not_read_is_kept_in_order_and_not_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_WAITING_BYTES", 2**21)
    ours, theirs = socket.socketpair()
    connection = Connection(ours, lambda frame: None, lambda: None)
    with theirs:
        connection.start()
        sent = 0

        def send_for_ever() -> None:
            nonlocal sent
            while sent < 1000:
                connection.require_room()
                connection.send(frames.message({"number": sent}, bytes(2**16)))
                sent += 1

        with pytest.raises(Overloaded):
            send_for_ever()
        # It goes on when the process does.
        reader, heard = frames.FrameReader(), []
        while len(heard) < sent:
            heard += [frame.content["number"] for frame in reader.feed(theirs.recv(2**20))]
        assert heard == list(range(sent))
        connection.close()
