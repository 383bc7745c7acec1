from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptive_engine.errors import InvalidRequest
from adaptive_engine.services.prompts import MAX_RENDERED, parse, without_template


@pytest.mark.parametrize(
    ("template", "arguments", "rendered"),
    [
        ("Be kind.", {}, "Be kind."),
        ("Help {{ name }} of {{shop}}, {{ name }}.", {"name": "Ada", "shop": "Ääh"}, "Help Ada of Ääh, Ada."),
        ("{{\n count }}|{{ share }}|{{ on }}", {"count": 3, "share": 0.5, "on": True}, "3|0.5|true"),
        ('{"a": {"b": 1}} }} { {', {}, '{"a": {"b": 1}} }} { {'),
        (r"\{{ name }} and \{% if %}", {}, "{{ name }} and {% if %}"),
        ("{{ a }}", {"a": "{{ b }} {{ a.__class__ }}"}, "{{ b }} {{ a.__class__ }}"),
        ("<{{ a }}>", {"a": ""}, "<>"),
    ],
)
def test_arguments_are_put_in_as_text(template: str, arguments: dict[str, object], rendered: str) -> None:
    assert parse(template).render(arguments) == (rendered, [])


@pytest.mark.parametrize(
    "text", ["{{ }}", "{{ a.b }}", "{{ a|upper }}", "{% if a %}", "x {{ a", "{{ 1a }}", "{{{{ a }}}}"]
)
def test_nothing_is_evaluated(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"Line 2 .* write \\\{") as caught:
        parse(f"first\n{text}")
    assert caught.value.param == "system_prompt"


@pytest.mark.parametrize("value", [None, ["a"], {"a": 1}])
def test_an_argument_that_cannot_be_text_is_named(value: object) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse("{{ user_name }}").render({"user_name": value})
    assert caught.value.param == "system_prompt_args.user_name"


def test_a_missing_argument_is_named() -> None:
    with pytest.raises(InvalidRequest, match="needs the argument 'b'") as caught:
        parse("{{ a }}{{ b }}").render({"a": 1})
    assert (caught.value.code, caught.value.param) == ("missing_system_prompt_arg", "system_prompt_args.b")


def test_arguments_without_a_placeholder_are_said() -> None:
    _, notices = parse("Hello").render({f"n{number}": 1 for number in range(22)})
    assert len(notices) == 21
    assert (notices[0].param, notices[-1].message[:6]) == ("system_prompt_args.n0", "2 more")
    assert [notice.param for notice in without_template({"a": 1})] == ["system_prompt_args"]
    assert without_template({}) == []


def test_a_prompt_that_gets_too_long_is_refused_before_it_is_made() -> None:
    template = parse("{{ a }}" * 10_000)
    start = time.thread_time()
    with pytest.raises(InvalidRequest, match=f"at most {MAX_RENDERED}"):
        template.render({"a": "x" * 1_000_000})
    assert time.thread_time() - start < 0.5


def test_parsing_takes_time_in_proportion_to_the_text() -> None:
    start = time.thread_time()
    for text in ("{" * 100_000, "\\{{" * 33_000):
        with contextlib.suppress(InvalidRequest):
            parse(text)
    with pytest.raises(InvalidRequest):
        parse("{{" + " " * 100_000 + "1")
    assert time.thread_time() - start < 1


_PIECES = st.sampled_from(
    ["{{", "}}", "{%", "\\{{", "\\", " ", "{{ a }}", "{{a}}", "{{ b1 }}", "x", "\x00", "{{ é }}", "\n"]
)
_TEMPLATES = st.lists(_PIECES, max_size=12).map("".join) | st.text(max_size=40)
_VALUES = st.none() | st.booleans() | st.integers(-(10**4299), 10**4299) | st.floats() | st.text(max_size=20)


@given(text=_TEMPLATES, arguments=st.dictionaries(st.sampled_from(["a", "b1", "c", ""]), _VALUES | st.just([])))
def test_any_template_and_any_arguments_become_text_or_are_refused(text: str, arguments: dict[str, object]) -> None:
    with contextlib.suppress(InvalidRequest):
        template = parse(text)
        rendered, _ = template.render(arguments)
        assert all(literal in rendered for literal in template.literals)
        assert len(template.literals) == len(template.names) + 1


@given(value=_TEMPLATES)
def test_what_is_put_in_is_never_read_as_a_template(value: str) -> None:
    assert parse("<{{ a }}>{{ a }}").render({"a": value}) == (f"<{value}>{value}", [])
