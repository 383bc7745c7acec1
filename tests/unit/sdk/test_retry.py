from __future__ import annotations

import socket
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx2
import pytest

from adaptive_engine.sdk import (
    APIConnectionError,
    APITimeoutError,
    BadRequestError,
    RateLimitError,
    RequestTimeoutError,
    ServiceUnavailableError,
    retry,
)
from unit.sdk.both import result
from unit.sdk.scripted import Reply, ScriptedServer, answer, error_body

HELLO = [{"role": "user", "content": "Hello!"}]


def failure(status: int, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(error_body("Not now."), status=status, headers=named)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504])
async def test_passing_failures_are_repeated(server: ScriptedServer, client, status: int) -> None:
    server.replies(failure(status), failure(status), answer("third"))
    response = await result(client.chat.create(HELLO))
    assert response.choices[0].message.content == "third"
    assert len(server.received) == 3


async def test_hang_up_is_repeated(server: ScriptedServer, client) -> None:
    server.replies(Reply(hang_up=True), answer())
    await result(client.chat.create(HELLO))
    assert len(server.received) == 2


async def test_stream_is_repeated_before_it_starts(server: ScriptedServer, client) -> None:
    server.replies(failure(503), failure(503), failure(503))
    with pytest.raises(ServiceUnavailableError):
        await result(client.chat.create(HELLO, stream=True))
    assert len(server.received) == 3


async def test_last_failure_is_raised(server: ScriptedServer, make_client) -> None:
    server.replies(failure(503))
    with pytest.raises(ServiceUnavailableError, match=r"Not now.*max_retries"):
        await result(make_client(max_retries=1).chat.create(HELLO))
    assert len(server.received) == 2


async def test_no_retries(server: ScriptedServer, make_client) -> None:
    server.replies(failure(429))
    with pytest.raises(RateLimitError):
        await result(make_client(max_retries=0).chat.create(HELLO))
    assert len(server.received) == 1


async def test_own_mistakes_are_not_repeated(server: ScriptedServer, client) -> None:
    server.replies(failure(400))
    with pytest.raises(BadRequestError):
        await result(client.chat.create(HELLO))
    assert len(server.received) == 1


async def test_server_decides_by_header(server: ScriptedServer, client) -> None:
    server.replies(failure(408, x_should_retry="false"))
    with pytest.raises(RequestTimeoutError):
        await result(client.chat.create(HELLO))
    assert len(server.received) == 1
    server.replies(failure(400, x_should_retry="true"), answer())
    await result(client.chat.create(HELLO))
    assert len(server.received) == 3


async def test_asked_pause_is_kept(server: ScriptedServer, client) -> None:
    server.replies(failure(503, retry_after_ms="120", retry_after="60"), answer())
    start = time.perf_counter()
    await result(client.chat.create(HELLO))
    assert 0.12 <= time.perf_counter() - start < 5


async def test_long_pause_is_not_waited_for(server: ScriptedServer, client) -> None:
    server.replies(failure(503, retry_after="121"), answer())
    with pytest.raises(ServiceUnavailableError):
        await result(client.chat.create(HELLO))
    assert len(server.received) == 1


async def test_silence_is_not_repeated(server: ScriptedServer, make_client) -> None:
    def slow(_: object) -> Reply:
        time.sleep(0.5)
        return answer()

    server.replies(slow)
    with pytest.raises(APITimeoutError, match="timeout_secs"):
        await result(make_client(timeout_secs=0.05).chat.create(HELLO))
    assert len(server.received) == 1
    await result(make_client(timeout_secs=0.05).chat.create(HELLO, timeout_secs=None))


async def test_nobody_listens(make_client) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    with pytest.raises(APIConnectionError, match=f"{url}.*adaptive serve"):
        await result(make_client(base_url=url).chat.create(HELLO))


def test_writes_carry_the_same_idempotency_key_on_each_try(server: ScriptedServer) -> None:
    from adaptive_engine import Adaptive

    server.replies(failure(503), Reply({"feedback_id": "01890000-0000-7000-8000-000000000003"}, status=201))
    with Adaptive(server.url, "key", "p") as client:
        client.feedback.log_metric(1, "01890000-0000-7000-8000-000000000002", "helpful")
        client.feedback.log_metric(1, "01890000-0000-7000-8000-000000000002", "helpful")
    first, again, other = (received.headers["idempotency-key"] for received in server.received)
    assert first == again != other


@pytest.mark.parametrize(
    ("headers", "pause"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "120"}, 120),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
        ({"retry-after": "120.5"}, None),
    ],
)
def test_retry_after(headers: dict[str, str], pause: float | None) -> None:
    assert retry.after_status(503, headers, 0) == pause


def test_retry_after_date() -> None:
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert retry.after_status(503, {"retry-after": when}, 0) == pytest.approx(30, abs=2)


@pytest.mark.parametrize("nonsense", ["soon", "nan", "-5", ""])
def test_unreadable_retry_after_falls_back(nonsense: str) -> None:
    pause = retry.after_status(503, {"retry-after": nonsense}, 0)
    assert pause is not None
    assert pause < 1


def test_backoff_doubles_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_DELAY_SECS", 0.5)
    lost = httpx2.ConnectError("refused")
    for attempt, longest in enumerate([0.5, 1, 2, 4, 8, 8]):
        pause = retry.after_failure(lost, attempt)
        assert pause is not None
        assert 0.75 * longest <= pause <= longest
