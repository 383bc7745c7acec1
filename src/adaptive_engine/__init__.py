"""Adaptive Engine: the SDK's front desk.

The server lives in the same package and is imported only by the command `adaptive`. The names below load on first use,
so that `import adaptive_engine` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from adaptive_engine._version import __version__ as __version__

if TYPE_CHECKING:
    from adaptive_engine.sdk import NOT_GIVEN as NOT_GIVEN
    from adaptive_engine.sdk import Adaptive as Adaptive
    from adaptive_engine.sdk import AdaptiveSDKError as AdaptiveSDKError
    from adaptive_engine.sdk import APIConnectionError as APIConnectionError
    from adaptive_engine.sdk import APIError as APIError
    from adaptive_engine.sdk import APIStatusError as APIStatusError
    from adaptive_engine.sdk import APITimeoutError as APITimeoutError
    from adaptive_engine.sdk import AsyncAdaptive as AsyncAdaptive
    from adaptive_engine.sdk import AuthenticationError as AuthenticationError
    from adaptive_engine.sdk import BadRequestError as BadRequestError
    from adaptive_engine.sdk import ConflictError as ConflictError
    from adaptive_engine.sdk import FirstTokenTimeoutError as FirstTokenTimeoutError
    from adaptive_engine.sdk import InternalServerError as InternalServerError
    from adaptive_engine.sdk import LengthFinishReasonError as LengthFinishReasonError
    from adaptive_engine.sdk import NotFoundError as NotFoundError
    from adaptive_engine.sdk import PayloadTooLargeError as PayloadTooLargeError
    from adaptive_engine.sdk import PermissionDeniedError as PermissionDeniedError
    from adaptive_engine.sdk import RateLimitError as RateLimitError
    from adaptive_engine.sdk import RequestTimeoutError as RequestTimeoutError
    from adaptive_engine.sdk import ResponseParseError as ResponseParseError
    from adaptive_engine.sdk import ServiceUnavailableError as ServiceUnavailableError
    from adaptive_engine.sdk import StreamInterruptedError as StreamInterruptedError
    from adaptive_engine.sdk import UnprocessableEntityError as UnprocessableEntityError
    from adaptive_engine.sdk import image as image

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
    "__version__",
    "image",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module("adaptive_engine.sdk"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(globals().keys() | set(__all__))
