"""What browsers say of themselves comes from anybody: nothing of it fails, and nothing odd counts as ours."""

from __future__ import annotations

from contextlib import suppress
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from adaptive_engine.errors import InvalidRequest, PermissionDenied
from adaptive_engine.server.browser import AllowedHosts, require_same_origin, token_of
from adaptive_engine.settings import ServerSettings

_LATIN = st.text(st.characters(max_codepoint=255), max_size=60)
_HOSTS = st.lists(
    st.sampled_from(
        ["localhost", "evil.example", "127.0.0.1", "[::1]", ":", "@", "/", "%", "#", "?", ".", "9000", "\\", " "]
    ),
    max_size=5,
).map("".join)


def headers(**given: str) -> Headers:
    return Headers(raw=[(name.replace("_", "-").encode(), text.encode("latin-1")) for name, text in given.items()])


@given(host=_LATIN | _HOSTS)
def test_any_host_is_allowed_or_refused(host: str) -> None:
    with suppress(InvalidRequest):
        AllowedHosts(ServerSettings()).require(headers(host=host))


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:9000",
        "localhost.evil.example",
        "localhost@evil.example",
        "127.0.0.1@evil.example",
        "evil.example#localhost",
        "127.0.0.1.evil.example",
        "evil.example\\localhost",
        "[::1].evil.example",
        "localhost:9000@evil.example",
        "localhost:80:80",
        "0x7f.1",
    ],
)
def test_what_only_looks_local_is_not(host: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        AllowedHosts(ServerSettings()).require(headers(host=host))
    assert refused.value.code == "host_not_allowed"


@given(origin=_LATIN | _HOSTS.map("http://{}".format), site=st.none() | _LATIN, host=_LATIN | _HOSTS)
def test_only_the_own_origin_changes_something(origin: str, site: str | None, host: str) -> None:
    given = {"origin": origin, "host": host} | ({} if site is None else {"sec_fetch_site": site})
    try:
        require_same_origin({"type": "http", "method": "POST"}, headers(**given))
    except PermissionDenied:
        return
    assert site == "same-origin" or (site is None and host and origin.endswith(f"://{host}"))


@given(cookies=st.lists(_LATIN | st.sampled_from(["a=b", "name=x", "name", "=", 'name="a;b"', ";"]), max_size=5))
def test_any_cookies_are_read(cookies: list[str]) -> None:
    raw = Headers(raw=[(b"cookie", text.encode("latin-1")) for text in cookies])
    found = token_of(raw, cast(Any, SimpleNamespace(cookie="name")))
    assert found is None or isinstance(found, str)
