"""Every failure a client can see, as one family of exceptions.

AdaptiveError
├── InvalidRequest          400  the request itself is wrong
│   ├── ContextLengthExceeded
│   └── UpstreamRejected         an external provider says that it is
├── AuthenticationFailed    401  no key, or a key that is not valid
├── PermissionDenied        403  a valid key that may not do this
├── NotFound                404  unknown, or another tenant's (the same answer)
├── MethodNotAllowed        405
├── RequestTimeout          408  the request body took too long
│   └── FirstTokenTimeout        not within the request's max_ttft_ms
├── Conflict                409
│   └── StillRunning
├── PayloadTooLarge         413
├── UnsupportedMediaType    415
├── RateLimited             429  a limit of the key or of the project is reached
├── HeadTooLarge            431  address and headers
├── InternalError           500  a defect of ours
│   └── EngineFailed
├── UpstreamFailed          502  an external provider cannot be reached, refuses us, or answers nonsense
│   └── NoJudgement              a judge answers something else
├── UpstreamTimeout         504  an external provider takes too long
└── Unavailable             503  busy, starting, draining, or the store cannot be written
    ├── Overloaded
    ├── UpstreamBusy             an external provider is, or has failed too often
    ├── ModelLoading
    ├── ModelOffline
    └── StorageUnavailable

The server turns each into OpenAI's error body; see https://platform.openai.com/docs/guides/error-codes.
"""

from __future__ import annotations

from typing import Any, ClassVar

# Clients made with OpenAI's generator obey this header.
_DO_NOT_RETRY = {"x-should-retry": "false"}


class AdaptiveError(Exception):
    """A failure with an HTTP status, a machine-readable code and, where one field is to blame, its name."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    default_code: ClassVar[str] = "internal_error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.param = param
        self.headers = headers or {}

    def body(self) -> dict[str, Any]:
        """The JSON body: `{"error": {"message", "type", "param", "code"}}`."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}


class InvalidRequest(AdaptiveError):
    status = 400
    type = "invalid_request_error"
    default_code = "invalid_request"


class ContextLengthExceeded(InvalidRequest):
    default_code = "context_length_exceeded"

    def __init__(self, prompt_tokens: int, limit: int, model: str | None = None, *, at_least: bool = False) -> None:
        where = f" of model '{model}'" if model else ""
        count = f"at least {prompt_tokens}" if at_least else f"{prompt_tokens}"
        super().__init__(
            f"The prompt has {count} tokens, the context{where} holds {limit}. "
            "Shorten the messages; nothing was truncated or generated.",
            param="messages",
        )
        self.prompt_tokens = prompt_tokens
        self.limit = limit


class UpstreamRejected(InvalidRequest):
    default_code = "upstream_rejected"


class AuthenticationFailed(AdaptiveError):
    status = 401
    type = "authentication_error"
    default_code = "invalid_api_key"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message, code=code, headers={"WWW-Authenticate": "Bearer"})


class PermissionDenied(AdaptiveError):
    status = 403
    type = "permission_error"
    default_code = "permission_denied"


class NotFound(AdaptiveError):
    """`EntityNotFound:` in the message is what the vendor's clients look for; people read the rest."""

    status = 404
    type = "not_found_error"
    default_code = "not_found"

    def __init__(self, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(f"EntityNotFound: {message}", code=code, param=param)


class MethodNotAllowed(AdaptiveError):
    status = 405
    type = "invalid_request_error"
    default_code = "method_not_allowed"


class RequestTimeout(AdaptiveError):
    status = 408
    type = "timeout_error"
    default_code = "request_timeout"


class FirstTokenTimeout(RequestTimeout):
    """Who sets a limit wants to know, and not to wait for two more tries of OpenAI's client."""

    default_code = "ttft_timeout"

    def __init__(self, milliseconds: int, reason: str) -> None:
        super().__init__(
            f"No first token within {milliseconds} ms, the max_ttft_ms of the request or of the model's settings: "
            f"{reason}. Send a larger one to wait longer.",
            param="max_ttft_ms",
            headers=dict(_DO_NOT_RETRY),
        )


class Conflict(AdaptiveError):
    """OpenAI's client repeats a 409 by itself; what contradicts the store now will do so again."""

    status = 409
    type = "invalid_request_error"
    default_code = "conflict"

    def __init__(self, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message, code=code, param=param, headers=dict(_DO_NOT_RETRY))


class StillRunning(Conflict):
    """An equal request runs, whose answer counts for this one too."""

    default_code = "idempotency_key_in_use"

    def __init__(self) -> None:
        super().__init__(
            "A request with this Idempotency-Key is still running. Send it again to have its answer.",
            param="Idempotency-Key",
        )
        self.headers.update({"x-should-retry": "true", "Retry-After": "5"})


class PayloadTooLarge(AdaptiveError):
    status = 413
    type = "invalid_request_error"
    default_code = "payload_too_large"


class UnsupportedMediaType(AdaptiveError):
    status = 415
    type = "invalid_request_error"
    default_code = "unsupported_media_type"


class HeadTooLarge(AdaptiveError):
    status = 431
    type = "invalid_request_error"
    default_code = "headers_too_large"


class RateLimited(AdaptiveError):
    """`retry_after` is in seconds, None where the same request would be refused again. `headers` say what is left."""

    status = 429
    type = "rate_limit_error"
    default_code = "rate_limit_exceeded"

    def __init__(self, message: str, retry_after: int | None, headers: dict[str, str]) -> None:
        again = dict(_DO_NOT_RETRY) if retry_after is None else {"Retry-After": str(retry_after)}
        super().__init__(message, headers=headers | again)


class InternalError(AdaptiveError):
    pass


class EngineFailed(InternalError):
    default_code = "engine_failed"


class GrammarLimit(InternalError):
    """The masks of a schema became too expensive in the middle of an answer, which ends there."""

    default_code = "grammar_limit"

    def __init__(self, reason: str) -> None:
        super().__init__(f"The answer cannot be continued within its schema: {reason} Simplify the schema.")


class UpstreamFailed(AdaptiveError):
    """`again`: the same request may succeed when it is repeated; otherwise clients are told not to."""

    status = 502
    type = "upstream_error"
    default_code = "upstream_error"

    def __init__(self, message: str, *, code: str | None = None, again: bool = False) -> None:
        super().__init__(message, code=code, headers={} if again else dict(_DO_NOT_RETRY))
        self.again = again


class NoJudgement(UpstreamFailed):
    """What a grader's model said is not what it was asked for; at temperature 0 it would say the same again."""

    default_code = "judgement_invalid"


class UpstreamTimeout(AdaptiveError):
    """Not to be repeated at once: the provider has spent its time on it, and bills some of it."""

    status = 504
    type = "upstream_error"
    default_code = "upstream_timeout"

    def __init__(self, message: str) -> None:
        super().__init__(message, headers=dict(_DO_NOT_RETRY))


class Unavailable(AdaptiveError):
    """`retry_after` is in seconds; OpenAI's client honours values up to 120."""

    status = 503
    type = "overloaded_error"
    default_code = "unavailable"

    def __init__(self, message: str, *, code: str | None = None, retry_after: int = 1) -> None:
        super().__init__(message, code=code, headers={"Retry-After": str(retry_after)})


class Overloaded(Unavailable):
    default_code = "overloaded"


class UpstreamBusy(Unavailable):
    """`wanted` is how long (s) the provider asked to be left alone, 0 where it did not say."""

    type = "upstream_error"
    default_code = "upstream_overloaded"

    def __init__(self, message: str, *, code: str | None = None, wanted: int = 0) -> None:
        super().__init__(message, code=code, retry_after=max(1, min(wanted, 120)))
        self.wanted = wanted


class ModelLoading(Unavailable):
    """It answers in a few seconds, so clients may wait and repeat."""

    default_code = "model_loading"

    def __init__(self, model_key: str) -> None:
        super().__init__(f"Model '{model_key}' is being loaded. Try again in a few seconds.", retry_after=3)


class ModelOffline(Unavailable):
    """Somebody has to do something about it, so clients need not wait and repeat."""

    default_code = "model_offline"

    def __init__(self, message: str) -> None:
        super().__init__(message, retry_after=30)
        self.headers.update(_DO_NOT_RETRY)


class StorageUnavailable(Unavailable):
    default_code = "storage_unavailable"
