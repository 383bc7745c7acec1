"""The referee: one thread that looks at A/B tests whose scores have changed, and ends those that are decided.

Nothing is polled: a test is looked at when it was scored, and once at the start. Scores that arrive meanwhile are seen
by the next look, which comes after a pause in proportion, so that all looks together take a small part of one core.
"""

from __future__ import annotations

import logging
import threading
import time
from uuid import UUID

from adaptive_engine.errors import StorageUnavailable
from adaptive_engine.experiments.judge import Report
from adaptive_engine.services import ab_tests as rules
from adaptive_engine.services import models
from adaptive_engine.services.routing import Routing
from adaptive_engine.store import Connection, Database, ab_tests, deployments, metrics
from adaptive_engine.types import AbTest, Deployment, now_ms

_log = logging.getLogger(__name__)

# The part of the time that may go into looking.
_DUTY = 0.05
# Seconds before a store that failed is tried again.
_RETRY_PAUSE = 5.0


class Referee:
    """Tell it of scores with `scored`, from any thread. `start` before use, `close` at the end."""

    def __init__(self, database: Database, routing: Routing) -> None:
        self._database = database
        self._routing = routing
        self._changed = threading.Condition()
        self._waiting: set[UUID] = set()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="referee", daemon=True)

    def start(self) -> None:
        """Begin with the tests that were active when the server stopped."""
        with self._database.read() as connection:
            self._waiting.update(test.id for test in ab_tests.list_for_projects(connection, active=True))
        self._thread.start()

    def close(self) -> None:
        """Return when nothing is looked at any more. What was not is looked at after the next start."""
        self._closing.set()
        with self._changed:
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join()

    def scored(self, test_id: UUID | None) -> None:
        """The committed scores of a test have changed; None, for a completion of no test, is nothing."""
        if test_id is not None:
            with self._changed:
                self._waiting.add(test_id)
                self._changed.notify()

    def _run(self) -> None:
        while not self._closing.is_set():
            with self._changed:
                while not self._waiting and not self._closing.is_set():
                    self._changed.wait()
                due, self._waiting = self._waiting, set()
            began = time.perf_counter()
            pause = 0.0
            for test_id in due:
                if self._closing.is_set():
                    return
                try:
                    self.look(test_id)
                except StorageUnavailable as error:
                    _log.warning("A/B test %s cannot be looked at now: %s", test_id, error.message)
                    self.scored(test_id)
                    pause = _RETRY_PAUSE
                except Exception:
                    _log.exception("A/B test %s cannot be judged", test_id)
            self._closing.wait(max(pause, (time.perf_counter() - began) / _DUTY))

    def look(self, test_id: UUID) -> None:
        """End the test if its scores decide it. Blocks."""
        with self._database.read() as connection:
            test = ab_tests.get(connection, test_id)
            if test is None or not test.active:
                return
            report = rules.examine(connection, test)
        if report.has_enough_scores and test.status == "WARMUP":
            with self._database.write() as connection:
                ab_tests.begin(connection, test.id)
        if report.winner is not None:
            self._end(test, report)

    def _end(self, test: AbTest, report: Report) -> None:
        with self._database.write() as connection:
            attached = deployments.list_for_project(connection, test.project_id)
            winner = next((d for d in attached if d.model.id == report.winner), None)
            if not (test.auto_deploy and winner is not None and winner.online):
                self._conclude(connection, test, report, _not_promoted(test, winner))
            elif self._conclude(connection, test, report, f"'{winner.model.key}' is the project's default model now."):
                models.update(connection, winner, make_default=True)
        self._routing.refresh()

    def _conclude(self, connection: Connection, test: AbTest, report: Report, promotion: str) -> bool:
        """Whether this call ended the test: another server may have been first."""
        metric = metrics.get_by_id(connection, test.metric_id) if test.metric_id else None
        if metric is None:
            return False
        verdict = rules.verdict(test, metric, report, promotion)
        ended = ab_tests.end(connection, test.id, "DONE", now_ms(), verdict)
        if ended:
            _log.info("A/B test %s is decided: %s", test.key, verdict["text"])
        return ended


def _not_promoted(test: AbTest, winner: Deployment | None) -> str:
    if not test.auto_deploy:
        return ""
    why = "is offline" if winner is not None else "is not attached to the project any more"
    return f"It {why}, so the project's default model stays as it was."
