"""Every route: 401 without a key, 403 when just the permission it needs is missing, 404 for what is another's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from adaptive_engine.permissions import ALL
from adaptive_engine.server.lifespan import Services
from adaptive_engine.server.middleware import PUBLIC_PATHS
from adaptive_engine.store import interactions, projects, roles
from adaptive_engine.types import AccessRole, Interaction, Project, now_ms, uuid7

COMPLETION = uuid7()
"""In the default project."""
DELETED = uuid7()
OTHER = uuid7()
"""Nothing has this id."""
PROJECT, UNKNOWN = "default", "unknown"
"""Of one length, so that the answers are."""


@dataclass(frozen=True)
class Needs:
    """A request that is in order. `{project}` and `{completion}` in it are replaced; `{other}` is any other name."""

    permission: str | None
    """None: any key will do."""
    body: Any = None
    query: dict[str, str] = field(default_factory=dict)
    addresses: str | None = "{project}"
    """What another's key must not find, None where nothing in a project is addressed."""


ROUTES = {
    ("POST", "/chat/completions"): Needs(
        "completion:create", {"model": "{project}", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
    ),
    ("GET", "/models"): Needs("project:read", query={"project": "{project}"}),
    ("GET", "/models/{model:path}"): Needs("project:read"),
    ("POST", "/structured/validate"): Needs("completion:create", {"model": "{project}", "schema": {"type": "string"}}),
    ("POST", "/interactions"): Needs(
        "interaction:create",
        {"project": "{project}", "messages": [{"role": "user", "content": "Hi"}], "completion": "Hello."},
    ),
    ("GET", "/interactions"): Needs("interaction:read", query={"project": "{project}"}),
    ("GET", "/interactions/{completion_id}"): Needs("interaction:read", addresses="{completion}"),
    ("PATCH", "/interactions/{completion_id}"): Needs(
        "interaction:update", {"add": {"seen": "yes"}}, addresses="{completion}"
    ),
    ("DELETE", "/interactions/{completion_id}"): Needs("interaction:delete", addresses="{completion}"),
    ("POST", "/interactions/search"): Needs("interaction:read", {"project": "{project}"}),
    ("POST", "/interactions/groups"): Needs("interaction:read", {"project": "{project}", "group_by": "model"}),
    ("POST", "/interactions/delete"): Needs("interaction:delete", {"project": "{project}", "user": "nobody"}),
    ("GET", "/interactions/export"): Needs("interaction:read", query={"project": "{project}"}),
    ("POST", "/interactions/export"): Needs("interaction:read", {"project": "{project}"}),
    ("GET", "/images/{project_id}/{filename}"): Needs("interaction:read"),
    ("GET", "/labels"): Needs("interaction:read", query={"project": "{project}"}),
    ("POST", "/metrics"): Needs("metric:manage", {"project": "{project}", "key": "csat"}),
    ("GET", "/metrics"): Needs("project:read", query={"project": "{project}"}),
    ("GET", "/metrics/{key:path}"): Needs("project:read", query={"project": "{project}"}),
    ("POST", "/feedback"): Needs(
        "score:create", {"completion_id": "{completion}", "metric": "csat", "value": 1}, addresses="{completion}"
    ),
    ("PATCH", "/metrics/{key:path}"): Needs("metric:manage", {"name": "CSAT"}, {"project": "{project}"}),
    ("DELETE", "/metrics/{key:path}"): Needs("metric:manage", query={"project": "{project}"}),
    ("GET", "/metrics/{key:path}/statistics"): Needs("project:read", query={"project": "{project}"}),
    ("POST", "/comparison"): Needs(
        "score:create",
        {
            "project": "{project}",
            "metric": "csat",
            "preferred_completion": "{completion}",
            "other_completion": str(OTHER),
        },
    ),
    ("POST", "/outcome"): Needs(
        "score:create", {"project_id": "{project}", "metric": "csat", "session_id": str(OTHER), "value": 1}
    ),
    ("GET", "/outcomes"): Needs("interaction:read", query={"project": "{project}", "session_id": str(OTHER)}),
    ("POST", "/ab_tests"): Needs(
        "ab_test:manage", {"project": "{project}", "key": "{other}", "metric": "csat", "models": ["a", "b"]}
    ),
    ("GET", "/ab_tests"): Needs("project:read", query={"project": "{project}"}),
    ("GET", "/ab_tests/{key:path}"): Needs("project:read", query={"project": "{project}"}),
    ("GET", "/ab_tests/{key:path}/series"): Needs("project:read", query={"project": "{project}"}),
    ("POST", "/ab_tests/{key:path}/cancel"): Needs("ab_test:manage", query={"project": "{project}"}),
    ("POST", "/graders"): Needs(
        "grader:manage", {"project": "{project}", "key": "{other}", "criteria": "Polite.", "model": "nobody"}
    ),
    ("GET", "/graders"): Needs("interaction:read", query={"project": "{project}"}),
    ("GET", "/graders/{key:path}"): Needs("interaction:read", query={"project": "{project}"}),
    ("PATCH", "/graders/{key:path}"): Needs("grader:manage", {"enabled": False}, {"project": "{project}"}),
    ("DELETE", "/graders/{key:path}"): Needs("grader:manage", query={"project": "{project}"}),
    ("POST", "/graders/{key:path}/run"): Needs("grader:manage", {}, {"project": "{project}"}),
    ("POST", "/graders/{key:path}/cancel"): Needs("grader:manage", query={"project": "{project}"}),
    ("POST", "/graders/{key:path}/try"): Needs(
        "grader:manage", {"completion_id": "{completion}"}, {"project": "{project}"}
    ),
    ("POST", "/projects"): Needs("project:create", {"key": "{other}"}, addresses=None),
    ("GET", "/projects"): Needs(None),
    ("GET", "/projects/{project}"): Needs("project:read"),
    ("PATCH", "/projects/{project}"): Needs("project:update", {"name": "Default"}),
    ("POST", "/projects/{project}/archive"): Needs("project:archive"),
    ("POST", "/projects/{project}/unarchive"): Needs("project:archive"),
    ("GET", "/projects/{project}/models"): Needs("project:read"),
    ("POST", "/projects/{project}/models"): Needs("model:deploy", {"model": "nobody"}),
    ("GET", "/projects/{project}/models/{model}"): Needs("project:read"),
    ("PATCH", "/projects/{project}/models/{model}"): Needs("model:deploy", {"desired_online": True}),
    ("DELETE", "/projects/{project}/models/{model}"): Needs("model:deploy"),
    ("GET", "/projects/{project}/shares"): Needs("project:read"),
    ("PUT", "/projects/{project}/shares"): Needs(
        "project:share", {"shares": [{"team": "default", "role": "admin", "is_owner": True}]}
    ),
    ("GET", "/projects/{project}/usage"): Needs("project:read"),
    ("GET", "/projects/{project}/traffic"): Needs("project:read"),
    ("GET", "/admin/models"): Needs("admin:manage_models", addresses=None),
    ("GET", "/admin/models/{key}"): Needs("admin:manage_models", addresses=None),
    ("PATCH", "/admin/models/{key}"): Needs("admin:manage_models", {"compute_config": {}}, addresses=None),
    ("POST", "/admin/models/external"): Needs(
        "admin:manage_models", {"name": "e", "provider": "fake", "external_model_id": "e"}, addresses=None
    ),
    ("PATCH", "/admin/models/{key}/external"): Needs("admin:manage_models", {"prices": None}, addresses=None),
    ("POST", "/admin/models/{model}/deploy"): Needs("model:deploy", {"project": "{project}"}),
    ("PATCH", "/admin/models/{model}/deployments/{project}"): Needs("model:deploy", {"desired_online": True}),
    ("POST", "/admin/models/{key}/terminate"): Needs("admin:manage_models", addresses=None),
    ("GET", "/admin/imports"): Needs("admin:manage_models", addresses=None),
    ("POST", "/admin/imports"): Needs("admin:manage_models", {"name": "nobody"}, addresses=None),
    ("GET", "/admin/imports/sources"): Needs("admin:manage_models", addresses=None),
    ("GET", "/admin/imports/{import_id}"): Needs("admin:manage_models", addresses=None),
    ("POST", "/admin/imports/{import_id}/cancel"): Needs("admin:manage_models", addresses=None),
    ("GET", "/me"): Needs(None),
    ("GET", "/users"): Needs("admin:manage_users", addresses=None),
    ("POST", "/users"): Needs("admin:manage_users", {"name": "Eve", "email": "{other}@example.com"}, addresses=None),
    ("GET", "/users/{user}"): Needs("admin:manage_users", addresses=None),
    ("DELETE", "/users/{user}"): Needs("admin:manage_users", addresses=None),
    ("PUT", "/users/{user}/teams/{team}"): Needs("admin:manage_teams", {"role": "annotator"}, addresses=None),
    ("DELETE", "/users/{user}/teams/{team}"): Needs("admin:manage_teams", addresses=None),
    ("GET", "/teams"): Needs(None),
    ("POST", "/teams"): Needs("admin:manage_teams", {"key": "{other}"}, addresses=None),
    ("DELETE", "/teams/{team}"): Needs("admin:manage_teams", addresses=None),
    ("GET", "/permissions"): Needs(None),
    ("GET", "/roles"): Needs(None),
    ("POST", "/roles"): Needs("admin:manage_roles", {"key": "{other}", "permissions": []}, addresses=None),
    ("PATCH", "/roles/{role}"): Needs("admin:manage_roles", {"permissions": []}, addresses=None),
    ("DELETE", "/roles/{role}"): Needs("admin:manage_roles", addresses=None),
    ("GET", "/keys"): Needs(None),
    ("POST", "/keys"): Needs("project:share", {"name": "app", "role": "read-only", "project": "{project}"}),
    ("PATCH", "/keys/{key}"): Needs(None, {"limits": None}),
    ("DELETE", "/keys/{key}"): Needs(None),
    ("POST", "/sign_in"): Needs(None),
    ("DELETE", "/sign_in"): Needs(None),
}

PROTECTED = [(route, needs) for route, needs in ROUTES.items() if needs.permission is not None]
ADDRESSED = [(route, needs) for route, needs in PROTECTED if needs.addresses is not None]


def named(route: tuple[str, str]) -> str:
    return " ".join(route)


@pytest.fixture(scope="module", autouse=True)
def _filled(services: Services) -> None:
    """A completion, a second project, and for each permission a role with all but that and one with only that."""
    with services.database.write() as connection:
        default = projects.get_by_key(connection, PROJECT)
        assert default is not None
        projects.create(connection, Project(uuid7(), "elsewhere", "", "", now_ms()))
        rows = [
            Interaction(id_, default.id, uuid7(), [], "complete", "OFFLINE", now_ms()) for id_ in (COMPLETION, DELETED)
        ]
        interactions.insert(connection, rows)
        for permission in ALL:
            for key, permitted in (
                (f"without {permission}", ALL - {permission}),
                (f"only {permission}", {permission, "project:read"}),
            ):
                roles.create(connection, AccessRole(uuid7(), key, key, frozenset(permitted), now_ms()))
    services.routing.refresh()


def key(services: Services, role: str, project: str | None = None) -> str:
    with services.database.read() as connection:
        found = projects.get_by_key(connection, project) if project else None
    return services.keys.create("test", role, found.id if found else None)[1]


async def send(
    client: httpx2.AsyncClient,
    route: tuple[str, str],
    needs: Needs,
    api_key: str | None,
    project: str = PROJECT,
    completion: Any = COMPLETION,
) -> httpx2.Response:
    names = {"project": project, "completion": str(completion), "other": f"new-{uuid4().hex[:8]}"}

    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: filled(item) for name, item in value.items()}
        if isinstance(value, list):
            return [filled(item) for item in value]
        return value.format(**names) if isinstance(value, str) else value

    method, path = route
    path = path.replace("{model:path}", f"{project}/tiny").replace("{completion_id}", str(completion))
    path = path.replace("{project_id}", project).replace("{filename}", "0.png")
    path = path.replace("{project}", project).replace("{key:path}", "csat")
    for name in ("user", "team", "role", "key", "model"):
        path = path.replace(f"{{{name}}}", "nobody")
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    return await client.request(method, path, json=filled(needs.body), params=filled(needs.query), headers=headers)


def test_the_table_has_every_route(app: Any) -> None:
    while not isinstance(app, FastAPI):
        app = app.app
    found = {(method, route.path) for route in iter_route_contexts(app.routes) for method in route.methods or ("any",)}
    public = {route for route in found if route[1] in PUBLIC_PATHS}
    assert {path for _, path in public} == PUBLIC_PATHS
    rest = {(method, f"/api/v1{path}") for method, path in ROUTES}
    # What a GraphQL operation needs, its resolvers say: tests/integration/test_vendor_platform.py.
    # What /metrics needs: test_telemetry.py.
    elsewhere = {("POST", "/api/graphql"), ("GET", "/images/{project_id}/{filename}"), ("GET", "/metrics")}
    assert found - public == rest | elsewhere


@pytest.mark.parametrize(("route", "needs"), ROUTES.items(), ids=map(named, ROUTES))
async def test_without_a_key_nothing_is_told(client: httpx2.AsyncClient, route: tuple[str, str], needs: Needs) -> None:
    refused = await send(client, route, needs, None)
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "missing_api_key")


@pytest.mark.parametrize(("route", "needs"), PROTECTED, ids=[named(route) for route, _ in PROTECTED])
async def test_all_permissions_but_the_one_are_not_enough(
    services: Services, client: httpx2.AsyncClient, route: tuple[str, str], needs: Needs
) -> None:
    project = PROJECT if needs.addresses else None
    refused = await send(client, route, needs, key(services, f"without {needs.permission}", project))
    error = refused.json()["error"]
    if needs.permission == "project:read":
        # Who may not see a project is not told that there is one.
        assert (refused.status_code, error["code"]) == (404, "project_not_found")
    else:
        assert (refused.status_code, error["code"]) == (403, "permission_denied"), error
        assert f"it lacks '{needs.permission}'" in error["message"]
        assert "adaptive keys create NAME --role" in error["message"]


@pytest.mark.parametrize(("route", "needs"), PROTECTED, ids=[named(route) for route, _ in PROTECTED])
async def test_the_one_permission_is_enough(
    services: Services, client: httpx2.AsyncClient, route: tuple[str, str], needs: Needs
) -> None:
    project = PROJECT if needs.addresses else None
    # Others need the first one.
    completion = DELETED if route[0] == "DELETE" else COMPLETION
    answer = await send(client, route, needs, key(services, f"only {needs.permission}", project), completion=completion)
    if answer.status_code == 403:
        # It may share, and has nothing that it could give.
        assert needs.permission == "project:share"
        assert "nobody can give what they do not have" in answer.json()["error"]["message"]
    elif answer.status_code >= 400:
        # All is in order but for what the path names.
        assert (answer.status_code, answer.json()["error"]["code"]) in {
            *((404, f"{noun}_not_found") for noun in ("user", "team", "role", "key", "metric", "model")),
            *(
                (404, f"{noun}_not_found")
                for noun in ("ab_test", "grader", "interaction", "session", "image", "import")
            ),
            (503, "model_loading"),
        }


@pytest.mark.parametrize(("route", "needs"), ADDRESSED, ids=[named(route) for route, _ in ADDRESSED])
async def test_what_is_anothers_looks_like_what_is_not_there(
    services: Services, client: httpx2.AsyncClient, route: tuple[str, str], needs: Needs
) -> None:
    foreigner = key(services, "admin", "elsewhere")
    nowhere = uuid7()
    foreign = await send(client, route, needs, foreigner)
    unknown = await send(client, route, needs, foreigner, UNKNOWN, nowhere)
    assert foreign.status_code == unknown.status_code == 404
    anonymous = foreign.text.replace(PROJECT, UNKNOWN).replace(str(COMPLETION), str(nowhere))
    assert anonymous == unknown.text
    assert _told(foreign) == _told(unknown)


def _told(answer: httpx2.Response) -> dict[str, str]:
    """The headers, but for those of the moment."""
    return {k: v for k, v in answer.headers.items() if k not in {"x-request-id", "openai-processing-ms"}}


async def test_scores_beside_a_logged_interaction_need_their_own_permission(
    services: Services, client: httpx2.AsyncClient
) -> None:
    route = ("POST", "/interactions")
    body = {**ROUTES[route].body, "feedbacks": [{"metric": "csat", "value": 1}]}
    refused = await send(client, route, Needs(None, body), key(services, "without score:create", PROJECT))
    assert refused.status_code == 403
    assert "score:create" in refused.json()["error"]["message"]


SCORED = 'mutation($id: UUID!) { addDirectScore(completionId: $id, metricId: "csat", input: {value: 1}) { id } }'


async def test_who_may_not_score_is_told_so_also_where_the_project_is_found_by_what_is_scored(
    services: Services, client: httpx2.AsyncClient
) -> None:
    with services.database.read() as connection:
        session = interactions.load(connection, [COMPLETION])[0].interaction.session_id
    answers = {"preferred_completion": str(COMPLETION), "other_completion": str(OTHER)}
    compared = (("POST", "/comparison"), {"metric": "csat", **answers})
    ended = (("POST", "/outcome"), {"metric": "csat", "session_id": str(session), "value": 1})
    for route, body in (compared, ended):
        refused = await send(client, route, Needs(None, body), key(services, "without score:create", PROJECT))
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "permission_denied")
        hidden = await send(client, route, Needs(None, body), key(services, "admin", "elsewhere"))
        assert hidden.status_code == 404
    for role, project, code in (
        ("without score:create", PROJECT, "permission_denied"),
        ("admin", "elsewhere", "interaction_not_found"),
    ):
        asked = {"query": SCORED, "variables": {"id": str(COMPLETION)}}
        headers = {"Authorization": f"Bearer {key(services, role, project)}"}
        answer = await client.post("http://server/api/graphql", json=asked, headers=headers)
        assert answer.json()["errors"][0]["extensions"]["code"] == code, answer.text


async def test_a_grader_shows_its_reasons_to_who_reads_interactions(
    services: Services, client: httpx2.AsyncClient
) -> None:
    grader = {"key": "spy", "criteria": "Quote it.", "model": "tiny", "sampling_rate": 0}
    made = await send(
        client, ("POST", "/graders"), Needs(None, {"project": "{project}", **grader}), key(services, "admin")
    )
    assert made.status_code == 201, made.text
    tried = ROUTES["POST", "/graders/{key:path}/try"]
    refused = await send(
        client, ("POST", "/graders/spy/try"), tried, key(services, "without interaction:read", PROJECT)
    )
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "permission_denied")
    assert "interaction:read" in refused.json()["error"]["message"]


async def test_values_of_labels_are_for_who_reads_interactions(services: Services, client: httpx2.AsyncClient) -> None:
    route = ("GET", "/metrics/latency/statistics")
    grouped = Needs(None, query={"project": "{project}", "group_by": "label:customer"})
    refused = await send(client, route, grouped, key(services, "without interaction:read", PROJECT))
    assert refused.status_code == 403
    assert "interaction:read" in refused.json()["error"]["message"]
    assert (await send(client, route, grouped, key(services, "only interaction:read", PROJECT))).status_code == 200
