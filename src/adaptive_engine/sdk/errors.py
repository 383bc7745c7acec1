"""Every failure of the SDK, as one family of exceptions. The names are those of OpenAI's library.

AdaptiveSDKError
├── APIError
│   ├── APIConnectionError               no answer came back
│   │   └── APITimeoutError              not within `timeout_secs`
│   ├── StreamInterruptedError           a stream ended before it was complete
│   └── APIStatusError                   the server answered with a failure
│       ├── BadRequestError          400
│       ├── AuthenticationError      401
│       ├── PermissionDeniedError    403
│       ├── NotFoundError            404
│       ├── RequestTimeoutError      408  the request body took too long
│       │   └── FirstTokenTimeoutError    no token within `max_ttft_ms`
│       ├── ConflictError            409
│       ├── PayloadTooLargeError     413
│       ├── UnprocessableEntityError 422
│       ├── RateLimitError           429
│       ├── InternalServerError      500 and above, except
│       └── ServiceUnavailableError  503  busy, starting, or draining
└── ResponseParseError                   the answer came, but is not what `parse` was to make of it
    └── LengthFinishReasonError          because `max_tokens` cut it off

Wrong arguments are a plain ValueError, raised before anything is sent.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adaptive_engine.wire.chat import ChatResponse


class AdaptiveSDKError(Exception):
    """The root of the family."""


class APIError(AdaptiveSDKError):
    """A request that failed.

    `code`, `param` and `type` are the fields of the server's error body, `body` is that body: parsed where it is JSON,
    else text. Whatever is not known is None. `request_id` finds the request in the server's log.
    """

    def __init__(
        self,
        message: str,
        *,
        status_code: int | None = None,
        code: str | None = None,
        param: str | None = None,
        type: str | None = None,  # noqa: A002 - the wire's word
        request_id: str | None = None,
        body: Any = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status_code = status_code
        self.code = code
        self.param = param
        self.type = type
        self.request_id = request_id
        self.body = body


class APIConnectionError(APIError):
    """The server could not be reached, or the connection broke before the answer."""


class APITimeoutError(APIConnectionError):
    """The server stayed silent for longer than `timeout_secs`."""


class StreamInterruptedError(APIError):
    """A stream ended without its end mark: the text so far may lack its end, and may not be stored."""


class APIStatusError(APIError):
    """The server answered with a status other than 2xx, or with an error in the middle of a stream.

    An error inside a stream, which began with 200, has the status that its `type` stands for.
    """


class BadRequestError(APIStatusError):
    pass


class AuthenticationError(APIStatusError):
    pass


class PermissionDeniedError(APIStatusError):
    pass


class NotFoundError(APIStatusError):
    pass


class RequestTimeoutError(APIStatusError):
    pass


class FirstTokenTimeoutError(RequestTimeoutError):
    """Nothing was generated. It is not tried again by itself: who sets a limit has something else to do then."""


class ConflictError(APIStatusError):
    pass


class PayloadTooLargeError(APIStatusError):
    pass


class UnprocessableEntityError(APIStatusError):
    pass


class RateLimitError(APIStatusError):
    pass


class InternalServerError(APIStatusError):
    pass


class ServiceUnavailableError(APIStatusError):
    pass


class ResponseParseError(AdaptiveSDKError):
    """An answer, complete and paid for, that is not an instance of the class that it was to be.

    Either the server could not enforce the schema (it says so in `response.warnings`), or the class checks what no
    schema can say; the cause is Pydantic's error. `content` is the answer's text, `index` the number of the choice.
    `response` is everything that came; None after a stream, whose chunks the caller has seen.
    """

    def __init__(
        self, message: str, *, content: str = "", index: int = 0, response: ChatResponse | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.content = content
        self.index = index
        self.response = response


class LengthFinishReasonError(ResponseParseError):
    """`max_tokens`, or the model's context, ended the answer before its JSON was complete."""


_BY_STATUS: dict[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    408: RequestTimeoutError,
    409: ConflictError,
    413: PayloadTooLargeError,
    422: UnprocessableEntityError,
    429: RateLimitError,
    503: ServiceUnavailableError,
}

_BY_CODE: dict[str, type[APIStatusError]] = {"ttft_timeout": FirstTokenTimeoutError}

_STATUS_OF_TYPE = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "timeout_error": 408,
    "rate_limit_error": 429,
    "overloaded_error": 503,
}

_MAX_QUOTED = 500
"""Characters of a foreign body (say, a proxy's HTML page) that go into a message."""


def from_status(status: int, content: bytes, *, request_id: str | None = None, hint: str = "") -> APIStatusError:
    """The error for a response with `status` and the body `content`; `hint` says what to do next."""
    text = content.decode("utf-8", errors="replace")
    try:
        body: Any = json.loads(text)
    except ValueError:
        body = text
    detail = _detail(body)
    message = str(detail.get("message") or text.strip()[:_MAX_QUOTED] or "no message")
    return _class_of(status, detail.get("code"))(
        _sentences(f"{message.rstrip('.')} (HTTP {status})", hint),
        status_code=status,
        request_id=request_id,
        body=body,
        **_fields(detail),
    )


def from_event(body: dict[str, Any], *, request_id: str | None = None) -> APIStatusError:
    """The error for the event `{"error": ...}` of a stream that had already begun."""
    detail = _detail(body)
    status = _STATUS_OF_TYPE.get(detail.get("type") or "", 500)
    message = str(detail.get("message") or "The server reported an error without a message")
    return _class_of(status, detail.get("code"))(
        _sentences(message, "The answer up to here is incomplete."),
        status_code=status,
        request_id=request_id,
        body=body,
        **_fields(detail),
    )


def _class_of(status: int, code: Any) -> type[APIStatusError]:
    if isinstance(code, str) and code in _BY_CODE:
        return _BY_CODE[code]
    return _BY_STATUS.get(status) or (InternalServerError if status >= 500 else APIStatusError)


def _detail(body: Any) -> dict[str, Any]:
    """The fields of an error body in our shape, or `{"error": "text"}` as some servers send it; else nothing."""
    error = body.get("error") if isinstance(body, dict) else None
    if isinstance(error, str):
        return {"message": error}
    return error if isinstance(error, dict) else {}


def _fields(detail: dict[str, Any]) -> dict[str, Any]:
    return {name: detail.get(name) for name in ("code", "param", "type")}


def _sentences(message: str, hint: str) -> str:
    return f"{message.rstrip('.')}. {hint}" if hint else message
