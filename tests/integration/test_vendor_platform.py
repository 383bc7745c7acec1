"""A full round with adaptive-sdk 0.14.2, unmodified: people, projects, models, feedback, A/B tests and interactions."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import requests
from adaptive_sdk import Adaptive, AsyncAdaptive
from adaptive_sdk.error_handling import AdaptiveEntityNotFoundError
from adaptive_sdk.graphql_client.exceptions import GraphQLClientError

from adaptive_engine.registry import ModelDirectory
from adaptive_engine.services import models as service
from adaptive_engine.store import Database
from integration.server import MODEL, Server, place_model, start
from integration.wire import PROMPT

USE_CASE_PYTHON = Path(__file__).parents[2] / ".venvs" / "use-case-client" / "bin" / "python"


def name() -> str:
    """One that nobody has yet, fit for keys, labels and addresses."""
    return uuid4().hex[:10]


@pytest.fixture(scope="module")
def server(shallow_model_dir: ModelDirectory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With a model under two keys."""
    data_dir = tmp_path_factory.mktemp("vendor")
    place_model(shallow_model_dir.path, data_dir)
    second = place_model(shallow_model_dir.path, data_dir, "second")
    with closing(Database.open(data_dir / "adaptive.db")) as database, database.write() as connection:
        service.register(connection, second)
    running = start(data_dir, env={"ADAPTIVE_ENGINE__KV_CACHE_LEN": "8192"}, quick=True)
    yield running
    assert running.stop() == 0, running.log.read_text()


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Adaptive]:
    made = Adaptive(server.url, server.api_key)
    yield made
    made.close()


@pytest.fixture(scope="module")
def project(client: Adaptive) -> str:
    """A project with two models, of which the first is the default."""
    key = f"vendor-{name()}"
    made = client.projects.create(key, name="Vendor", description="Made by the vendor's client.")
    assert (made.key, made.name, made.description) == (key, "Vendor", "Made by the vendor's client.")
    client.set_default_project(key)
    first = client.models.attach(MODEL, wait=True, make_default=True)
    assert (first.model.key, first.is_default, first.model.online) == (MODEL, True, "ONLINE")
    second = client.models.attach("second", wait=True)
    assert (second.model.key, second.is_default) == ("second", False)
    return key


@pytest.fixture(scope="module")
def metric(client: Adaptive, project: str) -> str:
    made = client.feedback.register_key(project, "helpful", "bool", description="Did it help?")
    assert (made.key, made.kind, made.scoring_type) == ("helpful", "BOOL", "HIGHER_IS_BETTER")
    return "helpful"


def answer(client: Adaptive, **options: Any) -> str:
    """The id of a short completion."""
    return str(client.chat.create(PROMPT, max_tokens=2, **options).choices[0].completion_id)


def graphql(server: Server, query: str, variables: dict[str, Any] | None = None, key: str | None = None) -> Any:
    headers = {"Authorization": f"Bearer {key or server.api_key}"}
    body = {"query": query, "operationName": None, "variables": variables or {}}
    response = requests.post(f"{server.url}/api/graphql", json=body, headers=headers, timeout=30)
    assert response.status_code == 200, response.text
    return response.json()


def test_projects_are_listed_and_found(client: Adaptive, project: str) -> None:
    assert {"default", project} <= {each.key for each in client.projects.list()}
    found = client.projects.get(project)
    assert found is not None
    assert {each.model.key for each in found.model_services} == {MODEL, "second"}
    assert "completion:create" in found.permissions
    assert [share.team.key for share in found.shares] == ["default"]
    by_id = client.projects.get(str(found.id))
    assert by_id is not None
    assert by_id.key == project
    assert client.projects.get("nowhere") is None


def test_projects_are_shared(client: Adaptive, project: str) -> None:
    team = client.teams.create(f"team-{name()}", "Readers")
    shared = client.projects.share(project, team.key, "read-only")
    assert shared is not None
    assert {(each.team.key, each.role.key) for each in shared.shares} >= {(team.key, "read-only")}
    alone = client.projects.unshare(project, team.key)
    assert alone is not None
    assert team.key not in {each.team.key for each in alone.shares}


def test_models_are_listed_described_and_updated(client: Adaptive, project: str) -> None:
    found = {each.key: each for each in client.models.list()}
    assert found.keys() >= {MODEL, "second"}
    assert project in {each.key for each in found["second"].projects}
    described = client.models.get("second")
    assert described is not None
    assert described.compute_config is not None
    assert described.compute_config.kv_cache_len == 8192
    assert client.models.get("nobody") is None
    offline = client.models.update("second", desired_online=False)
    assert not offline.desired_online
    assert client.models.update("second", desired_online=True).desired_online
    assert client.models.deploy("second", wait=True).model.online == "ONLINE"
    changed = client.models.update_compute_config("second", {"kv_cache_len": 4096})
    assert changed.compute_config is not None
    assert changed.compute_config.kv_cache_len == 4096


def test_m1_m4_metrics_are_listed_and_found(client: Adaptive, project: str, metric: str) -> None:
    (mine,) = [each for each in client.feedback.list_keys() if each.key == metric]
    assert [each.key for each in mine.projects] == [project]
    found = client.feedback.get_key(project, metric)
    assert found is not None
    assert found.description == "Did it help?"
    assert client.feedback.get_key(project, "nobody") is None


def test_s35_s42_scores_and_preferences_reach_the_interaction(client: Adaptive, metric: str) -> None:
    one, other = answer(client), answer(client, model="second")
    logged = client.feedback.log_metric(True, one, metric, details="well")
    client.feedback.log_preference(metric, preferred_completion=one, other_completion=other)
    found = client.interactions.get(one)
    assert found is not None
    (score,) = found.direct_scores
    assert (str(score.id), score.value, score.details) == (str(logged.feedback_id), 1.0, "well")
    assert score.metric is not None
    assert (score.metric.key, score.metric.has_direct_scores, score.metric.has_comparison_scores) == (
        metric,
        True,
        True,
    )
    (comparison,) = found.comparison_scores
    assert comparison.prefered_completion is not None
    assert comparison.other_completion is not None
    assert str(comparison.prefered_completion.id) == one
    assert str(comparison.other_completion.id) == other


def test_i1_i9_an_interaction_is_read(client: Adaptive, project: str) -> None:
    label = name()
    session = client.chat.create(PROMPT, max_tokens=2, labels={"run": label, "team": "a b"})
    found = client.interactions.get(str(session.choices[0].completion_id), project)
    assert found is not None
    assert [(each.role, each.content) for each in found.chat_messages] == [("user", PROMPT[0]["content"])]
    assert found.completion == session.choices[0].message.content
    assert found.model is not None
    assert found.model.key == MODEL
    assert {each.key: each.value for each in found.labels} == {"run": label, "team": "a b"}
    assert found.metadata.usage is not None
    assert found.metadata.usage.total_tokens == session.usage.total_tokens
    assert found.source == "LIVE"
    assert client.interactions.get("00000000-0000-7000-8000-000000000000", project) is None


def test_s19_s20_i4_to_i8_interactions_are_filtered_ordered_and_paged(client: Adaptive, project: str) -> None:
    run = name()
    ids = [answer(client, labels={"run": run, "nth": f"{at}"}, model="second") for at in range(3)]
    wanted: Any = {"labels": [{"key": "run", "value": [run]}]}
    newest = client.interactions.list(filters=wanted)
    assert [str(each.id) for each in newest.nodes] == ids[::-1]
    assert newest.total_count == 3
    oldest = client.interactions.list(
        filters=wanted, order=[{"field": "created_at", "order": "ASC"}], page={"first": 2}
    )
    assert [str(each.id) for each in oldest.nodes] == ids[:2]
    assert oldest.page_info.has_next_page
    rest = client.interactions.list(
        filters=wanted,
        order=[{"field": "created_at", "order": "ASC"}],
        page={"first": 2, "after": oldest.page_info.end_cursor},
    )
    assert [str(each.id) for each in rest.nodes] == ids[2:]
    assert not rest.page_info.has_next_page
    both: Any = {**wanted, "models": ["second"], "source": ["LIVE"]}
    assert client.interactions.list(filters=both).total_count == 3
    assert client.interactions.list(filters={**both, "models": [MODEL]}).total_count == 0
    one: Any = {"completion_id": ids[1]}
    assert [str(each.id) for each in client.interactions.list(filters=one).nodes] == [ids[1]]
    # These never arrive from this client: they must match everything.
    lost: Any = {**wanted, "feedbacks": [{"metric": "x"}], "user_id": str(UUID(int=0))}
    assert client.interactions.list(filters=lost).total_count == 3


def test_i6_i11_interactions_are_grouped(client: Adaptive, metric: str) -> None:
    run = name()
    for model in (MODEL, "second", "second"):
        client.feedback.log_metric(model == "second", answer(client, labels={"run": run}, model=model), metric)
    wanted: Any = {"labels": [{"key": "run", "value": [run]}]}
    grouped = client.interactions.list(filters=wanted, group_by="model")
    assert {(each.key, each.count) for each in grouped.nodes} == {(MODEL, 1), ("second", 2)}
    (second,) = [each for each in grouped.nodes if each.key == "second"]
    assert len(second.completions.nodes) == 2
    (statistics,) = second.direct_scores_stats
    assert (statistics.metric.key, statistics.scores, statistics.average) == (metric, 2, 1.0)
    by_prompt = client.interactions.list(filters=wanted, group_by="prompt")
    assert [each.count for each in by_prompt.nodes] == [3]


def test_i3_interactions_are_logged_by_hand(client: Adaptive, project: str, metric: str) -> None:
    label = name()
    made = client.interactions.create(
        [{"role": "user", "content": "Hi"}],
        "Hello.",
        model="second",
        feedbacks=[{"feedback_key": metric, "value": True}],
        labels={"run": label},
    )
    found = client.interactions.get(str(made.completion_id))
    assert found is not None
    assert (found.source, found.completion) == ("OFFLINE", "Hello.")
    assert [each.value for each in found.direct_scores] == [1.0]


def test_ab1_to_ab13_an_ab_test_from_creation_to_cancellation(client: Adaptive, project: str, metric: str) -> None:
    key = f"test-{name()}"
    made = client.ab_tests.create(key, metric, [MODEL, "second"], traffic_split=1.0)
    assert made.key == key
    answered = [client.chat.create(PROMPT, max_tokens=1).choices[0] for _ in range(12)]
    assert {choice.model for choice in answered} == {MODEL, "second"}
    for choice in answered:
        client.feedback.log_metric(choice.model == "second", str(choice.completion_id), metric)
    found = client.ab_tests.get(key)
    assert found is not None
    assert (found.score_type, found.traffic_split, found.status) == ("DIRECT", 1.0, found.status)
    assert {each.key for each in found.models} == {MODEL, "second"}
    assert sum(each.scores for each in found.report.variants) == 12
    assert key in {each.key for each in client.ab_tests.list(active=True)}
    client.ab_tests.cancel(key)
    ended = client.ab_tests.get(key)
    assert ended is not None
    assert ended.status == "CANCELLED"
    assert ended.end_date is not None
    assert key in {each.key for each in client.ab_tests.list(status="cancelled")}
    assert client.ab_tests.get("nobody") is None


def test_r1_a3_people_and_service_accounts(server: Server, client: Adaptive, project: str) -> None:
    role = client.roles.create(f"role-{name()}", ["project:read", "completion:create"])
    assert role.permissions == ["completion:create", "project:read"]
    team = client.teams.create(f"team-{name()}")
    email = f"{name()}@example.org"
    person = client.users.create(email, "Ada", [(team.key, role.key)])
    assert [(each.team.key, each.role.key) for each in person.teams] == [(team.key, role.key)]
    client.users.add_to_team(email, "default", "read-only")
    (listed,) = [each for each in client.users.list() if each.email == email]
    assert {each.team.key for each in listed.teams} == {team.key, "default"}
    assert {each.team.key for each in client.users.remove_from_team(email, "default").teams} == {team.key}
    account = client.users.create_service_account(f"bot-{name()}", [(team.key, role.key)])
    client.projects.share(project, team.key, role.key)
    bot = Adaptive(server.url, account.api_key)
    bot.set_default_project(project)
    assert answer(bot)
    me = bot.users.me()
    assert me is not None
    assert me.email.endswith("@system.adaptive.local")
    with pytest.raises(GraphQLClientError, match="interaction:read"):
        bot.interactions.list()
    bot.close()
    client.users.delete(email)
    assert email not in {each.email for each in client.users.list()}
    assert "project:read" in client.permissions.list()
    assert client.integrations.list("default") == []


def test_the_asynchronous_client_does_the_same(server: Server, project: str) -> None:
    async def work() -> tuple[list[str], int]:
        client = AsyncAdaptive(server.url, server.api_key)
        client.set_default_project(project)
        projects = [each.key for each in await client.projects.list()]
        page = await client.interactions.list(page={"first": 1})
        await client.close()
        return projects, len(page.nodes)

    projects, count = asyncio.run(work())
    assert project in projects
    assert count == 1


def test_what_is_not_there_says_so(client: Adaptive, project: str) -> None:
    with pytest.raises(AdaptiveEntityNotFoundError, match="does not exist"):
        client.ab_tests.cancel("nobody")
    with pytest.raises(AdaptiveEntityNotFoundError, match="Model key does not exist"):
        client.models.attach("nobody")
    with pytest.raises(GraphQLClientError, match="exists already"):
        client.projects.create(project)


def test_foreign_projects_look_unknown(server: Server, client: Adaptive, project: str) -> None:
    team = client.teams.create(f"team-{name()}")
    account = client.users.create_service_account(f"bot-{name()}", [(team.key, "power_user")])
    query = "query ($key: IdOrKey!) { project(idOrKey: $key) { key } }"
    for key in (project, "nowhere"):
        assert graphql(server, query, {"key": key}, account.api_key) == {"data": {"project": None}}
    listed = graphql(server, "{ projects { key } models { key } users { email } }", key=account.api_key)
    assert listed["errors"][0]["extensions"]["status"] == 403
    assert graphql(server, "{ projects { key } }", key=account.api_key) == {"data": {"projects": []}}


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ("{ projects { ", "Syntax Error"),
        ("{ nothing }", "Cannot query field 'nothing'"),
        ("{ " + " ".join(f"a{at}: projects {{ key }}" for at in range(11)) + " }", "11 root fields"),
        ("{ projects { " + " ".join(f"a{at}: key" for at in range(1100)) + " } }", "1101 fields"),
        ("{ models { " + "backbone { " * 20 + "key" + " }" * 21 + " }", "levels"),
        ("query { ...A } fragment A on Query { ...B } fragment B on Query { ...A }", "Cannot spread fragment"),
        ("{ " + "projects { key } " * 2000 + "}", "token"),
    ],
)
def test_operations_that_ask_for_too_much_are_refused(server: Server, query: str, complaint: str) -> None:
    answer = graphql(server, query)
    assert answer["data"] is None
    assert complaint in answer["errors"][0]["message"]


def test_bodies_that_are_no_operations_are_refused(server: Server) -> None:
    url, headers = f"{server.url}/api/graphql", server.headers
    assert (
        requests.post(url, data="{", headers={**headers, "content-type": "application/json"}, timeout=10).status_code
        == 400
    )
    assert requests.post(url, json={"variables": {}}, headers=headers, timeout=10).json()["error"]["param"] == "query"
    assert requests.post(url, json={"query": "{ me { id } }"}, timeout=10).status_code == 401


@pytest.fixture(scope="module")
def seen(server: Server) -> dict[str, Any]:
    """What the client of the days of use cases saw in a round of its own."""
    script = Path(__file__).with_name("use_case_platform.py")
    config = {"use_case": f"old-{name()}", "models": [MODEL, "second"], "messages": PROMPT, "run": name()}
    done = subprocess.run(
        [str(USE_CASE_PYTHON), str(script), json.dumps(config)],
        env={"ADAPTIVE_URL": server.url, "ADAPTIVE_API_KEY": server.api_key},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {**json.loads(done.stdout), "config": config}


def test_v1_v15_v16_use_cases_and_their_models(seen: dict[str, Any]) -> None:
    use_case = seen["config"]["use_case"]
    assert (seen["created"]["key"], seen["created"]["name"]) == (use_case, "Old")
    assert use_case in seen["listed"]
    assert (seen["attached"]["is_default"], seen["attached"]["attached"]) == (True, True)
    assert seen["deployed"] == "Model 'second' is ONLINE."
    assert set(seen["models"]) >= {MODEL, "second"}
    assert seen["described"]["kind"] == "Generation"
    assert {each["model"]["key"] for each in seen["use_case"]["model_services"]} == {MODEL, "second"}
    assert seen["left"] == [MODEL]


def test_v13_v14_metrics_and_feedback(seen: dict[str, Any]) -> None:
    key = f"metric-{seen['config']['run']}"
    assert (seen["metric"]["key"], seen["metric"]["kind"]) == (key, "BOOL")
    assert seen["linked"]["key"] == key
    assert key in seen["metrics"]
    assert seen["found_metric"]["key"] == key
    (score,) = seen["interaction"]["direct_feedbacks"]
    assert (score["value"], score["metric"]["key"]) == (1.0, key)
    (comparison,) = seen["interaction"]["comparison_feedbacks"]
    assert comparison["other_completion"]["id"] == seen["ids"][1]


def test_v17_v18_interactions(seen: dict[str, Any]) -> None:
    one, other = seen["ids"]
    assert [each["content"] for each in seen["interaction"]["chat_messages"]] == [PROMPT[0]["content"]]
    assert seen["filtered"] == [other]
    assert seen["scored"] == [one]
    assert sorted(seen["grouped"]) == sorted([[MODEL, 1], ["second", 1]])


def test_ab4_v10_an_ab_test_that_is_named(seen: dict[str, Any]) -> None:
    test = f"test-{seen['config']['run']}"
    assert seen["test"]["key"] == test
    assert seen["report"]["feedbacks"] == 1
    assert test in seen["tests"]
    assert "cancelled" in seen["cancelled"]


def test_v23_people(seen: dict[str, Any]) -> None:
    email = f"{seen['config']['run']}@example.org"
    assert seen["user"]["email"] == email
    assert email in seen["users"]
    assert len(seen["shared"]["shares"]) == 2
    assert seen["me"]
    assert "project:read" in seen["permissions"]
