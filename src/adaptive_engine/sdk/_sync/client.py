# Generated from _async/client.py by scripts/unasync.py. Edit that file, then run the script.
"""The client object: settings, the connection pool, and one attribute for each noun of the API."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Self

import httpx2

from adaptive_engine.sdk._sync.transport import Transport
from adaptive_engine.sdk.http import Call
from adaptive_engine.sdk.settings import DEFAULT_TIMEOUT_SECS, read_settings

if TYPE_CHECKING:
    from adaptive_engine.sdk._sync.ab_tests import AbTests
    from adaptive_engine.sdk._sync.chat import Chat
    from adaptive_engine.sdk._sync.feedback import Feedback
    from adaptive_engine.sdk._sync.graders import Graders
    from adaptive_engine.sdk._sync.imports import Imports
    from adaptive_engine.sdk._sync.interactions import Interactions
    from adaptive_engine.sdk._sync.keys import Keys
    from adaptive_engine.sdk._sync.models import Models
    from adaptive_engine.sdk._sync.permissions import Permissions
    from adaptive_engine.sdk._sync.projects import Projects
    from adaptive_engine.sdk._sync.roles import Roles
    from adaptive_engine.sdk._sync.structured import Structured
    from adaptive_engine.sdk._sync.teams import Teams
    from adaptive_engine.sdk._sync.users import Users


class Adaptive:
    """A client of one Adaptive Engine server.

        with Adaptive(default_project="support") as client:
            answer = client.chat.create([{"role": "user", "content": "Hello!"}])
            print(answer.choices[0].message.content)

    `base_url` defaults to the variable ADAPTIVE_URL, then ADAPTIVE_BASE_URL, then http://127.0.0.1:9000; a path prefix
    is kept. `api_key` defaults to ADAPTIVE_API_KEY. `timeout_secs` is the longest silence of the server that is waited
    out (None: no limit). `max_retries` is how often a failed connection, 408, 409, 429 or 5xx is tried again; a stream
    that has begun is never repeated. An `http_client` of your own is used as it is and stays open on close.

    Raises ValueError when no key is found or the URL has no scheme or host.
    """

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        default_project: str | None = None,
        timeout_secs: float | None = DEFAULT_TIMEOUT_SECS,
        default_headers: Mapping[str, str] | None = None,
        max_retries: int = 2,
        http_client: httpx2.Client | None = None,
    ) -> None:
        settings = read_settings(
            base_url, api_key, timeout_secs=timeout_secs, max_retries=max_retries, default_headers=default_headers
        )
        self._transport = Transport(settings, http_client)
        self.default_project = default_project
        """The project of calls that name none."""

    # Resources load on first use: importing the client stays fast, and the wire types load only with them.

    @cached_property
    def chat(self) -> Chat:
        from adaptive_engine.sdk._sync.chat import Chat

        return Chat(self)

    @cached_property
    def interactions(self) -> Interactions:
        from adaptive_engine.sdk._sync.interactions import Interactions

        return Interactions(self)

    @cached_property
    def feedback(self) -> Feedback:
        from adaptive_engine.sdk._sync.feedback import Feedback

        return Feedback(self)

    @cached_property
    def graders(self) -> Graders:
        from adaptive_engine.sdk._sync.graders import Graders

        return Graders(self)

    @cached_property
    def ab_tests(self) -> AbTests:
        from adaptive_engine.sdk._sync.ab_tests import AbTests

        return AbTests(self)

    @cached_property
    def models(self) -> Models:
        from adaptive_engine.sdk._sync.models import Models

        return Models(self)

    @cached_property
    def imports(self) -> Imports:
        from adaptive_engine.sdk._sync.imports import Imports

        return Imports(self)

    @cached_property
    def projects(self) -> Projects:
        from adaptive_engine.sdk._sync.projects import Projects

        return Projects(self)

    @cached_property
    def structured(self) -> Structured:
        from adaptive_engine.sdk._sync.structured import Structured

        return Structured(self)

    @cached_property
    def users(self) -> Users:
        from adaptive_engine.sdk._sync.users import Users

        return Users(self)

    @cached_property
    def teams(self) -> Teams:
        from adaptive_engine.sdk._sync.teams import Teams

        return Teams(self)

    @cached_property
    def roles(self) -> Roles:
        from adaptive_engine.sdk._sync.roles import Roles

        return Roles(self)

    @cached_property
    def permissions(self) -> Permissions:
        from adaptive_engine.sdk._sync.permissions import Permissions

        return Permissions(self)

    @cached_property
    def keys(self) -> Keys:
        from adaptive_engine.sdk._sync.keys import Keys

        return Keys(self)

    @property
    def base_url(self) -> str:
        """Scheme, host and path prefix; requests go below its `/api/v1`."""
        return self._transport.settings.base_url

    def set_default_project(self, project: str) -> None:
        """Use `project` for all later calls that name none."""
        self.default_project = project

    @property
    def default_use_case(self) -> str | None:
        """Deprecated: `default_project`."""
        warnings.warn("default_use_case is now called default_project", DeprecationWarning, stacklevel=2)
        return self.default_project

    def set_default_use_case(self, use_case: str) -> None:
        """Deprecated: `set_default_project`."""
        warnings.warn("set_default_use_case is now called set_default_project", DeprecationWarning, stacklevel=2)
        self.set_default_project(use_case)

    @property
    def use_cases(self) -> Projects:
        """Deprecated: `projects`."""
        warnings.warn("use_cases is now called projects", DeprecationWarning, stacklevel=2)
        return self.projects

    def _send(self, call: Call) -> httpx2.Response:
        return self._transport.send(call)

    def close(self) -> None:
        """Close the connections. Leaving the `with` block does it."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self.base_url!r}, default_project={self.default_project!r})"
