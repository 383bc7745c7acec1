"""Interactions, which the schema calls completions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from ariadne import ObjectType, QueryType

from adaptive_engine.errors import InvalidRequest
from adaptive_engine.server.graphql import pages
from adaptive_engine.server.graphql.context import Info
from adaptive_engine.server.graphql.fields import project_name, read_from
from adaptive_engine.server.graphql.resolvers.metrics import MetricSource, load
from adaptive_engine.server.graphql.selection import selection_of
from adaptive_engine.services import interactions
from adaptive_engine.store import Connection, deployments, groups
from adaptive_engine.store import interactions as store
from adaptive_engine.store.filters import InteractionFilter
from adaptive_engine.store.groups import Group, ScoreStatistics
from adaptive_engine.store.interactions import StoredInteraction
from adaptive_engine.types import Comparison, Deployment, Model, Project, Score

query = QueryType()
completion = ObjectType("Completion")
group = ObjectType("CompletionGroupData")
statistics = ObjectType("CompletionGroupScoreStats")
older_statistics = ObjectType("CompletionGroupFeedbackStats")
comparison = ObjectType("ComparisonScore")
older_comparison = ObjectType("ComparisonFeedback")


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
    project = context.project(project_name(filter, "filter.project"), needs="interaction:read")

    def read(connection: Connection) -> dict[str, Any]:
        return pages.page_of(connection, interactions.select(connection, project, selection_of(filter)), page, order)

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
    project = context.project(project_name(filter, "filter.project"), needs="interaction:read")
    by = cast(groups.GroupBy, groupBy.lower())
    if page.get("last") is not None or page.get("before") is not None:
        raise InvalidRequest("Groups are read forwards: use first and after.", param="page")
    size = pages.group_size(page)
    offset = pages.offset(page)

    def read(connection: Connection) -> dict[str, Any]:
        wanted = interactions.select(connection, project, selection_of(filter))
        found = groups.list_groups(connection, wanted, by, order=pages.group_order(order), limit=size, offset=offset)
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
    named = project_name({"project": project, "useCase": useCase}, "filter.project")
    found = context.project(named, needs="interaction:read")
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
    size = {"first": pages.group_size(page)}
    return await info.context.read(pages.page_of, found.within, size, order)


for each in (statistics, older_statistics):
    each.set_alias("average", "mean")
statistics.set_alias("scores", "count")
older_statistics.set_alias("feedbacks", "count")


@statistics.field("metric")
@older_statistics.field("metric")
async def statistics_metric(found: ScoreStatistics, info: Info) -> MetricSource | None:
    return await load(info.context, found.metric_id)


for field, attribute in {
    "id": "id",
    "promptHash": "prompt_hash",
    "source": "source",
    "createdAt": "created_at",
}.items():
    completion.set_field(field, read_from(f"interaction.{attribute}"))


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


def _text(message: dict[str, Any]) -> str:
    content = message["content"]
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in content if part["type"] == "text")


BINDABLES = (query, completion, group, statistics, older_statistics, comparison, older_comparison)
