"""The secret that keys the hashes of API keys. All servers of one store need the same."""

from __future__ import annotations

import hashlib
import hmac

from adaptive_engine.errors import Conflict
from adaptive_engine.services.keys import load_pepper
from adaptive_engine.settings import Settings
from adaptive_engine.store import Connection, api_keys, installation
from adaptive_engine.types import now_ms

_FINGERPRINT = "secret_fingerprint"


def load_secret(settings: Settings) -> bytes:
    """From ADAPTIVE_APP__SECRET, else from the data directory, where the first use makes one.

    Raises RuntimeError when the file there is damaged.
    """
    if settings.app.secret is None:
        return load_pepper(settings.data_dir)
    return hashlib.sha256(settings.app.secret.get_secret_value().encode()).digest()


def require_same_secret(connection: Connection, secret: bytes) -> None:
    """Raises Conflict when the keys that work were made with another secret: none of them would be known here.

    Needs a `write` transaction: the first secret that is used with a store, or after its last key, is remembered.
    """
    # A hash under a label of its own: it says nothing about the secret, nor about any key.
    fingerprint = hmac.digest(secret, b"fingerprint", hashlib.sha256).hex()
    known = installation.get(connection, _FINGERPRINT)
    if known == fingerprint:
        return
    if known is not None and _has_working_keys(connection):
        raise Conflict(
            "The API keys in the store were made with another secret, so that this server would refuse them all. Set "
            "ADAPTIVE_APP__SECRET to the one that the other servers have; where they have none, copy `secret.key` from "
            "the data directory of the server that made the keys. If it is lost, revoke all keys (`adaptive keys "
            "list`, `adaptive keys revoke`) and start again."
        )
    installation.put(connection, _FINGERPRINT, fingerprint)


def _has_working_keys(connection: Connection) -> bool:
    now = now_ms()
    return any(
        key.revoked_at is None and (key.expires_at is None or key.expires_at > now)
        for key in api_keys.list_all(connection)
    )
