"""Text out of tokens while they come: whole characters only, and nothing past a stop string."""

from __future__ import annotations

import codecs
from collections.abc import Sequence as Seq

_utf8 = codecs.getincrementaldecoder("utf-8")


class TextStream:
    """Turns token bytes into text that is final.

    Bytes of an unfinished character are held until the character is whole, and text that may be the start of a stop
    string until it is decided. A stop string is found wherever it lies across tokens; it is not part of the text.
    """

    def __init__(self, stop: Seq[str] = (), *, drop_first_space: bool = False) -> None:
        """`drop_first_space`: SentencePiece puts a space before every word, also before the first."""
        self._decoder = _utf8("replace")
        self._drop_first_space = drop_first_space
        self._stop = tuple(stop)
        self._longest = max(map(len, self._stop), default=0)
        self._held = ""
        self.stopped = False
        self.length = 0
        """Characters that are final so far."""

    @property
    def unfinished(self) -> bool:
        """Whether bytes of a character wait for the rest of it."""
        return bool(self._decoder.getstate()[0])

    def push(self, token: bytes) -> str:
        """The text that `token` makes final; sets `stopped` when it completes a stop string."""
        text = self._final(token)
        self.length += len(text)
        return text

    def flush(self) -> str:
        """The text held back, once no more tokens come. An unfinished character is dropped, never half shown."""
        held, self._held = self._held, ""
        self.length += len(held)
        return held

    def _final(self, token: bytes) -> str:
        text = self._decoder.decode(token)
        if self._drop_first_space and text:
            text, self._drop_first_space = text.removeprefix(" "), False
        if not self._stop or not text:
            return text
        text = self._held + text
        found = [at for at in map(text.find, self._stop) if at >= 0]
        if found:
            self.stopped = True
            self._held = ""
            return text[: min(found)]
        keep = self._undecided(text)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def _undecided(self, text: str) -> int:
        """Length of the longest end of `text` that begins a stop string."""
        for length in range(min(self._longest - 1, len(text)), 0, -1):
            tail = text[-length:]
            if any(stop.startswith(tail) for stop in self._stop):
                return length
        return 0
