"""Server-sent events from a provider: bytes in, the data of each event out."""

from __future__ import annotations

from typing import Final

from adaptive_engine.errors import UpstreamFailed

MAX_EVENT_BYTES: Final = 1 << 20


class EventReader:
    """Cuts a stream into events. Names, ids and comments are left out: no vendor puts into them what data lacks."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The data of the events that `data` completes. Raises UpstreamFailed for one that is too long."""
        if self._rest:
            data = self._rest + data
        if b"\r" in data:
            # A carriage return at the end may be half of a line end.
            held = b"\r" if data.endswith(b"\r") else b""
            data = data[: len(data) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            *blocks, rest = data.split(b"\n\n")
            self._rest = rest + held
        else:
            *blocks, self._rest = data.split(b"\n\n")
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
        rest, self._rest = self._rest, b""
        event = _data(rest.replace(b"\r", b"\n"))
        return [] if event is None else [event]


def _data(block: bytes) -> bytes | None:
    lines = [line[5:].removeprefix(b" ") for line in block.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(lines) if lines else None
