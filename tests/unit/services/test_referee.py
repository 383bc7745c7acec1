from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest

from adaptive_engine.errors import StorageUnavailable
from adaptive_engine.permissions import ALL
from adaptive_engine.services import ab_tests, models
from adaptive_engine.services.ab_tests import NewAbTest
from adaptive_engine.services.referee import Referee
from adaptive_engine.services.routing import Routing
from adaptive_engine.store import Database, deployments
from adaptive_engine.store import ab_tests as store
from adaptive_engine.types import AbTest, Principal, Project
from unit.services.platform import answer, compare, score

ADMIN = Principal("key", ALL)
MakeReferee = Callable[[], Referee]


@pytest.fixture
def routing(database: Database, project: Project) -> Routing:
    return Routing(database)


@pytest.fixture
def make_referee(database: Database, routing: Routing) -> Iterator[MakeReferee]:
    made: list[Referee] = []

    def make() -> Referee:
        made.append(Referee(database, routing))
        return made[-1]

    yield make
    for referee in made:
        referee.close()


def create(database: Database, project: Project, **fields: Any) -> AbTest:
    given = {"key": "which", "metric": "helpful", "models": ["a", "b"], "min_scores": 10, "auto_deploy": True, **fields}
    with database.write() as connection:
        return ab_tests.create(connection, project, NewAbTest(**given))


def let_b_win(database: Database, test: AbTest) -> None:
    for _ in range(15):
        score(database, answer(database, test, 0), 0)
        score(database, answer(database, test, 1), 1)


def current(database: Database, test: AbTest) -> AbTest:
    with database.read() as connection:
        found = store.get(connection, test.id)
    assert found is not None
    return found


def default_model(database: Database, project: Project) -> str:
    with database.read() as connection:
        found = deployments.get_default(connection, project.id)
    assert found is not None
    return found.model.key


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    pause = threading.Event()
    while not holds():
        assert time.monotonic() < deadline, "it never happened"
        pause.wait(0.01)


def test_a_test_ends_when_it_is_scored_and_its_winner_is_promoted(
    database: Database, project: Project, routing: Routing, make_referee: MakeReferee
) -> None:
    test = create(database, project)
    routing.refresh()
    referee = make_referee()
    referee.start()
    assert routing.ab_test(project, "which").id == test.id
    let_b_win(database, test)
    referee.scored(None)
    referee.scored(test.id)
    until(lambda: current(database, test).status == "DONE")
    until(lambda: routing.deployment(ADMIN, project.key).model.key == "b")
    ended = current(database, test)
    assert ended.ended_at is not None
    assert ended.verdict is not None
    assert ended.verdict["winner"] == "b"
    assert ended.verdict["p_value"] <= 0.05
    assert [arm["scores"] for arm in ended.verdict["arms"]] == [15, 15]
    assert ended.verdict["text"].startswith("'b' has the higher mean of 'helpful': 1 (")
    assert ended.verdict["text"].endswith("'b' is the project's default model now.")


def test_a_start_sees_what_was_scored_before(database: Database, project: Project, make_referee: MakeReferee) -> None:
    test = create(database, project)
    let_b_win(database, test)
    make_referee().start()
    until(lambda: current(database, test).status == "DONE")
    assert default_model(database, project) == "b"


def test_a_store_that_fails_is_asked_again(
    database: Database, project: Project, make_referee: MakeReferee, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adaptive_engine.services.referee._RETRY_PAUSE", 0.01)
    test = create(database, project)
    let_b_win(database, test)
    referee = make_referee()
    looks, look = iter([StorageUnavailable("It is down.")]), referee.look

    def fail_first(test_id: UUID) -> None:
        for outage in looks:
            raise outage
        look(test_id)

    monkeypatch.setattr(referee, "look", fail_first)
    referee.start()
    until(lambda: current(database, test).status == "DONE")


def test_enough_scores_without_a_difference_go_on(
    database: Database, project: Project, make_referee: MakeReferee
) -> None:
    test = create(database, project)
    referee = make_referee()
    for at in range(9):
        score(database, answer(database, test, 0), at % 2)
        score(database, answer(database, test, 1), at % 2)
    referee.look(test.id)
    assert current(database, test).status == "WARMUP"
    for arm in (0, 1):
        score(database, answer(database, test, arm), 1)
    referee.look(test.id)
    assert current(database, test).status == "IN_PROGRESS"


def test_without_auto_deploy_the_default_stays(database: Database, project: Project, make_referee: MakeReferee) -> None:
    test = create(database, project, auto_deploy=False)
    let_b_win(database, test)
    make_referee().look(test.id)
    assert current(database, test).status == "DONE"
    assert default_model(database, project) == "a"


def test_an_offline_winner_is_not_promoted(database: Database, project: Project, make_referee: MakeReferee) -> None:
    test = create(database, project)
    let_b_win(database, test)
    with database.write() as connection:
        models.update(connection, models.find_deployment(connection, project.key, "b"), online=False)
    make_referee().look(test.id)
    ended = current(database, test)
    assert ended.verdict is not None
    assert ended.verdict["text"].endswith("It is offline, so the project's default model stays as it was.")
    assert default_model(database, project) == "a"


def test_of_several_servers_one_ends_it(database: Database, project: Project, make_referee: MakeReferee) -> None:
    test = create(database, project)
    let_b_win(database, test)
    referees = [make_referee() for _ in range(4)]
    threads = [threading.Thread(target=referee.look, args=(test.id,)) for referee in referees]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    first = current(database, test)
    # Somebody makes another model the default; a late look at the ended test does not undo that.
    with database.write() as connection:
        deployments.set_default(connection, project.id, "c")
        assert not store.end(connection, test.id, "DONE", 1, {})
    referees[0].look(test.id)
    assert default_model(database, project) == "c"
    assert current(database, test) == first


def test_preferences_decide_too(database: Database, project: Project, make_referee: MakeReferee) -> None:
    test = create(database, project, score_type="COMPARISON")
    a, b = (answer(database, test, arm).id for arm in (0, 1))
    for _ in range(20):
        compare(database, project, b, a)
    compare(database, project, a, b, tied="good")
    make_referee().look(test.id)
    ended = current(database, test)
    assert ended.verdict is not None
    assert ended.verdict["text"].startswith("'b' is preferred on 'helpful': 20 wins to 0, 1 tied, against 'a'.")
    assert default_model(database, project) == "b"
