# Generated from _async/ab_tests.py by scripts/unasync.py. Edit that file, then run the script.
"""/api/v1/ab_tests: models of a project compared on one metric."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias
from uuid import UUID

from adaptive_engine.sdk.errors import NotFoundError
from adaptive_engine.sdk.http import Call
from adaptive_engine.sdk.payloads import decode, encode, path_part
from adaptive_engine.sdk.settings import choose_project
from adaptive_engine.wire.ab_tests import AbTest, AbTestList, AbTestSeries, AbTestStatus

if TYPE_CHECKING:
    from adaptive_engine.sdk._sync.client import Adaptive

# A name for it, because inside the class `list` is the method.
FoundAbTests: TypeAlias = list[AbTest]

_SCORE_TYPES = {"metric": "DIRECT", "preference": "COMPARISON"}


class AbTests:
    """A/B tests: which of some models is better, asked of live traffic.

    ```python
    client.ab_tests.create("which", "helpful", ["smollm2", "qwen3"], traffic_split=0.2, auto_deploy=True)
    test = client.ab_tests.get("which")
    print(test.status, test.verdict and test.verdict.text)
    ```
    """

    def __init__(self, client: Adaptive) -> None:
        self._client = client

    def create(
        self,
        ab_test_key: str,
        feedback_key: str,
        models: Sequence[str],
        traffic_split: float = 1.0,
        feedback_type: Literal["metric", "preference"] = "metric",
        auto_deploy: bool = False,
        project: str | None = None,
        *,
        name: str | None = None,
        alpha: float | None = None,
        min_scores: int | None = None,
        use_case: str | None = None,
    ) -> AbTest:
        """Start a test of models that are attached to the project, judged by the metric `feedback_key`.

        `traffic_split` is the share of the requests that name no model. `feedback_type` says what decides: values
        logged with `feedback.log_metric`, or preferences. With `auto_deploy` the winner becomes the project's default.
        `alpha` is the risk of a wrong winner, `min_scores` what every model needs before one is named.
        """
        if feedback_type not in _SCORE_TYPES:
            raise ValueError(f"feedback_type is {feedback_type!r}; there are 'metric' and 'preference'")
        fields = {
            "project": choose_project(project, use_case, self._client.default_project),
            "key": ab_test_key,
            "name": name,
            "metric": feedback_key,
            "models": [*models],
            "traffic_split": float(traffic_split),
            "score_type": _SCORE_TYPES[feedback_type],
            "auto_deploy": auto_deploy,
            "alpha": alpha,
            "min_scores": min_scores,
        }
        return decode(AbTest, self._client._send(Call("POST", "/ab_tests", content=encode(fields))))

    def get(self, key: str | UUID, project: str | None = None) -> AbTest | None:
        """The test with this key or id and its report, or None. An id is found in any project that may be read; so is
        a key where neither the call nor the client names a project.

        Raises ConflictError when several projects have a test with that key.
        """
        try:
            response = self._client._send(Call("GET", _path(key), query=self._where(key, project)))
        except NotFoundError as error:
            if error.code != "ab_test_not_found":
                raise
            return None
        return decode(AbTest, response)

    def list(
        self, active: bool | None = None, status: AbTestStatus | None = None, project: str | None = None
    ) -> FoundAbTests:
        """The tests of `project`, of the default project, or of all that the key may read; oldest first."""
        query = _query(project or self._client.default_project)
        if active is not None:
            query.append(("active", "true" if active else "false"))
        if status is not None:
            query.append(("status", status))
        return decode(AbTestList, self._client._send(Call("GET", "/ab_tests", query=query))).data

    def series(self, key: str | UUID, project: str | None = None) -> AbTestSeries:
        """The mean of each model over time."""
        return decode(
            AbTestSeries,
            self._client._send(Call("GET", f"{_path(key)}/series", query=self._where(key, project))),
        )

    def cancel(self, key: str | UUID, project: str | None = None) -> AbTest:
        """End a test without a verdict. Raises ConflictError when it has ended."""
        call = Call("POST", f"{_path(key)}/cancel", query=self._where(key, project))
        return decode(AbTest, self._client._send(call))

    def _where(self, key: str | UUID, project: str | None) -> Sequence[tuple[str, str]]:
        return _query(project or (None if _is_id(key) else self._client.default_project))


def _path(key: str | UUID) -> str:
    return f"/ab_tests/{path_part('key', key)}"


def _is_id(key: str | UUID) -> bool:
    try:
        UUID(str(key))
    except ValueError:
        return False
    return True


def _query(project: str | None) -> list[tuple[str, str]]:
    return [] if project is None else [("project", project)]
