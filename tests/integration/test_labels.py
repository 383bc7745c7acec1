"""Labels sort interactions; `metadata` is OpenAI's name for them."""

from __future__ import annotations

from typing import Any

import pytest

from integration.server import Server
from integration.wire import ask, chat, interaction, listed, unique


def _ids(rows: list[dict[str, Any]]) -> set[str]:
    return {row["completion_id"] for row in rows}


def _id(answer: dict[str, Any]) -> str:
    completion_id: str = answer["choices"][0]["completion_id"]
    return completion_id


def test_s19_labels_are_stored_and_filter(server: Server) -> None:
    run = unique()
    answer = chat(server, labels={"run": run}, max_tokens=1)
    assert interaction(server, answer)["labels"] == {"run": run}
    assert _ids(listed(server, f"run={run}")) == {_id(answer)}


def test_s20_several_labels_with_spaces_each_filter(server: Server) -> None:
    labels = {"customer name": f"Ada Lovelace {unique()}", "use": f"draft an e-mail = yes, {unique()}"}
    answer = chat(server, labels=labels, max_tokens=1)
    assert interaction(server, answer)["labels"] == labels
    for key, value in labels.items():
        assert _ids(listed(server, f"{key}={value}")) == {_id(answer)}


def test_s107_metadata_is_another_name_of_labels(server: Server) -> None:
    run = unique()
    answer = chat(server, metadata={"run": run}, max_tokens=1)
    assert interaction(server, answer)["labels"] == {"run": run}
    assert _ids(listed(server, f"run={run}")) == {_id(answer)}


def test_s109_labels_and_metadata_are_merged(server: Server) -> None:
    answer = chat(server, labels={"a": "1", "same": "x"}, metadata={"b": "2", "same": "x"}, max_tokens=1)
    assert interaction(server, answer)["labels"] == {"a": "1", "b": "2", "same": "x"}
    assert "warnings" not in answer


def test_s109_labels_win_and_the_conflict_is_said(server: Server) -> None:
    answer = chat(server, labels={"a": "from labels"}, metadata={"a": "from metadata"}, max_tokens=1)
    assert interaction(server, answer)["labels"] == {"a": "from labels"}
    assert [warning["code"] for warning in answer["warnings"]] == ["label_conflict"]


@pytest.mark.parametrize("fields", [{}, {"labels": {}}, {"metadata": {}}])
def test_s111_labels_are_optional(server: Server, fields: dict[str, Any]) -> None:
    assert interaction(server, chat(server, max_tokens=1, **fields))["labels"] == {}


def test_s113_labels_organise_completions(server: Server) -> None:
    run = unique()
    by_topic = {
        topic: _id(chat(server, labels={"run": run, "topic": topic, f"only {run}": topic}, max_tokens=1))
        for topic in ("billing", "shipping", "returns")
    }
    everything = set(by_topic.values())
    assert _ids(listed(server, f"run={run}")) == everything
    # A key alone; two values of one key are or-ed; two keys are and-ed.
    assert _ids(listed(server, f"only {run}")) == everything
    assert _ids(listed(server, f"run={run}", "topic=billing")) == {by_topic["billing"]}
    assert _ids(listed(server, f"run={run}", "topic=billing", "topic=returns")) == everything - {by_topic["shipping"]}
    assert listed(server, f"run={run}", "topic=nothing") == []


@pytest.mark.parametrize(
    "labels",
    [{"a": 1}, {"a": None}, {"a": {"b": "c"}}, {"": "x"}, {"a": "x" * 1025}, {"k" * 129: "x"}, ["a"], "a"],
    ids=["number", "null", "object", "no-key", "long-value", "long-key", "list", "string"],
)
@pytest.mark.parametrize("field", ["labels", "metadata"])
def test_s19_s107_labels_are_text_of_limited_length(server: Server, field: str, labels: Any) -> None:
    response = ask(server, **{field: labels})
    assert response.status_code == 400
    assert response.json()["error"]["param"].startswith(field)


def test_s19_at_most_64_labels(server: Server) -> None:
    most = {f"k{i}": "v" * 1024 for i in range(64)}
    assert interaction(server, chat(server, labels=most, max_tokens=1))["labels"] == most
    assert ask(server, labels={**most, "one more": "v"}).status_code == 400
