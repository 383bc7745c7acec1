"""Graders at work: new interactions are queued in the transaction that stores them, and judged in the background.

Judges are asked like any model, but their requests give way to all others in the engine.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable
from collections.abc import Sequence as Seq
from uuid import UUID

from adaptive_engine.errors import (
    AdaptiveError,
    Conflict,
    InternalError,
    InvalidRequest,
    NoJudgement,
    StorageUnavailable,
)
from adaptive_engine.services import judging
from adaptive_engine.services.completions import Completions
from adaptive_engine.services.graders import enqueue
from adaptive_engine.services.referee import Referee
from adaptive_engine.services.routing import Routing
from adaptive_engine.store import Connection, Database, graders, interactions, judgements, metrics, scores
from adaptive_engine.store.judgements import Task
from adaptive_engine.telemetry.structured import structlog
from adaptive_engine.types import Grader, Interaction, Judge, Principal, Score, now_ms, uuid7

log = structlog.get_logger(__name__)

AT_ONCE = 2
"""Judgements that run at the same time."""
MAX_TRIES = 3
LEASE_MS = 120_000
"""After this, a judgement of which nothing was heard may be made by another server."""
# When the model cannot be asked, it is not asked again, by this server for this grader, for so long (ms).
_PAUSE_MS = 15_000
# What other servers queued, or what is due again, is looked for this often (s) while nothing is queued here.
_LOOK_SECONDS = 5.0


class GraderQueue:
    """The recorder's follower: what is to be judged is queued with the interaction, or neither is stored."""

    def __init__(self) -> None:
        self.on_queued: Callable[[], None] = lambda: None
        self._has_queued = False

    def finished(self, connection: Connection, rows: Seq[Interaction]) -> None:
        # A transaction that fails leaves this true, which costs a look in vain.
        self._has_queued |= enqueue(connection, rows) > 0

    def committed(self) -> None:
        if self._has_queued:
            self._has_queued = False
            self.on_queued()


class Grading:
    """Makes judgements, in a thread of its own. `start` before use, `close` at the end."""

    def __init__(
        self, database: Database, routing: Routing, completions: Completions, referee: Referee, queue: GraderQueue
    ) -> None:
        queue.on_queued = self.look
        self._database = database
        self._routing = routing
        self._completions = completions
        self._referee = referee
        self._loop = asyncio.new_event_loop()
        self._wake = asyncio.Event()
        self._stopping = False
        self._paused: dict[UUID, float] = {}
        """Graders whose model could not be asked, and until when (of the monotonic clock) they are left alone."""
        self.outcomes: Counter[str] = Counter()
        """Judgements that were made, failed for good, or are to be made again."""
        self._thread = threading.Thread(target=self._serve, name="grading", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop at once; what is not judged yet is judged after the next start."""
        if self._thread.ident is not None:
            self._loop.call_soon_threadsafe(self._stop)
            self._thread.join()
        self._loop.close()

    def look(self) -> None:
        """There may be something to do. From any thread."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._wake.set)

    async def judge(self, judge: Judge, project_id: UUID, judged: Interaction) -> tuple[str, float | None, str]:
        """Verdict, score and reasoning. Raises what keeps the model from answering, and NoJudgement."""
        bearer = Principal("grader", in_projects={project_id: frozenset({"project:read", "completion:create"})})
        project = self._routing.project(bearer, str(project_id))
        asked = judging.request(judge, project.key, judged)
        # What is known of a model may change after a grader was made of it.
        judging.require_schemas(self._routing.deployment(bearer, asked.model).model)
        completion = await self._completions.start(bearer, asked, f"grader-{uuid7()}", background=True)
        try:
            cut = False
            async for _, delta in completion.deltas():
                cut |= delta.finish_reason == "length"
        except asyncio.CancelledError:
            await completion.cancel()
            raise
        return judging.read(judge, completion.choices[0].text, cut=cut)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._run())
        # What a thread of ours still does to the store ends before the store is closed.
        self._loop.run_until_complete(self._loop.shutdown_default_executor())

    def _stop(self) -> None:
        self._stopping = True
        for task in asyncio.all_tasks(self._loop):
            task.cancel()

    async def _run(self) -> None:
        while not self._stopping:
            try:
                self._wake.clear()
                tasks = await asyncio.to_thread(self._take)
                if tasks:
                    # One that cannot be written does not leave the others to themselves.
                    ends = await asyncio.gather(*map(self._work, tasks), return_exceptions=True)
                    for failure in filter(None, ends):
                        raise failure
                    continue
            except asyncio.CancelledError:
                return
            except StorageUnavailable as error:
                # It is looked at again after the pause.
                log.warning("graders cannot work now", reason=error.message)
            except Exception:
                log.exception("graders cannot work now")
            if self._stopping:
                return
            try:
                await asyncio.wait_for(self._wake.wait(), _LOOK_SECONDS)
            except TimeoutError:
                pass
            except asyncio.CancelledError:
                return

    def _take(self) -> list[Task]:
        moment = time.monotonic()
        self._paused = {grader_id: until for grader_id, until in list(self._paused.items()) if until > moment}
        paused = list(self._paused)
        with self._database.read() as connection:
            if not judgements.any_due(connection, paused):
                return []
        with self._database.write() as connection:
            return judgements.take(connection, AT_ONCE, LEASE_MS, paused)

    async def _work(self, task: Task) -> None:
        # In a task of its own: so that what is logged meanwhile can be told apart.
        structlog.contextvars.bind_contextvars(request_id=f"judgement-{task.interaction_id}")
        try:
            await self._judge(task)
        except asyncio.CancelledError:
            self._give_back(task, now_ms(), None, counts=False)
            raise

    async def _judge(self, task: Task) -> None:
        try:
            grader, judged = await asyncio.to_thread(self._load, task)
            if grader is None or judged is None:
                return
            if task.tries > MAX_TRIES:
                # Each try may have been paid for.
                raise InvalidRequest(
                    f"It was begun {MAX_TRIES} times; each time the server ended, or could not store what came of it."
                )
            verdict, score, reasoning = await self.judge(grader.judge, grader.project_id, judged)
            await asyncio.to_thread(self._save, task, grader, verdict, score, reasoning)
        except StorageUnavailable:
            raise
        except (InvalidRequest, NoJudgement) as error:
            # It would be refused again, such as a conversation that is too long for the judge; or said again.
            self.outcomes["failed"] += 1
            await asyncio.to_thread(self._fail, task, error.message)
        except AdaptiveError as error:
            await asyncio.to_thread(self._postpone, task, error)
        except Exception:
            log.exception("a judgement failed", grader=str(task.grader_id), interaction=str(task.interaction_id))
            await asyncio.to_thread(self._postpone, task, InternalError("The judgement failed; see the server's log."))
        else:
            self.outcomes["done"] += 1
            self._referee.scored(judged.ab_test_id)

    def _load(self, task: Task) -> tuple[Grader | None, Interaction | None]:
        with self._database.read() as connection:
            stored = interactions.get(connection, None, task.interaction_id)
            return graders.get(connection, task.grader_id), stored.interaction if stored else None

    def _save(self, task: Task, grader: Grader, verdict: str, score: float | None, reasoning: str) -> None:
        with self._database.write() as connection:
            is_first = judgements.finish(connection, task, "done", verdict=verdict)
            metric = metrics.get_by_id(connection, grader.metric_id)
            if not is_first or score is None or metric is None:
                return
            row = Score(
                id=uuid7(),
                interaction_id=task.interaction_id,
                metric_id=metric.id,
                metric_key=metric.key,
                value=score,
                created_at=now_ms(),
                details=reasoning,
                source="GRADER",
            )
            try:
                scores.add(connection, [row])
            except Conflict:
                log.info("an interaction was deleted while it was judged", interaction=str(task.interaction_id))

    def _fail(self, task: Task, reason: str) -> None:
        with self._database.write() as connection:
            judgements.finish(connection, task, "failed", error=reason)

    def _postpone(self, task: Task, error: AdaptiveError) -> None:
        """An outage of the model does not count as a try: it says nothing about the judgement."""
        counts = isinstance(error, InternalError)
        if counts and task.tries >= MAX_TRIES:
            self.outcomes["failed"] += 1
            self._fail(task, error.message)
        else:
            self.outcomes["postponed"] += 1
            if not counts:
                self._paused[task.grader_id] = time.monotonic() + _PAUSE_MS / 1000
            self._give_back(task, now_ms() + _PAUSE_MS, error.message, counts=counts)

    def _give_back(self, task: Task, due_at: int, reason: str | None, *, counts: bool) -> None:
        with self._database.write() as connection:
            judgements.give_back(connection, task, due_at, reason, counts=counts)
