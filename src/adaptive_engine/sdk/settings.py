"""Where a client connects and as whom: arguments first, then the environment. Read once, when the client is made."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Literal
from urllib.parse import urlsplit

import httpx2

from adaptive_engine._version import __version__

DEFAULT_URL = "http://127.0.0.1:9000"
DEFAULT_TIMEOUT_SECS = 90.0
URL_VARIABLES = ("ADAPTIVE_URL", "ADAPTIVE_BASE_URL")
KEY_VARIABLE = "ADAPTIVE_API_KEY"


class NotGiven(Enum):
    """The type of `NOT_GIVEN`, for arguments where None is a value of its own: `timeout_secs=None` is no limit."""

    NOT_GIVEN = "NOT_GIVEN"


NOT_GIVEN: Final = NotGiven.NOT_GIVEN
Timeout = float | None | Literal[NotGiven.NOT_GIVEN]
"""Seconds, None for no limit, or NOT_GIVEN for the client's own."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What all requests of one client share."""

    base_url: str
    """Scheme, host and any path prefix, without a trailing slash and without `/api/v1`."""
    api_key: str = field(repr=False)
    api_key_source: str
    """For messages: the argument or the variable that the key was taken from."""
    timeout_secs: float | None
    """The longest silence of the server that is waited out; None is no limit."""
    max_retries: int
    headers: httpx2.Headers = field(repr=False)

    def url(self, path: str) -> str:
        return f"{self.base_url}/api/v1{path}"


def read_settings(
    base_url: str | None,
    api_key: str | None,
    *,
    timeout_secs: float | None,
    max_retries: int,
    default_headers: Mapping[str, str] | None,
) -> Settings:
    """Raises ValueError for a URL without scheme or host, a missing key, or a limit that makes no sense."""
    require_timeout(timeout_secs)
    if max_retries < 0:
        raise ValueError(f"max_retries is {max_retries}; give 0 to try once only")
    key, source = _api_key(api_key)
    headers = httpx2.Headers(
        {
            "Authorization": f"Bearer {key}",
            "Accept": "application/json",
            "User-Agent": f"adaptive-engine-python/{__version__}",
        }
    )
    headers.update(default_headers)
    return Settings(_base_url(base_url), key, source, timeout_secs, max_retries, headers)


def require_timeout(seconds: float | None) -> None:
    """Raises ValueError for what is no time to wait for."""
    if seconds is not None and not (isinstance(seconds, int | float) and 0 < seconds < math.inf):
        raise ValueError(f"timeout_secs is {seconds!r}; give a positive number of seconds, or None for no limit")


def choose_project(project: str | None, use_case: str | None, default: str | None) -> str:
    """The project of a call. Raises ValueError when neither the call nor the client names one."""
    if use_case is not None:
        # The third frame is the caller of the method that calls this function.
        warnings.warn("use_case is now called project", DeprecationWarning, stacklevel=3)
        if project is not None:
            raise ValueError("use_case is the older name of project; give project only")
    chosen = project or use_case or default
    if not chosen:
        raise ValueError(
            "No project: pass project='...' to the call, default_project='...' to the client, "
            "or call client.set_default_project('...')"
        )
    return chosen


def _base_url(given: str | None) -> str:
    url = given or next((value for name in URL_VARIABLES if (value := os.environ.get(name))), DEFAULT_URL)
    if not isinstance(url, str):
        raise ValueError(f"base_url is {url!r}; write it like {DEFAULT_URL!r}")
    url = url.strip().rstrip("/")
    # OpenAI's library is given the address with the version, so people paste it here too.
    url = url.removesuffix("/v1").removesuffix("/api").rstrip("/") if url.endswith("/v1") else url
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"base_url {url!r} has no scheme or no host; write it like {DEFAULT_URL}")
    if parts.query or parts.fragment:
        raise ValueError(f"base_url {url!r} has a query or a fragment; write it like {DEFAULT_URL}")
    if parts.username is not None:
        raise ValueError("base_url has a user or a password in it, which would go in the place of the key")
    return url


def _api_key(given: str | None) -> tuple[str, str]:
    """The key without the line break that a key read from a file brings along, and its source."""
    if given is not None and not isinstance(given, str):
        raise ValueError(f"api_key is of type {type(given).__name__}; give the key as text")
    if given and given.strip():
        key, source = given.strip(), "the argument api_key"
    elif found := os.environ.get(KEY_VARIABLE, "").strip():
        key, source = found, f"the environment variable {KEY_VARIABLE}"
    else:
        raise ValueError(
            f"No API key: pass api_key='...' or set the environment variable {KEY_VARIABLE}. "
            "`adaptive keys create` makes one on the server."
        )
    if strange := next((char for char in key if not "!" <= char <= "~"), None):
        raise ValueError(f"The key has the character {strange!r} in it, which no key has. It came from {source}.")
    return key, source
