"""The Python SDK: `Adaptive` and `AsyncAdaptive` speak HTTP to a running server and import nothing of it.

`_async` is the source; `scripts/unasync.py` writes `_sync` from it.
"""

from __future__ import annotations

from adaptive_engine.sdk._async.client import AsyncAdaptive
from adaptive_engine.sdk._sync.client import Adaptive
from adaptive_engine.sdk.errors import (
    AdaptiveSDKError,
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    FirstTokenTimeoutError,
    InternalServerError,
    LengthFinishReasonError,
    NotFoundError,
    PayloadTooLargeError,
    PermissionDeniedError,
    RateLimitError,
    RequestTimeoutError,
    ResponseParseError,
    ServiceUnavailableError,
    StreamInterruptedError,
    UnprocessableEntityError,
)
from adaptive_engine.sdk.images import image
from adaptive_engine.sdk.settings import NOT_GIVEN

__all__ = [
    "NOT_GIVEN",
    "APIConnectionError",
    "APIError",
    "APIStatusError",
    "APITimeoutError",
    "Adaptive",
    "AdaptiveSDKError",
    "AsyncAdaptive",
    "AuthenticationError",
    "BadRequestError",
    "ConflictError",
    "FirstTokenTimeoutError",
    "InternalServerError",
    "LengthFinishReasonError",
    "NotFoundError",
    "PayloadTooLargeError",
    "PermissionDeniedError",
    "RateLimitError",
    "RequestTimeoutError",
    "ResponseParseError",
    "ServiceUnavailableError",
    "StreamInterruptedError",
    "UnprocessableEntityError",
    "image",
]
