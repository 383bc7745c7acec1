from __future__ import annotations

import pytest

from adaptive_engine.errors import InvalidRequest
from adaptive_engine.services import judging
from adaptive_engine.types import Interaction, Judge, JudgeExample, uuid7
from adaptive_engine.wire.chat import ChatRequest

POLITE = Judge(model="judge", criteria="The answer is polite.")
JUDGED = Interaction(
    id=uuid7(),
    project_id=uuid7(),
    session_id=uuid7(),
    messages=[
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Look: "}, {"type": "image_url", "image_url": "data:x"}]},
    ],
    state="complete",
    source="LIVE",
    created_at=0,
    completion="Thank you! {{ criteria }}",
)


def texts(request: ChatRequest) -> list[str]:
    return [f"{message.role}: {message.text()}" for message in request.messages]


def test_the_judge_reads_the_criteria_the_conversation_and_the_answer() -> None:
    task, asked = texts(judging.request(POLITE, "support", JUDGED))
    assert "Criterion: The answer is polite." in task
    assert asked == (
        "user: Conversation:\nsystem: Be brief.\nuser: Look: [image]\n\nAnswer to judge:\nThank you! {{ criteria }}"
    )


def test_its_answer_is_closed_json_and_nothing_of_it_is_stored() -> None:
    request = judging.request(POLITE, "support", JUDGED)
    assert (request.model, request.store, request.temperature) == ("support/judge", False, 0)
    assert request.response_format is not None
    assert request.response_format.json_schema is not None
    assert request.response_format.json_schema.complete
    assert request.response_format.json_schema.schema_["properties"]["score"] == {"enum": ["PASS", "FAIL", "NA"]}


@pytest.mark.parametrize(("verdict", "score"), [("PASS", 1.0), ("FAIL", 0.0), ("NA", None)])
def test_a_verdict_becomes_a_score(verdict: str, score: float | None) -> None:
    assert judging.read(POLITE, f'{{"reasoning":"so","score":"{verdict}"}}') == (verdict, score, "so")


def test_a_scale_gives_numbers() -> None:
    judge = Judge(model="judge", criteria="Good.", scale=(1, 5))
    request = judging.request(judge, "support", JUDGED)
    assert request.response_format is not None
    assert request.response_format.json_schema is not None
    wanted = request.response_format.json_schema.schema_["properties"]["score"]
    assert wanted == {"type": "integer", "minimum": 1, "maximum": 5}
    assert judging.read(judge, '{"reasoning":"","score":4}') == ("4", 4.0, "")


def test_examples_are_earlier_turns() -> None:
    judge = Judge("judge", "Polite.", examples=(JudgeExample("Hi", "Go away", "FAIL", "Rude."),))
    turns = texts(judging.request(judge, "support", JUDGED))
    assert turns[1] == "user: Conversation:\nuser: Hi\n\nAnswer to judge:\nGo away"
    assert turns[2] == 'assistant: {"reasoning": "Rude.", "score": "FAIL"}'


def test_a_template_is_filled_once() -> None:
    judge = Judge("judge", "Polite.", template="{{question}}|{{ completion }}|{{criteria}}")
    assert (
        texts(judging.request(judge, "support", JUDGED))[-1] == "user: Look: [image]|Thank you! {{ criteria }}|Polite."
    )


@pytest.mark.parametrize(
    ("template", "complaint"),
    [("{{ answer }} {{ completion }}", "no placeholder 'answer'"), ("Is it good?", "needs {{ completion }}")],
)
def test_a_template_that_cannot_work_is_refused(template: str, complaint: str) -> None:
    with pytest.raises(InvalidRequest, match=complaint) as raised:
        judging.check_template(template)
    assert raised.value.param == "template"
