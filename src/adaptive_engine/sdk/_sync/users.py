# Generated from _async/users.py by scripts/unasync.py. Edit that file, then run the script.
"""People, service accounts, and their places in teams: /api/v1/users and /api/v1/me."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from adaptive_engine.sdk.errors import NotFoundError
from adaptive_engine.sdk.http import Call
from adaptive_engine.sdk.payloads import decode, encode, path_part
from adaptive_engine.wire.users import Me, User, UserCreated, UserList

if TYPE_CHECKING:
    from adaptive_engine.sdk._sync.client import Adaptive

# A name for it, because inside the class `list` is the method.
AllUsers: TypeAlias = list[User]


class Users:
    """Who may use the server. A user is found by e-mail address or id, a team and a role by key or id.

    ```python
    client.users.create("ada@example.com", "Ada", [("research", "power_user")])
    bot = client.users.create_service_account("ci-bot", [("research", "inference")])
    print(bot.api_key)
    ```
    """

    def __init__(self, client: Adaptive) -> None:
        self._client = client

    def me(self) -> User | None:
        """Whose key this is, or None for a key that belongs to nobody."""
        return decode(Me, self._client._send(Call("GET", "/me"))).user

    def list(self) -> AllUsers:
        """All users. Needs 'admin:manage_users', as all that follow do unless they say otherwise."""
        return decode(UserList, self._client._send(Call("GET", "/users"))).data

    def get(self, email: str) -> User | None:
        """The user, or None when there is none."""
        try:
            response = self._client._send(Call("GET", _path(email)))
        except NotFoundError as error:
            if error.code != "user_not_found":
                raise
            return None
        return decode(User, response)

    def create(
        self,
        email: str,
        name: str,
        teams_with_role: Sequence[tuple[str, str]] = (),
        generate_api_key: bool = False,
    ) -> UserCreated:
        """Make a user for a person. Places in teams need 'admin:manage_teams' too.

        Raises ConflictError when there is one with that e-mail address.
        """
        return self._create({"email": email, "name": name}, teams_with_role, generate_api_key)

    def create_service_account(
        self, name: str, teams_with_role: Sequence[tuple[str, str]] = (), email: str | None = None
    ) -> UserCreated:
        """Make a user for an application, with its key in `api_key`. The key cannot be shown again."""
        return self._create({"email": email, "name": name, "user_type": "SYSTEM"}, teams_with_role, True)

    def delete(self, email: str) -> User:
        """Delete a user; their keys end at once. Raises ConflictError for the last admin."""
        return decode(User, self._client._send(Call("DELETE", _path(email))))

    def add_to_team(self, email: str, team: str, role: str) -> User:
        """Put a user into a team, or change their role there. Needs 'admin:manage_teams'."""
        call = Call("PUT", _path(email, team), content=encode({"role": role}))
        return decode(User, self._client._send(call))

    def remove_from_team(self, email: str, team: str) -> User:
        """Take a user out of a team. Needs 'admin:manage_teams'."""
        return decode(User, self._client._send(Call("DELETE", _path(email, team))))

    def _create(
        self, fields: dict[str, Any], teams_with_role: Sequence[tuple[str, str]], generate_api_key: bool
    ) -> UserCreated:
        teams = [{"team": team, "role": role} for team, role in teams_with_role]
        body = encode({**fields, "teams": teams, "generate_api_key": generate_api_key})
        return decode(UserCreated, self._client._send(Call("POST", "/users", content=body)))


def _path(user: str, team: str | None = None) -> str:
    path = f"/users/{path_part('user', user)}"
    return path if team is None else f"{path}/teams/{path_part('team', team)}"
