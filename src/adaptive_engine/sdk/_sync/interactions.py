# Generated from _async/interactions.py by scripts/unasync.py. Edit that file, then run the script.
"""POST and GET /api/v1/interactions: what was asked and answered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal
from uuid import UUID, uuid4

import httpx2

from adaptive_engine.sdk._sync.export import write_export
from adaptive_engine.sdk.errors import NotFoundError
from adaptive_engine.sdk.http import Call
from adaptive_engine.sdk.payloads import (
    InteractionFilters,
    MessageInput,
    decode,
    encode,
    feedback_body,
    id_text,
    messages_body,
    optional_text,
    selection,
    time_text,
    uuid_text,
)
from adaptive_engine.sdk.settings import choose_project
from adaptive_engine.wire.interactions import (
    GroupList,
    Interaction,
    InteractionCreated,
    InteractionList,
    InteractionsDeleted,
    LabelUsageList,
)

if TYPE_CHECKING:
    from adaptive_engine.sdk._sync.client import Adaptive


class InteractionPage:
    """One page of interactions; iterating goes on through all following pages.

    ```python
    page = client.interactions.list(limit=100)
    for interaction in page:
        print(interaction.completion)
    ```
    """

    def __init__(self, page: InteractionList, interactions: Interactions, body: Mapping[str, Any]) -> None:
        self.data = page.data
        """The interactions of this page alone."""
        self.has_more = page.has_more
        self.next_cursor = page.next_cursor
        """What to pass as `after` to list from here on, perhaps in another process; None on the last page."""
        self.has_previous = page.has_previous
        self.previous_cursor = page.previous_cursor
        """What to pass as `before` for the page before this one."""
        self.total_count = page.total_count
        """How many match, where it was asked for; at least so many, unless `total_count_is_exact`."""
        self.total_count_is_exact = page.total_count_is_exact
        self.searched_to = page.searched_to
        """Set when the server's time ran out before the page was full: it has looked at what is newer than this, or,
        oldest first, older. The next page goes on from there."""
        self._interactions = interactions
        self._body = body

    def next_page(self) -> InteractionPage | None:
        """The following page, or None after the last."""
        if not self.has_more or self.next_cursor is None:
            return None
        size = self._body.get("limit") or self._body.get("last")
        turned = {**self._body, "after": self.next_cursor, "before": None, "last": None, "limit": size, "count": None}
        return self._interactions._page(turned)

    def previous_page(self) -> InteractionPage | None:
        """The page before this one, or None before the first."""
        if not self.has_previous or self.previous_cursor is None:
            return None
        size = self._body.get("last") or self._body.get("limit") or len(self.data) or None
        turned = {**self._body, "before": self.previous_cursor, "after": None, "limit": None, "last": size}
        return self._interactions._page({**turned, "count": None})

    def __iter__(self) -> Iterator[Interaction]:
        page: InteractionPage | None = self
        while page is not None:
            yield from page.data
            page = page.next_page()


class Interactions:
    """The stored prompts and completions of a project.

    ```python
    interaction = client.interactions.get(answer.choices[0].completion_id)
    ```
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

        `feedbacks` are scores given with it: `{"feedback_key", "value"}` and, optionally, "reason", "details" and
        "created_at". With `ab_campaign`, id or key of an A/B test, they count for it; `model` is one of its models.
        Each `created_at` is a datetime (local time when it has no zone) or RFC 3339 text; the default is now.
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
        path = f"/interactions/{id_text('completion_id', completion_id)}"
        try:
            response = self._client._send(Call("GET", path, query=[("project", chosen)]))
        except NotFoundError as error:
            if error.code != "interaction_not_found":
                raise
            return None
        return decode(Interaction, response)

    def image(self, url: str) -> bytes:
        """The file of an image, by the `url` that a message of an interaction has for it.

        Raises NotFoundError when there is no such image (any more).
        """
        if not isinstance(url, str) or not url.startswith("/images/"):
            raise ValueError(f"{str(url)[:200]!r} is no image of an interaction; those begin with /images/")
        return (self._client._send(Call("GET", url))).content

    def list(
        self,
        filters: InteractionFilters | None = None,
        *,
        order: Sequence[Mapping[str, str]] | None = None,
        limit: int | None = None,
        last: int | None = None,
        after: str | None = None,
        before: str | None = None,
        count: bool = False,
        project: str | None = None,
        use_case: str | None = None,
    ) -> InteractionPage:
        """A page of at most `limit` interactions that match all of `filters`, newest first.

            {"labels": [{"key": "lang", "value": ["de", "fr"]}], "models": ["smollm2"],
             "timerange": {"from": "2026-11-01T00:00:00Z", "to": 1793836800000},
             "filter": {"or": [{"completion": {"contains": "sorry"}}, {"not": {"model": {"eq": "smollm2"}}}]}}

        `order` is `[{"field": "created_at", "order": "ASC"}]`; completed_at, prompt_tokens and completion_tokens order
        up to 20 000 matches. `after` is the `next_cursor` of an earlier page and `before` its `previous_cursor`;
        `last`, instead of `limit`, counts from the end. `count` asks for `total_count`.
        """
        chosen = choose_project(project, use_case, self._client.default_project)
        paging = {"order": order, "limit": limit, "last": last, "after": after, "before": before}
        return self._page(selection(chosen, filters, **paging, count=count or None))

    def groups(
        self,
        group_by: Literal["model", "prompt"],
        filters: InteractionFilters | None = None,
        *,
        order: Literal["group", "count"] = "group",
        descending: bool = False,
        limit: int | None = None,
        offset: int | None = None,
        interactions: int | None = None,
        project: str | None = None,
        use_case: str | None = None,
    ) -> GroupList:
        """How many interactions each model or prompt has and how they were scored; with `interactions`, so many of the
        newest of each.
        """
        chosen = choose_project(project, use_case, self._client.default_project)
        paging = {"order": order, "descending": descending, "limit": limit, "offset": offset}
        body = selection(chosen, filters, **paging, group_by=group_by, interactions=interactions)
        return decode(GroupList, self._post("/interactions/groups", body))

    def update_labels(
        self,
        completion_id: str | UUID,
        *,
        set: Mapping[str, str] | None = None,  # noqa: A002 - the wire's word
        add: Mapping[str, str] | None = None,
        remove: Sequence[str] | None = None,
        project: str | None = None,
    ) -> Interaction:
        """`set` replaces all labels of an interaction; then the keys in `remove` go, and the labels in `add` come."""
        path = f"/interactions/{id_text('completion_id', completion_id)}"
        content = encode({"set": set, "add": add, "remove": remove})
        call = Call("PATCH", path, content=content, query=self._project_query(project))
        return decode(Interaction, self._client._send(call))

    def delete(self, completion_id: str | UUID, *, project: str | None = None) -> None:
        """Delete one interaction. Raises NotFoundError, and ConflictError while its answer is being made."""
        path = f"/interactions/{id_text('completion_id', completion_id)}"
        self._client._send(Call("DELETE", path, query=self._project_query(project)))

    def delete_all(
        self,
        filters: InteractionFilters | None = None,
        *,
        everything: bool = False,
        project: str | None = None,
        use_case: str | None = None,
    ) -> int:
        """Delete all interactions that match, and tell how many; without filters only if `everything`."""
        chosen = choose_project(project, use_case, self._client.default_project)
        body = selection(chosen, filters, all=everything or None)
        call = Call("POST", "/interactions/delete", content=encode(body), timeout_secs=None)
        return decode(InteractionsDeleted, self._client._send(call)).deleted

    def labels(
        self,
        key: str | None = None,
        *,
        values: int | None = None,
        project: str | None = None,
        use_case: str | None = None,
    ) -> LabelUsageList:
        """The labels that interactions have, each with its first `values` values; of one `key` only, where given."""
        chosen = choose_project(project, use_case, self._client.default_project)
        given = {"project": chosen, "key": key, "values": optional_text(values)}
        query = [(name, value) for name, value in given.items() if value is not None]
        return decode(LabelUsageList, self._client._send(Call("GET", "/labels", query=query)))

    def export(
        self,
        file: str | Path | IO[bytes],
        filters: InteractionFilters | None = None,
        *,
        format: Literal["jsonl", "csv", "parquet"] = "jsonl",  # noqa: A002 - the wire's word
        kind: Literal["interactions", "messages", "sft", "preferences"] = "interactions",
        metric: str | None = None,
        images: Literal["url", "data"] = "url",
        resume: bool = False,
        progress: Callable[[int], None] | None = None,
        project: str | None = None,
        use_case: str | None = None,
    ) -> int:
        """Write all interactions that match into `file`, oldest first, and tell how many bytes were written.

        `images="data"` has images in the file, where it is jsonl, and not only the URLs that `image` takes.
        With `resume`, a path's file is continued behind its last whole record; only jsonl and csv can be. A connection
        that breaks is taken up again in the same way. `progress` is called with the bytes so far.
        """
        chosen = choose_project(project, use_case, self._client.default_project)
        body = selection(chosen, filters, format=format, kind=kind, metric=metric, images=images)
        return write_export(self._client, body, file, resume=resume, progress=progress)

    def _page(self, body: Mapping[str, Any]) -> InteractionPage:
        response = self._post("/interactions/search", body)
        return InteractionPage(decode(InteractionList, response), self, body)

    def _post(self, path: str, body: Mapping[str, Any]) -> httpx2.Response:
        return self._client._send(Call("POST", path, content=encode(body)))

    def _project_query(self, project: str | None) -> Sequence[tuple[str, str]]:
        chosen = project or self._client.default_project
        return () if chosen is None else (("project", chosen),)
