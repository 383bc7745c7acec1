"""Chat templates: what Hugging Face's dialect needs works, what an attacker needs does not."""

from __future__ import annotations

import time

import pytest

from adaptive_engine.engine import template as module
from adaptive_engine.engine.template import ChatTemplate
from adaptive_engine.errors import AdaptiveError, InvalidRequest
from adaptive_engine.types import ChatMessage, Image

HELLO = [ChatMessage("user", "Hello")]


def test_what_a_model_is_trained_to_say_needs_no_mark_here() -> None:
    source = "{% for m in messages %}{% generation %}{{ m.content }}.{% endgeneration %}{% endfor %}"
    assert ChatTemplate(source).render(HELLO * 2) == "Hello.Hello."


def test_content_comes_in_parts_where_the_model_sees() -> None:
    source = "{% for part in messages[0].content %}[{{ part.type }}:{{ part.text }}]{% endfor %}"
    image = Image.of(1, 1, b"abc")
    template = ChatTemplate(source, in_parts=True)
    assert template.render([ChatMessage("user", ("a", image, "b"))]) == "[text:a][image:][text:b]"
    assert template.render(HELLO) == "[text:Hello]"
    assert ChatTemplate("{{ messages[0].content }}").render([ChatMessage("user", ("a", image, "b"))]) == "ab"


def test_dialect() -> None:
    source = (
        "{{ bos_token }}{% for m in messages %}{% if loop.first %}{{ m['role'] | upper }}{% endif %}"
        "{% if m.content == 'skip' %}{% continue %}{% endif %}: {{ m.content | trim }}\n{% endfor %}"
        "{% set ns = namespace(n=1) %}{% set ns.n = ns.n * 2 %}{{ ns.n }}{{ 'x' if add_generation_prompt }}"
        "{{ messages | length | tojson }}"
    )
    text = ChatTemplate(source, bos="<s>").render([ChatMessage("user", " hi "), ChatMessage("user", "skip")])
    assert text == "<s>USER: hi\n2x2"


def test_concatenation_and_replacement_work() -> None:
    assert ChatTemplate("{{ messages[0].content.replace('l', 'L') }}").render(HELLO) == "HeLLo"
    source = "{{ 'a' ~ 1 ~ ['b'] }}{{ 'x' + 'y' }}{{ 1 + 2 }}{{ 'aXa' | replace('X', '-') }}{{ [1] + [2] }}"
    assert ChatTemplate(source).render(HELLO) == "a1['b']xy3a-a[1, 2]"


def test_many_short_messages_render() -> None:
    source = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    assert ChatTemplate(source).render(HELLO * 4000).count("Hello") == 4000


def test_raise_exception_is_a_refusal_of_the_messages() -> None:
    with pytest.raises(InvalidRequest, match="roles must alternate") as caught:
        ChatTemplate("{{ raise_exception('roles must alternate') }}").render(HELLO)
    assert caught.value.param == "messages"


ATTACKS = {
    "attributes": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "repeat": "{{ 'a' * 1000000000 }}",
    "repeat a list": "{{ [0] * 1000000000 }}",
    "power": "{{ 10 ** 10 ** 10 }}",
    "format width": "{{ '%1000000000d' % 1 }}",
    "format filter": "{{ '%1000000000d' | format(1) }}",
    "center": "{{ 'a' | center(1000000000) }}",
    "ljust": "{{ 'a'.ljust(1000000000) }}",
    "format method": "{{ '{:>1000000000}'.format(1) }}",
    "doubling by ~": "{% set n = namespace(s='ab') %}{% for i in range(40) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
    "doubling by +": "{% set n = namespace(s='ab') %}{% for i in range(40) %}{% set n.s = n.s + n.s %}{% endfor %}",
    "squaring": "{% set n = namespace(s='aaaaaaaaaa') %}{% for i in range(9) %}"
    "{% set n.s = n.s | replace('a', n.s) %}{% endfor %}",
    "squaring by method": "{% set n = namespace(s='aaaaaaaaaa') %}{% for i in range(9) %}"
    "{% set n.s = n.s.replace('a', n.s) %}{% endfor %}",
    "nested messages": "{% for a in messages %}{% for b in messages %}{% for c in messages %}{% for d in messages %}"
    "{% endfor %}{% endfor %}{% endfor %}{% endfor %}",
    "long range": "{% for i in range(10 | int * 100000000) %}{% endfor %}",
    "nested ranges": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "endless output": "{% for i in range(99999) %}{{ 'abcdefghij' }}{% endfor %}",
    "recursion": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "include": "{% include '/etc/passwd' %}",
    "import": "{% import '/etc/passwd' as p %}",
    "mutation": "{{ messages.append(1) }}",
    "division by zero": "{{ 1 / 0 }}",
    "wrong type": "{{ 1 + 'a' }}",
}


@pytest.mark.parametrize("source", ATTACKS.values(), ids=ATTACKS.keys())
def test_attacks_end_in_a_typed_error_soon(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RENDER_SECONDS", 0.2)
    start = time.thread_time()
    with pytest.raises(AdaptiveError):
        ChatTemplate(source).render(HELLO * 200)
    assert time.thread_time() - start < 2


def test_undefined_attributes_show_nothing_of_python() -> None:
    """Jinja answers an unsafe attribute with an undefined value; what matters is that nothing comes out."""
    assert ChatTemplate("{{ messages.__class__ }}|{{ raise_exception.__globals__ }}").render(HELLO) == "|"


def test_broken_templates_are_refused_when_loaded() -> None:
    with pytest.raises(AdaptiveError, match="not valid Jinja"):
        ChatTemplate("{% for %}")
