"""Metrics and feedback: /api/v1/metrics, /feedback, /comparison, /outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias
from uuid import UUID, uuid4

from adaptive_engine.sdk.errors import NotFoundError
from adaptive_engine.sdk.http import Call
from adaptive_engine.sdk.payloads import (
    MessageInput,
    TimeRange,
    decode,
    encode,
    messages_body,
    optional_text,
    path_part,
    time_text,
    uuid_text,
)
from adaptive_engine.sdk.settings import choose_project
from adaptive_engine.wire.feedback import (
    ComparisonCreated,
    FeedbackCreated,
    Metric,
    MetricList,
    MetricStatistics,
    Outcome,
    OutcomeCreated,
    OutcomeList,
)

if TYPE_CHECKING:
    from adaptive_engine.sdk._async.client import AsyncAdaptive

ComparedInput: TypeAlias = str | UUID | Mapping[str, str]
"""A completion id, or `{"text": ..., "model": ...}`."""


class AsyncFeedback:
    """What users thought of the answers.

    ```python
    await client.feedback.register_key("helpful", kind="bool")
    await client.feedback.log_metric(True, answer.choices[0].completion_id, "helpful")
    ```
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
        "lower_is_better". One that is there already is returned as it is. Raises ConflictError when that has another
        kind or scoring type.
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
        source: Literal["USER", "GRADER"] | None = None,
    ) -> FeedbackCreated:
        """Give one completion a score. A bool metric takes True, False, 1 and 0; a scalar one any number.

        `source` is "GRADER" for a program that grades.
        """
        fields = {
            "value": value,
            "completion_id": uuid_text("completion_id", completion_id),
            "metric": feedback_key,
            "details": details,
            "reason": reason,
            "user_id": optional_text(user),
            "source": source,
        }
        # One key for all tries: a server that keeps such keys does not score twice when an answer got lost.
        call = Call("POST", "/feedback", content=encode(fields), headers={"Idempotency-Key": str(uuid4())})
        return decode(FeedbackCreated, await self._client._send(call))

    async def log_preference(
        self,
        feedback_key: str,
        preferred_completion: ComparedInput,
        other_completion: ComparedInput,
        user: str | UUID | None = None,
        messages: Sequence[MessageInput] | None = None,
        tied: Literal["good", "bad"] | None = None,
        project: str | None = None,
        *,
        use_case: str | None = None,
    ) -> ComparisonCreated:
        """Say which of two completions is better, or with `tied` that they are equally good or bad.

        Completions are ids, or `{"text": ..., "model": ...}` together with the `messages` that they answer. Ids need no
        project.
        """
        compared = [_compared(name, value) for name, value in _sides(preferred_completion, other_completion)]
        by_id = all(isinstance(value, str) for value in compared)
        default = self._client.default_project
        fields = {
            "project": (project or use_case) if by_id else choose_project(project, use_case, default),
            "metric": feedback_key,
            "preferred_completion": compared[0],
            "other_completion": compared[1],
            "messages": None if messages is None else messages_body(messages),
            "tied": tied,
            "user_id": optional_text(user),
        }
        call = Call("POST", "/comparison", content=encode(fields), headers={"Idempotency-Key": str(uuid4())})
        return decode(ComparisonCreated, await self._client._send(call))

    async def log_outcome(
        self,
        value: bool | float,
        session_id: str | UUID,
        feedback_key: str,
        user: str | UUID | None = None,
        project: str | None = None,
        *,
        use_case: str | None = None,
    ) -> OutcomeCreated:
        """Give a whole session a value: whether its conversation came to a good end, what was sold."""
        fields = {
            "project_id": choose_project(project, use_case, self._client.default_project),
            "metric": feedback_key,
            "session_id": uuid_text("session_id", session_id),
            "value": value,
            "user_id": optional_text(user),
        }
        call = Call("POST", "/outcome", content=encode(fields), headers={"Idempotency-Key": str(uuid4())})
        return decode(OutcomeCreated, await self._client._send(call))

    async def list_outcomes(self, session_id: str | UUID, project: str | None = None) -> list[Outcome]:
        """The outcomes of a session, oldest first."""
        chosen = choose_project(project, None, self._client.default_project)
        query = [("project", chosen), ("session_id", uuid_text("session_id", session_id) or "")]
        return decode(OutcomeList, await self._client._send(Call("GET", "/outcomes", query=query))).data

    async def get_key(self, key: str, project: str | None = None, *, use_case: str | None = None) -> Metric | None:
        """The metric with that key, or None when the project has none.

        Raises NotFoundError when it is the project that does not exist.
        """
        chosen = choose_project(project, use_case, self._client.default_project)
        try:
            response = await self._client._send(Call("GET", _path(key), query=[("project", chosen)]))
        except NotFoundError as error:
            if error.code != "metric_not_found":
                raise
            return None
        return decode(Metric, response)

    async def list_keys(self, project: str | None = None, *, use_case: str | None = None) -> list[Metric]:
        """All metrics of the project: those that were registered, then those that the server measures."""
        chosen = choose_project(project, use_case, self._client.default_project)
        response = await self._client._send(Call("GET", "/metrics", query=[("project", chosen)]))
        return decode(MetricList, response).data

    async def update_key(
        self,
        key: str,
        *,
        name: str | None = None,
        description: str | None = None,
        unit: str | None = None,
        project: str | None = None,
    ) -> Metric:
        """Change name, description or unit of a metric; None leaves it."""
        chosen = choose_project(project, None, self._client.default_project)
        body = encode({"name": name, "description": description, "unit": unit})
        call = Call("PATCH", _path(key), content=body, query=[("project", chosen)])
        return decode(Metric, await self._client._send(call))

    async def delete_key(self, key: str, project: str | None = None) -> None:
        """Delete a metric with all logged on it. Raises ConflictError while an A/B test or a grader needs it."""
        chosen = choose_project(project, None, self._client.default_project)
        await self._client._send(Call("DELETE", _path(key), query=[("project", chosen)]))

    async def statistics(
        self,
        key: str,
        group_by: str | None = None,
        timerange: TimeRange | None = None,
        project: str | None = None,
        *,
        by_model: bool = False,
    ) -> MetricStatistics:
        """Count, mean, range and deviation of a metric: one the server measures, such as "latency", or a registered
        one.

        `group_by` is "model", "label:KEY", "hour" or "day"; with `by_model`, hours and days have a group for each
        model. `timerange` is as in `interactions.list`.
        """
        given = {
            "project": choose_project(project, None, self._client.default_project),
            "group_by": group_by,
            "by_model": "true" if by_model else None,
            **{name: time_text(value) for name, value in (timerange or {}).items()},  # type: ignore[arg-type]
        }
        query = [(name, value) for name, value in given.items() if value is not None]
        return decode(MetricStatistics, await self._client._send(Call("GET", f"{_path(key)}/statistics", query=query)))


def _path(key: str) -> str:
    return f"/metrics/{path_part('key', key)}"


def _sides(preferred: ComparedInput, other: ComparedInput) -> list[tuple[str, ComparedInput]]:
    return [("preferred_completion", preferred), ("other_completion", other)]


def _compared(name: str, value: ComparedInput) -> str | dict[str, str] | None:
    return dict(value) if isinstance(value, Mapping) else uuid_text(name, value)
