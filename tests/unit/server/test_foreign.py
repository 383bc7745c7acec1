"""What belongs to a project of others cannot be told from what is not there, whatever names it: byte for byte."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
from graphql import (
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    get_named_type,
    is_enum_type,
    is_leaf_type,
)

from adaptive_engine.server.graphql import schema
from adaptive_engine.server.lifespan import Services
from adaptive_engine.services import ab_tests, graders, models
from adaptive_engine.services.ab_tests import NewAbTest
from adaptive_engine.store import interactions, metrics, projects
from adaptive_engine.store import models as store_models
from adaptive_engine.types import Interaction, Judge, Metric, Model, Project, now_ms, uuid7
from unit.server.asgi import Answer, send

OWN, FOREIGN, UNKNOWN = "own-1", "other-1", "unknown"
"""Keys of projects; the latter two have one length."""


class Ids:
    """Of one thing of each kind in the foreign project, or of nothing."""

    def __init__(self) -> None:
        self.project, self.completion, self.session, self.metric = uuid7(), uuid7(), uuid7(), uuid7()
        self.ab_test, self.grader, self.user = uuid7(), uuid7(), uuid7()


THERE, NOWHERE = Ids(), Ids()


@pytest.fixture(scope="module", autouse=True)
def _filled(services: Services) -> None:
    with services.database.write() as connection:
        for key, id_ in ((OWN, uuid7()), (FOREIGN, THERE.project)):
            projects.create(connection, Project(id_, key, key, "", now_ms()))
            for name in ("arm-a", "arm-b"):
                if store_models.get_by_key(connection, name) is None:
                    store_models.create(connection, Model(uuid7(), name, name, "internal", ("Text",), 8192, now_ms()))
        project = projects.get_by_key(connection, FOREIGN)
        assert project is not None
        for name in ("arm-a", "arm-b"):
            models.attach(connection, FOREIGN, name)
        row = Interaction(THERE.completion, project.id, THERE.session, [], "complete", "OFFLINE", now_ms(), "Yes.")
        interactions.insert(connection, [row])
        kind, better = "SCALAR", "HIGHER_IS_BETTER"
        metrics.create(
            connection, Metric(THERE.metric, project.id, "theirs", "Theirs", kind, better, "", None, now_ms())
        )
        wanted = NewAbTest(key="test-1", metric="theirs", models=["arm-a", "arm-b"])
        THERE.ab_test = ab_tests.create(connection, project, wanted).id
        THERE.grader = graders.create(connection, project.id, "judge-1", Judge("arm-a", "Polite.")).grader.id
        own = projects.get_by_key(connection, OWN)
        assert own is not None
        metrics.create(connection, Metric(uuid7(), own.id, "csat", "CSAT", kind, better, "", None, now_ms()))
        models.attach(connection, OWN, "arm-a")
    services.routing.refresh()


@pytest.fixture(scope="module")
def key(services: Services) -> str:
    """May do everything, in the own project alone."""
    with services.database.read() as connection:
        project = projects.get_by_key(connection, OWN)
    assert project is not None
    return services.keys.create("own", "admin", project.id)[1]


_MESSAGES = [{"role": "user", "content": "Hi"}]
_IN_OWN: dict[str, tuple[str, str, Any]] = {
    "read": ("GET", "/interactions/{completion}", None),
    "read in": ("GET", "/interactions/{completion}?project=own-1", None),
    "label": ("PATCH", "/interactions/{completion}", {"add": {"a": "b"}}),
    "delete": ("DELETE", "/interactions/{completion}", None),
    "list": ("GET", "/interactions?project=own-1&completion_id={completion}&count=true", None),
    "session": ("GET", "/interactions?project=own-1&session_id={session}&count=true", None),
    "created by": ("POST", "/interactions/search", {"project": OWN, "created_by": "{user}", "count": True}),
    "by test": ("POST", "/interactions/search", {"project": OWN, "filter": {"ab_test": {"eq": "{ab_test}"}}}),
    "by score": ("POST", "/interactions/search", {"project": OWN, "filter": {"scores": {"metric": "{metric}"}}}),
    "compared": ("POST", "/interactions/search", {"project": OWN, "filter": {"comparisons": {"metric": "{metric}"}}}),
    "delete some": ("POST", "/interactions/delete", {"project": OWN, "completion_id": "{completion}"}),
    "go on": ("GET", "/interactions/export?project=own-1&after={completion}", None),
    "pairs": ("GET", "/interactions/export?project=own-1&kind=preferences&metric={metric}", None),
    "score": ("POST", "/feedback", {"completion_id": "{completion}", "metric": "csat", "value": 1}),
    "by metric": ("POST", "/feedback", {"completion_id": "{completion}", "metric": "{metric}", "value": 1}),
    "compare": (
        "POST",
        "/comparison",
        {"metric": "csat", "preferred_completion": "{completion}", "other_completion": str(uuid7())},
    ),
    "compare in": (
        "POST",
        "/comparison",
        {"project": OWN, "metric": "csat", "preferred_completion": str(uuid7()), "other_completion": "{completion}"},
    ),
    "outcome": ("POST", "/outcome", {"session_id": "{session}", "metric": "csat", "value": 1}),
    "outcomes": ("GET", "/outcomes?project=own-1&session_id={session}", None),
    "metric": ("GET", "/metrics/{metric}?project=own-1", None),
    "statistics": ("GET", "/metrics/{metric}/statistics?project=own-1", None),
    "rename": ("PATCH", "/metrics/{metric}?project=own-1", {"name": "a"}),
    "drop": ("DELETE", "/metrics/{metric}?project=own-1", None),
    "test": ("GET", "/ab_tests/{ab_test}?project=own-1", None),
    "series": ("GET", "/ab_tests/{ab_test}/series?project=own-1", None),
    "cancel": ("POST", "/ab_tests/{ab_test}/cancel?project=own-1", None),
    "new test": (
        "POST",
        "/ab_tests",
        {"project": OWN, "key": "new", "metric": "{metric}", "models": ["arm-a", "arm-a"]},
    ),
    "grader": ("GET", "/graders/{grader}?project=own-1", None),
    "run": ("POST", "/graders/{grader}/run?project=own-1", {}),
    "campaign": ("POST", "/chat/completions", {"model": OWN, "messages": _MESSAGES, "ab_campaign": "{ab_test}"}),
    "log for": (
        "POST",
        "/interactions",
        {"project": OWN, "messages": _MESSAGES, "completion": "a", "ab_campaign": "{ab_test}"},
    ),
    "image": ("GET", "/images/{project}/0.png", None),
    "project": ("GET", "/projects/{project}", None),
    "project's models": ("GET", "/projects/{project}/models", None),
    "deploy there": ("POST", "/admin/models/tiny/deploy", {"project": "{project}"}),
    "key for it": ("POST", "/keys", {"name": "a", "role": "read-only", "project": "{project}"}),
    "chat": ("POST", "/chat/completions", {"model": "{project}", "messages": _MESSAGES}),
}


@pytest.mark.parametrize("what", _IN_OWN)
async def test_ids_of_others_are_ids_of_nothing(app: Any, key: str, what: str) -> None:
    foreign, unknown = [await _ask(app, key, _IN_OWN[what], ids) for ids in (THERE, NOWHERE)]
    assert foreign.told == (unknown.told[0], unknown.told[1], _renamed(unknown.body)), (foreign.body, unknown.body)
    assert foreign.status < 500


async def _ask(app: Any, key: str, request: tuple[str, str, Any], ids: Ids) -> Answer:
    method, path, body = request

    def filled(text: str) -> str:
        for name, value in vars(ids).items():
            text = text.replace(f"{{{name}}}", str(value))
        return text

    raw = b"" if body is None else filled(json.dumps(body)).encode()
    return await send(app, method, f"/api/v1{filled(path)}", raw, key=key)


def _renamed(body: bytes) -> bytes:
    for name, value in vars(NOWHERE).items():
        body = body.replace(str(value).encode(), str(getattr(THERE, name)).encode())
    return body.replace(UNKNOWN.encode(), FOREIGN.encode())


async def test_lists_have_nothing_of_others(app: Any, key: str) -> None:
    listing = ["/me", "/projects", "/models", "/keys", "/teams", "/roles", "/permissions"]
    listing += [
        f"/{noun}?project={OWN}" for noun in ("interactions", "metrics", "ab_tests", "graders", "labels", "models")
    ]
    listing += [f"/projects/{OWN}/{noun}" for noun in ("models", "shares", "usage", "traffic")]
    for path in listing:
        answer = await send(app, "GET", f"/api/v1{path}", key=key)
        assert answer.status == 200, (path, answer.body)
        for theirs in (FOREIGN, "theirs", "test-1", "judge-1", *map(str, vars(THERE).values())):
            assert theirs.encode() not in answer.body, (path, theirs)


def _operations() -> list[tuple[str, str, GraphQLField]]:
    found = []
    for executable in (schema.current(), schema.of_use_cases()):
        for word, root in (("query", executable.query_type), ("mutation", executable.mutation_type)):
            assert root is not None
            found += [(word, name, field) for name, field in root.fields.items() if field.args]
    return found


@pytest.mark.parametrize("by_id", [False, True], ids=["key", "id"])
async def test_graphql_tells_no_more(app: Any, key: str, by_id: bool) -> None:
    """Each field, with all of its arguments that can name something naming the foreign thing, and then nothing."""
    asked = 0
    for word, name, field in _operations():
        answers = []
        for project, ids in ((FOREIGN, THERE), (UNKNOWN, NOWHERE)):
            names = _Names(str(ids.project) if by_id else project, ids)
            arguments = {arg: names.value(arg, known.type, name) for arg, known in field.args.items()}
            declared = ", ".join(f"${arg}: {known.type}" for arg, known in field.args.items())
            passed = ", ".join(f"{arg}: ${arg}" for arg in field.args)
            selected = "" if is_leaf_type(get_named_type(field.type)) else " { __typename }"
            query = f"{word} Walk({declared}) {{ {name}({passed}){selected} }}"
            body = json.dumps({"query": query, "variables": arguments}).encode()
            answers.append(await send(app, "POST", "/api/graphql", body, key=key))
        foreign, unknown = answers
        assert foreign.told == (unknown.told[0], unknown.told[1], _renamed(unknown.body)), (name, foreign.body)
        for error in foreign.json().get("errors", ()):
            assert error.get("extensions", {}).get("status") != 500, (name, error)
            assert "variable" not in error["message"], (name, error)
        asked += 1
    assert asked > 50


class _Names:
    """Values for the arguments of GraphQL, by their types and by what their names say that they are."""

    def __init__(self, project: str, ids: Ids) -> None:
        self._project, self._ids = project, ids

    def value(self, name: str, kind: GraphQLInputType, root: str) -> Any:
        if isinstance(kind, GraphQLNonNull):
            return self.value(name, kind.of_type, root)
        if isinstance(kind, GraphQLList):
            return [self.value(name, kind.of_type, root)]
        if isinstance(kind, GraphQLInputObjectType):
            # Optional ones would mostly be refused before anything is looked up.
            return {
                field: self.value(field, known.type, root)
                for field, known in kind.fields.items()
                if isinstance(known.type, GraphQLNonNull) or self._names_something(field)
            }
        if is_enum_type(kind):
            return next(iter(kind.values))
        named = {"Int": 1, "Float": 1.0, "Boolean": False, "JSON": 1, "String": "text", "Key": "text", "UUID": None}
        if kind.name != "UUID" and kind.name in named:
            return named[kind.name]
        return str(self._id(root.lower(), name.lower()))

    def _names_something(self, field: str) -> bool:
        return field.lower() in {"project", "usecase", "completionid", "sessionid"}

    def _id(self, root: str, name: str) -> UUID | str:
        if "project" in name or name == "usecase":
            return self._project
        words = {"completion": self._ids.completion, "session": self._ids.session, "campaign": self._ids.ab_test}
        words |= {"metric": self._ids.metric, "user": self._ids.user}
        for word, found in words.items():
            if word in name or (name in {"idorkey", "id", "input"} and word in root):
                return found
        return self._project
