"""Server-sent events from a provider: bytes in, the data of each event out."""

from __future__ import annotations

from typing import Final

from adaptive_engine.errors import UpstreamFailed

MAX_EVENT_BYTES: Final = 1 << 20


class EventReader:
    """Cuts a stream into events. Names, ids and comments are left out: no vendor puts into them what data lacks."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._held = b""
        """A carriage return at the end of what came may be half of a line end."""

    def feed(self, data: bytes) -> list[bytes]:
        """The data of the events that `data` completes. Raises UpstreamFailed for one that is too long."""
        if self._held:
            data, self._held = self._held + data, b""
        if b"\r" in data:
            if data.endswith(b"\r"):
                data, self._held = data[:-1], b"\r"
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if not self._rest:
            *blocks, rest = data.split(b"\n\n")
            self._rest += rest
        else:
            # Only what is new is searched: an event may come in a million pieces.
            searched = len(self._rest) - 1
            self._rest += data
            blocks = []
            if self._rest.find(b"\n\n", searched) >= 0:
                *blocks, rest = bytes(self._rest).split(b"\n\n")
                self._rest = bytearray(rest)
        if len(self._rest) > MAX_EVENT_BYTES or any(len(block) > MAX_EVENT_BYTES for block in blocks):
            raise UpstreamFailed(
                f"The provider sent an event of more than {MAX_EVENT_BYTES} bytes.", code="upstream_bad_response"
            )
        events = []
        for block in blocks:
            if block.startswith(b"data: ") and b"\n" not in block:
                events.append(block[6:])
            elif (event := _data(block)) is not None:
                events.append(event)
        return events

    def rest(self) -> list[bytes]:
        """At the end of the stream: an event that no empty line closed."""
        rest, self._rest, self._held = bytes(self._rest), bytearray(), b""
        event = _data(rest)
        return [] if event is None else [event]


def _data(block: bytes) -> bytes | None:
    lines = [line[5:].removeprefix(b" ") for line in block.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(lines) if lines else None
