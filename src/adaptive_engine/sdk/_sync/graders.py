# Generated from _async/graders.py by scripts/unasync.py. Edit that file, then run the script.
"""Graders: /api/v1/graders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID, uuid4

from pydantic_core import to_json

from adaptive_engine.sdk.errors import NotFoundError
from adaptive_engine.sdk.http import Call
from adaptive_engine.sdk.payloads import TimeInput, decode, encode, path_part, time_text, uuid_text
from adaptive_engine.sdk.settings import choose_project
from adaptive_engine.wire.graders import Grader, GraderList, GraderRunCancelled, GraderRunStarted, Judgement

if TYPE_CHECKING:
    from adaptive_engine.sdk._sync.client import Adaptive

# A name for it, because inside the class `list` is the method.
GraderData: TypeAlias = list[Grader]


class Graders:
    """Judges that score the project's interactions in the background.

    ```python
    client.graders.create("polite", criteria="The answer is polite.", model="smollm2-135m-instruct")
    client.graders.run("polite", limit=100)
    ```
    """

    def __init__(self, client: Adaptive) -> None:
        self._client = client

    def create(
        self,
        key: str,
        criteria: str,
        model: str,
        scale: tuple[int, int] | None = None,
        name: str | None = None,
        examples: Sequence[Mapping[str, Any]] = (),
        template: str | None = None,
        metric: str | None = None,
        sampling_rate: float = 1.0,
        enabled: bool = True,
        project: str | None = None,
    ) -> Grader:
        """Let `model`, which is attached to the project, judge new interactions by `criteria`.

        It says PASS, FAIL or NA, which become 1, 0 and no score; with a `scale` it gives a whole number from the first
        to the second. `examples` are judgements to follow: `{"input", "output", "score", "reasoning"}`. `sampling_rate`
        is the share of interactions that are judged. Raises ConflictError for a key that is taken.
        """
        fields = {
            "project": self._project(project),
            "key": key,
            "criteria": criteria,
            "model": model,
            "scale": {"min": scale[0], "max": scale[1]} if scale else None,
            "name": name,
            "examples": [dict(example) for example in examples],
            "template": template,
            "metric": metric,
            "sampling_rate": sampling_rate,
            "enabled": enabled,
        }
        call = Call("POST", "/graders", content=encode(fields), headers={"Idempotency-Key": str(uuid4())})
        return decode(Grader, self._client._send(call))

    def list(self, project: str | None = None) -> GraderData:
        """The graders of the project, by key."""
        call = Call("GET", "/graders", query=[("project", self._project(project))])
        return decode(GraderList, self._client._send(call)).data

    def get(self, key: str, project: str | None = None) -> Grader | None:
        """The grader, and how far it is; None when the project has none with that key."""
        try:
            response = self._client._send(self._call("GET", key, project))
        except NotFoundError as error:
            if error.code != "grader_not_found":
                raise
            return None
        return decode(Grader, response)

    def update(self, key: str, project: str | None = None, **changes: Any) -> Grader:
        """Change `name`, `criteria`, `model`, `examples`, `template`, `sampling_rate` or `enabled`."""
        return decode(Grader, self._client._send(self._call("PATCH", key, project, content=to_json(changes))))

    def delete(self, key: str, project: str | None = None) -> None:
        """Its metric and its scores stay."""
        self._client._send(self._call("DELETE", key, project))

    def run(
        self,
        key: str,
        created_from: TimeInput | None = None,
        created_to: TimeInput | None = None,
        models: Sequence[str] = (),
        limit: int | None = None,
        again: bool = False,
        project: str | None = None,
    ) -> GraderRunStarted:
        """Judge what is stored already, in the background: the newest `limit`. `get` tells how far it is."""
        fields = {
            "created_from": time_text(created_from),
            "created_to": time_text(created_to),
            "models": [*models],
            "limit": limit,
            "again": again,
        }
        call = self._call("POST", key, project, "/run", content=encode(fields))
        return decode(GraderRunStarted, self._client._send(call))

    def cancel(self, key: str, project: str | None = None) -> GraderRunCancelled:
        """Drop what waits to be judged."""
        return decode(GraderRunCancelled, self._client._send(self._call("POST", key, project, "/cancel")))

    def judge(self, key: str, completion_id: str | UUID, project: str | None = None) -> Judgement:
        """What the grader says about one stored interaction, to try it out. Nothing is stored."""
        content = encode({"completion_id": uuid_text("completion_id", completion_id)})
        call = self._call("POST", key, project, "/try", content=content)
        return decode(Judgement, self._client._send(call))

    def _call(self, method: str, key: str, project: str | None, action: str = "", content: bytes | None = None) -> Call:
        path = f"/graders/{path_part('key', key)}{action}"
        return Call(method, path, query=[("project", self._project(project))], content=content)

    def _project(self, project: str | None) -> str:
        return choose_project(project, None, self._client.default_project)
