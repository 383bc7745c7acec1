"""Headers of a request, without an object around them: looking one up is all that most requests need."""

from __future__ import annotations

from starlette.types import Scope


def header(scope: Scope, name: bytes, default: str) -> str:
    """The first of this name, which is in lower case."""
    for key, value in scope["headers"]:
        if key == name:
            found: bytes = value
            return found.decode("latin-1")
    return default
