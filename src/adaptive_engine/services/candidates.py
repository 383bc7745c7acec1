"""The deployments that may answer one request: the one it is for, and its fallbacks in their order."""

from __future__ import annotations

import time
from collections.abc import Callable
from collections.abc import Sequence as Seq
from dataclasses import dataclass
from typing import Any

from adaptive_engine.errors import (
    AdaptiveError,
    EngineFailed,
    InvalidRequest,
    StorageUnavailable,
    Unavailable,
    UpstreamFailed,
    UpstreamTimeout,
)
from adaptive_engine.services.backends import AnswerStream, Asked, Backend, Job
from adaptive_engine.telemetry.structured import structlog
from adaptive_engine.types import Deployment

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Begun:
    """A deployment that took the request."""

    asked: Asked
    job: Job
    streams: Seq[AnswerStream]


class Candidates:
    """Begins with one after the other, as they fail."""

    def __init__(
        self,
        deployments: Seq[Deployment],
        ask: Callable[[Deployment], Asked],
        backend: Callable[[Deployment], Backend],
        reserve: Callable[[Asked, Job], None] = lambda asked, job: None,
    ) -> None:
        """`reserve` may refuse a job that is ready to run."""
        self._left = list(deployments)
        self._ask = ask
        self._backend = backend
        self._reserve = reserve
        self._failure: AdaptiveError | None = None
        """Why the last one that did not refuse the request has not answered."""
        self.failed: list[dict[str, Any]] = []
        """Attempts of those that failed, as they are stored."""

    @property
    def more(self) -> bool:
        return bool(self._left)

    async def begin(self) -> Begun:
        """The first one that takes the request. Raises as `require_next` does."""
        while True:
            deployment = self._left.pop(0)
            started = time.perf_counter()
            try:
                asked = self._ask(deployment)
                job = await self._backend(deployment).prepare(asked)
                try:
                    self._reserve(asked, job)
                except AdaptiveError:
                    job.discard()
                    raise
                return Begun(asked, job, job.start())
            except AdaptiveError as exc:
                ms = round(1000 * (time.perf_counter() - started), 1)
                self.failed.append({"model": deployment.model.key, "ms": ms, "error": exc.code})
                self.require_next(exc)
                self._tell(deployment, exc)

    def require_next(self, error: AdaptiveError) -> None:
        """Return if another model may do better; else raise what the client is told.

        None does better with a request that is wrong, nor when nothing can be stored. What a fallback has against a
        request is not wrong with it: another may take it, and if none does, the failure before is what counts.
        """
        failed = isinstance(error, UpstreamFailed | UpstreamTimeout | EngineFailed | Unavailable)
        if failed and not isinstance(error, StorageUnavailable):
            self._failure = error
        elif self._failure is None or not isinstance(error, InvalidRequest):
            raise error
        if not self.more:
            raise self._failure

    def gave_up(self, deployment: Deployment, attempts: Seq[dict[str, Any]], error: AdaptiveError) -> None:
        """One that had begun has failed before it said anything."""
        self.failed += attempts or [{"model": deployment.model.key, "error": error.code}]
        self._tell(deployment, error)

    def _tell(self, deployment: Deployment, error: AdaptiveError) -> None:
        log.warning(
            "a fallback answers",
            project=deployment.project.key,
            model=deployment.model.key,
            fallback=self._left[0].model.key,
            reason=error.code,
        )
