from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import pytest

from adaptive_engine.sdk import Adaptive, AsyncAdaptive
from unit.sdk.both import result
from unit.sdk.scripted import Reply, ScriptedServer, answer

HELLO = [{"role": "user", "content": "Hello!"}]
KINDS = [Adaptive, AsyncAdaptive]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("given", "base_url"),
    [
        ("http://h", "http://h"),
        ("http://h/", "http://h"),
        ("https://h:8443///", "https://h:8443"),
        ("http://h/prefix/", "http://h/prefix"),
        ("http://h/api/v1", "http://h"),
        ("http://h/v1/", "http://h"),
        ("http://h/prefix/api/v1/", "http://h/prefix"),
        ("http://h/api", "http://h/api"),
    ],
)
def test_base_url_is_normalised(kind: type[Adaptive], given: str, base_url: str) -> None:
    assert kind(given, "key").base_url == base_url


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "given", ["localhost:9000", "/api", "http://", "ftp://h", "http://h?x=1", "http://h#top", "http://u:p@h", 5]
)
def test_base_url_needs_scheme_and_host(kind: type[Adaptive], given: Any) -> None:
    with pytest.raises(ValueError, match="base_url"):
        kind(given, "key")


@pytest.mark.parametrize("kind", KINDS)
def test_certificates_are_read_for_tls_only(
    kind: type[Adaptive], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "absent.pem"))
    kind("http://h", "key")
    with pytest.raises(FileNotFoundError):
        kind("https://h", "key")


def test_base_url_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Adaptive(api_key="key").base_url == "http://127.0.0.1:9000"
    monkeypatch.setenv("ADAPTIVE_BASE_URL", "http://second")
    assert Adaptive(api_key="key").base_url == "http://second"
    monkeypatch.setenv("ADAPTIVE_URL", "http://first")
    assert Adaptive(api_key="key").base_url == "http://first"
    assert Adaptive("http://argument", "key").base_url == "http://argument"


@pytest.mark.parametrize("kind", KINDS)
def test_api_key_is_required(kind: type[Adaptive], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="ADAPTIVE_API_KEY"):
        kind()
    monkeypatch.setenv("ADAPTIVE_API_KEY", " \n")
    with pytest.raises(ValueError, match="ADAPTIVE_API_KEY"):
        kind()
    monkeypatch.setenv("ADAPTIVE_API_KEY", "from-env\n")
    kind()


@pytest.mark.parametrize("options", [{"timeout_secs": 0}, {"timeout_secs": -1}, {"max_retries": -1}])
def test_senseless_limits_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        Adaptive(api_key="key", **options)  # type: ignore[arg-type]


async def test_headers(server: ScriptedServer, make_client) -> None:
    server.replies(answer())
    client = make_client(default_headers={"X-Team": "a", "user-agent": "mine"})
    await result(client.chat.create(HELLO, extra_headers={"x-team": "b", "X-Call": "1"}))
    headers = server.last.headers
    assert headers["authorization"] == "Bearer key"
    assert headers["user-agent"] == "mine"
    assert (headers["x-team"], headers["x-call"]) == ("b", "1")
    assert headers["content-type"] == "application/json"


async def test_path_prefix_is_kept(server: ScriptedServer, make_client) -> None:
    server.replies(answer())
    await result(make_client(base_url=f"{server.url}/prefix//").chat.create(HELLO))
    assert server.last.path == "/prefix/api/v1/chat/completions"


async def test_default_project_and_its_older_name(server: ScriptedServer, make_client) -> None:
    server.replies(answer())
    client = make_client(default_project=None)
    with pytest.raises(ValueError, match="set_default_project"):
        await result(client.chat.create(HELLO))
    assert server.received == []
    client.set_default_project("a")
    await result(client.chat.create(HELLO))
    assert server.last.body["model"] == "a"
    with pytest.warns(DeprecationWarning, match="set_default_project"):
        client.set_default_use_case("b")
    with pytest.warns(DeprecationWarning, match="default_project"):
        assert client.default_use_case == client.default_project == "b"
    with pytest.warns(DeprecationWarning, match="projects"):
        assert client.use_cases is client.projects


def test_repr_hides_the_key() -> None:
    client = Adaptive("http://h", "secret-key", default_project="p")
    assert repr(client) == "Adaptive(base_url='http://h', default_project='p')"
    assert "secret-key" not in repr(client._transport.settings)


def test_sync_context_manager_closes_only_its_own_http_client() -> None:
    with Adaptive(api_key="key") as own:
        pass
    assert own._transport._client.is_closed
    with httpx2.Client() as http_client:
        with Adaptive(api_key="key", http_client=http_client):
            pass
        assert not http_client.is_closed


async def test_async_context_manager_closes_only_its_own_http_client() -> None:
    async with AsyncAdaptive(api_key="key") as own:
        pass
    assert own._transport._client.is_closed
    async with httpx2.AsyncClient() as http_client:
        async with AsyncAdaptive(api_key="key", http_client=http_client):
            pass
        assert not http_client.is_closed


async def test_http_client_of_the_caller_is_used() -> None:
    seen: list[httpx2.Request] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(200, json=answer().body)

    transport = httpx2.MockTransport(handle)
    Adaptive("http://h", "key", "p", http_client=httpx2.Client(transport=transport)).chat.create(HELLO)
    async_client = httpx2.AsyncClient(transport=transport)
    await AsyncAdaptive("http://h", "key", "p", http_client=async_client).chat.create(HELLO)
    assert [str(request.url) for request in seen] == ["http://h/api/v1/chat/completions"] * 2


async def test_connections_are_reused(server: ScriptedServer, client) -> None:
    server.replies(Reply({"object": "list", "data": []}))
    for _ in range(3):
        await result(client.models.list())
    assert server.connections == 1


@pytest.mark.parametrize("key", ["cl\xe9", "ad_12\u2026", "two words", 5])
def test_a_key_is_text_that_a_header_can_carry(key: Any) -> None:
    with pytest.raises(ValueError, match="key"):
        Adaptive("http://h", key)


@pytest.mark.parametrize("seconds", [0, -1, "5", float("nan"), float("inf")])
async def test_a_time_limit_of_one_call_is_checked(client: Any, server: ScriptedServer, seconds: Any) -> None:
    with pytest.raises(ValueError, match="timeout_secs"):
        await result(client.chat.create(HELLO, timeout_secs=seconds))
    assert not server.received


@pytest.mark.parametrize("messages", [None, 5, "Hello!"])
async def test_messages_are_a_list(client: Any, messages: Any) -> None:
    with pytest.raises(ValueError, match="messages is no list"):
        await result(client.chat.create(messages))


@pytest.mark.parametrize("content", [object(), "\ud800"])
async def test_what_json_cannot_say_is_named(client: Any, content: Any) -> None:
    with pytest.raises(ValueError, match="messages cannot be sent as JSON"):
        await result(client.chat.create([{"role": "user", "content": content}]))
