from __future__ import annotations

import base64
import contextvars
import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from adaptive_engine.telemetry import redaction
from adaptive_engine.telemetry.redaction import REDACTED, hide, hide_in_request, redact

SECRET = 'sk-"canary"/0123+4567\\89'


@pytest.fixture(autouse=True)
def _unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is hidden is hidden in the whole process."""
    monkeypatch.setattr(redaction, "_hidden", {})


def spellings() -> Iterator[str]:
    yield SECRET
    yield json.dumps({"api_key": SECRET})
    yield f"https://host/?key={quote(SECRET, safe='')}&more=1"
    yield repr({"key": SECRET})
    for user in ("", "u", "us", "user"):
        yield base64.b64encode(f"{user}:{SECRET}:{user}".encode()).decode()
        yield base64.urlsafe_b64encode(f"{user}{SECRET}".encode()).decode()


@pytest.mark.parametrize("text", list(spellings()))
def test_a_secret_is_found_however_it_is_spelled(text: str) -> None:
    assert redact(text) == text
    hide(SECRET)
    shown = redact(f"before {text} behind")
    assert REDACTED in shown
    assert shown.startswith("before ")
    assert shown.endswith(" behind")
    for piece in ("canary", "0123", "4567"):
        assert piece not in shown


def test_what_a_request_came_with_is_hidden_in_that_request_only() -> None:
    def request(credential: str) -> str:
        hide_in_request(credential)
        return redact("first-credential second-credential")

    assert contextvars.copy_context().run(request, "first-credential") == f"{REDACTED} second-credential"
    assert contextvars.copy_context().run(request, "second-credential") == f"first-credential {REDACTED}"
    assert redact("first-credential") == "first-credential"


def test_our_own_keys_are_known_by_their_shape() -> None:
    key = f"ad_abcdefgh2345_{'0123456789abcdef' * 4}_0a1b2c3d"
    assert redact(f"Bearer {key}, again {key}") == f"Bearer {REDACTED}, again {REDACTED}"
    assert redact("ad_hoc and ad_abcdefgh2345") == "ad_hoc and ad_abcdefgh2345"


def test_what_is_too_short_would_be_found_anywhere() -> None:
    hide("key")
    hide("")
    hide(None)
    assert redact("a key") == "a key"


def test_as_many_as_there_may_be_are_known() -> None:
    for number in range(2 * redaction._MOST):
        hide(f"secret-{number:05}")
    assert redact(f"secret-{number:05} secret-00000") == f"{REDACTED} secret-00000"
