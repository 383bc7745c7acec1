"""Which servers share a store, and what those that died left behind.

A server shows that it lives by a lock of its database that ends with its connection, so that nobody has to compare
clocks. Each server looks every few seconds whether pending interactions belong to one that is gone, and aborts those.
Taking a server for dead that has only lost its connection costs nothing: an outcome replaces `aborted`.
"""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from adaptive_engine.errors import StorageUnavailable
from adaptive_engine.store import interactions
from adaptive_engine.store.database import Database
from adaptive_engine.types import uuid7

_log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
"""How often a server looks for others that are gone."""
RETURN_SECONDS = 1.0
"""How often one that has lost its connection tries to show itself again."""


class Presence:
    """One server's place among all that use the store. `start` before anything is generated, `close` at the end."""

    def __init__(self, database: Database) -> None:
        self.server_id: UUID = uuid7()
        self._database = database
        self._lifeline: Connection | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="presence", daemon=True)

    def start(self) -> None:
        """Show that this server lives, and abort what others left pending. Raises StorageUnavailable."""
        self._lifeline = self._database.enter(self.server_id)
        self._abort_left()
        if self._lifeline is not None:
            self._thread.start()

    def close(self) -> None:
        self._closing.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._leave()

    def _run(self) -> None:
        pause = LOOK_SECONDS
        while not self._closing.wait(pause):
            try:
                self._stay()
                self._abort_left()
                pause = LOOK_SECONDS
            except StorageUnavailable:
                # The recorder says it, and more often.
                pause = RETURN_SECONDS
            except Exception:
                _log.exception("looking for servers that are gone failed")
                pause = LOOK_SECONDS

    def _stay(self) -> None:
        try:
            if self._lifeline is not None:
                self._lifeline.execute(sa.select(1))
                return
        except Exception:
            _log.warning("the connection that shows that this server lives is lost; it is made anew")
            self._leave()
        self._lifeline = self._database.enter(self.server_id)

    def _leave(self) -> None:
        lifeline, self._lifeline = self._lifeline, None
        if lifeline is not None:
            # It may be broken already, which has the same effect.
            with suppress(Exception):
                lifeline.close()

    def _abort_left(self) -> None:
        with self._database.read() as connection:
            others = interactions.servers_with_pending(connection) - {self.server_id}
            gone = {other for other in others if other is None or self._database.is_gone(connection, other)}
        if not gone:
            return
        with self._database.write() as connection:
            aborted = interactions.abort_pending(connection, gone)
        if aborted:
            _log.warning("%d interactions were running on a server that has stopped; marked aborted", aborted)
