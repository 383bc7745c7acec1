"""Who may do what, in a real server and with changes from another process."""

from __future__ import annotations

import time
from collections.abc import Callable
from uuid import uuid4

import pytest

from adaptive_engine.sdk import Adaptive, AuthenticationError, NotFoundError, PermissionDeniedError
from integration.commands import CommandLine
from integration.server import Server
from integration.wire import PROMPT

NOTICED_WITHIN_SECONDS = 5.5


@pytest.fixture
def name() -> str:
    """Of a team and a user that no other test knows."""
    return f"t{uuid4().hex[:8]}"


def test_annotators_read_and_score_and_applications_write(server: Server, name: str) -> None:
    with Adaptive(server.url, server.api_key, "default") as admin:
        admin.teams.create(name)
        reader = admin.users.create(f"{name}@example.com", "Ada", [(name, "annotator")], generate_api_key=True)
        shares = admin.projects.share("default", name, "annotator")
        assert (shares[-1].team, shares[-1].role, shares[-1].is_owner) == (name, "annotator", False)
        bot = admin.users.create_service_account(name, [("default", "inference")])
        admin.feedback.register_key(name, kind="bool")
    with Adaptive(server.url, bot.api_key, "default") as app:
        completion = app.chat.create(PROMPT, max_tokens=1).choices[0].completion_id
        with pytest.raises(PermissionDeniedError, match=r"--role read-only --project default"):
            app.interactions.get(completion)
    with Adaptive(server.url, reader.api_key, "default") as ada:
        assert ada.interactions.get(completion) is not None
        ada.feedback.log_metric(True, completion, name)
        with pytest.raises(PermissionDeniedError, match="completion:create"):
            ada.chat.create(PROMPT, max_tokens=1)
        me = ada.users.me()
        assert me is not None
        assert [(place.team, place.role) for place in me.teams] == [(name, "annotator")]
    with Adaptive(server.url, server.api_key, "default") as admin:
        assert [share.team for share in admin.projects.unshare("default", name)] == ["default"]
    with Adaptive(server.url, reader.api_key, "default") as ada, pytest.raises(NotFoundError, match="does not exist"):
        ada.chat.create(PROMPT)


def test_what_another_process_changes_is_noticed_within_5_seconds(
    server: Server, adaptive: CommandLine, name: str
) -> None:
    key = adaptive(server, "users", "create", name, "--service", "--team", "default=inference").splitlines()[-1]
    email = f"{name}@system.adaptive.local"
    with Adaptive(server.url, key, "default") as app:
        assert app.permissions.own().projects["default"] == sorted(
            ["project:read", "completion:create", "interaction:create", "score:create"]
        )
        adaptive(server, "users", "add-to-team", email, "default", "read-only")
        until(lambda: app.permissions.own().projects["default"] == ["interaction:read", "project:read"])
        adaptive(server, "users", "delete", email)

        def is_refused() -> bool:
            try:
                app.users.me()
            except AuthenticationError:
                return True
            return False

        until(is_refused)


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + NOTICED_WITHIN_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        # Asking all the time takes the processors from whoever notices.
        time.sleep(0.02)
