"""The argument `filter` of interactions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from adaptive_engine.server.graphql.fields import project_name
from adaptive_engine.wire.filters import Selection


def selection_of(given: dict[str, Any]) -> Selection:
    """What the filter means on our own wire; `advancedFilter` takes the place of all simple fields."""
    if given.get("advancedFilter") is not None:
        return Selection.model_validate(
            {"project": project_name(given, "filter.project"), "filter": _expression(given["advancedFilter"])}
        )
    scores = [*(given.get("scores") or ()), *(given.get("feedbacks") or ())]
    also = [{"scores": _score(each)} for each in scores]
    also += [{"comparisons": {"metric": each["metric"]}} for each in given.get("comparisons") or ()]
    also += [{name: {"contains": given[name]}} for name in ("completion", "prompt") if given.get(name)]
    simple = {
        "models": given.get("models") or None,
        "timerange": given.get("timerange"),
        "session_id": given.get("sessionId"),
        "created_by": given.get("createdBy"),
        "user": str(given["userId"]) if given.get("userId") else None,
        "completion_id": given.get("completionId"),
        "prompt_hash": given.get("promptHash"),
        "source": given.get("source") or None,
        "labels": [_without_null(each) for each in given.get("labels") or ()] or None,
        "filter": {"and": also} if also else None,
    }
    return Selection.model_validate({"project": project_name(given, "filter.project"), **_without_null(simple)})


def _score(given: dict[str, Any]) -> dict[str, Any]:
    bounds = {name: given[name] for name in ("gt", "gte", "eq", "neq", "lt", "lte") if given.get(name) is not None}
    return _without_null({"metric": given["metric"], "value": bounds or None, "reasons": given.get("reasons") or None})


def _expression(given: Any) -> Any:
    """The same tree in our spelling. What is null says nothing, and neither does an empty condition."""
    if isinstance(given, list):
        return [_expression(each) for each in given]
    if not isinstance(given, dict):
        return given
    found = {}
    for name, value in given.items():
        spelled = _expression(value)
        if spelled is None or (spelled == {} and name not in ("and", "or", "not")):
            continue
        found[re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", name)] = spelled
    return found


def _without_null(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}
