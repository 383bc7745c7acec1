"""A browser's cookie in place of a key."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from adaptive_engine.server.lifespan import Services
from adaptive_engine.services import sign_in
from adaptive_engine.types import now_ms

PAGE = {"Sec-Fetch-Site": "same-origin", "Host": "localhost:9000"}
METRIC = {"project": "default", "key": "csat"}


@pytest.fixture
def key(services: Services) -> tuple[str, str]:
    """The id of an admin key, and its text."""
    made, text = services.keys.create("browser", "admin")
    return made.id, text


@pytest.fixture
async def browser(client: httpx2.AsyncClient, key: tuple[str, str]) -> httpx2.AsyncClient:
    """One that is signed in."""
    made = await client.post("/sign_in", headers={"Authorization": f"Bearer {key[1]}"})
    assert (made.status_code, made.json()["key"]) == (201, key[0])
    client.headers.update(PAGE)
    return client


async def test_the_cookie_is_for_the_server_alone(client: httpx2.AsyncClient, key: tuple[str, str]) -> None:
    made = await client.post("/sign_in", headers={"Authorization": f"Bearer {key[1]}"})
    name, *attributes = made.headers["set-cookie"].split("; ")
    assert set(attributes) == {"HttpOnly", "Max-Age=604800", "Path=/", "SameSite=strict"}
    assert key[1] not in name
    client.base_url = httpx2.URL("https://server/api/v1")
    secure = await client.post("/sign_in", headers={"Authorization": f"Bearer {key[1]}"})
    assert "Secure" in secure.headers["set-cookie"].split("; ")


async def test_it_works_as_the_key_until_the_key_is_revoked(
    browser: httpx2.AsyncClient, services: Services, key: tuple[str, str]
) -> None:
    assert (await browser.get("/me")).json()["key"] == key[0]
    assert (await browser.post("/metrics", json=METRIC)).status_code == 201
    services.keys.revoke(key[0])
    assert (await browser.get("/me")).status_code == 401


async def test_it_does_not_prolong_itself(browser: httpx2.AsyncClient) -> None:
    refused = await browser.post("/sign_in")
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "key_required")


async def test_signing_out_forgets_it(browser: httpx2.AsyncClient) -> None:
    gone = await browser.delete("/sign_in")
    assert gone.status_code == 204
    refused = await browser.get("/me")
    assert refused.json()["error"]["code"] == "missing_api_key"


async def test_a_key_in_a_header_counts_before_it(browser: httpx2.AsyncClient, services: Services) -> None:
    other, text = services.keys.create("other", "read-only")
    seen = await browser.get("/me", headers={"Authorization": f"Bearer {text}"})
    assert seen.json()["key"] == other.id


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:9001"},
        {"Origin": "http://["},
        {},
    ],
)
async def test_other_pages_cannot_use_it(browser: httpx2.AsyncClient, headers: dict[str, str]) -> None:
    del browser.headers["Sec-Fetch-Site"]
    refused = await browser.post("/metrics", json=METRIC, headers=headers)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "cross_site_request")


async def test_pages_whose_browser_says_less_can(browser: httpx2.AsyncClient) -> None:
    del browser.headers["Sec-Fetch-Site"]
    made = await browser.post("/metrics", json=METRIC, headers={"Origin": "http://localhost:9000"})
    assert made.status_code == 201


async def test_it_does_not_work_under_a_foreign_name(browser: httpx2.AsyncClient) -> None:
    refused = await browser.get("/me", headers={"Host": "evil.example"})
    assert refused.json()["error"]["code"] == "host_not_allowed"


async def test_what_is_forged_or_old_is_refused(
    client: httpx2.AsyncClient, services: Services, key: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_ins = services.sign_ins
    principal = services.keys.authenticate(key[1])
    token, expires_at = sign_ins.issue(principal)
    monkeypatch.setattr(sign_in, "now_ms", lambda: now_ms() - 8 * 24 * 3600 * 1000)
    old, _ = sign_ins.issue(principal)
    monkeypatch.undo()
    longer = token.replace(str(expires_at), str(expires_at + 1))
    for forged in (longer, old, token[:-1], f"{key[0]}.{expires_at}.", "x", "..", "a.b.c", "é.1.é"):
        refused = await client.get("/me", headers=_cookie(sign_ins.cookie, forged))
        assert (refused.status_code, refused.json()["error"]["code"]) == (401, "signed_out"), forged
    assert (await client.get("/me", headers=_cookie(sign_ins.cookie, token))).status_code == 200


def _cookie(name: str, token: str) -> Any:
    return {**PAGE, "Cookie": f"{name}={token}".encode()}
