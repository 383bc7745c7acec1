from __future__ import annotations

import pytest

from adaptive_engine.services.sealing import Sealer
from adaptive_engine.telemetry import redaction
from adaptive_engine.types import uuid7


def test_what_is_sealed_opens_for_its_owner_only() -> None:
    sealer, owner = Sealer(b"s" * 32), uuid7()
    sealed = sealer.seal("sk-secret", owner)
    assert b"secret" not in sealed
    assert sealed != sealer.seal("sk-secret", owner)
    assert Sealer(b"s" * 32).open(sealed, owner) == "sk-secret"
    damaged = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for wrong, text, whose in (
        (Sealer(b"t" * 32), sealed, owner),
        (sealer, sealed, uuid7()),
        (sealer, damaged, owner),
        (sealer, b"\x02" + sealed[1:], owner),
        (sealer, b"", owner),
    ):
        with pytest.raises(ValueError, match="another secret"):
            wrong.open(text, whose)


def test_neither_what_was_sealed_nor_what_was_opened_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    sealer, owner = Sealer(b"s" * 32), uuid7()
    monkeypatch.setattr(redaction, "_hidden", {})
    sealed = sealer.seal("sk-of-a-provider", owner)
    assert redaction.redact("the key is sk-of-a-provider") == "the key is [redacted]"
    monkeypatch.setattr(redaction, "_hidden", {})
    sealer.open(sealed, owner)
    assert redaction.redact("the key is sk-of-a-provider") == "the key is [redacted]"
