"""What fields of several types do alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any

from adaptive_engine.errors import InvalidRequest


def read_from(path: str) -> Callable[[Any, Any], Any]:
    """A resolver that gives an attribute of its source, such as `user.email`."""
    get = attrgetter(path)

    def resolve(source: Any, _: Any) -> Any:
        return get(source)

    return resolve


def project_name(given: Mapping[str, Any], param: str = "project") -> str:
    """What either generation of clients calls the project. Raises InvalidRequest that names `param`."""
    name: str | None = given.get("project") or given.get("useCase")
    if name is None:
        raise InvalidRequest("Name the project.", param=param)
    return name
