from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any
from uuid import uuid4

import pytest

from adaptive_engine.errors import AdaptiveError, NotFound
from adaptive_engine.permissions import ALL, ROLES
from adaptive_engine.services import ab_tests
from adaptive_engine.services.ab_tests import NewAbTest
from adaptive_engine.services.routing import Route, Routing
from adaptive_engine.store import Database, projects
from adaptive_engine.types import AbTest, Principal, Project, now_ms, uuid7

ADMIN = Principal("key", ALL)
OFFLINE: set[str] = set()


@pytest.fixture(autouse=True)
def _all_online() -> None:
    OFFLINE.clear()


@pytest.fixture
def routing(database: Database, project: Project) -> Routing:
    return Routing(database)


def create(database: Database, project: Project, routing: Routing, **fields: Any) -> AbTest:
    given = {"key": "which", "metric": "helpful", "models": ["b", "c"], **fields}
    with database.write() as connection:
        test = ab_tests.create(connection, project, NewAbTest(**given))
    routing.refresh()
    return test


def route(routing: Routing, model: str = "support", unit: str | None = None, campaign: str | None = None) -> Route:
    unit = unit or f"session:{uuid4()}"
    test = asyncio.run(routing.campaign(ADMIN, model, campaign)) if campaign is not None else None
    return routing.route(ADMIN, model, unit, test, lambda deployment: deployment.model.key not in OFFLINE)


def chosen(routing: Routing, count: int = 600, campaign: str | None = None) -> Counter[tuple[str, str | None]]:
    """How often a model answered, and for which test."""
    routes = [route(routing, campaign=campaign) for _ in range(count)]
    return Counter((r.deployment.model.key, r.ab_test.key if r.ab_test else None) for r in routes)


def test_without_a_test_the_default_answers(routing: Routing) -> None:
    assert chosen(routing, 5) == {("a", None): 5}


def test_only_requests_that_name_no_model_enter(database: Database, project: Project, routing: Routing) -> None:
    create(database, project, routing)
    found = chosen(routing)
    assert found.keys() == {("b", "which"), ("c", "which")}
    assert abs(found["b", "which"] - 300) < 75
    assert route(routing, "support/").ab_test is not None
    assert route(routing, "support/a") == Route(routing.deployment(ADMIN, "support/a"))


def test_a_share_enters_and_the_rest_goes_to_the_default(
    database: Database, project: Project, routing: Routing
) -> None:
    create(database, project, routing, traffic_split=0.25)
    found = chosen(routing)
    assert abs(found["a", None] - 450) < 55
    assert abs(found["b", "which"] - 75) < 40


def test_a_session_stays(database: Database, project: Project, routing: Routing) -> None:
    create(database, project, routing, traffic_split=0.5)
    for number in range(50):
        routes = {route(routing, unit=f"session:{number}").deployment.model.key for _ in range(5)}
        assert len(routes) == 1


def test_an_offline_model_gets_nothing(database: Database, project: Project, routing: Routing) -> None:
    test = create(database, project, routing, models=["a", "b", "c"])
    before = {unit: route(routing, unit=unit).deployment.model.key for unit in map(str, range(200))}
    OFFLINE.add("c")
    for unit, model in before.items():
        now = route(routing, unit=unit)
        assert now.ab_test == test
        assert now.deployment.model.key == model or model == "c"
        assert now.deployment.model.key != "c"
    # Of one model alone nothing can be learned.
    OFFLINE.add("b")
    assert chosen(routing, 20) == {("a", None): 20}
    assert chosen(routing, 20, campaign="which") == {("a", "which"): 20}


def test_a_campaign_is_entered_whatever_its_split(database: Database, project: Project, routing: Routing) -> None:
    test = create(database, project, routing, traffic_split=1e-9)
    assert chosen(routing, 50) == {("a", None): 50}
    for name in ("which", str(test.id)):
        assert chosen(routing, 50, campaign=name).keys() == {("b", "which"), ("c", "which")}


def test_the_older_of_two_tests_is_asked_first(database: Database, project: Project, routing: Routing) -> None:
    create(database, project, routing, traffic_split=0.5)
    create(database, project, routing, key="second")
    found = chosen(routing)
    by_test = {key: sum(n for (_, test), n in found.items() if test == key) for key in ("which", "second", None)}
    assert by_test[None] == 0
    assert abs(by_test["which"] - 300) < 65


def test_what_a_campaign_cannot_do(database: Database, project: Project, routing: Routing) -> None:
    create(database, project, routing)
    ended = create(database, project, routing, key="ended")
    with database.write() as connection:
        ab_tests.cancel(connection, ended)
    routing.refresh()
    for model, campaign, status, param in (
        ("support", "unknown", 404, "ab_campaign"),
        ("support", "ended", 409, "ab_campaign"),
        ("support/b", "which", 400, "model"),
        ("unknown", "which", 404, "model"),
    ):
        with pytest.raises(AdaptiveError) as refusal:
            route(routing, model, campaign=campaign)
        assert (refusal.value.status, refusal.value.param) == (status, param)
    assert chosen(routing, 20).keys() <= {("b", "which"), ("c", "which")}


def test_who_compares_names_each_model(database: Database, project: Project, routing: Routing) -> None:
    create(database, project, routing, score_type="COMPARISON")
    found = route(routing, "support/c", campaign="which")
    assert (found.deployment.model.key, found.ab_test is not None) == ("c", True)
    with pytest.raises(AdaptiveError, match="compares 'b', 'c', not 'a'"):
        route(routing, "support/a", campaign="which")


def test_a_project_is_hidden_from_other_keys(database: Database, project: Project, routing: Routing) -> None:
    test = create(database, project, routing)
    stranger = Principal("key", in_projects={uuid4(): ROLES["inference"]})
    for campaign in (None, test):
        with pytest.raises(NotFound, match="Project"):
            routing.route(stranger, "support", "session:1", campaign, lambda _: True)
    with pytest.raises(NotFound, match="Project"):
        asyncio.run(routing.campaign(stranger, "support", "which"))


def test_choosing_costs_microseconds(database: Database, project: Project, routing: Routing) -> None:
    create(database, project, routing, models=["a", "b", "c"])
    units = [f"session:{uuid4()}" for _ in range(2000)]

    def seconds(model: str) -> float:
        began = time.thread_time()
        for unit in units:
            route(routing, model, unit)
        return time.thread_time() - began

    best = min(seconds("support") for _ in range(5)) / len(units)
    # 8 µs where this was written; ten times that, for machines that are busy or slow.
    assert best < 80e-6


def test_projects_that_cannot_be_seen_are_not_found_by_another_permission(project: Project, routing: Routing) -> None:
    assert routing.projects(Principal("key", frozenset({"score:create"})), needs="score:create") == []
    assert routing.projects(ADMIN, needs="score:create") == [project]


@pytest.mark.parametrize(
    ("model", "hint"),
    [
        ("gpt-4o", "`model` is 'project' or 'project/model', for example 'support'."),
        ("suport", "Did you mean 'support'?"),
        ("b", "Did you mean 'support/b'?"),
    ],
)
def test_who_names_no_project_is_told_how_models_are_named(routing: Routing, model: str, hint: str) -> None:
    with pytest.raises(NotFound) as caught:
        routing.deployment(ADMIN, model)
    assert hint in caught.value.message
    with pytest.raises(NotFound) as caught:
        routing.deployment(Principal("of nobody"), model)
    assert caught.value.message.endswith("may not use it.")


def test_a_project_without_models_says_how_it_gets_one(database: Database, project: Project) -> None:
    with database.write() as connection:
        projects.create(connection, Project(uuid7(), "gamma", "", "", now_ms()))
    with pytest.raises(NotFound, match="adaptive models deploy MODEL --project gamma") as refused:
        Routing(database).deployment(ADMIN, "gamma")
    assert refused.value.code == "no_default_model"
