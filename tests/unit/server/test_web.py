"""The web application's files, and what a server without them says."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.responses import PlainTextResponse

from adaptive_engine.server.browser import AllowedHosts
from adaptive_engine.server.web import WebApplication
from adaptive_engine.settings import ServerSettings

SCRIPT = b"console.log('hello')" * 20


@pytest.fixture
def built(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html><title>Adaptive</title>")
    (tmp_path / "assets" / "app-1a2b.js").write_bytes(SCRIPT)
    (tmp_path / "assets" / "app-1a2b.js.gz").write_bytes(gzip.compress(SCRIPT))
    return tmp_path


def client(directory: Path, settings: ServerSettings | None = None) -> httpx2.AsyncClient:
    async def api(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("the API", 418)(scope, receive, send)

    app = WebApplication(api, AllowedHosts(settings or ServerSettings()), directory)
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://localhost:9000")


@pytest.mark.parametrize("path", ["/", "/sign-in", "/projects/a/chat", "/projects/a/chat/b?share=c"])
async def test_pages_are_the_application(built: Path, path: str) -> None:
    async with client(built) as browser:
        page = await browser.get(path)
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert "Adaptive" in page.text
        assert page.headers["cache-control"] == "no-cache"
        policy = page.headers["content-security-policy"]
        assert "default-src 'self'; script-src 'self';" in policy
        assert "frame-ancestors 'none'" in policy
        assert page.headers["x-content-type-options"] == "nosniff"
        same = await browser.get(path, headers={"If-None-Match": page.headers["etag"]})
        assert (same.status_code, same.content) == (304, b"")
        head = await browser.head(path)
        assert (head.status_code, head.content) == (200, b"")


async def test_files_named_by_their_content_are_kept_and_compressed(built: Path) -> None:
    async with client(built) as browser:
        plain = await browser.get("/assets/app-1a2b.js", headers={"Accept-Encoding": "identity"})
        packed = await browser.get("/assets/app-1a2b.js", headers={"Accept-Encoding": "br, gzip"})
    assert plain.content == packed.content == SCRIPT
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert packed.headers["content-type"].startswith("text/javascript")


@pytest.mark.parametrize(
    "path",
    ["/api/v1/nothing", "/assets/other.js", "/assets/app-1a2b.js.gz", "/assets/../secret", "/..%2fsecret", "/sign-inn"],
)
async def test_everything_else_is_the_apis(built: Path, path: str) -> None:
    (built.parent / "secret").write_text("")
    async with client(built) as browser:
        assert (await browser.get(path)).text == "the API"
        assert (await browser.post("/")).text == "the API"


async def test_a_server_without_the_application_says_so(tmp_path: Path) -> None:
    async with client(tmp_path / "nothing") as browser:
        page = await browser.get("/")
    assert page.status_code == 404
    assert page.text.startswith("The web application is not built; `make install` builds it.")
    assert page.text.count("\n") == 1


@pytest.mark.parametrize(
    ("settings", "host", "allowed"),
    [
        ({}, "localhost:9000", True),
        ({}, "app.localhost", True),
        ({}, "127.0.0.1:9000", True),
        ({}, "[::1]:9000", True),
        ({}, "192.168.1.7:9000", True),
        ({}, "evil.example:9000", False),
        ({}, "localhost.evil.example", False),
        ({"host": "0.0.0.0"}, "llm.example", True),
        ({"allowed_hosts": "llm.example, LLM2.example"}, "llm2.example:443", True),
        ({"host": "0.0.0.0", "allowed_hosts": "llm.example"}, "evil.example", False),
        ({"allowed_hosts": "*"}, "evil.example", True),
    ],
)
async def test_names_that_pages_are_served_under(
    built: Path, settings: dict[str, str], host: str, allowed: bool
) -> None:
    async with client(built, ServerSettings(**settings)) as browser:  # type: ignore[arg-type]
        page = await browser.get("/", headers={"Host": host})
    assert page.status_code == (200 if allowed else 400)
    if not allowed:
        assert page.json()["error"]["code"] == "host_not_allowed"
        assert "ADAPTIVE_SERVER__ALLOWED_HOSTS" in page.json()["error"]["message"]
