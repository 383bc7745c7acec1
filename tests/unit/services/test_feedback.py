from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from adaptive_engine.errors import AdaptiveError
from adaptive_engine.services import feedback
from adaptive_engine.services.feedback import Answer, Comparing
from adaptive_engine.store import Database, interactions, outcomes
from adaptive_engine.types import Project, prompt_hash
from unit.services.platform import compare, fill, store_answer

PROMPT = [{"role": "user", "content": "Which?"}]


def compared(database: Database, project: Project, given: Comparing) -> tuple[Any, Any]:
    """The two interactions of a comparison."""
    with database.write() as connection:
        row, _ = feedback.compare(connection, project.id, given)
    with database.read() as connection:
        found = [interactions.get(connection, [project.id], key) for key in (row.preferred_id, row.other_id)]
    return tuple(stored and stored.interaction for stored in found)  # type: ignore[return-value]


def test_texts_are_stored_as_interactions(database: Database, project: Project) -> None:
    given = Comparing("helpful", Answer(text="A.", model="a"), Answer(text="B.", model="b"), PROMPT, user="ada")
    preferred, other = compared(database, project, given)
    assert (preferred.completion, preferred.model_key, preferred.source) == ("A.", "a", "OFFLINE")
    assert (preferred.messages, preferred.user, preferred.state) == (PROMPT, "ada", "complete")
    # Compared again, they are the same interactions.
    assert [row.id for row in compared(database, project, given)] == [preferred.id, other.id]
    # The same text of another model, or to another prompt, is another one.
    again = Comparing("helpful", Answer(text="A.", model="b"), Answer(text="A.", model="a"), [*PROMPT, *PROMPT])
    assert not {row.id for row in compared(database, project, again)} & {preferred.id, other.id}


def test_texts_are_found_among_what_models_answered(database: Database, project: Project) -> None:
    live = store_answer(database, project, "a", completion="A.", messages=PROMPT, prompt_hash=prompt_hash(PROMPT))
    given = Comparing("helpful", Answer(text="A.", model="a"), Answer(text="B.", model="a"), PROMPT)
    assert compared(database, project, given)[0].id == live.id


def test_what_is_no_comparison(database: Database, project: Project) -> None:
    one, other = store_answer(database, project, "a").id, store_answer(database, project, "b").id
    foreign = store_answer(database, fill(database, "foreign"), "a").id
    text = Answer(text="A.", model="a")
    for given, param in (
        (Comparing("helpful", Answer(one), Answer(one)), "other_completion"),
        (Comparing("helpful", text, text, PROMPT), "other_completion"),
        (Comparing("unknown", Answer(one), Answer(other)), "metric"),
        (Comparing("latency", Answer(one), Answer(other)), "metric"),
        (Comparing("helpful", Answer(uuid4()), Answer(other)), "preferred_completion"),
        (Comparing("helpful", Answer(one), Answer(foreign)), "other_completion"),
        (Comparing("helpful", text, Answer(other)), "messages"),
        (Comparing("helpful", Answer(one), Answer(text="B.", model="z"), PROMPT), "other_completion.model"),
    ):
        with pytest.raises(AdaptiveError) as refusal, database.write() as connection:
            feedback.compare(connection, project.id, given)
        assert (refusal.value.param, refusal.value.status // 100) == (param, 4)


def test_a_comparison_by_ids_finds_its_project(database: Database, project: Project) -> None:
    one, other = store_answer(database, project, "a").id, store_answer(database, project, "b").id
    stranger = fill(database, "stranger")
    with database.read() as connection:
        given = Comparing("helpful", Answer(one), Answer(other))
        both = [stranger.id, project.id]
        assert feedback.project_of_comparison(connection, both, given) == project.id
        for allowed, refused in (([stranger.id], given), (both, Comparing("helpful", Answer(text="x"), Answer()))):
            with pytest.raises(AdaptiveError):
                feedback.project_of_comparison(connection, allowed, refused)
    assert compare(database, project, one, other, tied="bad") is None


def test_outcomes_of_sessions(database: Database, project: Project) -> None:
    session = store_answer(database, project, "a").session_id
    stranger = fill(database, "stranger")
    with database.write() as connection:
        row = feedback.report_outcome(connection, [stranger.id, project.id], "helpful", session, True, "ada")
        assert outcomes.list_for_session(connection, project.id, session) == [row]
        assert (row.value, row.project_id) == (1.0, project.id)
    for projects, metric, value, param in (
        ([stranger.id], "helpful", 1, "session_id"),
        ([project.id], "unknown", 1, "metric"),
        ([project.id], "helpful", 0.5, "value"),
        ([project.id], "cost", 10**400, "value"),
        ([project.id], "cost", -1.01e100, "value"),
        ([project.id], "cost", float("nan"), "value"),
    ):
        with pytest.raises(AdaptiveError) as refusal, database.write() as connection:
            feedback.report_outcome(connection, projects, metric, session, value)
        assert refusal.value.param == param
    store_answer(database, stranger, "a", session_id=session)
    with pytest.raises(AdaptiveError, match="several projects"), database.write() as connection:
        feedback.report_outcome(connection, [stranger.id, project.id], "helpful", session, 1)
