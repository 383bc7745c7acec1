"""Interactions, which the schema calls completions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast, get_args
from uuid import UUID

from ariadne import ObjectType, QueryType

from adaptive_engine.errors import InvalidRequest
from adaptive_engine.server.graphql.context import Info
from adaptive_engine.server.graphql.resolvers.metrics import MetricSource, load
from adaptive_engine.services import interactions
from adaptive_engine.store import Connection, deployments, groups, pages
from adaptive_engine.store import interactions as store
from adaptive_engine.store.filters import InteractionFilter
from adaptive_engine.store.groups import Group, ScoreStatistics
from adaptive_engine.store.interactions import StoredInteraction
from adaptive_engine.store.pages import Order, PageRequest, SortField
from adaptive_engine.types import Comparison, Deployment, Model, Project, Score
from adaptive_engine.wire.filters import Selection

query = QueryType()
completion = ObjectType("Completion")
group = ObjectType("CompletionGroupData")
statistics = ObjectType("CompletionGroupScoreStats")
older_statistics = ObjectType("CompletionGroupFeedbackStats")
comparison = ObjectType("ComparisonScore")
older_comparison = ObjectType("ComparisonFeedback")

PAGE = 50
MAX_PAGE = 1000
GROUPS = 20
"""Groups, and completions of each, on a page that names no size."""
MAX_GROUPS = 100


@dataclass(frozen=True, slots=True)
class GroupSource:
    group: Group
    within: InteractionFilter


@query.field("completions")
async def list_completions(
    _: Any,
    info: Info,
    filter: dict[str, Any],  # noqa: A002
    page: dict[str, Any],
    order: list[dict[str, str]],
) -> dict[str, Any]:
    context = info.context
    project = context.project(_project(filter), needs="interaction:read")

    def read(connection: Connection) -> dict[str, Any]:
        return _connection(connection, interactions.select(connection, project, _selection(filter)), page, order)

    return await context.read(read)


@query.field("completionsGrouped")
async def list_groups(
    _: Any,
    info: Info,
    filter: dict[str, Any],  # noqa: A002
    groupBy: str,
    page: dict[str, Any],
    order: list[dict[str, str]],
    scoreFilter: Any = None,
) -> dict[str, Any]:
    context = info.context
    if scoreFilter:
        raise InvalidRequest("Statistics cannot be limited to scores with labels; leave it out.", param="scoreFilter")
    project = context.project(_project(filter), needs="interaction:read")
    by = cast(groups.GroupBy, groupBy.lower())
    if page.get("last") is not None or page.get("before") is not None:
        raise InvalidRequest("Groups are read forwards: use first and after.", param="page")
    size = _size(page, GROUPS, MAX_GROUPS)
    offset = _offset(page)

    def read(connection: Connection) -> dict[str, Any]:
        wanted = interactions.select(connection, project, _selection(filter))
        found = groups.list_groups(connection, wanted, by, order=_group_order(order), limit=size, offset=offset)
        end = offset + len(found.items)
        return {
            "totalCount": found.total,
            "groupBy": groupBy,
            "pageInfo": {
                "hasPreviousPage": offset > 0,
                "hasNextPage": end < found.total,
                "startCursor": str(offset) if found.items else None,
                "endCursor": str(end) if found.items else None,
            },
            "nodes": [GroupSource(each, groups.within(wanted, by, each.key)) for each in found.items],
        }

    return await context.read(read)


@query.field("completion")
async def get_completion(
    _: Any,
    info: Info,
    id: UUID,  # noqa: A002
    project: str | None = None,
    useCase: str | None = None,
) -> StoredInteraction | None:
    context = info.context
    found = context.project(_project({"project": project, "useCase": useCase}), needs="interaction:read")
    return await context.read(store.get, [found.id], id)


@group.field("key")
async def group_key(found: GroupSource, _: Info) -> str | None:
    return found.group.key


@group.field("count")
async def group_count(found: GroupSource, _: Info) -> int:
    return found.group.count


@group.field("directScoresStats")
@group.field("directFeedbacksStats")
async def group_statistics(found: GroupSource, _: Info) -> tuple[ScoreStatistics, ...]:
    return found.group.scores


@group.field("completions")
async def group_completions(
    found: GroupSource, info: Info, page: dict[str, Any], order: list[dict[str, str]]
) -> dict[str, Any]:
    # The clients send the page of the groups here too: of it, only the size means anything inside one.
    size = {"first": min(_size(page, GROUPS, MAX_GROUPS), MAX_GROUPS)}
    return await info.context.read(_connection, found.within, size, order)


for each in (statistics, older_statistics):
    each.set_alias("average", "mean")
statistics.set_alias("scores", "count")
older_statistics.set_alias("feedbacks", "count")


@statistics.field("metric")
@older_statistics.field("metric")
async def statistics_metric(found: ScoreStatistics, info: Info) -> MetricSource | None:
    return await load(info.context, found.metric_id)


def _read_from_row(attribute: str) -> Any:
    def resolve(found: StoredInteraction, _: Info) -> Any:
        return getattr(found.interaction, attribute)

    return resolve


for field, attribute in {
    "id": "id",
    "promptHash": "prompt_hash",
    "source": "source",
    "createdAt": "created_at",
}.items():
    completion.set_field(field, _read_from_row(attribute))


@completion.field("chatMessages")
async def chat_messages(found: StoredInteraction, _: Info) -> list[dict[str, str]]:
    return [{"role": each["role"], "content": _text(each)} for each in found.interaction.messages]


@completion.field("prompt")
async def prompt(found: StoredInteraction, _: Info) -> str:
    messages = found.interaction.messages
    if len(messages) == 1:
        return _text(messages[0])
    return "\n".join(f"{each['role']}: {_text(each)}" for each in messages)


@completion.field("completion")
async def completion_text(found: StoredInteraction, _: Info, maxLength: int | None = None) -> str:
    if maxLength is not None and maxLength < 0:
        raise InvalidRequest("maxLength cannot be negative.", param="maxLength")
    return found.interaction.completion[:maxLength]


@completion.field("model")
async def completion_model(found: StoredInteraction, info: Info) -> Model | None:
    model_id = found.interaction.model_id
    return None if model_id is None else await info.context.models.load(model_id)


@completion.field("modelService")
async def completion_model_service(found: StoredInteraction, info: Info) -> Deployment | None:
    row = found.interaction
    key = row.model_key
    if key is None:
        return None
    return await info.context.read(deployments.get, row.project_id, key)


@completion.field("directScores")
@completion.field("directFeedbacks")
async def direct_scores(found: StoredInteraction, _: Info, filter: Any = None) -> tuple[Score, ...]:  # noqa: A002
    if filter:
        raise InvalidRequest("Scores have no labels to filter by; leave the filter out.", param="filter")
    return found.scores


@completion.field("comparisonScores")
@completion.field("comparisonFeedbacks")
async def comparison_scores(found: StoredInteraction, info: Info) -> list[Comparison]:
    return list(await info.context.comparisons.load(found.interaction.id) or ())


@completion.field("labels")
async def labels(found: StoredInteraction, _: Info, **__: Any) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in sorted(found.interaction.labels.items())]


@completion.field("metadata")
async def metadata(found: StoredInteraction, _: Info) -> dict[str, Any]:
    row = found.interaction
    return {
        "parameters": row.parameters,
        "timings": row.timings,
        "usage": {
            "promptTokens": row.usage.prompt_tokens,
            "completionTokens": row.usage.completion_tokens,
            "totalTokens": row.usage.total_tokens,
        },
        "system": {
            "state": row.state,
            "finish_reason": row.finish_reason,
            "session_id": str(row.session_id),
            "request_id": row.request_id,
            "cached_tokens": row.usage.cached_tokens,
            "warnings": row.warnings,
        },
    }


for each in (comparison, older_comparison):
    each.set_alias("createdAt", "created_at")


@comparison.field("metric")
@older_comparison.field("metric")
async def comparison_metric(found: Comparison, info: Info) -> MetricSource | None:
    return await load(info.context, found.metric_id)


@comparison.field("project")
@older_comparison.field("usecase")
async def comparison_project(found: Comparison, info: Info) -> Project:
    return info.context.project(str(found.project_id))


@comparison.field("preferedCompletion")
@older_comparison.field("preferedCompletion")
async def preferred_completion(found: Comparison, info: Info) -> StoredInteraction | None:
    return await info.context.completions.load(found.preferred_id)


@comparison.field("otherCompletion")
@older_comparison.field("otherCompletion")
async def other_completion(found: Comparison, info: Info) -> StoredInteraction | None:
    return await info.context.completions.load(found.other_id)


def _connection(
    connection: Connection, wanted: InteractionFilter, page: dict[str, Any], order: list[dict[str, str]]
) -> dict[str, Any]:
    found = pages.list_page(connection, wanted, _page(page, order))
    return {
        "totalCount": pages.count(connection, wanted).value,
        "pageInfo": {
            "hasPreviousPage": found.has_previous,
            "hasNextPage": found.has_next,
            "startCursor": found.start_cursor,
            "endCursor": found.end_cursor,
        },
        "nodes": found.items,
        "edges": [{"node": item, "cursor": pages.cursor_of(item, _order(order))} for item in found.items],
    }


def _page(page: dict[str, Any], order: list[dict[str, str]]) -> PageRequest:
    if page.get("offset") is not None:
        raise InvalidRequest("Pages are read by cursor: use after or before instead of offset.", param="page.offset")
    if page.get("first") is not None and page.get("last") is not None:
        raise InvalidRequest("Ask for the first or for the last ones, not both.", param="page.last")
    backward = page.get("last") is not None
    size = _size({"first": page.get("last") if backward else page.get("first")}, PAGE, MAX_PAGE)
    return PageRequest(size, _order(order), page.get("after"), page.get("before"), backward)


def _size(page: dict[str, Any], default: int, most: int) -> int:
    size = page.get("first")
    if size is None:
        return default
    if not 1 <= size <= most:
        raise InvalidRequest(f"A page has 1 to {most} entries here.", param="page.first")
    return int(size)


def _offset(page: dict[str, Any]) -> int:
    after = page.get("after")
    if after is None:
        offset = int(page.get("offset") or 0)
        if offset < 0:
            raise InvalidRequest("An offset cannot be negative.", param="page.offset")
        return offset
    if not re.fullmatch(r"[0-9]{1,9}", after):
        raise InvalidRequest("Not a cursor; pass the `endCursor` of an earlier page.", param="page.after")
    return int(after)


def _order(order: list[dict[str, str]]) -> Order:
    known = get_args(SortField)
    for each in order:
        if each["field"] not in known:
            raise InvalidRequest(
                f"Interactions cannot be sorted by '{each['field']}'; by {', '.join(known)} they can.", param="order"
            )
    return tuple((cast(SortField, each["field"]), cast(Any, each["order"])) for each in order)


def _group_order(order: list[dict[str, str]]) -> tuple[groups.GroupOrder, groups.Direction]:
    known = get_args(groups.GroupOrder)
    if len(order) != 1 or order[0]["field"] not in known:
        raise InvalidRequest(f"Groups are sorted by one of {', '.join(known)}.", param="order")
    return cast(groups.GroupOrder, order[0]["field"]), cast(groups.Direction, order[0]["order"])


def _project(given: Mapping[str, Any]) -> str:
    name: str | None = given.get("project") or given.get("useCase")
    if name is None:
        raise InvalidRequest("Name the project.", param="filter.project")
    return name


def _selection(given: dict[str, Any]) -> Selection:
    """What the filter means on our own wire; `advancedFilter` takes the place of all simple fields."""
    if given.get("advancedFilter") is not None:
        return Selection.model_validate({"project": _project(given), "filter": _expression(given["advancedFilter"])})
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
    return Selection.model_validate({"project": _project(given), **_without_null(simple)})


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


def _text(message: dict[str, Any]) -> str:
    content = message["content"]
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in content if part["type"] == "text")


BINDABLES = (query, completion, group, statistics, older_statistics, comparison, older_comparison)
