from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest

from adaptive_engine.errors import InvalidRequest, NoJudgement
from adaptive_engine.grammar.schemas import Schemas
from adaptive_engine.services import external, judging
from adaptive_engine.services.structured import StructuredOutput
from adaptive_engine.types import (
    Deployment,
    ExternalModel,
    Interaction,
    Judge,
    JudgeExample,
    Model,
    Project,
    uuid7,
)
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


SCALED = Judge(model="judge", criteria="Good.", scale=(1, 5))


@pytest.mark.parametrize(
    ("judge", "answer", "complaint"),
    [
        (POLITE, "It is polite.", "it is not JSON. It said: 'It is polite.'"),
        (POLITE, '```json\n{"reasoning":"so","score":"PASS"}\n```', "it is not JSON"),
        (POLITE, '{"reasoning":"\\ud800","score":"PASS"}', "it is not JSON"),
        (POLITE, "", "it is not JSON. It said nothing."),
        (POLITE, "[]", "it is not an object with `reasoning` and `score`. It said: '[]'"),
        (POLITE, '{"score":"PASS"}', "it is not an object with `reasoning` and `score`"),
        (POLITE, '{"reasoning":5,"score":"PASS"}', "its `reasoning` is not text"),
        (POLITE, '{"reasoning":"so","score":"MAYBE"}', "its `score` is not PASS, FAIL or NA"),
        (POLITE, '{"reasoning":"so","score":["PASS"]}', "its `score` is not PASS, FAIL or NA"),
        (SCALED, '{"reasoning":"so","score":99}', "its `score` is not a whole number from 1 to 5"),
        (SCALED, '{"reasoning":"so","score":true}', "its `score` is not a whole number from 1 to 5"),
        (SCALED, '{"reasoning":"so","score":"4"}', "its `score` is not a whole number from 1 to 5"),
        (SCALED, '{"reasoning":"so","score":4.5}', "its `score` is not a whole number from 1 to 5"),
        (SCALED, '{"reasoning":"so","score":NaN}', "it is not JSON"),
        (SCALED, '{"reasoning":"so","score":1e999}', ""),
    ],
)
def test_an_answer_that_is_no_judgement_is_refused_and_shown(judge: Judge, answer: str, complaint: str) -> None:
    with pytest.raises(NoJudgement) as raised:
        judging.read(judge, answer)
    assert (raised.value.status, raised.value.code) == (502, "judgement_invalid")
    assert raised.value.message.startswith("The judge's answer does not match what it was asked for: ")
    assert complaint in raised.value.message


def test_what_is_shown_of_an_answer_is_short() -> None:
    with pytest.raises(NoJudgement, match=r"'x{200}…'") as raised:
        judging.read(POLITE, "x" * 100_000)
    assert len(raised.value.message) < 400


def test_an_answer_that_was_cut_says_so() -> None:
    with pytest.raises(NoJudgement, match="it was cut after 256 tokens"):
        judging.read(POLITE, '{"reasoning":"so', cut=True)
    assert judging.read(POLITE, '{"reasoning":"so","score":"PASS"}', cut=True)[0] == "PASS"


def test_a_whole_number_may_be_written_with_a_point() -> None:
    assert judging.read(SCALED, '{"reasoning":"so","score":4.0}') == ("4", 4.0, "so")


def rented(provider: str, name: str = "m", **profile: Any) -> Deployment:
    external = ExternalModel(name, "https://models.example/v1", profile=profile)
    model = Model(uuid7(), "judge", "", provider, (), 0, 0, external=external)
    return Deployment(uuid7(), Project(uuid7(), "support", "", "", 0), model, True, True, 0)


@pytest.mark.parametrize(
    ("provider", "name"),
    [
        ("openai", "gpt-5"),
        ("azure", "m"),
        ("anthropic", "claude-sonnet-4-5"),
        ("anthropic_compatible", "m"),
        ("google", "gemini-2.5-pro"),
        ("openai_compatible", "m"),
    ],
)
@pytest.mark.parametrize("judge", [POLITE, SCALED])
async def test_vendors_that_take_schemas_can_be_asked(provider: str, name: str, judge: Judge) -> None:
    deployment = rented(provider, name)
    judging.require_schemas(deployment.model)
    with closing(Schemas()) as schemas:
        asked = judging.request(judge, "support", JUDGED)
        await external.notices(asked, deployment, StructuredOutput(schemas))


@pytest.mark.parametrize(
    ("deployment", "gives"),
    [
        (rented("openai_compatible", structured="none"), "free text"),
        (rented("openai_compatible", structured="json_object"), "any JSON object"),
        (rented("openai", "gpt-3.5-turbo"), "any JSON object"),
        (rented("google", "gemma-3"), "free text"),
    ],
)
def test_a_model_that_takes_no_schemas_is_no_judge(deployment: Deployment, gives: str) -> None:
    with pytest.raises(InvalidRequest, match=f"'judge' .* {gives}.* Choose a model that takes JSON schemas") as raised:
        judging.require_schemas(deployment.model)
    assert raised.value.param == "model"


def test_models_that_run_here_take_schemas() -> None:
    for provider in ("internal", "vllm"):
        judging.require_schemas(Model(uuid7(), "judge", "", provider, (), 0, 0))


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
