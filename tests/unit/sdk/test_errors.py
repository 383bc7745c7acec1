from __future__ import annotations

import json
import pickle

import pytest

from adaptive_engine import errors as server_errors
from adaptive_engine.sdk import errors
from unit.sdk.both import result
from unit.sdk.scripted import Reply, ScriptedServer, error_body

HELLO = [{"role": "user", "content": "Hello!"}]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (302, errors.APIStatusError),
        (400, errors.BadRequestError),
        (401, errors.AuthenticationError),
        (403, errors.PermissionDeniedError),
        (404, errors.NotFoundError),
        (405, errors.APIStatusError),
        (408, errors.RequestTimeoutError),
        (409, errors.ConflictError),
        (413, errors.PayloadTooLargeError),
        (422, errors.UnprocessableEntityError),
        (429, errors.RateLimitError),
        (500, errors.InternalServerError),
        (502, errors.InternalServerError),
        (503, errors.ServiceUnavailableError),
    ],
)
async def test_status_decides_the_class(server: ScriptedServer, make_client, status: int, kind: type) -> None:
    body = error_body("It went wrong.", type="some_error", param="messages", code="some_code")
    server.replies(Reply(body, status=status, headers={"x-request-id": "r1"}))
    with pytest.raises(errors.APIStatusError, match="It went wrong") as caught:
        await result(make_client(max_retries=0).chat.create(HELLO))
    error = caught.value
    assert type(error) is kind
    assert (error.status_code, error.request_id, error.body) == (status, "r1", body)
    assert (error.type, error.param, error.code) == ("some_error", "messages", "some_code")


@pytest.mark.parametrize(("content", "text"), [(b"<h1>Bad</h1>", "<h1>Bad"), (b"", "no message"), (b"\xff[", "[")])
async def test_foreign_body_is_quoted(server: ScriptedServer, client, content: bytes, text: str) -> None:
    server.replies(Reply(content=content, status=404, headers={"Content-Type": "text/html"}))
    with pytest.raises(errors.NotFoundError, match="check base_url") as caught:
        await result(client.chat.create(HELLO))
    assert text in str(caught.value)
    assert caught.value.body == content.decode(errors="replace")


async def test_error_that_is_only_text(server: ScriptedServer, client) -> None:
    server.replies(Reply({"error": "EntityNotFound: model"}, status=404))
    with pytest.raises(errors.NotFoundError, match="EntityNotFound: model"):
        await result(client.chat.create(HELLO))


async def test_wrong_key_names_its_source(server: ScriptedServer, make_client, monkeypatch: pytest.MonkeyPatch) -> None:
    server.replies(Reply(error_body("The API key is not valid."), status=401))
    with pytest.raises(errors.AuthenticationError, match="the argument api_key"):
        await result(make_client().chat.create(HELLO))
    monkeypatch.setenv("ADAPTIVE_API_KEY", "secret-key")
    with pytest.raises(errors.AuthenticationError, match="variable ADAPTIVE_API_KEY") as caught:
        await result(make_client(api_key=None).chat.create(HELLO))
    assert "secret-key" not in str(caught.value)


async def test_redirect_names_its_target(server: ScriptedServer, client) -> None:
    server.replies(Reply(content=b"", status=308, headers={"Location": "https://h/"}))
    with pytest.raises(errors.APIStatusError, match="https://h/"):
        await result(client.chat.create(HELLO))


async def test_a_late_first_token_has_its_own_class_and_is_not_tried_again(server: ScriptedServer, make_client) -> None:
    late = server_errors.FirstTokenTimeout(50, "the request was waiting for its turn")
    server.replies(Reply(late.body(), status=late.status, headers=late.headers))
    with pytest.raises(errors.FirstTokenTimeoutError, match="waiting for its turn") as caught:
        await result(make_client(max_retries=2).chat.create(HELLO, max_ttft_ms=50))
    assert (caught.value.status_code, caught.value.code, caught.value.param) == (408, "ttft_timeout", "max_ttft_ms")
    assert isinstance(caught.value, errors.RequestTimeoutError)


def test_errors_survive_pickling() -> None:
    error = errors.from_status(404, b'{"error": {"message": "gone", "code": "c"}}', request_id="r1")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is errors.NotFoundError
    assert (str(copy), copy.status_code, copy.code, copy.request_id) == (str(error), 404, "c", "r1")


def test_errors_about_parsing_survive_pickling() -> None:
    error = errors.LengthFinishReasonError("cut", content="{", index=1)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is errors.LengthFinishReasonError
    assert (str(copy), copy.content, copy.index, copy.response) == ("cut", "{", 1, None)


@pytest.mark.parametrize(
    "error",
    [
        server_errors.InvalidRequest("x"),
        server_errors.AuthenticationFailed("x"),
        server_errors.PermissionDenied("x"),
        server_errors.NotFound("x"),
        server_errors.RequestTimeout("x"),
        server_errors.FirstTokenTimeout(50, "x"),
        server_errors.InternalError("x"),
        server_errors.Unavailable("x"),
    ],
)
def test_an_error_of_the_server_has_the_same_class_before_and_in_a_stream(error: server_errors.AdaptiveError) -> None:
    before = errors.from_status(error.status, json.dumps(error.body()).encode())
    assert type(errors.from_event(error.body())) is type(before)
    assert errors.from_event(error.body()).status_code == error.status


async def test_a_header_of_the_callers_is_named_as_the_source_of_the_key(server: ScriptedServer, client) -> None:
    server.replies(Reply(error_body("The API key is not valid."), status=401))
    with pytest.raises(errors.AuthenticationError, match="extra_headers"):
        await result(client.chat.create(HELLO, extra_headers={"authorization": "Bearer other"}))
