"""Graders judge what the real model answers, with the real model."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adaptive_engine.sdk import Adaptive, BadRequestError, ConflictError, NotFoundError
from adaptive_engine.wire.graders import Grader
from integration.server import MODEL, Server
from integration.wire import chat, interaction, unique


@pytest.fixture
def client(server: Server) -> Iterator[Adaptive]:
    with Adaptive(server.url, server.api_key, default_project="default") as client:
        yield client


@pytest.fixture
def make(client: Adaptive) -> Iterator[Callable[..., Grader]]:
    """Makes graders that are gone after the test: they would judge what other tests ask."""
    made: list[str] = []

    def create(**options: Any) -> Grader:
        grader = client.graders.create(f"grader-{unique()}", "The answer names colours.", MODEL, **options)
        made.append(grader.key)
        return grader

    yield create
    for key in made:
        client.graders.delete(key)


def judged(client: Adaptive, key: str, count: int) -> Grader:
    """The grader when it has judged so many; a judgement takes a second or two."""
    deadline = time.monotonic() + 60
    while True:
        grader = client.graders.get(key)
        assert grader is not None
        if grader.progress.done >= count:
            return grader
        assert time.monotonic() < deadline, grader.progress
        time.sleep(0.05)


def scores(server: Server, answer: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = interaction(server, answer)["scores"]
    return found


def test_s106_new_interactions_are_judged_and_judgements_parse(
    server: Server, client: Adaptive, make: Callable[..., Grader]
) -> None:
    grader = make(scale=(1, 5))
    answer = chat(server)
    judged(client, grader.key, 1)
    (score,) = scores(server, answer)
    assert score["metric"] == grader.key
    assert score["value"] in (1, 2, 3, 4, 5)
    metric = client.feedback.get_key(grader.key)
    assert metric is not None
    assert metric.kind == "SCALAR"


def test_judging_is_no_interaction(server: Server, client: Adaptive, make: Callable[..., Grader]) -> None:
    label = unique()
    grader = make()
    chat(server, labels={"run": label})
    judged(client, grader.key, 1)
    assert client.graders.get(grader.key).progress.pending == 0  # type: ignore[union-attr]
    page = client.interactions.list(filters={"labels": [{"key": "run", "value": label}]})
    assert len(page.data) == 1


def test_a_sampling_rate_of_zero_judges_only_when_asked(
    server: Server, client: Adaptive, make: Callable[..., Grader]
) -> None:
    grader = make(sampling_rate=0.0)
    answer = chat(server)
    assert client.graders.get(grader.key).progress.pending == 0  # type: ignore[union-attr]
    verdict = client.graders.judge(grader.key, answer["choices"][0]["completion_id"])
    assert verdict.verdict in ("PASS", "FAIL", "NA")
    assert scores(server, answer) == []
    assert client.graders.run(grader.key, limit=1).queued == 1
    judged(client, grader.key, 1)
    assert client.graders.run(grader.key, limit=1).queued == 0
    # NA is a judgement, but no score.
    assert [score["metric"] for score in scores(server, answer)] in ([grader.key], [])


def test_a_conversation_that_is_too_long_for_the_judge_fails_with_the_reason(
    server: Server, client: Adaptive, make: Callable[..., Grader]
) -> None:
    grader = make(sampling_rate=0.0)
    client.interactions.create([{"role": "user", "content": "word " * 20_000}], "Yes.")
    # Other tests of this server log interactions of the future.
    client.graders.run(grader.key, created_to=datetime.now(UTC) + timedelta(seconds=1), limit=1)
    deadline = time.monotonic() + 60
    while (found := client.graders.get(grader.key)) and not found.progress.failed:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert found is not None
    assert "tokens" in (found.progress.problem or "")


def test_a_grader_can_rest_and_change(server: Server, client: Adaptive, make: Callable[..., Grader]) -> None:
    grader = make()
    changed = client.graders.update(grader.key, enabled=False, criteria="It rhymes.", template="{{ completion }}")
    assert (changed.enabled, changed.criteria, changed.template) == (False, "It rhymes.", "{{ completion }}")
    assert client.graders.update(grader.key, template=None).template is None
    chat(server)
    assert client.graders.get(grader.key).progress.pending == 0  # type: ignore[union-attr]


def test_wrong_graders_are_refused(client: Adaptive, make: Callable[..., Grader]) -> None:
    grader = make(sampling_rate=0.0)
    with pytest.raises(ConflictError, match="exists already"):
        client.graders.create(grader.key, "x", MODEL)
    with pytest.raises(NotFoundError, match="Model 'nobody' is not attached"):
        client.graders.create(unique(), "x", "nobody")
    with pytest.raises(BadRequestError, match="no placeholder 'answer'"):
        client.graders.create(unique(), "x", MODEL, template="{{ answer }}")
    with pytest.raises(BadRequestError, match="whole number from 1 to 5"):
        client.graders.create(
            unique(), "x", MODEL, scale=(1, 5), examples=[{"input": "a", "output": "b", "score": "PASS"}]
        )
    with pytest.raises(BadRequestError, match="sampling_rate"):
        client.graders.create(unique(), "x", MODEL, sampling_rate=1.5)
    with pytest.raises(NotFoundError, match="Grader 'nobody'"):
        client.graders.run("nobody")
    assert client.graders.get("nobody") is None


def test_a_key_with_a_slash_can_be_addressed(client: Adaptive) -> None:
    key = client.graders.create(f"tone/{unique()}", "The answer is polite.", MODEL, sampling_rate=0).key
    assert client.graders.update(key, enabled=False).enabled is False
    assert client.graders.run(key, limit=1).grader.key == key
    assert client.graders.cancel(key).grader.key == key
    client.graders.delete(key)
    assert client.graders.get(key) is None
    client.feedback.delete_key(key)
    assert client.feedback.get_key(key) is None


def test_what_is_logged_by_hand_is_judged(server: Server, client: Adaptive, make: Callable[..., Grader]) -> None:
    grader = make(scale=(1, 5))
    logged = client.interactions.create([{"role": "user", "content": "Which colour?"}], "Red, like the sunset.")
    judged(client, grader.key, 1)
    found = client.interactions.get(logged.completion_id)
    assert [score.metric for score in found.scores] == [grader.key]  # type: ignore[union-attr]


def test_a_judge_takes_nothing_from_the_settings_of_its_model(client: Adaptive) -> None:
    project = client.projects.create(name=f"Judged {unique()}").key
    settings = {"system_prompt": "You speak to {{ name }}.", "max_ttft_ms": 1}
    client.models.attach(MODEL, wait=True, project=project, settings=settings)  # type: ignore[arg-type]
    client.graders.create("polite", "The answer is polite.", MODEL, sampling_rate=0, project=project)
    logged = client.interactions.create([{"role": "user", "content": "Hi"}], "Hello!", project=project)
    verdict = client.graders.judge("polite", logged.completion_id, project).verdict
    client.projects.archive(project)
    assert verdict in ("PASS", "FAIL", "NA")
