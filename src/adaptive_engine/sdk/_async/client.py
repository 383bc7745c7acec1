"""The client object: settings, the connection pool, and one attribute for each noun of the API."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Self

import httpx2

from adaptive_engine.sdk._async.transport import AsyncTransport
from adaptive_engine.sdk.http import Call
from adaptive_engine.sdk.settings import DEFAULT_TIMEOUT_SECS, read_settings

if TYPE_CHECKING:
    from adaptive_engine.sdk._async.ab_tests import AsyncAbTests
    from adaptive_engine.sdk._async.chat import AsyncChat
    from adaptive_engine.sdk._async.feedback import AsyncFeedback
    from adaptive_engine.sdk._async.graders import AsyncGraders
    from adaptive_engine.sdk._async.imports import AsyncImports
    from adaptive_engine.sdk._async.interactions import AsyncInteractions
    from adaptive_engine.sdk._async.keys import AsyncKeys
    from adaptive_engine.sdk._async.models import AsyncModels
    from adaptive_engine.sdk._async.permissions import AsyncPermissions
    from adaptive_engine.sdk._async.projects import AsyncProjects
    from adaptive_engine.sdk._async.roles import AsyncRoles
    from adaptive_engine.sdk._async.structured import AsyncStructured
    from adaptive_engine.sdk._async.teams import AsyncTeams
    from adaptive_engine.sdk._async.users import AsyncUsers


class AsyncAdaptive:
    """A client of one Adaptive Engine server.

        async with AsyncAdaptive(default_project="support") as client:
            answer = await client.chat.create([{"role": "user", "content": "Hello!"}])
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
        http_client: httpx2.AsyncClient | None = None,
    ) -> None:
        settings = read_settings(
            base_url, api_key, timeout_secs=timeout_secs, max_retries=max_retries, default_headers=default_headers
        )
        self._transport = AsyncTransport(settings, http_client)
        self.default_project = default_project
        """The project of calls that name none."""

    # Resources load on first use: importing the client stays fast, and the wire types load only with them.

    @cached_property
    def chat(self) -> AsyncChat:
        from adaptive_engine.sdk._async.chat import AsyncChat

        return AsyncChat(self)

    @cached_property
    def interactions(self) -> AsyncInteractions:
        from adaptive_engine.sdk._async.interactions import AsyncInteractions

        return AsyncInteractions(self)

    @cached_property
    def feedback(self) -> AsyncFeedback:
        from adaptive_engine.sdk._async.feedback import AsyncFeedback

        return AsyncFeedback(self)

    @cached_property
    def graders(self) -> AsyncGraders:
        from adaptive_engine.sdk._async.graders import AsyncGraders

        return AsyncGraders(self)

    @cached_property
    def ab_tests(self) -> AsyncAbTests:
        from adaptive_engine.sdk._async.ab_tests import AsyncAbTests

        return AsyncAbTests(self)

    @cached_property
    def models(self) -> AsyncModels:
        from adaptive_engine.sdk._async.models import AsyncModels

        return AsyncModels(self)

    @cached_property
    def imports(self) -> AsyncImports:
        from adaptive_engine.sdk._async.imports import AsyncImports

        return AsyncImports(self)

    @cached_property
    def projects(self) -> AsyncProjects:
        from adaptive_engine.sdk._async.projects import AsyncProjects

        return AsyncProjects(self)

    @cached_property
    def structured(self) -> AsyncStructured:
        from adaptive_engine.sdk._async.structured import AsyncStructured

        return AsyncStructured(self)

    @cached_property
    def users(self) -> AsyncUsers:
        from adaptive_engine.sdk._async.users import AsyncUsers

        return AsyncUsers(self)

    @cached_property
    def teams(self) -> AsyncTeams:
        from adaptive_engine.sdk._async.teams import AsyncTeams

        return AsyncTeams(self)

    @cached_property
    def roles(self) -> AsyncRoles:
        from adaptive_engine.sdk._async.roles import AsyncRoles

        return AsyncRoles(self)

    @cached_property
    def permissions(self) -> AsyncPermissions:
        from adaptive_engine.sdk._async.permissions import AsyncPermissions

        return AsyncPermissions(self)

    @cached_property
    def keys(self) -> AsyncKeys:
        from adaptive_engine.sdk._async.keys import AsyncKeys

        return AsyncKeys(self)

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
    def use_cases(self) -> AsyncProjects:
        """Deprecated: `projects`."""
        warnings.warn("use_cases is now called projects", DeprecationWarning, stacklevel=2)
        return self.projects

    async def _send(self, call: Call) -> httpx2.Response:
        return await self._transport.send(call)

    async def aclose(self) -> None:
        """Close the connections. Leaving the `with` block does it."""
        await self._transport.aclose()

    close = aclose  # async only

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self.base_url!r}, default_project={self.default_project!r})"
