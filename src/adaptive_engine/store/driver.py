"""What differs between databases: one subclass for each, in `sqlite.py` and `postgresql.py`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from adaptive_engine.errors import StorageUnavailable

Durability = Literal["normal", "full"]
"""What a commit survives: `normal` a crash of our process, `full` also a power failure."""


@dataclass(frozen=True, slots=True)
class PoolOptions:
    """Of connections to a database that is a server of its own."""

    size: int = 16
    """Most that are open, beside one of the recorder and one that shows that the server lives."""
    connect_timeout_seconds: int = 5
    statement_timeout_ms: int = 30_000


class Driver(ABC):
    """An address, and how to work with the database there. Everything here may raise what `outage` can explain."""

    readers: sa.Engine
    """Begins transactions that see one snapshot."""
    writers: sa.Engine
    """Begins transactions that write."""
    appenders: sa.Engine
    """The same for those that need no turn. Not delayed by a lack of connections for the others."""
    appends_need_turn: bool
    """Whether only one transaction can write at a time anyway."""
    write_timeout: float
    """Seconds that a writer waits for its turn."""

    @abstractmethod
    def prepare(self) -> None:
        """Make the place ready, as far as that needs no tables. Raises StorageUnavailable where it cannot be used."""

    @abstractmethod
    def migration_turn(self) -> AbstractContextManager[None]:
        """Keeps all other processes from migrating. Raises StorageUnavailable when that takes too long."""

    @abstractmethod
    def back_up(self, revision: str | None) -> None:
        """Keep what there is before a migration, or say who has to."""

    @abstractmethod
    def migrating(self, connection: Connection) -> AbstractContextManager[None]:
        """Around a migration, in its transaction."""

    @abstractmethod
    def take_turn(self, connection: Connection) -> None:
        """Wait, in a transaction of `writers`, until no other process writes; it holds to the transaction's end."""

    @abstractmethod
    def require_in_place(self) -> None:
        """Raises StorageUnavailable where a write would seem to succeed and be lost."""

    @abstractmethod
    def obstacle(self) -> str | None:
        """Why a write would not succeed, as far as that can be known without waiting."""

    @abstractmethod
    def outage(self, error: Exception) -> str | None:
        """The reason when the store is at fault, None when the statement is."""

    @abstractmethod
    def enter(self, server_id: UUID) -> Connection | None:
        """A connection that, while it is open, shows others that this server lives. None where there are no others."""

    @abstractmethod
    def is_gone(self, connection: Connection, server_id: UUID) -> bool:
        """Whether no such server lives any more."""

    def close(self) -> None:
        self.readers.dispose()
        self.appenders.dispose()


def unavailable(reason: str) -> StorageUnavailable:
    return StorageUnavailable(f"The interaction store cannot be used: {reason}.")
