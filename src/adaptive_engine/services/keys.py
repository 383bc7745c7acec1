"""API keys: made, checked and revoked.

A key reads `ad_<id>_<secret>_<crc>`: 12 letters and digits to find it by, 256 random bits as hex, and a CRC-32 that
catches typing errors before the store is asked. The store has the id and HMAC-SHA256(pepper, key). The pepper lies in a
file beside the database, so a copy of the database alone does not let anyone test guesses.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
import os
import re
import secrets
import tempfile
import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from adaptive_engine.errors import AuthenticationFailed, InvalidRequest, NotFound, StorageUnavailable
from adaptive_engine.services import access
from adaptive_engine.store import Connection, Database, api_keys
from adaptive_engine.types import UNLIMITED, ApiKey, Limits, Principal, now_ms

PEPPER_BYTES = 32
CACHE_SECONDS = 5.0
"""The longest that a key works on as it did after another process has revoked it or changed what it permits."""
OUTAGE_SECONDS = 60.0
"""The longest that a key which was checked works on while the store cannot be asked."""
CACHE_KEYS = 10_000
# Requests go on without asking a store for so long (s) after it did not answer.
_OUTAGE_PAUSE = 1.0

_OURS = re.compile(r"(ad_([a-z2-7]{12})_[0-9a-f]{64})_([0-9a-f]{8})")
_ACCEPTABLE = re.compile(r"[!-~]{16,512}")
# Imported keys carry no id of ours; the underscore keeps theirs apart from the ids that `create` makes.
_IMPORTED = "env_"


def load_pepper(data_dir: Path) -> bytes:
    """The secret of this installation from `<data_dir>/secret.key`, made on first use.

    Raises RuntimeError when the file does not hold 32 bytes.
    """
    path = data_dir / "secret.key"
    if not path.exists():
        _create_pepper(path)
    pepper = path.read_bytes()
    if len(pepper) != PEPPER_BYTES:
        raise RuntimeError(
            f"{path} must hold {PEPPER_BYTES} bytes and has {len(pepper)}. Restore it from a backup: no API key works "
            "without it. To start over, delete it and create new keys."
        )
    return pepper


def _create_pepper(path: Path) -> None:
    """Write the file whole or not at all; when two processes do it at once, the first wins."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # mkstemp makes the file with mode 0600.
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".secret-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(PEPPER_BYTES))
            file.flush()
            os.fsync(file.fileno())
        # Unlike a rename, a link never replaces the pepper of another process.
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        os.unlink(temporary)


@dataclass(frozen=True, slots=True)
class _Cached:
    principal: Principal
    expires_at: int | None
    checked_at: float

    def has_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= now_ms()


class KeyRing:
    """The keys of one store. Thread-safe."""

    def __init__(self, database: Database, pepper: bytes, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds and serves the cache only."""
        self._database = database
        self._pepper = pepper
        self._clock = clock
        self._lock = threading.Lock()
        self._cache: OrderedDict[bytes, _Cached] = OrderedDict()
        self.on_change: Callable[[], None] = lambda: None
        """Told of what this process has changed."""
        # Until then the store is not asked about what is known: it just did not answer.
        self._out_until = -math.inf
        # Counts changes, so that a check that began before one does not fill the cache after it.
        self._generation = 0

    def create(
        self, name: str, role: str, project_id: UUID | None = None, expires_at: int | None = None
    ) -> tuple[ApiKey, str]:
        """A new key, and its text, which nobody can read again. `expires_at` is epoch ms.

        Raises Conflict when there is no such project.
        """
        key, text = self.make(name, role, project_id, expires_at)
        with self._database.write() as connection:
            api_keys.create(connection, key)
        return key, text

    def make(
        self,
        name: str,
        role: str,
        project_id: UUID | None = None,
        expires_at: int | None = None,
        user_id: UUID | None = None,
        limits: Limits = UNLIMITED,
    ) -> tuple[ApiKey, str]:
        """A key that works once it is stored, and its text."""
        key_id = _base32(secrets.token_bytes(8))[:12]
        body = f"ad_{key_id}_{secrets.token_hex(32)}"
        text = f"{body}_{_crc(body)}"
        digest = self._digest(text)
        return ApiKey(key_id, name, role, project_id, digest, now_ms(), expires_at, None, user_id, limits), text

    @contextmanager
    def changing(self) -> Iterator[Connection]:
        """A write transaction for what changes who may do what: this process acts on it from its commit on."""
        with self._database.write() as connection:
            yield connection
        self.forget()
        self.on_change()

    @contextmanager
    def changing_as(self, principal: Principal) -> Iterator[tuple[Connection, Principal]]:
        """`changing`, with what the caller may do when the turn has come: what came before may have changed that.

        Raises AuthenticationFailed when the key ended meanwhile.
        """
        with self.changing() as connection:
            key = api_keys.get(connection, principal.key_id)
            now = None if key is None or _has_ended(key) else access.principal_of_key(connection, key)
            if now is None:
                raise _refused()
            yield connection, now

    def import_plaintext(self, name: str, key_text: str, role: str) -> ApiKey:
        """Let a key work that the operator chose, such as one from an environment variable.

        There is one imported key per name: another text or role replaces it, the same changes nothing. One that was
        revoked stays so; the result's `revoked_at` tells. Raises InvalidRequest for a text that is no key.
        """
        if not _ACCEPTABLE.fullmatch(key_text):
            raise InvalidRequest("An API key has 16 to 512 visible ASCII characters and no spaces.")
        if _mistyped(key_text):
            raise InvalidRequest("This API key was not copied correctly: its checksum is wrong.")
        wanted = ApiKey(self._imported_id(key_text), name, role, None, self._digest(key_text), now_ms())
        with self.changing() as connection:
            earlier = [key.id for key in api_keys.list_all(connection) if _is_replaced_by(key, wanted)]
            api_keys.delete(connection, earlier)
            stored = api_keys.get(connection, wanted.id)
            if stored is None:
                api_keys.create(connection, wanted)
        return stored or wanted

    def cached(self, presented: str) -> Principal | None:
        """Whose key this is, when that is known without asking the store. Does not block."""
        if not _ACCEPTABLE.fullmatch(presented):
            return None
        cached = self._recall(self._cache_key(presented))
        return None if cached is None or cached.has_expired() else cached.principal

    def authenticate(self, presented: str) -> Principal:
        """Whose key this is. Raises AuthenticationFailed, in the same words whatever is wrong with it.

        While the store cannot be asked, what it said in the last OUTAGE_SECONDS counts. Beyond that this raises
        StorageUnavailable (code `auth_unavailable`).
        """
        if not _ACCEPTABLE.fullmatch(presented) or _mistyped(presented):
            raise _refused()
        cache_key = self._cache_key(presented)
        cached = self._recall(cache_key)
        if cached is None:
            ids = [self._imported_id(presented)]
            if match := _OURS.fullmatch(presented):
                ids.insert(0, match[2])
            cached = self._check(cache_key, ids, self._digest(presented))
        if cached.has_expired():
            raise _refused()
        return cached.principal

    def cached_by_id(self, key_id: str) -> Principal | None:
        """`cached`, for who has shown the key before."""
        cached = self._recall(_of_id(key_id))
        return None if cached is None or cached.has_expired() else cached.principal

    def authenticate_by_id(self, key_id: str) -> Principal:
        """`authenticate`, for who has shown the key before."""
        cached = self._recall(_of_id(key_id))
        if cached is None:
            cached = self._check(_of_id(key_id), [key_id])
        if cached.has_expired():
            raise _refused()
        return cached.principal

    def revoke(self, key_id: str) -> None:
        """From now on the key is refused, here at once and in other processes within CACHE_SECONDS. Raises NotFound."""
        with self.changing() as connection:
            if not api_keys.revoke(connection, key_id, now_ms()):
                raise NotFound(f"no API key '{key_id}'")

    def list(self) -> list[ApiKey]:
        """Oldest first, revoked ones included."""
        with self._database.read() as connection:
            return api_keys.list_all(connection)

    def _check(self, cache_key: bytes, ids: Iterable[str], digest: bytes | None = None) -> _Cached:
        """Ask the store, and remember what it says; while it is down, what it said lately."""
        generation = self._generation
        if self._out_until > -math.inf:
            # One tries whether it is back; who comes meanwhile does not wait for that.
            self._out_until = self._clock() + _OUTAGE_PAUSE
        try:
            found = self._look_up(ids, digest)
        except StorageUnavailable:
            self._out_until = self._clock() + _OUTAGE_PAUSE
            lately = self._recall(cache_key)
            if lately is None:
                raise
            return lately
        except AuthenticationFailed:
            # Else an outage would bring it back.
            with self._lock:
                self._cache.pop(cache_key, None)
            raise
        self._out_until = -math.inf
        self._remember(cache_key, found, generation)
        return found

    def _look_up(self, ids: Iterable[str], digest: bytes | None = None) -> _Cached:
        """The first of these keys that works and, where one is given, has the digest."""
        try:
            with self._database.read() as connection:
                for key in [key for key_id in ids if (key := api_keys.get(connection, key_id))]:
                    if key.revoked_at is None and (digest is None or hmac.compare_digest(key.digest, digest)):
                        principal = access.principal_of_key(connection, key)
                        if principal is not None:
                            return _Cached(principal, key.expires_at, self._clock())
        except StorageUnavailable as error:
            raise StorageUnavailable("API keys cannot be checked now; try again.", code="auth_unavailable") from error
        raise _refused()

    def _recall(self, cache_key: bytes) -> _Cached | None:
        with self._lock:
            cached = self._cache.get(cache_key)
        now = self._clock()
        lasts = OUTAGE_SECONDS if now < self._out_until else CACHE_SECONDS
        return None if cached is None or cached.checked_at + lasts <= now else cached

    def _remember(self, cache_key: bytes, cached: _Cached, generation: int) -> None:
        with self._lock:
            if generation != self._generation:
                return
            self._cache[cache_key] = cached
            self._cache.move_to_end(cache_key)
            if len(self._cache) > CACHE_KEYS:
                self._cache.popitem(last=False)

    def forget(self) -> None:
        """Ask the store about every key again."""
        with self._lock:
            self._generation += 1
            self._cache.clear()

    def _cache_key(self, text: str) -> bytes:
        """As hard to undo as `_digest`, in a fifth of its time."""
        return hashlib.blake2b(text.encode("ascii"), key=self._pepper[:64]).digest()

    def _digest(self, text: str) -> bytes:
        return hmac.digest(self._pepper, text.encode("ascii"), hashlib.sha256)

    def _imported_id(self, text: str) -> str:
        """Where an imported key is found: a second, shorter hash, that says nothing about the first."""
        return _IMPORTED + _base32(hmac.digest(self._pepper, b"id:" + text.encode("ascii"), hashlib.sha256))[:16]


def _is_replaced_by(key: ApiKey, wanted: ApiKey) -> bool:
    """Whether importing `wanted` removes `key`: a working import of the same name, or the same text in another role."""
    if not key.id.startswith(_IMPORTED) or key.revoked_at is not None:
        return False
    return key.name == wanted.name if key.id != wanted.id else (key.name, key.role) != (wanted.name, wanted.role)


def _has_ended(key: ApiKey) -> bool:
    return key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= now_ms())


def _of_id(key_id: str) -> bytes:
    """Where the cache has a key that is asked for by its id: no digest is this short."""
    return key_id.encode()


def _base32(raw: bytes) -> str:
    return base64.b32encode(raw).decode().lower().rstrip("=")


def _crc(body: str) -> str:
    return f"{zlib.crc32(body.encode('ascii')):08x}"


def _mistyped(text: str) -> bool:
    """Whether `text` has the shape of our keys and a wrong checksum."""
    match = _OURS.fullmatch(text)
    return match is not None and _crc(match[1]) != match[3]


def _refused() -> AuthenticationFailed:
    return AuthenticationFailed("The API key is not valid. Check it, or ask an administrator for a new one.")
