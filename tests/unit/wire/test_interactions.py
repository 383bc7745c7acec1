from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from adaptive_engine.wire.interactions import Key

KEYS: TypeAdapter[str] = TypeAdapter(Key)


@pytest.mark.parametrize("key", ["a", "a b", "a/b", "a/b /c", "Zufriedenheit (1\u20135)", "k" * 128])
def test_a_key_is_one_line_of_visible_text(key: str) -> None:
    assert KEYS.validate_python(key) == key


@pytest.mark.parametrize("key", ["", " a", "a ", "a\n", "a\tb", "\x01", "/", "/a", "a/", "a//b", "k" * 129])
def test_a_key_that_no_path_could_spell_is_refused(key: str) -> None:
    with pytest.raises(ValidationError):
        KEYS.validate_python(key)
