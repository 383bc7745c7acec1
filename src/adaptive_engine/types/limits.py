"""How much may be asked."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final, Literal

LimitScope = Literal["key", "project"]
"""Whose limit it is: of an API key, or of a project with all its keys."""
LimitKind = Literal["requests_per_minute", "tokens_per_minute", "concurrent_requests"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one key or project; None is the server's default."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    """Of prompts and answers together."""
    concurrent_requests: int | None = None

    def __bool__(self) -> bool:
        """Whether there is any."""
        return not (self.requests_per_minute is self.tokens_per_minute is self.concurrent_requests is None)

    def as_stored(self) -> dict[str, int] | None:
        """Those that there are, by name."""
        return {name: limit for name, limit in asdict(self).items() if limit is not None} or None


UNLIMITED: Final = Limits()
