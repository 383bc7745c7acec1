"""Files for other programs ask for what the server has."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from adaptive_engine.telemetry.catalog import FAMILIES
from adaptive_engine.telemetry.exposition import Exposition
from adaptive_engine.telemetry.meter import Part

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana/adaptive-engine.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
OF_TARGETS = {"instance", "job"}
"""Labels that Prometheus adds."""


@cache
def exported() -> dict[str, set[str]]:
    """Names of samples that /metrics can have, each with its labels."""
    found: dict[str, set[str]] = {}
    for family in FAMILIES:
        labels = {*family.labels}
        if family.kind == "histogram":
            found |= {f"{family.full_name}_bucket": labels | {"le"}}
            found |= {f"{family.full_name}_{end}": labels for end in ("sum", "count")}
        else:
            found[family.full_name] = labels
    text = Exposition(Part(os.getpid(), [])).render("")[0].decode()
    named = {family.name for family in text_string_to_metric_families(text)}
    assert {family.full_name.removesuffix("_total") for family in FAMILIES} <= named
    return found | {name: set() for name in named | {f"{name}_total" for name in named} if name.startswith("process_")}


def check(query: str) -> None:
    """Every name and label in it is one that /metrics has, and both sides of an operator can meet."""
    assert labels_of(promql_parser.parse(query), query) is not None


def labels_of(part: Any, query: str) -> set[str] | None:
    """Those by which the results of a part of the query are told apart; None where it is a number."""
    if isinstance(part, promql_parser.VectorSelector):
        known = exported()
        assert part.name in known, query
        labels = known[part.name] | OF_TARGETS
        assert {matcher.name for matcher in part.matchers.matchers} <= labels, query
        return labels
    if isinstance(part, promql_parser.MatrixSelector):
        return labels_of(part.vector_selector, query)
    if isinstance(part, promql_parser.AggregateExpr):
        inner, kept = labels_of(part.expr, query), set(part.modifier.labels) if part.modifier else set()
        assert inner is not None
        assert kept <= inner, query
        return kept
    if isinstance(part, promql_parser.Call):
        (inner,) = [found for arg in part.args if (found := labels_of(arg, query)) is not None]
        return inner - {"le"} if part.func.name == "histogram_quantile" else inner
    if isinstance(part, promql_parser.BinaryExpr):
        left, right = labels_of(part.lhs, query), labels_of(part.rhs, query)
        assert left is None or right is None or left == right, query
        return left if left is not None else right
    assert isinstance(part, promql_parser.NumberLiteral), part
    return None


def queries() -> Iterator[tuple[str, str]]:
    for panel in PANELS:
        for target in panel["targets"]:
            query = target["expr"].replace("$__rate_interval", "5m")
            yield panel["title"], query.replace("$instance", ".*").replace("$model", ".*")


def test_every_query_of_the_dashboard_has_something_to_find() -> None:
    for _, query in queries():
        check(query)
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            name, label = variable["query"]["query"].removeprefix("label_values(").removesuffix(")").split(", ")
            assert label in exported()[name] | OF_TARGETS


@pytest.mark.parametrize(
    "query",
    [
        "rate(adaptive_nothing[5m])",
        'adaptive_ready{model="x"}',
        "sum by (key) (rate(adaptive_rejected_total[5m]))",
        "adaptive_request_errors_total / adaptive_request_success_total",
    ],
)
def test_a_query_that_finds_nothing_is_noticed(query: str) -> None:
    with pytest.raises(AssertionError):
        check(query)


def test_the_dashboard_is_in_order() -> None:
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert all(panel["title"] and panel["targets"] for panel in PANELS)
    shown = {query for _, query in queries()}
    legends = [target["legendFormat"] for panel in PANELS for target in panel["targets"]]
    assert len(shown) == len(legends)


def test_prometheus_is_told_to_present_a_key() -> None:
    (job,) = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())["scrape_configs"]
    assert job["authorization"]["credentials_file"]
    assert "metrics_path" not in job, "ours is the usual one"


def test_the_alerts_that_are_recommended_can_fire() -> None:
    text = (DEPLOY.parent / "docs/observability.md").read_text()
    recommended = text.partition("```promql\n")[2].partition("```")[0].splitlines()
    assert len(recommended) >= 5
    for line in recommended:
        check(line.partition("#")[0])
