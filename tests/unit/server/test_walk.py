"""Every route in every method and spelling: what is not public tells nothing without a key."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from adaptive_engine.server.lifespan import Services
from adaptive_engine.server.middleware import PUBLIC_PATHS
from unit.server.asgi import Answer, send

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW"]
NAMES = ("project", "project_id", "completion_id", "key", "model", "user", "team", "role", "import_id", "filename")


def routes_of(app: Any) -> dict[str, set[str]]:
    """Path -> methods."""
    while not isinstance(app, FastAPI):
        app = app.app
    found: dict[str, set[str]] = {}
    for route in iter_route_contexts(app.routes):
        path = route.path
        for name in NAMES:
            path = path.replace(f"{{{name}:path}}", "a").replace(f"{{{name}}}", "a")
        found.setdefault(path, set()).update(route.methods or ())
    return found


@pytest.fixture(scope="module")
def key(services: Services) -> str:
    return services.keys.create("walk", "admin")[1]


def spellings(path: str) -> list[str]:
    head, _, tail = path.rpartition("/")
    return [
        path,
        f"{path}/",
        f"{path}///",
        f"/{path}",
        path.upper(),
        path.replace("/api/v1/", "/v1/"),
        f"{head}/%2e%2e/{tail}",
        f"{head}/./{tail}",
        f"{head}%2f{tail}",
        f"{path}%00",
        f"{path};a=b",
        f"{path}?api_key=x",
    ]


async def test_what_is_not_public_answers_nobody_without_a_key(app: Any) -> None:
    nothing = (await send(app, "GET", "/nothing")).told
    assert nothing[0] == 401
    seen = 0
    for path in routes_of(app):
        if path in PUBLIC_PATHS:
            continue
        asked = [(method, path) for method in METHODS] + [("GET", spelling) for spelling in spellings(path)]
        for method, target in asked:
            assert (await send(app, method, target, b"{}" if method == "POST" else b"")).told == nothing, (
                method,
                target,
            )
            seen += 1
    assert seen > 1200


async def test_what_is_public_is_read_and_nothing_else(app: Any) -> None:
    for path in PUBLIC_PATHS:
        for method in METHODS:
            answer = await send(app, method, path)
            if method in {"GET", "HEAD"} and answer.status != 405:
                assert answer.status in {200, 503}, (method, path)
            else:
                assert (answer.status, answer.error["code"]) == (405, "method_not_allowed"), (method, path)


async def test_405_names_all_methods_of_the_path(app: Any, key: str) -> None:
    checked = 0
    for path, methods in routes_of(app).items():
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "BREW"} - methods:
            answer = await send(app, method, path, key=key)
            if answer.status != 405:
                # Another route of the same path: a key may be any path.
                continue
            assert methods <= set(answer.headers["allow"].split(", ")), (method, path)
            assert method not in answer.headers["allow"].split(", ")
            checked += 1
    assert checked > 200
    assert (await send(app, "PUT", "/api/v1/projects/a", key=key)).headers["allow"] == "GET, PATCH"


@pytest.mark.parametrize(
    "target",
    [
        "/assets/../../secret",
        "/assets/%2e%2e/%2e%2e/secret.key",
        "/..%2f..%2fetc/passwd",
        "/%00",
        "/assets/%00",
        "/assets/..%5c..%5csecret",
        "/index.html%00.js",
        "/.git/config",
        "/api/v1/images/default/..%2f..%2fsecret.key",
        "/images/default/%2e%2e%2f%2e%2e%2fsecret.key",
        "/" + "a" * 60_000,
    ],
)
async def test_no_path_leads_to_a_file(app: Any, key: str, target: str) -> None:
    refused = await send(app, "GET", target)
    assert (refused.status, refused.error["code"]) == (401, "missing_api_key")
    missing = await send(app, "GET", target, key=key)
    assert missing.status == 404
    assert missing.error["code"] in {"route_not_found", "image_not_found"}
    assert len(missing.body) < 600


async def test_answers_are_kept_by_nobody_and_are_what_they_say(app: Any, key: str) -> None:
    answers: list[Answer] = [
        await send(app, "GET", "/api/v1/me", key=key),
        await send(app, "GET", "/api/v1/nothing", key=key),
        await send(app, "GET", "/api/v1/interactions?project=default", key=key),
        await send(app, "GET", "/api/v1/interactions/export?project=default", key=key),
        await send(app, "POST", "/api/graphql", b'{"query": "{ me { id } }"}', key=key),
        await send(app, "GET", "/api/v1/me"),
        await send(app, "GET", "/livez"),
    ]
    for answer in answers:
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"authorization": b"Bearer \xff\xfe"}, 401),
        ({"authorization": "Basic YTpi"}, 401),
        ({"authorization": "Bearer"}, 401),
        ({"authorization": "Bearer " + "a" * 60_000}, 401),
        ({"x-api-key": ""}, 401),
        ({"x-api-key": "ad_a", "api-key": "ad_b"}, 400),
        ({"cookie": b"\xff=\xfe; =; ;;;"}, 401),
        ({"host": "[::1", "cookie": "adaptive_session=a.b.c"}, 401),
        ({"traceparent": "00-" + "f" * 99, "tracestate": "\xff" * 600, "baggage": "=" * 9000}, 401),
        ({"x-request-id": "a\tb"}, 401),
        ({"x-forwarded-host": "evil.example", "x-forwarded-proto": "\xff"}, 401),
        ({"content-length": "\xb2"}, 401),
    ],
)
async def test_headers_that_mean_nothing_are_no_key(app: Any, headers: dict[str, str | bytes], status: int) -> None:
    answer = await send(app, "POST", "/api/v1/metrics", b"{}", headers)
    assert answer.status == status
    assert answer.error["code"] in {"missing_api_key", "invalid_api_key", "ambiguous_api_key", "signed_out"}
    assert answer.headers["x-request-id"] != "a\tb"


@pytest.mark.parametrize("length", ["\xb2", "9" * 5000, "-1", "1e3", ""])
async def test_lengths_that_are_no_numbers_break_nothing(app: Any, key: str, length: str) -> None:
    """A server in front refuses them; this one relies on what arrives."""
    answer = await send(app, "POST", "/api/v1/metrics", b"{}", {"content-length": length}, key)
    assert (answer.status, answer.error["code"]) in {(400, "invalid_request"), (413, "payload_too_large")}


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json; charset=utf-16", 400),
        ("application/json;;;", 400),
        ("application/vnd.api+json", 400),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
        ("text/plain", 415),
        ("", 415),
        ("\xff/\xfe", 415),
    ],
)
async def test_content_types(app: Any, key: str, content_type: str, status: int) -> None:
    """400 is the body's, which was read."""
    for path in ("/api/v1/metrics", "/api/graphql", "/api/v1/chat/completions"):
        answer = await send(app, "POST", path, b"{}", {"content-type": content_type}, key)
        assert answer.status == status, (path, answer.body)
        assert answer.error["code"] == {400: "invalid_request", 415: "unsupported_media_type"}[status]


async def test_bodies_of_requests_that_need_none_do_nothing(app: Any, key: str) -> None:
    plain = await send(app, "GET", "/api/v1/me", key=key)
    assert (await send(app, "GET", "/api/v1/me", b'{"a": NaN', key=key)).told == plain.told
    assert (await send(app, "DELETE", "/api/v1/keys/nothing", b"[" * 1000, key=key)).status == 404
