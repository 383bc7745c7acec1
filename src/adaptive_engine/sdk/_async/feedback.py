"""Metrics and scores: POST and GET /api/v1/metrics, POST /api/v1/feedback."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote
from uuid import UUID, uuid4

from adaptive_engine.sdk.errors import NotFoundError
from adaptive_engine.sdk.http import Call
from adaptive_engine.sdk.payloads import decode, encode, optional_text, uuid_text
from adaptive_engine.sdk.settings import choose_project
from adaptive_engine.wire.feedback import FeedbackCreated, Metric, MetricList

if TYPE_CHECKING:
    from adaptive_engine.sdk._async.client import AsyncAdaptive


class AsyncFeedback:
    """What users thought of the answers.

    await client.feedback.register_key("helpful", kind="bool")
    await client.feedback.log_metric(True, answer.choices[0].completion_id, "helpful")
    """

    def __init__(self, client: AsyncAdaptive) -> None:
        self._client = client

    async def register_key(
        self,
        key: str,
        kind: str = "scalar",
        scoring_type: str = "higher_is_better",
        name: str | None = None,
        description: str | None = None,
        unit: str | None = None,
        project: str | None = None,
        *,
        use_case: str | None = None,
    ) -> Metric:
        """Make a metric of the project: `kind` is "scalar" or "bool", `scoring_type` "higher_is_better" or
        "lower_is_better". Raises ConflictError when the project has one with that key.
        """
        fields = {
            "project": choose_project(project, use_case, self._client.default_project),
            "key": key,
            "kind": kind,
            "scoring_type": scoring_type,
            "name": name,
            "description": description,
            "unit": unit,
        }
        call = Call("POST", "/metrics", content=encode(fields), headers={"Idempotency-Key": str(uuid4())})
        return decode(Metric, await self._client._send(call))

    async def log_metric(
        self,
        value: bool | float,
        completion_id: str | UUID,
        feedback_key: str,
        details: str | None = None,
        reason: str | None = None,
        user: str | UUID | None = None,
    ) -> FeedbackCreated:
        """Give one completion a score. A bool metric takes True, False, 1 and 0; a scalar one any number."""
        fields = {
            "value": value,
            "completion_id": uuid_text("completion_id", completion_id),
            "metric": feedback_key,
            "details": details,
            "reason": reason,
            "user_id": optional_text(user),
        }
        # One key for all tries: a server that keeps such keys does not score twice when an answer got lost.
        call = Call("POST", "/feedback", content=encode(fields), headers={"Idempotency-Key": str(uuid4())})
        return decode(FeedbackCreated, await self._client._send(call))

    async def get_key(self, key: str, project: str | None = None, *, use_case: str | None = None) -> Metric | None:
        """The metric with that key, or None when the project has none.

        Raises NotFoundError when it is the project that does not exist.
        """
        chosen = choose_project(project, use_case, self._client.default_project)
        path = f"/metrics/{quote(key, safe='')}"
        try:
            response = await self._client._send(Call("GET", path, query=[("project", chosen)]))
        except NotFoundError as error:
            if error.code != "metric_not_found":
                raise
            return None
        return decode(Metric, response)

    async def list_keys(self, project: str | None = None, *, use_case: str | None = None) -> list[Metric]:
        """All metrics of the project."""
        chosen = choose_project(project, use_case, self._client.default_project)
        response = await self._client._send(Call("GET", "/metrics", query=[("project", chosen)]))
        return decode(MetricList, response).data
