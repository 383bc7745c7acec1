"""What routes take in their query, beside what FastAPI validates by itself."""

from __future__ import annotations

import re
from typing import Annotated, Any, get_args, get_origin

from fastapi import Query, Request

from adaptive_engine.errors import InvalidRequest
from adaptive_engine.server.bodies import Body
from adaptive_engine.server.errors import as_invalid_request
from adaptive_engine.wire.filters import epoch_ms

LabelQuery = Annotated[list[str] | None, Query(description="`key` or `key=value`; one key's values are or-ed")]
FromQuery = Annotated[str | None, Query(alias="from", description="RFC 3339 or epoch ms, inclusive")]
ToQuery = Annotated[str | None, Query(alias="to", description="RFC 3339 or epoch ms, exclusive")]

_PARAMETERS = {"models": "model", "labels": "label", "last": "limit"}
"""What fields of bodies are called in a query, where that differs."""


def known_query(request: Request) -> None:
    """For routes that filter: a misspelled filter that is not seen would let everything pass, as would one of two that
    differ. Raises InvalidRequest.
    """
    fields = request.scope["route"].dependant.query_params
    known = {field.alias for field in fields}
    once = {field.alias for field in fields if not _takes_many(field.field_info.annotation)}
    for name in sorted(once):
        if len(request.query_params.getlist(name)) > 1:
            raise InvalidRequest(f"{name}: send it once.", param=name)
    # Where both are given, `project` counts.
    for name in request.query_params.keys() - known - {"use_case"}:
        raise InvalidRequest(
            f"{name[:64]}: there is no such parameter here. There are {', '.join(sorted(known))}.", param=name[:64]
        )


def _takes_many(annotation: Any) -> bool:
    return any(get_origin(kind) is list for kind in (annotation, *get_args(annotation)))


def build(model: type[Body], **fields: Any) -> Body:
    """What a POST takes as its body, from parameters that are not None. Raises InvalidRequest naming the parameter."""
    try:
        with as_invalid_request():
            return model.model_validate({name: value for name, value in fields.items() if value is not None})
    except InvalidRequest as exc:
        path = exc.param or ""
        name = _PARAMETERS.get(re.split(r"[.[]", path)[0])
        if name is None:
            raise
        raise InvalidRequest(f"{name}{exc.message.removeprefix(path)}", param=name) from exc


def label_filters(texts: list[str] | None) -> list[dict[str, Any]]:
    """Of `key` and `key=value`."""
    parts = [text.partition("=") for text in texts or ()]
    return [{"key": key, **({"value": value} if equals else {})} for key, equals, value in parts]


def time_range(start: str | None, end: str | None) -> dict[str, int] | None:
    """Of the query's `from` and `to`. Raises InvalidRequest."""
    moments = (("from", moment(start, "from")), ("to", moment(end, "to")))
    return {name: value for name, value in moments if value is not None} or None


def moment(text: str | None, param: str) -> int | None:
    """Epoch ms. Raises InvalidRequest."""
    try:
        return None if text is None else epoch_ms(text)
    except ValueError as exc:
        raise InvalidRequest(f"{param}: {exc}.", param=param) from exc
