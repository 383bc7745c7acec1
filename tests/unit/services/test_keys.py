from __future__ import annotations

import base64
import stat
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adaptive_engine.errors import AuthenticationFailed, Conflict, InvalidRequest, NotFound, StorageUnavailable
from adaptive_engine.permissions import ROLES
from adaptive_engine.services import keys
from adaptive_engine.services.keys import CACHE_SECONDS, OUTAGE_SECONDS, KeyRing, load_pepper
from adaptive_engine.store import Database, api_keys, projects
from adaptive_engine.types import Principal, Project, now_ms, uuid7

PEPPER = b"p" * 32
OPERATORS = "correct-horse_battery!staple"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ring(database: Database, clock: Clock) -> KeyRing:
    return KeyRing(database, PEPPER, clock=clock)


def refusal(ring: KeyRing, text: str) -> str:
    with pytest.raises(AuthenticationFailed) as caught:
        ring.authenticate(text)
    return caught.value.message


def test_a_created_key_works(database: Database, ring: KeyRing) -> None:
    project = Project(uuid7(), "support", "", "", 0)
    with database.write() as connection:
        projects.create(connection, project)
    key, text = ring.create("ci", "inference", project.id)
    assert text.startswith(f"ad_{key.id}_")
    assert ring.authenticate(text) == Principal(key.id, in_projects={project.id: ROLES["inference"]})
    assert KeyRing(database, PEPPER).authenticate(text).key_id == key.id
    assert ring.list() == [key]


def test_a_key_needs_an_existing_project(ring: KeyRing) -> None:
    with pytest.raises(Conflict):
        ring.create("ci", "inference", uuid7())


def test_the_store_does_not_have_the_key(ring: KeyRing, database: Database) -> None:
    key, text = ring.create("ci", "admin")
    secret = text.split("_")[2]
    with database.read() as connection:
        (stored,) = connection.exec_driver_sql("SELECT * FROM api_keys").all()
    values = [bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode() for value in stored]
    assert not any(secret.encode() in value or bytes.fromhex(secret) in value for value in values)
    assert secret not in repr(key)


def test_every_refusal_reads_the_same(database: Database, ring: KeyRing) -> None:
    key, text = ring.create("ci", "admin")
    _, expired = ring.create("old", "admin", expires_at=now_ms() - 1)
    _, revoked = ring.create("gone", "admin")
    ring.revoke(ring.authenticate(revoked).key_id)
    unknown = KeyRing(database, b"q" * 32).create("foreign", "admin")[1]
    forged = f"ad_{key.id}_{'0' * 64}"
    forged += f"_{zlib.crc32(forged.encode()):08x}"
    wrong = ["", "x", "x" * 16, "x" * 600, "ключ" * 8, text[:-1], text + "0", "ad_\0" + text, f" {text}"]
    mistyped = text[:20] + ("1" if text[20] == "0" else "0") + text[21:]
    assert len({refusal(ring, each) for each in (expired, revoked, unknown, forged, mistyped, *wrong)}) == 1


def test_a_typo_is_caught_without_the_store(ring: KeyRing, monkeypatch: pytest.MonkeyPatch) -> None:
    _, text = ring.create("ci", "admin")
    monkeypatch.delattr(Database, "read")
    refusal(ring, text[:-1] + ("1" if text[-1] == "0" else "0"))


def test_a_key_expires_while_it_is_cached(ring: KeyRing, monkeypatch: pytest.MonkeyPatch) -> None:
    expires_at = now_ms() + 60_000
    _, text = ring.create("ci", "admin", expires_at=expires_at)
    ring.authenticate(text)
    monkeypatch.setattr(keys, "now_ms", lambda: expires_at)
    refusal(ring, text)


def test_revocation_works_at_once_here_and_soon_elsewhere(database: Database, ring: KeyRing, clock: Clock) -> None:
    elsewhere = KeyRing(database, PEPPER)
    key, text = ring.create("ci", "admin")
    ring.authenticate(text)
    elsewhere.revoke(key.id)
    refusal(elsewhere, text)
    ring.authenticate(text)
    clock.now = CACHE_SECONDS
    refusal(ring, text)
    with pytest.raises(NotFound):
        ring.revoke("nobody")


def test_what_was_looked_up_before_a_revocation_is_not_remembered_after_it(
    ring: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, text = ring.create("ci", "admin")
    look_up = ring._look_up

    def look_up_and_revoke(presented: str, digest: bytes) -> object:
        found = look_up(presented, digest)
        ring.revoke(key.id)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(ring, "_look_up", look_up_and_revoke)
        ring.authenticate(text)
    refusal(ring, text)


def test_cached_knows_what_was_authenticated_lately(
    ring: KeyRing, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    expires_at = now_ms() + 60_000
    _, text = ring.create("ci", "admin", expires_at=expires_at)
    assert ring.cached(text) is None
    assert ring.cached("not a key") is None
    principal = ring.authenticate(text)
    assert ring.cached(text) == principal
    clock.now = CACHE_SECONDS
    assert ring.cached(text) is None
    ring.authenticate(text)
    monkeypatch.setattr(keys, "now_ms", lambda: expires_at)
    assert ring.cached(text) is None


def test_the_cache_is_bounded(ring: KeyRing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "CACHE_KEYS", 2)
    for text in [ring.create(str(n), "admin")[1] for n in range(5)]:
        ring.authenticate(text)
    assert len(ring._cache) == 2


def test_cached_keys_outlive_a_store_outage(ring: KeyRing, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    _, cached = ring.create("a", "admin")
    _, other = ring.create("b", "admin")
    ring.authenticate(cached)

    def broken(*_args: object) -> None:
        raise StorageUnavailable("down")

    with monkeypatch.context() as outage:
        outage.setattr(api_keys, "get", broken)
        clock.now = OUTAGE_SECONDS - 0.1
        assert ring.cached(cached) is None, "the store is asked first"
        ring.authenticate(cached)
        assert ring.cached(cached) is not None, "and then left alone for a moment"
        with pytest.raises(StorageUnavailable) as caught:
            ring.authenticate(other)
        assert caught.value.code == "auth_unavailable"
        clock.now = OUTAGE_SECONDS
        assert ring.cached(cached) is None
        with pytest.raises(StorageUnavailable):
            ring.authenticate(cached)
    ring.authenticate(other)


def test_an_outage_does_not_outlive_a_revocation_or_an_end(
    database: Database, ring: KeyRing, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    expires_at = now_ms() + 60_000
    revoked, revoked_text = ring.create("a", "admin")
    _, expired_text = ring.create("b", "admin", expires_at=expires_at)
    for text in (revoked_text, expired_text):
        ring.authenticate(text)
    KeyRing(database, PEPPER).revoke(revoked.id)
    clock.now = CACHE_SECONDS
    refusal(ring, revoked_text)

    def broken(*_args: object) -> None:
        raise StorageUnavailable("down")

    monkeypatch.setattr(api_keys, "get", broken)
    with pytest.raises(StorageUnavailable):
        ring.authenticate(revoked_text)
    monkeypatch.setattr(keys, "now_ms", lambda: expires_at)
    refusal(ring, expired_text)


def test_an_imported_key_works_and_is_stored_once(database: Database, ring: KeyRing) -> None:
    key = ring.import_plaintext("environment", OPERATORS, "admin")
    assert ring.import_plaintext("environment", OPERATORS, "admin") == key
    assert ring.list() == [key]
    assert ring.authenticate(OPERATORS) == Principal(key.id, ROLES["admin"])


def test_a_changed_import_replaces_the_earlier(ring: KeyRing) -> None:
    created, text = ring.create("environment", "admin")
    ring.import_plaintext("other", "another-operators-key", "inference")
    ring.import_plaintext("environment", OPERATORS, "admin")
    ring.authenticate(OPERATORS)
    new = ring.import_plaintext("environment", "a-new-key-of-mine", "admin")
    refusal(ring, OPERATORS)
    for valid in ("a-new-key-of-mine", "another-operators-key", text):
        ring.authenticate(valid)
    assert {key.id for key in ring.list()} >= {created.id, new.id}
    assert len(ring.list()) == 3
    ring.import_plaintext("environment", OPERATORS, "admin")
    ring.authenticate(OPERATORS)


def test_an_import_may_change_its_role_but_not_undo_a_revocation(ring: KeyRing) -> None:
    ring.import_plaintext("environment", OPERATORS, "admin")
    key = ring.import_plaintext("environment", OPERATORS, "inference")
    assert ring.authenticate(OPERATORS).everywhere == ROLES["inference"]
    ring.revoke(key.id)
    assert ring.import_plaintext("environment", OPERATORS, "admin").revoked_at is not None
    refusal(ring, OPERATORS)


def test_a_key_in_our_format_can_be_imported(ring: KeyRing, tmp_path: Path) -> None:
    foreign = Database.open(tmp_path / "foreign.db")
    _, text = KeyRing(foreign, b"q" * 32).create("theirs", "admin")
    foreign.close()
    ring.import_plaintext("environment", text, "inference")
    assert ring.authenticate(text).everywhere == ROLES["inference"]


@pytest.mark.parametrize(
    "text", ["short", "with a space in it!", "umlaut-ä-umlaut-ä", "x" * 513, f"ad_{'a' * 12}_{'0' * 64}_{'0' * 8}"]
)
def test_what_is_no_key_is_not_imported(ring: KeyRing, text: str) -> None:
    with pytest.raises(InvalidRequest):
        ring.import_plaintext("environment", text, "admin")


def test_the_pepper_is_made_once_and_private(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with ThreadPoolExecutor(8) as pool:
        peppers = set(pool.map(load_pepper, [data_dir] * 16))
    assert len(peppers) == 1
    assert [file.name for file in data_dir.iterdir()] == ["secret.key"]
    assert stat.S_IMODE((data_dir / "secret.key").stat().st_mode) == 0o600
    assert len(peppers.pop()) == 32


def test_a_damaged_pepper_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.key").write_bytes(b"short")
    with pytest.raises(RuntimeError, match="backup"):
        load_pepper(tmp_path)


_NEARLY = st.binary(min_size=38, max_size=38).map(
    lambda raw: f"ad_{base64.b32encode(raw[:8]).decode()[:12].lower()}_{raw[:32].hex()}_{zlib.crc32(raw):08x}"
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=600) | st.text("ad_0", min_size=16, max_size=100) | _NEARLY)
def test_any_text_is_refused_as_any_other(ring: KeyRing, text: str) -> None:
    assert ring.cached(text) is None
    assert refusal(ring, text) == refusal(ring, "no key")
