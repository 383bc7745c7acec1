"""Secrets that are known by a word in them go every way through a server, and come out nowhere.

What it answers, logs, stores, exports and tells collectors is searched for the word, also in base64 and in URLs.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote_to_bytes

import httpx2
import pytest

from collector import Collector, running_collector
from faultserver import FaultServer
from integration.server import Server, start
from integration.upstream import ASKED, running_upstream

WORD = "canary"
ADMIN = f"{WORD}-admin/key+0123456789"
WRONG = f"{WORD}-wrong/key+0123456789"
SECRET = f"{WORD}-secret-of-the-installation-0123456789"
PROVIDER = f"sk-{WORD}/of-a-provider+0123456789="
ANOTHER = f"sk-{WORD}/that-is-refused+0123456789="
COLLECTOR = f"{WORD}-of-the-collector-0123456789"
FAULTS = ("good", "status-400", "status-401", "status-429", "status-500", "error-after-2", "error-in-200")


def words_in(data: bytes) -> list[bytes]:
    """What is around the word, spelled in any way."""
    word, found = WORD.encode(), []
    for spelled in (data.lower(), unquote_to_bytes(data).lower()):
        at = spelled.find(word)
        if at >= 0:
            found.append(spelled[max(at - 30, 0) : at + 30])
    for run in re.findall(rb"[A-Za-z0-9+/_-]{12,}", data):
        for begin in range(4):
            piece = run[begin:].replace(b"-", b"+").replace(b"_", b"/")
            if word in base64.b64decode(piece[: len(piece) // 4 * 4]).lower():
                found.append(run)
    return found


@pytest.mark.parametrize("shift", range(4))
def test_the_search_finds_it(shift: int) -> None:
    for text in (ADMIN, PROVIDER):
        padded = b"x" * shift + text.encode()
        for spelled in (padded, base64.b64encode(padded), base64.urlsafe_b64encode(padded)):
            assert words_in(b'{"a": "' + spelled + b'"}')
    assert words_in(b"%63anary")
    assert not words_in(b"can ary")


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with running_collector() as collector:
        yield collector


def serve(data_dir: Path, collector: Collector) -> Server:
    environment = {
        "ADAPTIVE_ADMIN_API_KEY": ADMIN,
        "ADAPTIVE_APP__SECRET": SECRET,
        "ADAPTIVE_LOG_LEVEL": "debug",
        # One of the faults is to say nothing any more.
        "ADAPTIVE_PROVIDERS__IDLE_TIMEOUT_SECONDS": "0.2",
        "ADAPTIVE_TELEMETRY__OTEL": "true",
        "ADAPTIVE_TELEMETRY__OTEL_CONTENT": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{COLLECTOR}",
    }
    return start(data_dir, env=environment)


def every_way(server: Server, upstream: FaultServer) -> dict[str, bytes]:
    """Each answer, head and body, by what was asked."""
    shown: dict[str, bytes] = {}
    with httpx2.Client(base_url=server.api, timeout=60) as http:

        def ask(name: str, method: str, path: str, *, key: str | None = ADMIN, **request: object) -> httpx2.Response:
            headers = {**({"Authorization": f"Bearer {key}"} if key else {}), **request.pop("headers", {})}
            answer = http.request(method, path, headers=headers, **request)
            http.cookies.clear()
            shown[name] = str(list(answer.headers.items())).encode() + answer.content
            return answer

        # Keys that open nothing, in all places where one can be.
        ask("wrong key", "GET", "projects", key=WRONG)
        ask("two keys", "GET", "projects", headers={"x-api-key": WRONG})
        ask("key in the query", "GET", f"interactions?project=default&api_key={ADMIN}")
        ask("not bearer", "GET", "projects", key=None, headers={"Authorization": f"Basic {WRONG}"})
        ask("cookie", "GET", "projects", key=None, headers={"Cookie": f"adaptive={WRONG}"})
        ask("broken body", "POST", "chat/completions", content=b'{"model": ')
        ask("wrong body", "POST", "chat/completions", json={"model": 7})
        # Providers' keys, and what providers say that repeat them.
        wrong = {"provider": "openai_compatible", "external_model_id": "m", "endpoint": upstream.url}
        ask("key of a wrong type", "POST", "admin/models/external", json={**wrong, "name": "a", "api_key": [ANOTHER]})
        ask("key with a space", "POST", "admin/models/external", json={**wrong, "name": "a", "api_key": f"{ANOTHER} "})
        ask("no name", "POST", "admin/models/external", json={**wrong, "api_key": ANOTHER})
        for name in FAULTS:
            given = {**wrong, "name": name, "key": name, "external_model_id": name, "api_key": PROVIDER}
            assert ask(f"register {name}", "POST", "admin/models/external", json=given).status_code == 201
            ask(f"deploy {name}", "POST", "projects/default/models", json={"model": name, "wait": True})
            for stream in (False, True):
                body = {"model": f"default/{name}", "messages": ASKED, "stream": stream}
                ask(f"ask {name}, stream {stream}", "POST", "chat/completions", json=body)
        graphql = {
            "ask": "{ models(filter: {}) { key name providerName isExternal } }",
            "syntax": "{ models(",
            "unknown field": "{ models(filter: {}) { apiKey } }",
            "literal": f'mutation {{ addExternalModel(input: {{providerData: {{openAI: {{apiKey: "{ANOTHER}"}}}}}}) }}',
        }
        for name, query in graphql.items():
            answer = ask(f"GraphQL {name}", "POST", f"{server.url}/api/graphql", json={"query": query})
            assert answer.status_code == 200
        # What shows stored things, and the server itself.
        for path in ("admin/models", "admin/models/good", "projects/default/models", "models", "keys", "me"):
            assert ask(path, "GET", path).status_code == 200
        for kind in ("jsonl", "csv"):
            export = {"project": "default", "format": kind}
            assert ask(f"export {kind}", "POST", "interactions/export", json=export).status_code == 200
        for path in ("/", "/sign-in", "/openapi.json", "/readyz", "/metrics", "/no/such/path"):
            ask(path, "GET", f"{server.url}{path}")
    return shown


def test_secrets_come_out_nowhere(small_data_dir: Path, collector: Collector) -> None:
    with running_upstream() as upstream:
        server = serve(small_data_dir, collector)
        try:
            shown = every_way(server, upstream)
            with httpx2.Client(base_url=server.api, headers={"Authorization": f"Bearer {ADMIN}"}) as http:
                made = http.post("keys", json={"name": "app", "role": "inference"}).json()["api_key"]
                cookie = next(iter(http.post("sign_in").cookies.values()))
                http.get("me", headers={"Authorization": f"Bearer {made}"})
        finally:
            assert server.stop() == 0
    assert {request.headers["authorization"] for request in upstream.requests} == {f"Bearer {PROVIDER}"}
    log = server.log.read_bytes()
    assert log.count(b"[key]") >= 2, "providers repeated their key, and the log has what they said"
    assert b'"level":"debug"' in log
    assert collector.got.keys() == {"/v1/traces", "/v1/metrics"}
    told = b"".join(body for bodies in collector.got.values() for body in bodies)
    assert b"gen_ai.input.messages" in told
    stored = {path.name: path.read_bytes() for path in small_data_dir.iterdir() if path.is_file()}
    assert "adaptive.db" in stored
    for name, data in {**shown, **stored, "log": log, "collector": told}.items():
        assert not words_in(data), name
        assert made.encode() not in data, name
        assert cookie.encode() not in data, name
