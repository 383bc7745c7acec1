"""A/B tests on live traffic: two keys of the default model, so that both answer alike and fast."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any
from uuid import uuid4

import adaptive_sdk
import pytest
import requests

from adaptive_engine.registry import ModelDirectory
from adaptive_engine.sdk import Adaptive, ConflictError, NotFoundError
from adaptive_engine.services import models as service
from adaptive_engine.store import Database, projects
from adaptive_engine.types import Project, now_ms, uuid7
from integration.commands import CommandLine
from integration.server import MODEL, Server, place_model, start
from integration.wire import PROMPT, chat, interaction, post

# They answer in a project whose models these tests may change.
ARMS = ("tiny", "small")


@pytest.fixture(scope="module")
def server(
    shallow_model_dir: ModelDirectory, small_model_dir: ModelDirectory, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """The default model is the default of the project `arena` too; the arms are two keys of one tiny model."""
    data_dir = tmp_path_factory.mktemp("ab_tests")
    default = place_model(shallow_model_dir.path, data_dir)
    imported = [place_model(small_model_dir.path, data_dir, key) for key in ARMS]
    with closing(Database.open(data_dir / "adaptive.db")) as database, database.write() as connection:
        projects.create(connection, Project(uuid7(), "arena", "Arena", "", now_ms()))
        service.register(connection, default)
        service.attach(connection, "arena", default.key)
        for directory in imported:
            service.register(connection, directory)
            service.attach(connection, "arena", directory.key)
    running = start(data_dir, env={"ADAPTIVE_ENGINE__KV_CACHE_LEN": "8192"}, quick=True)
    yield running
    assert running.stop() == 0, running.log.read_text()


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Adaptive]:
    with Adaptive(server.url, server.api_key, "arena") as client:
        for key, kind in (("helpful", "bool"), ("cost", "scalar")):
            client.feedback.register_key(key, kind)
        for key in ARMS:
            client.models.deploy(key, wait=True)
        yield client


@pytest.fixture(autouse=True)
def _nothing_left(client: Adaptive) -> Iterator[None]:
    """Each test begins with the default model and without active A/B tests."""
    client.models.update(MODEL, is_default=True)
    yield
    for test in client.ab_tests.list(active=True):
        client.ab_tests.cancel(test.id)


def key() -> str:
    return f"test-{uuid4().hex[:8]}"


def ask(server: Server, **fields: Any) -> dict[str, Any]:
    return chat(server, **{"model": "arena", "max_tokens": 1, **fields})


def model_of(answer: dict[str, Any]) -> str:
    model: str = answer["choices"][0]["model"]
    return model


def test_s9_without_a_model_the_default_or_a_tested_model_answers(server: Server, client: Adaptive) -> None:
    assert {model_of(ask(server)) for _ in range(5)} == {MODEL}
    client.ab_tests.create(key(), "helpful", ARMS, traffic_split=1.0)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ask(server), range(24)))
    assert {model_of(answer) for answer in answers} == set(ARMS)
    # A request that names its model gets that one.
    assert model_of(ask(server, model=f"arena/{MODEL}")) == MODEL


def test_shares_of_concurrent_requests(server: Server, client: Adaptive) -> None:
    test = client.ab_tests.create(key(), "helpful", ARMS, traffic_split=0.1)
    with ThreadPoolExecutor(16) as pool:
        found = Counter(pool.map(lambda _: model_of(ask(server)), range(200)))
    entered = found["tiny"] + found["small"]
    # Five standard errors around 20; at 25 requests or fewer an arm may well have none.
    assert abs(entered - 20) <= 21
    assert found[MODEL] == 200 - entered
    report = client.ab_tests.get(test.key)
    assert report is not None
    assert sum(variant.requests for variant in report.report.variants) == entered


def test_s38_the_answer_names_model_and_test(server: Server, client: Adaptive) -> None:
    test = client.ab_tests.create(key(), "helpful", ARMS)
    body = {"model": "arena", "messages": PROMPT, "max_tokens": 1, "n": 3}
    response = post(server, "/chat/completions", body)
    answer = response.json()
    assert response.headers["x-adaptive-ab-campaign"] == test.key
    assert response.headers["x-adaptive-model"] == f"arena/{model_of(answer)}"
    # All choices come from one model: they are one answer to one request.
    assert {choice["model"] for choice in answer["choices"]} <= set(ARMS)
    assert len({choice["model"] for choice in answer["choices"]}) == 1
    assert interaction(server, answer)["ab_test_id"] == str(test.id)
    named = post(server, "/chat/completions", {**body, "model": "arena/tiny"})
    assert "x-adaptive-ab-campaign" not in named.headers
    assert interaction(server, named.json())["ab_test_id"] is None


def test_a_session_stays_with_its_model(server: Server, client: Adaptive) -> None:
    client.ab_tests.create(key(), "helpful", ARMS, traffic_split=0.7)

    def talk(_: int) -> set[str]:
        # The first turn names no session and goes on with the one it is told of.
        first = ask(server)
        turns = [ask(server, session_id=first["session_id"]) for _ in range(3)]
        return {model_of(answer) for answer in [first, *turns]}

    with ThreadPoolExecutor(8) as pool:
        talks = list(pool.map(talk, range(16)))
    assert all(len(models) == 1 for models in talks)
    assert len(set.union(*talks)) > 1
    users = [{model_of(ask(server, user=f"user {number}")) for _ in range(3)} for number in range(6)]
    assert all(len(models) == 1 for models in users)


def test_a_campaign_is_entered_by_name(server: Server, client: Adaptive) -> None:
    test = client.ab_tests.create(key(), "helpful", ARMS, traffic_split=1e-9)
    assert model_of(ask(server)) == MODEL
    for name in (test.key, str(test.id)):
        answer = ask(server, ab_campaign=name)
        assert model_of(answer) in ARMS
        assert "warnings" not in answer
    unknown = post(server, "/chat/completions", {"model": "arena", "messages": PROMPT, "ab_campaign": "nobody"})
    assert (unknown.status_code, unknown.json()["error"]["param"]) == (404, "ab_campaign")
    client.ab_tests.cancel(test.key)
    ended = post(server, "/chat/completions", {"model": "arena", "messages": PROMPT, "ab_campaign": test.key})
    assert (ended.status_code, ended.json()["error"]["code"]) == (409, "ab_test_ended")
    assert ended.headers["x-should-retry"] == "false"


def test_s42_a_test_ends_by_itself_and_promotes_the_winner(server: Server, client: Adaptive) -> None:
    test = client.ab_tests.create(key(), "helpful", ARMS, auto_deploy=True, min_scores=15)
    assert (test.status, test.warnings) == ("WARMUP", [])

    def use(_: int) -> None:
        answer = ask(server)
        client.feedback.log_metric(model_of(answer) == "small", answer["choices"][0]["completion_id"], "helpful")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, range(80)))
    ended = until_done(client, test.key)
    assert ended.verdict is not None
    assert ended.verdict.winner == "small"
    assert ended.verdict.text.endswith("'small' is the project's default model now.")
    assert {model_of(ask(server)) for _ in range(5)} == {"small"}
    best = next(variant for variant in ended.report.variants if variant.model.key == "small")
    assert best.mean == pytest.approx(1)
    assert (ended.report.p_value or 1) < 0.05
    assert {bucket.model for bucket in client.ab_tests.series(test.key).data} == set(ARMS)


def test_preferences_and_ties(server: Server, client: Adaptive) -> None:
    test = client.ab_tests.create(key(), "helpful", ARMS, 0.5, "preference", min_scores=10)
    tiny, small = (
        ask(server, model=f"arena/{arm}", ab_campaign=test.key)["choices"][0]["completion_id"] for arm in ARMS
    )
    client.feedback.log_preference("helpful", small, tiny, tied="good")
    client.feedback.log_preference("helpful", small, tiny, tied="bad")
    for _ in range(12):
        client.feedback.log_preference("helpful", small, tiny)
    ended = until_done(client, test.id)
    assert ended.verdict is not None
    assert ended.verdict.winner == "small"
    (against,) = ended.report.variants[1].comparisons or []
    assert (against.wins, against.losses, against.ties_good, against.ties_bad) == (12, 0, 1, 1)
    # A winner is not made the default unless that was asked for.
    assert model_of(ask(server)) == MODEL


def test_completions_from_elsewhere_count_too(client: Adaptive) -> None:
    test = client.ab_tests.create(key(), "cost", ARMS)
    score = [{"feedback_key": "cost", "value": 3.5}]
    client.interactions.create(PROMPT, "An answer.", model="tiny", feedbacks=score, ab_campaign=test.key)
    found = client.ab_tests.get(test.key)
    assert found is not None
    assert (found.scores, found.report.variants[0].mean) == (1, 3.5)
    with pytest.raises(Exception, match="compares 'tiny', 'small'"):
        client.interactions.create(PROMPT, "An answer.", model=MODEL, ab_campaign=test.key)


def test_an_offline_model_gets_no_requests(server: Server, client: Adaptive) -> None:
    test = client.ab_tests.create(key(), "helpful", ARMS)
    client.models.update("tiny", desired_online=False)
    try:
        assert {model_of(ask(server)) for _ in range(6)} == {MODEL}
        found = client.ab_tests.get(test.key)
        assert found is not None
        assert found.warnings[0] == "Model 'tiny' is offline and gets no requests."
    finally:
        client.models.deploy("tiny", wait=True)
    assert model_of(ask(server)) in ARMS


def test_refusals(server: Server, client: Adaptive) -> None:
    test = client.ab_tests.create(key(), "helpful", ARMS)
    with pytest.raises(ConflictError, match="exists already"):
        client.ab_tests.create(test.key, "helpful", ARMS)
    with pytest.raises(NotFoundError):
        client.ab_tests.create(key(), "unknown", ARMS)
    assert client.ab_tests.get("nobody") is None
    body = {"project": "arena", "key": key(), "metric": "helpful", "models": list(ARMS)}
    for change, status, param in (
        ({"traffic_split": "1"}, 400, "traffic_split"),
        ({"traffic_split": 2}, 400, "traffic_split"),
        ({"models": ["tiny"]}, 400, "models"),
        ({"models": ["tiny", "tiny"]}, 400, "models[1]"),
        ({"models": ["tiny", "nobody"]}, 404, "models[1]"),
        ({"score_type": "BOTH"}, 400, "score_type"),
        ({"project": "nowhere"}, 404, "project"),
        ({"colour": "red"}, 400, "colour"),
    ):
        response = post(server, "/ab_tests", {**body, **change})
        assert (response.status_code, response.json()["error"]["param"]) == (status, param), response.text
    with pytest.raises(ConflictError, match="has ended already"):
        client.ab_tests.cancel(client.ab_tests.cancel(test.key).id)
    assert [found.key for found in client.ab_tests.list(status="CANCELLED")][-1] == test.key


def test_who_may_only_ask_cannot_manage(server: Server, client: Adaptive, adaptive: CommandLine) -> None:
    test = client.ab_tests.create(key(), "helpful", ARMS)
    made = adaptive(server, "keys", "create", "app", "--project", "arena")
    app = {"Authorization": f"Bearer {made.split()[-1]}"}
    for path, expected in ((f"/ab_tests/{test.key}/cancel?project=arena", 403), ("/ab_tests/nobody/cancel", 404)):
        response = requests.post(f"{server.api}{path}", headers=app, timeout=30)
        assert response.status_code == expected, response.text
    assert requests.get(f"{server.api}/ab_tests/{test.key}", headers=app, timeout=30).status_code == 200
    made = adaptive(server, "keys", "create", "other", "--project", "default")
    other = {"Authorization": f"Bearer {made.split()[-1]}"}
    assert requests.get(f"{server.api}/ab_tests/{test.key}", headers=other, timeout=30).status_code == 404
    assert requests.get(f"{server.api}/ab_tests", headers=other, timeout=30).json()["data"] == []


def test_the_command(server: Server, client: Adaptive, adaptive: CommandLine) -> None:
    name = key()
    created = adaptive(server, "ab-tests", "create", name, *ARMS, "--metric", "helpful", "--project", "arena")
    assert f"{name}: WARMUP, 100% of the requests of 'arena', judged by values of 'helpful'" in created
    assert name in adaptive(server, "ab-tests", "list", "--project", "arena", "--active")
    assert "Every model needs scores of 30 sessions" in adaptive(server, "ab-tests", "show", name, "--project", "arena")
    assert "is cancelled" in adaptive(server, "ab-tests", "cancel", name, "--project", "arena")
    assert name not in adaptive(server, "ab-tests", "list", "--project", "arena", "--active")


def test_comparisons_by_text_in_both_spellings(server: Server, client: Adaptive) -> None:
    texts = [{"text": "Blue.", "model": arm} for arm in ARMS]
    client.feedback.log_preference("helpful", texts[0], texts[1], messages=PROMPT, user="ada")
    logged = client.interactions.list({"source": "OFFLINE", "user": "ada"}).data
    assert {(row.completion, row.model) for row in logged} == {("Blue.", "tiny"), ("Blue.", "small")}
    body = {"metric": "helpful", "use_case": "arena", "prompt": "Which?", "tied": "bad"}
    older = post(server, "/comparison", {**body, "preferred_completion": texts[0], "other_completion": texts[1]})
    assert (older.status_code, list(older.json())) == (201, ["comparison_id"])
    ids = {"preferred_completion": str(logged[0].id), "other_completion": str(logged[1].id)}
    assert post(server, "/comparison", {"metric": "helpful", **ids}).status_code == 201
    for change, status, param in (
        ({"tied": "maybe"}, 400, "tied"),
        ({"other_completion": ids["preferred_completion"]}, 400, "other_completion"),
        ({"other_completion": str(uuid4())}, 404, "other_completion"),
        ({"preferred_completion": texts[0]}, 400, "messages"),
        ({"metric": "latency"}, 400, "metric"),
    ):
        response = post(server, "/comparison", {"metric": "helpful", **ids, **change})
        assert (response.status_code, response.json()["error"]["param"]) == (status, param), response.text


def test_the_vendors_client_logs_preferences(server: Server, client: Adaptive) -> None:
    ids = [ask(server, model=f"arena/{arm}")["choices"][0]["completion_id"] for arm in ARMS]
    texts = [{"text": f"{arm}.", "model": arm} for arm in ARMS]
    theirs = adaptive_sdk.Adaptive(base_url=server.url, api_key=server.api_key)
    assert theirs.feedback.log_preference("helpful", *ids, project="arena").comparison_id
    assert theirs.feedback.log_preference("helpful", *texts, messages=PROMPT, project="arena").comparison_id


def test_outcomes_of_sessions(server: Server, client: Adaptive) -> None:
    session = ask(server)["session_id"]
    client.feedback.log_outcome(True, session, "helpful", user="ada")
    older = post(server, "/outcome", {"metric": "cost", "session_id": session, "value": 2.5})
    assert (older.status_code, list(older.json())) == (201, ["outcome_id"])
    found = client.feedback.list_outcomes(session)
    assert [(outcome.metric, outcome.value, outcome.user) for outcome in found] == [
        ("helpful", 1.0, "ada"),
        ("cost", 2.5, None),
    ]
    unknown = post(
        server, "/outcome", {"metric": "cost", "session_id": str(uuid4()), "value": 1, "project_id": "arena"}
    )
    assert (unknown.status_code, unknown.json()["error"]["param"]) == (404, "session_id")


def test_statistics_of_what_the_server_measures(server: Server, client: Adaptive) -> None:
    ask(server, model="arena/tiny", labels={"lang": "de"})
    by_model = client.feedback.statistics("latency", "model")
    assert by_model.unit == "ms"
    assert {group.group for group in by_model.data} >= {"tiny"}
    assert all(0 < group.min <= group.mean <= group.max for group in by_model.data)
    (german,) = client.feedback.statistics("completion_tokens", "label:lang").data
    assert (german.group, german.mean) == ("de", 1.0)
    assert client.feedback.statistics("total_tokens", "hour").data
    wrong = requests.get(
        f"{server.api}/metrics/latency/statistics",
        params={"project": "arena", "group_by": "colour"},
        headers=server.headers,
        timeout=30,
    )
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "group_by")


def test_metrics_are_changed_and_deleted(client: Adaptive) -> None:
    name = key()
    made = client.feedback.register_key(name, "bool")
    assert (made.category, made.has_direct_scores) == ("USER", False)
    assert client.feedback.update_key(name, description="Liked", unit="share").unit == "share"
    found = client.feedback.get_key(str(made.id))
    assert found is not None
    assert (found.key, found.description) == (name, "Liked")
    client.feedback.delete_key(name)
    assert client.feedback.get_key(name) is None
    assert {metric.category for metric in client.feedback.list_keys()} == {"USER", "SYSTEM"}


def until_done(client: Adaptive, name: Any) -> Any:
    deadline = time.monotonic() + 30
    while (test := client.ab_tests.get(name)) is not None and test.status != "DONE":
        assert time.monotonic() < deadline, test.model_dump_json(indent=2)
        time.sleep(0.05)
    return test
