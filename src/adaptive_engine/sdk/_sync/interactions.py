# Generated from _async/interactions.py by scripts/unasync.py. Edit that file, then run the script.
"""POST and GET /api/v1/interactions: what was asked and answered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from adaptive_engine.sdk.errors import NotFoundError
from adaptive_engine.sdk.http import Call
from adaptive_engine.sdk.payloads import (
    InteractionFilters,
    MessageInput,
    decode,
    encode,
    feedback_body,
    interaction_query,
    messages_body,
    optional_text,
    time_text,
    uuid_text,
)
from adaptive_engine.sdk.settings import choose_project
from adaptive_engine.wire.interactions import Interaction, InteractionCreated, InteractionList

if TYPE_CHECKING:
    from adaptive_engine.sdk._sync.client import Adaptive


class InteractionPage:
    """One page of interactions, newest first; iterating goes on through all following pages.

    page = client.interactions.list(limit=100)
    for interaction in page:
        print(interaction.completion)
    """

    def __init__(self, page: InteractionList, interactions: Interactions, query: list[tuple[str, str]]) -> None:
        self.data = page.data
        """The interactions of this page alone."""
        self.has_more = page.has_more
        self.next_cursor = page.next_cursor
        """What to pass as `after` to list from here on, perhaps in another process; None on the last page."""
        self._interactions = interactions
        self._query = query

    def next_page(self) -> InteractionPage | None:
        """The following page, or None after the last."""
        if not self.has_more or self.next_cursor is None:
            return None
        query = [(name, value) for name, value in self._query if name != "after"]
        return self._interactions._page([*query, ("after", self.next_cursor)])

    def __iter__(self) -> Iterator[Interaction]:
        page: InteractionPage | None = self
        while page is not None:
            yield from page.data
            page = page.next_page()


class Interactions:
    """The stored prompts and completions of a project.

    interaction = client.interactions.get(answer.choices[0].completion_id)
    """

    def __init__(self, client: Adaptive) -> None:
        self._client = client

    def create(
        self,
        messages: Sequence[MessageInput],
        completion: str,
        *,
        model: str | None = None,
        feedbacks: Sequence[Mapping[str, Any]] | None = None,
        user: str | UUID | None = None,
        session_id: str | UUID | None = None,
        project: str | None = None,
        use_case: str | None = None,
        labels: Mapping[str, str] | None = None,
        created_at: datetime | str | None = None,
        ab_campaign: str | None = None,
    ) -> InteractionCreated:
        """Store an answer that was made elsewhere.

        `feedbacks` are scores given with it: `{"feedback_key", "value"}` and, optionally, "reason" and "details".
        With `ab_campaign`, id or key of an A/B test, they count for it; `model` is then one of its models.
        `created_at` is a datetime (local time when it has no zone) or RFC 3339 text; the default is now.
        """
        fields = {
            "project": choose_project(project, use_case, self._client.default_project),
            "messages": messages_body(messages),
            "completion": completion,
            "model_service": model,
            "feedbacks": None if feedbacks is None else [feedback_body(feedback) for feedback in feedbacks],
            "user": optional_text(user),
            "session_id": uuid_text("session_id", session_id),
            "labels": labels,
            "created_at": time_text(created_at),
            "ab_campaign": ab_campaign,
        }
        call = Call("POST", "/interactions", content=encode(fields), headers={"Idempotency-Key": str(uuid4())})
        return decode(InteractionCreated, self._client._send(call))

    def get(
        self, completion_id: str | UUID, project: str | None = None, *, use_case: str | None = None
    ) -> Interaction | None:
        """The interaction of a completion, or None when the project has none with that id.

        Raises NotFoundError when it is the project that does not exist.
        """
        chosen = choose_project(project, use_case, self._client.default_project)
        path = f"/interactions/{uuid_text('completion_id', completion_id)}"
        try:
            response = self._client._send(Call("GET", path, query=[("project", chosen)]))
        except NotFoundError as error:
            if error.code != "interaction_not_found":
                raise
            return None
        return decode(Interaction, response)

    def list(
        self,
        filters: InteractionFilters | None = None,
        *,
        limit: int | None = None,
        after: str | None = None,
        project: str | None = None,
        use_case: str | None = None,
    ) -> InteractionPage:
        """A page of at most `limit` interactions that match all of `filters`, newest first.

            {"labels": [{"key": "lang", "value": ["de", "fr"]}], "models": ["smollm2"],
             "timerange": {"from": "2026-11-01T00:00:00Z", "to": 1793836800000}}

        `after` is the `next_cursor` of an earlier page.
        """
        chosen = choose_project(project, use_case, self._client.default_project)
        return self._page(interaction_query(chosen, filters, limit, after))

    def _page(self, query: Sequence[tuple[str, str]]) -> InteractionPage:
        response = self._client._send(Call("GET", "/interactions", query=query))
        return InteractionPage(decode(InteractionList, response), self, [*query])
