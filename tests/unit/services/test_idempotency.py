"""Who may do a request that carries an Idempotency-Key, and what the others are told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from uuid import UUID

import pytest

from adaptive_engine.errors import Conflict, InvalidRequest, StillRunning, StorageUnavailable
from adaptive_engine.services import claims, idempotency
from adaptive_engine.services.idempotency import Answer, Claim, Idempotency
from adaptive_engine.store import Database, Presence
from adaptive_engine.store import idempotency as store
from adaptive_engine.types import now_ms, uuid7

SAME, OTHER = b"s" * 32, b"o" * 32


class Server(Idempotency):
    """One whose time the test moves."""

    def __init__(self, database: Database, server_id: UUID | None = None) -> None:
        self.now = now_ms()
        super().__init__(database, server_id or uuid7(), lambda: self.now)

    async def claim(self, key: str = "k", fingerprint: bytes = SAME) -> Claim:
        entered = await self.enter("owner", key, fingerprint)
        assert isinstance(entered, Claim)
        return entered

    async def answer(self, key: str = "k", fingerprint: bytes = SAME) -> Answer:
        entered = await self.enter("owner", key, fingerprint)
        assert isinstance(entered, Answer)
        return entered


@pytest.fixture
def database(address: str) -> Iterator[Database]:
    """Either one: they differ in what they do with a row that is there."""
    with closing(Database.open(address)) as database:
        yield database


@pytest.fixture
def server(database: Database) -> Server:
    return Server(database)


def keep(database: Database, claim: Claim, content: str | None, interaction_id: UUID | None = None) -> None:
    with database.write() as connection:
        store.keep(connection, [claim.kept(content, interaction_id)])


@pytest.mark.parametrize("key", ["", "a b", "ä", "x" * 256, "a\tb", "line\n"])
def test_what_cannot_be_a_key(key: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        idempotency.check_key(key)
    assert refused.value.param == "Idempotency-Key"
    assert idempotency.check_key("x" * 255)


async def test_equal_requests_wait_for_the_one_that_is_done(server: Server) -> None:
    claim = await server.claim()
    waiting = [asyncio.create_task(server.answer()) for _ in range(19)]
    await asyncio.sleep(0)
    claim.answered("text", stored=False)
    assert {answer.content for answer in await asyncio.gather(*waiting)} == {"text"}


async def test_another_body_is_refused_while_it_runs_and_afterwards(server: Server, database: Database) -> None:
    claim = await server.claim()
    with pytest.raises(Conflict) as refused:
        await server.enter("owner", "k", OTHER)
    assert (refused.value.code, refused.value.param) == ("idempotency_key_reused", "Idempotency-Key")
    keep(database, claim, "kept")
    claim.answered("whole", stored=True)
    with pytest.raises(Conflict, match="another body, or to another method and path"):
        await server.enter("owner", "k", OTHER)
    # The same key of another owner is another key.
    assert isinstance(await server.enter("other", "k", OTHER), Claim)


async def test_what_failed_may_be_tried_by_one_who_waits(server: Server) -> None:
    claim = await server.claim()
    waiting = [asyncio.create_task(server.enter("owner", "k", SAME)) for _ in range(5)]
    await asyncio.sleep(0)
    claim.release()
    done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    (second,) = (task.result() for task in done)
    assert isinstance(second, Claim)
    second.answered("text", stored=False)
    left = [task.result() for task in waiting if task not in done and await task]
    assert [entered.content for entered in left if isinstance(entered, Answer)] == ["text"] * 4


async def test_after_a_restart_what_was_stored_is_known_and_what_was_not_is_done_again(database: Database) -> None:
    before = Server(database)
    stored, cut, forgotten = [await before.claim(key) for key in ("stored", "cut", "forgotten")]
    keep(database, stored, "kept")
    stored.answered("whole", stored=True)
    forgotten.answered("whole", stored=False)
    after = Server(database)
    assert await after.answer("stored") == Answer("kept", stored=True)
    again = await after.claim("cut")
    assert isinstance(await after.claim("forgotten"), Claim)
    # Who was taken for dead and was not changes nothing any more.
    keep(database, cut, "late")
    keep(database, again, "new")
    again.answered("new", stored=True)
    assert (await after.answer("cut")).content == "new"


async def test_an_answer_that_is_not_kept_is_not_given_twice(server: Server, database: Database) -> None:
    claim = await server.claim()
    keep(database, claim, None)
    claim.answered("with logprobs", stored=True)
    with pytest.raises(Conflict) as refused:
        await server.enter("owner", "k", SAME)
    assert refused.value.code == "idempotency_answer_not_kept"


async def test_after_a_day_a_key_is_new(server: Server, database: Database) -> None:
    for stored in (True, False):
        claim = await server.claim()
        if stored:
            keep(database, claim, "kept")
        claim.answered("text", stored=stored)
        server.now += 23 * 3_600_000
        await server.answer()
        server.now += 2 * 3_600_000
    await server.claim("k", OTHER)


async def test_memory_has_a_limit_of_answers_and_of_bytes(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "MEMORY_ANSWERS", 3)
    monkeypatch.setattr(idempotency, "MEMORY_BYTES", 100)
    for key in "abcd":
        (await server.claim(key)).answered(key, stored=False)
    assert (await server.answer("b")).content == "b"
    await server.claim("a")
    (await server.claim("large")).answered("x" * 99, stored=False)
    assert list(server._memory) == [("owner", "d"), ("owner", "large")]


async def test_the_store_has_a_limit_of_answers_for_each_key(
    server: Server, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "KEYS_OF_OWNER", 5)
    monkeypatch.setattr(claims, "_TIDY_EVERY", 10)
    for number in range(10):
        server.now += 1
        claim = await server.claim(f"{number}")
        keep(database, claim, f"{number}")
        claim.answered("", stored=True)
    server.now += 1
    with database.read() as connection:
        known = [number for number in range(10) if store.get(connection, ("owner", f"{number}"))]
    assert known == [5, 6, 7, 8, 9]


async def test_waiting_has_an_end_and_says_to_come_back(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    claim = await server.claim()
    monkeypatch.setattr(idempotency, "MOST_WAITING", 1)
    monkeypatch.setattr(idempotency, "WAIT_SECONDS", 0.01)
    with pytest.raises(StillRunning) as refused:
        await server.enter("owner", "k", SAME)
    assert refused.value.headers["x-should-retry"] == "true"
    assert refused.value.status == 409
    first = asyncio.create_task(server.enter("owner", "k", SAME))
    await asyncio.sleep(0)
    with pytest.raises(StillRunning):
        await server.enter("owner", "k", SAME)
    claim.answered("text", stored=False)
    assert (await first) == Answer("text", stored=False)


async def test_what_another_server_does_is_waited_for_while_it_lives(
    server: Server, database: Database, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "_LOOK_SECONDS", 0.001)
    with closing(Database.open(address)) as theirs, closing(Presence(theirs)) as presence:
        presence.start()
        other = Server(theirs, presence.server_id)
        claim = await other.claim()
        waiting = asyncio.create_task(server.answer())
        await asyncio.sleep(0.005)
        assert not waiting.done()
        keep(database, claim, "kept")
        claim.answered("whole", stored=True)
        assert await waiting == Answer("kept", stored=True)
        # What is refused there is to be done here.
        claim = await other.claim("second")
        second = asyncio.create_task(server.claim("second"))
        claim.release()
        await second
        await other.claim("cut")
        with monkeypatch.context() as hasty:
            hasty.setattr(idempotency, "WAIT_SECONDS", 0)
            with pytest.raises(StillRunning):
                await server.claim("cut")
    # PostgreSQL sees a moment later that a connection has ended.
    await server.claim("cut")


async def test_a_claim_that_could_not_be_deleted_is_taken_up_again(server: Server) -> None:
    (await server.claim()).leave()
    assert isinstance(await server.claim(), Claim)


async def test_claims_that_come_together_share_a_transaction(server: Server, database: Database) -> None:
    opened = 0
    append = database.append

    def counting() -> Any:
        nonlocal opened
        opened += 1
        return append()

    database.append = counting  # type: ignore[method-assign]
    before = await server.claim("known")
    keep(database, before, "kept")
    before.answered("kept", stored=True)
    keys = [f"{number}" for number in range(50)]
    *entered, again = await asyncio.gather(*(server.claim(key) for key in keys), server.answer("known"))
    for claim in entered[:25]:
        claim.release()
    # Whoever comes now comes after that.
    assert isinstance(await Server(database).enter("owner", "0", OTHER), Claim)
    assert isinstance(await server.enter("owner", "1", OTHER), Claim)
    assert again.content == "kept"
    assert opened == 5


async def test_a_claim_of_who_gave_up_meanwhile_is_taken_up_again(server: Server, database: Database) -> None:
    given_up = asyncio.create_task(server.claim())
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.wait([given_up])
    claim = await server.claim()
    keep(database, claim, "kept")
    claim.answered("kept", stored=True)
    with database.read() as connection:
        stored = store.get(connection, ("owner", "k"))
    assert stored is not None
    assert stored.content == "kept"


async def test_while_the_store_is_away_all_are_told_so_and_nothing_stays_claimed(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await server.claim("running")

    def refuse(*_: object) -> None:
        raise StorageUnavailable("It is away.")

    with monkeypatch.context() as away:
        away.setattr(store, "claim", refuse)
        running.release()
        failed = await asyncio.gather(*(server.claim(key) for key in "ab"), return_exceptions=True)
    assert [str(error) for error in failed] == ["It is away."] * 2
    assert failed[0] is not failed[1]
    for key in ("a", "b", "running"):
        assert isinstance(await server.claim(key), Claim)
