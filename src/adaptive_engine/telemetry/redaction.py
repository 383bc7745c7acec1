"""Keeps secrets out of what operators read, by their value: whatever printed them, and however it spelled them.

What is in the log of a process is the process's business, so this is one of the few things of which there is one for
each process.
"""

from __future__ import annotations

import base64
import json
import re
from contextvars import ContextVar
from functools import lru_cache
from typing import Final
from urllib.parse import quote, quote_plus

REDACTED: Final = "[redacted]"
_SHORTEST = 8
"""Characters of a secret. What is shorter would be found in any text."""
_MOST = 1000
"""Secrets that are known by their value at the same time."""
# Keys of ours, whoever presented them: services/keys.py makes them.
_OUR_KEYS = re.compile(r"\bad_[a-z2-7]{12}_[0-9a-f]{64}(?:_[0-9a-f]{8})?")

_hidden: dict[str, tuple[str, ...]] = {}
_presented: ContextVar[str | None] = ContextVar("presented_credential", default=None)


def hide(secret: str | None) -> None:
    """Never show this value from now on. The oldest of too many are forgotten."""
    if secret is None or len(secret) < _SHORTEST or secret in _hidden:
        return
    _hidden[secret] = _spellings(secret)
    if len(_hidden) > _MOST:
        del _hidden[next(iter(_hidden))]


def hide_in_request(credential: str) -> None:
    """The same for what a request came with, in all that is logged on its behalf. Costs nothing until then."""
    _presented.set(credential)


def redact(text: str) -> str:
    """`text` without any secret in it."""
    for spellings in list(_hidden.values()):
        for spelling in spellings:
            if spelling in text:
                text = text.replace(spelling, REDACTED)
    own = _presented.get()
    if own is not None and len(own) >= _SHORTEST:
        for spelling in _spellings(own):
            if spelling in text:
                text = text.replace(spelling, REDACTED)
    return _OUR_KEYS.sub(REDACTED, text) if "ad_" in text else text


@lru_cache(maxsize=256)
def _spellings(secret: str) -> tuple[str, ...]:
    """As it is, in JSON, in URLs, and inside of base64 wherever that begins. The longest come first."""
    raw = secret.encode("utf-8", "surrogatepass")
    found = {secret, json.dumps(secret)[1:-1], quote(secret, safe=""), quote_plus(secret), repr(secret)[1:-1]}
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + raw)
        # Without the characters that what stands before and behind it decides too.
        inner = encoded[(shift * 8 + 5) // 6 : (shift + len(raw)) * 8 // 6].decode()
        found |= {inner, inner.replace("+", "-").replace("/", "_")}
    return tuple(sorted((each for each in found if len(each) >= _SHORTEST), key=len, reverse=True))
