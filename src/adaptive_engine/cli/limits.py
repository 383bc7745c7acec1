"""The options that set limits of keys and projects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from adaptive_engine.wire.limits import Limits

Requests = Annotated[
    str | None, typer.Option("--requests-per-minute", metavar="N", help="`none`: the server's default.")
]
Tokens = Annotated[
    str | None, typer.Option("--tokens-per-minute", metavar="N", help="Of prompts and answers; `none`: the default.")
]
Concurrent = Annotated[
    str | None, typer.Option("--concurrent-requests", metavar="N", help="`none`: the server's default.")
]


def given(requests: str | None, tokens: str | None, concurrent: str | None) -> dict[str, int | None]:
    """Those limits that were given; None is one to be removed. Raises InvalidRequest for what is no number."""
    from adaptive_engine.errors import InvalidRequest

    found: dict[str, int | None] = {}
    for name, text in (
        ("requests_per_minute", requests),
        ("tokens_per_minute", tokens),
        ("concurrent_requests", concurrent),
    ):
        if text is not None:
            if text != "none" and not (text.isascii() and text.isdigit()):
                raise InvalidRequest(f"--{name.replace('_', '-')} is a number, or none for the server's default.")
            found[name] = None if text == "none" else int(text)
    return found


def checked(limits: dict[str, Any]) -> Limits:
    """Raises InvalidRequest in the words that a server has for it."""
    from adaptive_engine.server.errors import as_invalid_request
    from adaptive_engine.wire.limits import Limits

    with as_invalid_request():
        return Limits.model_validate(limits)


def shown(limits: Any) -> str:
    """`60 requests/min, 2 at once`, of stored limits and of a server's alike; empty where there are none."""
    units = {
        "requests_per_minute": "requests/min",
        "tokens_per_minute": "tokens/min",
        "concurrent_requests": "at once",
    }
    found = ((getattr(limits, name), unit) for name, unit in units.items())
    return ", ".join(f"{limit} {unit}" for limit, unit in found if limit is not None)
