"""Which failures are worth repeating, and after how long. The rules are those of OpenAI's client."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

import httpx2

FIRST_DELAY_SECS = 0.5
MAX_DELAY_SECS = 8.0
MAX_RETRY_AFTER_SECS = 120.0
"""A server that asks for a longer pause is not asked again: the caller should know now."""


def after_failure(failure: httpx2.RequestError, attempt: int) -> float | None:
    """Seconds to wait before the next try, or None when another try would not help. `attempt` counts from 0.

    Silence after the request was sent is not repeated: the server may still be working on it.
    """
    match failure:
        case httpx2.ConnectTimeout() | httpx2.PoolTimeout():
            return _backoff(attempt)
        case httpx2.NetworkError() | httpx2.RemoteProtocolError() | httpx2.ProxyError():
            return _backoff(attempt)
        case _:
            return None


def after_status(status: int, headers: Mapping[str, str], attempt: int) -> float | None:
    """The same for an answer with `status`. `x-should-retry` overrides the status in both directions."""
    match headers.get("x-should-retry"):
        case "false":
            return None
        case "true":
            pass
        case _ if status not in (408, 409, 429) and status < 500:
            return None
    asked = _retry_after(headers)
    if asked is None:
        return _backoff(attempt)
    return asked if asked <= MAX_RETRY_AFTER_SECS else None


def _backoff(attempt: int) -> float:
    """Doubles, and loses up to a quarter at random so that clients do not come back together."""
    delay = min(FIRST_DELAY_SECS * 2.0**attempt, MAX_DELAY_SECS)
    return delay * (1 - 0.25 * random.random())


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """The pause that the server asks for, in seconds: milliseconds, seconds or a date on the wire."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("retry-after")
    seconds = _number(text)
    if seconds is not None or text is None:
        return seconds
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None


def _number(text: str | None) -> float | None:
    """A number that one can wait for: not negative, not NaN."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if value >= 0 else None
