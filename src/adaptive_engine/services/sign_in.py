"""Browsers that signed in with an API key.

A page must not keep a key where its scripts can read it, so the browser gets a token instead, as a cookie that only the
server sees. It names the key and is worth as much as it: no longer valid than the key, and nowhere else.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from adaptive_engine.errors import AuthenticationFailed
from adaptive_engine.services.keys import KeyRing
from adaptive_engine.types import Principal, now_ms

SIGNED_IN_DAYS = 7
_MS_PER_DAY = 24 * 60 * 60 * 1000


class SignIns:
    """Makes and checks these tokens. `secret` is the installation's, so that all servers of a store accept them."""

    def __init__(self, keys: KeyRing, secret: bytes) -> None:
        self._keys = keys
        self._secret = hmac.digest(secret, b"sign-in", hashlib.sha256)
        # Browsers send the cookies of all ports of a host: each installation has a name of its own.
        self.cookie = f"adaptive_{hashlib.sha256(self._secret).hexdigest()[:12]}"

    def issue(self, principal: Principal) -> tuple[str, int]:
        """A token for the caller's key, and when it ends (epoch ms)."""
        expires_at = now_ms() + SIGNED_IN_DAYS * _MS_PER_DAY
        body = f"{principal.key_id}.{expires_at}"
        return f"{body}.{self._signature(body)}", expires_at

    def cached(self, token: str) -> Principal | None:
        """Whose key it names, when that is known without asking the store. Does not block."""
        key_id = self._key_id(token)
        return None if key_id is None else self._keys.cached_by_id(key_id)

    def authenticate(self, token: str) -> Principal:
        """Whose key it names. Raises AuthenticationFailed; StorageUnavailable when the store cannot be asked."""
        key_id = self._key_id(token)
        if key_id is None:
            raise AuthenticationFailed("You are signed out. Sign in with an API key.", code="signed_out")
        return self._keys.authenticate_by_id(key_id)

    def _key_id(self, token: str) -> str | None:
        """The key that a token of ours names while it lasts."""
        body, _, signature = token.rpartition(".")
        key_id, _, expires_at = body.rpartition(".")
        if not token.isascii() or not hmac.compare_digest(signature, self._signature(body)):
            return None
        return key_id if int(expires_at) > now_ms() else None

    def _signature(self, body: str) -> str:
        digest = hmac.digest(self._secret, body.encode("ascii"), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")
