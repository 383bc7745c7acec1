"""Metrics: what can be scored in a project, and what the server measures by itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID, uuid5

from adaptive_engine.errors import Conflict, InvalidRequest, NotFound
from adaptive_engine.store import Connection, ab_tests, graders, metrics, projects, statistics
from adaptive_engine.store.statistics import Grouping, MetricReport
from adaptive_engine.types import Metric, Project

SYSTEM: Final = {
    "time_to_first_token": ("Time to first token", "ms", "From the arrival of a request to its first token."),
    "latency": ("Latency", "ms", "From the arrival of a request to the end of its answer."),
    "queue_time": ("Queue time", "ms", "What a request waited before it was computed."),
    "prompt_tokens": ("Prompt tokens", "tokens", "Of the prompt, whether they were in the cache or not."),
    "cached_tokens": ("Cached tokens", "tokens", "Tokens of the prompt that were in the cache."),
    "completion_tokens": ("Completion tokens", "tokens", "Of the answer."),
    "total_tokens": ("Total tokens", "tokens", "Of prompt and answer."),
}
"""Metrics of every project, by key: name, unit, description. Their values are read from the interactions themselves."""

_RESERVED_ENDING = "/statistics"


@dataclass(frozen=True, slots=True)
class MetricUse:
    """A metric, and which kinds of data there are for it."""

    metric: Metric
    has_direct_scores: bool
    has_comparison_scores: bool


def register(connection: Connection, metric: Metric) -> Metric:
    """The metric as it is stored: scripts register what they use each time they run.

    Raises Conflict when the project has another kind of metric of that key, InvalidRequest for keys of the server's
    own.
    """
    check_key(metric.key)
    known = metrics.get_by_key(connection, metric.project_id, metric.key)
    if known is None:
        metrics.create(connection, metric)
        return metric
    if (known.kind, known.scoring_type) != (metric.kind, metric.scoring_type):
        raise Conflict(
            f"Metric '{metric.key}' exists already as {known.kind}, {known.scoring_type}. Choose another key.",
            code="metric_exists",
            param="key",
        )
    return known


def check_key(key: str, param: str = "key") -> None:
    """Raises InvalidRequest for keys of the server's own."""
    if key in SYSTEM:
        raise InvalidRequest(
            f"'{key}' is measured by the server itself, for every completion. Choose another key.",
            code="metric_reserved",
            param=param,
        )
    if key.endswith(_RESERVED_ENDING):
        raise InvalidRequest(f"A key cannot end in '{_RESERVED_ENDING}', which is an address of its own.", param=param)


def find(connection: Connection, project: Project, id_or_key: str, param: str = "key") -> Metric:
    """Raises NotFound."""
    for own in of_system(project):
        if id_or_key in (own.key, str(own.id)):
            return own
    return _known(metrics.get(connection, project.id, id_or_key), id_or_key, param)


def find_scorable(connection: Connection, project_id: UUID, id_or_key: str, param: str = "metric") -> Metric:
    """A metric that people and graders give values to. Raises NotFound, or InvalidRequest for the server's own."""
    metric = metrics.get(connection, project_id, id_or_key)
    own = next((key for key in SYSTEM if id_or_key in (key, str(_system_id(project_id, key)))), None)
    if metric is None and own is not None:
        raise InvalidRequest(f"'{own}' is measured by the server itself and takes no values.", param=param)
    return _known(metric, id_or_key, param)


def list_for_project(connection: Connection, project: Project) -> list[MetricUse]:
    """Those that were registered, by key, then the server's own."""
    return with_use(connection, [*metrics.list_for_project(connection, project.id), *of_system(project)])


def with_use(connection: Connection, found: Iterable[Metric]) -> list[MetricUse]:
    found = list(found)
    direct, compared = metrics.scored(connection, [metric.id for metric in found])
    return [MetricUse(m, m.category == "SYSTEM" or m.id in direct, m.id in compared) for m in found]


def of_system(project: Project) -> list[Metric]:
    return [
        Metric(
            id=_system_id(project.id, key),
            project_id=project.id,
            key=key,
            name=name,
            kind="SCALAR",
            scoring_type="LOWER_IS_BETTER",
            description=description,
            unit=unit,
            created_at=project.created_at,
            category="SYSTEM",
        )
        for key, (name, unit, description) in SYSTEM.items()
    ]


def update(connection: Connection, project: Project, id_or_key: str, changes: dict[str, str | None]) -> Metric:
    """Change name, description or unit. Raises NotFound, or InvalidRequest for the server's own."""
    metric = _own(connection, project, id_or_key)
    if not changes:
        raise InvalidRequest("There is nothing to change: send name, description or unit.", param="name")
    metrics.update(connection, metric.id, changes)
    return find(connection, project, str(metric.id))


def delete(connection: Connection, project: Project, id_or_key: str) -> None:
    """Delete a metric with its scores, comparisons and outcomes. A project whose default it was has none any more.

    Raises NotFound, InvalidRequest for the server's own, and Conflict while something depends on it.
    """
    metric = _own(connection, project, id_or_key)
    writing = graders.list_for_metric(connection, metric.id)
    if writing:
        names = ", ".join(f"'{grader.key}'" for grader in writing)
        raise Conflict(
            f"Metric '{metric.key}' is written by graders: {names}. Delete them first.",
            code="metric_in_use",
            param="key",
        )
    running = ab_tests.list_active_for_metric(connection, metric.id)
    if running:
        names = ", ".join(f"'{test.key}'" for test in running)
        raise Conflict(
            f"Metric '{metric.key}' decides running A/B tests: {names}. Cancel them first.",
            code="metric_in_use",
            param="key",
        )
    metrics.delete(connection, metric.id)
    stored = projects.get(connection, project.id)
    if stored is not None and stored.settings.get("default_metric") == metric.key:
        settings = {name: value for name, value in stored.settings.items() if name != "default_metric"}
        projects.update(connection, replace(stored, settings=settings))


def summarise(
    connection: Connection,
    project: Project,
    id_or_key: str,
    grouping: Grouping,
    created_from: int | None = None,
    created_to: int | None = None,
) -> tuple[Metric, MetricReport]:
    """A metric's values in groups of interactions, of those made in a span of time. Raises NotFound."""
    metric = find(connection, project, id_or_key)
    return metric, statistics.of_metric(connection, metric, grouping, created_from, created_to)


def _known(metric: Metric | None, id_or_key: str, param: str) -> Metric:
    if metric is None:
        raise NotFound(
            f"Metric '{id_or_key}' is not registered here; POST /api/v1/metrics registers it.",
            code="metric_not_found",
            param=param,
        )
    return metric


def _system_id(project_id: UUID, key: str) -> UUID:
    """Nobody stores it: the same every time, and another in each project."""
    return uuid5(project_id, key)


def _own(connection: Connection, project: Project, id_or_key: str) -> Metric:
    metric = find(connection, project, id_or_key)
    if metric.category == "SYSTEM":
        raise InvalidRequest(f"'{metric.key}' is measured by the server itself and stays as it is.", param="key")
    return metric
