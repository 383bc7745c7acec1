"""Encrypts what must be read again and shown to nobody: API keys of providers, by AES-256-GCM."""

from __future__ import annotations

import hashlib
import hmac
import os
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from adaptive_engine.telemetry.redaction import hide

_VERSION = b"\x01"
_NONCE_BYTES = 12


class Sealer:
    """Seals for one owner each: what is sealed for a model opens for no other."""

    def __init__(self, secret: bytes) -> None:
        # A key of its own, so that nothing that is derived from the secret elsewhere tells about this one.
        self._cipher = AESGCM(hmac.digest(secret, b"provider keys", hashlib.sha256))

    def seal(self, text: str, owner: UUID) -> bytes:
        hide(text)
        nonce = os.urandom(_NONCE_BYTES)
        return _VERSION + nonce + self._cipher.encrypt(nonce, text.encode(), owner.bytes)

    def open(self, sealed: bytes, owner: UUID) -> str:
        """Raises ValueError when it was sealed with another secret, for another owner, or is damaged."""
        nonce, rest = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            if sealed[:1] != _VERSION:
                raise InvalidTag
            text = self._cipher.decrypt(nonce, rest, owner.bytes).decode()
        except InvalidTag as exc:
            raise ValueError("it was encrypted with another secret") from exc
        hide(text)
        return text
