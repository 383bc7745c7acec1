"""Metrics, and the scores and comparisons that were given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from ariadne import MutationType, ObjectType, QueryType

from adaptive_engine.errors import InvalidRequest, NotFound
from adaptive_engine.server.graphql.context import Context, Info
from adaptive_engine.services import feedback, interactions, metrics
from adaptive_engine.services.feedback import Scoring
from adaptive_engine.services.metrics import MetricUse
from adaptive_engine.store import Connection, outcomes
from adaptive_engine.types import Metric, Project, Score, now_ms, uuid7
from adaptive_engine.wire.feedback import MetricCreate
from adaptive_engine.wire.interactions import FeedbackInput

query = QueryType()
mutation = MutationType()
metric = ObjectType("Metric")
metric_with_context = ObjectType("MetricWithContext")
direct_score = ObjectType("DirectScore")

for each in (metric, metric_with_context):
    each.set_alias("scoringType", "scoring_type")
for each in (metric, metric_with_context, direct_score):
    each.set_alias("createdAt", "created_at")
for name in ("hasDirectScores", "hasDirectFeedbacks"):
    metric.set_alias(name, "has_direct_scores")
for name in ("hasComparisonScores", "hasComparisonFeedbacks"):
    metric.set_alias(name, "has_comparison_scores")


@dataclass(frozen=True, slots=True)
class MetricSource:
    """A metric as clients read it, with the project it belongs to."""

    id: UUID
    key: str
    name: str
    kind: str
    description: str
    scoring_type: str
    unit: str | None
    category: str
    created_at: int
    has_direct_scores: bool
    has_comparison_scores: bool


def source(use: MetricUse) -> MetricSource:
    found = use.metric
    return MetricSource(
        found.id,
        found.key,
        found.name,
        found.kind,
        found.description,
        found.scoring_type,
        found.unit,
        found.category,
        found.created_at,
        use.has_direct_scores,
        use.has_comparison_scores,
    )


async def load(context: Context, metric_id: UUID) -> MetricSource | None:
    use = await context.metrics.load(metric_id)
    return None if use is None else source(use)


@query.field("metrics")
async def list_metrics(_: Any, info: Info, filter: dict[str, Any] | None = None) -> list[MetricSource]:  # noqa: A002
    wanted = (filter or {}).get("categories") or ("USER", "GRADER")
    found = await info.context.read(_uses, info.context)
    return [source(use) for use in found if use.metric.category in wanted]


@query.field("metric")
async def get_metric(
    _: Any,
    info: Info,
    projectIdOrKey: str | None = None,
    metricIdOrKey: str | None = None,
    idOrKey: str | None = None,
) -> MetricSource | None:
    context = info.context
    wanted = metricIdOrKey or idOrKey
    if wanted is None:
        raise InvalidRequest("Name the metric by metricIdOrKey.", param="metricIdOrKey")
    if projectIdOrKey is None:
        found = await context.read(_uses, context)
        return next((source(use) for use in found if wanted in (use.metric.key, str(use.metric.id))), None)
    project = context.project(projectIdOrKey)

    def read(connection: Connection) -> MetricUse | None:
        try:
            return metrics.with_use(connection, [metrics.find(connection, project, wanted)])[0]
        except NotFound:
            return None

    use = await context.read(read)
    return None if use is None else source(use)


@metric.field("projects")
@metric.field("useCases")
async def metric_projects(found: MetricSource, info: Info, **_: Any) -> list[Project]:
    context = info.context
    mine = await context.read(_uses, context)
    owners = {use.metric.project_id for use in mine if use.metric.id == found.id}
    return [project for project in context.projects() if project.id in owners]


@mutation.field("createMetric")
async def create_metric(
    _: Any,
    info: Info,
    input: dict[str, Any],  # noqa: A002
    project: str | None = None,
) -> MetricSource:
    """Without a project, as the older clients ask, in every one where the caller may: they know one metric for all."""
    context = info.context
    if project is not None:
        chosen = [context.project(project, needs="metric:manage")]
    else:
        chosen = context.projects(needs="metric:manage")
    if not chosen:
        raise InvalidRequest("There is no project in which this key may register metrics.", param="project")

    def write(connection: Connection) -> MetricUse:
        registered = [metrics.register(connection, _metric(each, input)) for each in chosen]
        return metrics.with_use(connection, registered[:1])[0]

    return source(await context.write(write))


@mutation.field("linkMetric")
async def link_metric(_: Any, info: Info, input: dict[str, Any]) -> Metric:  # noqa: A002
    """Give a project the metric that others have under this key."""
    context = info.context
    project = context.project(input["useCase"], needs="metric:manage")

    def write(connection: Connection) -> Metric:
        for use in _uses(connection, context):
            if input["metric"] in (use.metric.key, str(use.metric.id)):
                found = use.metric
                given = {"key": found.key, "name": found.name, "kind": found.kind, "scoringType": found.scoring_type}
                more = {"description": found.description, "unit": found.unit}
                return metrics.register(connection, _metric(project, {**given, **more}))
        return metrics.find(connection, project, input["metric"])

    return await context.write(write)


@mutation.field("unlinkMetric")
async def unlink_metric(_: Any, info: Info, input: dict[str, Any]) -> str:  # noqa: A002
    """Take a metric out of a project, which is refused while it has scores there: they would be lost."""
    context = info.context
    project = context.project(input["useCase"], needs="metric:manage")

    def write(connection: Connection) -> str:
        found = metrics.find(connection, project, input["metric"])
        use = metrics.with_use(connection, [found])[0]
        if use.has_direct_scores or use.has_comparison_scores or outcomes.any_of_metric(connection, found.id):
            raise InvalidRequest("This metric has scores in the project; delete it there if they may be lost.")
        metrics.delete(connection, project, str(found.id))
        return found.key

    return f"Metric '{await context.write(write)}' is not linked any more."


@mutation.field("addDirectScore")
async def add_direct_score(
    _: Any,
    info: Info,
    completionId: UUID,
    metricId: str,
    input: dict[str, Any],  # noqa: A002
) -> Score:
    context = info.context
    projects = [each.id for each in context.projects()]
    value = input["value"]
    if not isinstance(value, bool | int | float):
        raise InvalidRequest("A score is a number, true or false.", param="value")
    reason, details = input.get("reason"), input.get("details")
    checked = FeedbackInput.model_validate({"metric": metricId, "value": value, "reason": reason, "details": details})
    given = Scoring(checked.metric, checked.value, checked.reason, checked.details)

    def write(connection: Connection) -> tuple[Score, UUID | None]:
        interaction = interactions.find(connection, projects, completionId).interaction
        context.project(str(interaction.project_id), needs="score:create")
        (row,) = feedback.score(connection, interaction, [given])
        return row, interaction.ab_test_id

    row, ab_test_id = await context.write(write)
    context.services.referee.scored(ab_test_id)
    return row


@direct_score.field("metric")
async def score_metric(found: Score, info: Info) -> MetricSource | None:
    return await load(info.context, found.metric_id)


def _uses(connection: Connection, context: Context) -> list[MetricUse]:
    projects = context.projects()
    return [use for project in projects for use in metrics.list_for_project(connection, project)]


def _metric(project: Project, given: dict[str, Any]) -> Metric:
    checked = MetricCreate.model_validate(
        {
            "project": project.key,
            "key": given.get("key") or given["name"],
            "name": given["name"],
            "description": given.get("description"),
            "unit": given.get("unit"),
        }
    )
    return Metric(
        id=uuid7(),
        project_id=project.id,
        key=checked.key,
        name=checked.name or checked.key,
        kind=given["kind"],
        scoring_type=given["scoringType"],
        description=checked.description or "",
        unit=checked.unit,
        created_at=now_ms(),
    )


BINDABLES = (query, mutation, metric, metric_with_context, direct_score)
