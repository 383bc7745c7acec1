"""An upstream that misbehaves, as clients of ours meet it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from adaptive_engine.registry import ModelDirectory
from adaptive_engine.settings import ProviderSettings
from faultserver import WORDS, FaultServer
from integration.gateway import MODEL, Gateway, running_gateway
from integration.upstream import ASKED, Models, ask, events, idle, row


@pytest.fixture(scope="module")
def gateway(small_model_dir: ModelDirectory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One with time limits that a test can wait for."""
    limits = ProviderSettings(
        first_byte_timeout_seconds=0.6, answer_timeout_seconds=1, idle_timeout_seconds=0.6, retries=1
    )
    with running_gateway(tmp_path_factory.mktemp("gateway"), small_model_dir, limits) as running:
        yield running


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("model", "status", "code"),
    [
        ("status-401", 502, "upstream_auth_failed"),
        ("status-400", 400, "upstream_rejected"),
        ("status-500", 502, "upstream_error"),
        ("status-429", 503, "upstream_rate_limited"),
        ("status-302", 502, "upstream_redirect"),
        ("html", 502, "upstream_bad_response"),
        ("hang-up", 502, "upstream_incomplete"),
        ("silent", 504, "upstream_timeout"),
        ("endless-line", 502, "upstream_bad_response"),
    ],
)
def test_what_fails_before_the_first_byte_is_a_status(
    http: httpx2.Client,
    models: Models,
    upstream: FaultServer,
    model: str,
    status: int,
    code: str,
    stream: bool,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    failed = ask(http, models(model), stream=stream)
    assert (failed.status_code, failed.json()["error"]["code"]) == (status, code)
    assert f"external model x-{model}: The provider" in caplog.text
    assert not any("CANARY" in said for said in (failed.text, caplog.text, *capsys.readouterr()))
    stored = row(http, models(model))
    assert stored["state"] == "error"
    assert stored["error"]["code"] == code
    assert stored["attempts"][-1]["error"] == code
    assert idle(upstream)


@pytest.mark.parametrize(
    ("model", "code"),
    [
        ("hang-up-after-2", "upstream_incomplete"),
        ("reset-after-2", "upstream_incomplete"),
        ("half-close-after-2", "upstream_incomplete"),
        ("silent-after-2", "upstream_timeout"),
        ("garbage-after-2", "upstream_bad_response"),
        ("error-after-2", "upstream_error"),
        ("no-done", "upstream_incomplete"),
    ],
)
def test_what_fails_later_is_an_error_frame(
    http: httpx2.Client, models: Models, upstream: FaultServer, model: str, code: str
) -> None:
    response = ask(http, models(model), stream=True)
    *chunks, last = events(response)
    assert response.status_code == 200
    assert last["error"]["code"] == code
    text = "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks)
    assert text == "".join(WORDS[:2])
    stored = row(http, models(model))
    assert (stored["state"], stored["completion"], stored["error"]["code"]) == ("error", text, code)
    assert idle(upstream)


def test_leaving_ends_the_request_upstream(http: httpx2.Client, models: Models, upstream: FaultServer) -> None:
    model = models("slow-after-2", profile={})
    upstream.behaviours["slow-after-2"] = [_two_words_and_silence]
    body = {"model": model, "messages": ASKED, "stream": True}
    with http.stream("POST", "/chat/completions", json=body) as response:
        text = response.iter_text()
        while "answer" not in next(text):
            pass
    assert idle(upstream)
    upstream.behaviours["slow-after-2"] = [_silence]
    with pytest.raises(httpx2.ReadTimeout):
        http.post("/chat/completions", json={**body, "stream": False}, timeout=0.15)
    assert idle(upstream)
    states = {row(http, model)["state"] for _ in range(50)}
    assert "cancelled" in states


async def _two_words_and_silence(connection: Any) -> None:
    await connection.begin_stream()
    await connection.words(*WORDS[:2])
    await connection.until_closed()


async def _silence(connection: Any) -> None:
    await connection.until_closed()


def test_fallbacks(http: httpx2.Client, models: Models, upstream: FaultServer) -> None:
    """External to external, to internal, and back."""
    failing, good = models("status-503", key="failing"), models("good")
    settings = "/projects/default/models/{}"
    changed = http.patch(settings.format("failing"), json={"settings": {"fallbacks": ["x-good", MODEL]}})
    assert changed.status_code == 200, changed.text
    answer = ask(http, failing)
    assert answer.headers["x-adaptive-model"] == good
    assert answer.json()["choices"][0]["model"] == "x-good"
    stored = row(http, good)
    assert [(each["model"], each.get("error")) for each in stored["attempts"]] == [
        *[("failing", "upstream_overloaded")] * 2,
        ("x-good", None),
    ]
    streamed = ask(http, failing, stream=True)
    assert streamed.headers["x-adaptive-model"] == good
    assert events(streamed)[-1] == "[DONE]"
    http.patch(settings.format("failing"), json={"settings": {"fallbacks": [MODEL]}})
    inside = ask(http, failing, max_tokens=3).json()
    assert inside["choices"][0]["model"] == MODEL
    assert inside["usage"]["completion_tokens"] == 3
    http.patch(settings.format(MODEL), json={"settings": {"fallbacks": ["x-good"]}, "desired_online": False})
    try:
        assert ask(http, f"default/{MODEL}").json()["choices"][0]["model"] == "x-good"
    finally:
        http.patch(settings.format(MODEL), json={"settings": {"fallbacks": None}})
        http.post("/projects/default/models", json={"model": MODEL, "wait": True})
    unknown = http.patch(settings.format("failing"), json={"settings": {"fallbacks": ["x-good", "nobody"]}})
    assert (unknown.status_code, unknown.json()["error"]["param"]) == (400, "settings.fallbacks[1]")


def test_a_fallback_that_refuses_is_passed_over(http: httpx2.Client, models: Models) -> None:
    """Whether its provider does, or this server knows it before. What the model itself refuses is wrong."""
    gone, good = models("status-404", key="gone"), models("good")
    models("status-400")
    models("textual", profile={"structured": "none"})
    strict = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True}}
    settings = "/projects/default/models/{}"
    for refusing, asked_last, code in (
        ("x-status-400", "x-status-400", "upstream_rejected"),
        ("x-textual", "gone", "unsupported_response_format"),
    ):
        http.patch(settings.format("gone"), json={"settings": {"fallbacks": [refusing, "x-good"]}})
        answer = ask(http, gone, response_format=strict)
        assert (answer.status_code, answer.headers.get("x-adaptive-model")) == (200, good)
        assert [each["model"] for each in row(http, good)["attempts"]] == ["gone", refusing, "x-good"]
        http.patch(settings.format("gone"), json={"settings": {"fallbacks": [refusing]}})
        failed = ask(http, gone, response_format=strict)
        assert (failed.status_code, failed.json()["error"]["code"]) == (502, "upstream_not_found")
        stored = row(http, f"default/{asked_last}")
        assert stored["error"]["code"] == "upstream_not_found"
        assert [each["model"] for each in stored["attempts"]] == ["gone", refusing]
        http.patch(settings.format(refusing), json={"settings": {"fallbacks": ["x-good"]}})
        refused = ask(http, f"default/{refusing}", response_format=strict)
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, code)
