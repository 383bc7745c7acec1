"""Projects and the settings of their models, from the outside."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests
from openai import OpenAI

from adaptive_engine.registry import ModelDirectory
from adaptive_engine.sdk import Adaptive, BadRequestError, ConflictError, NotFoundError, PermissionDeniedError
from adaptive_engine.services import models as service
from adaptive_engine.services.keys import KeyRing, load_pepper
from adaptive_engine.store import Database, projects
from integration.commands import CommandLine
from integration.server import MODEL, Server, place_model, start
from integration.wire import PROMPT, ask, chat, interaction, listed, post, stream, streamed_text, text, unique
from integration.wire import chunks as chunks_of

ENVIRONMENT = {"ADAPTIVE_ENGINE__KV_CACHE_LEN": "8192"}
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}, "big": {"type": "boolean"}},
    "required": ["city", "big"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "city", "schema": CITY, "complete": True}}


@pytest.fixture(scope="module")
def data_dir(
    shallow_model_dir: ModelDirectory, small_model_dir: ModelDirectory, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    data_dir = tmp_path_factory.mktemp("projects")
    place_model(shallow_model_dir.path, data_dir)
    tiny = place_model(small_model_dir.path, data_dir, "tiny")
    with closing(Database.open(data_dir / "adaptive.db")) as database, database.write() as connection:
        service.register(connection, tiny)
    return data_dir


@pytest.fixture(scope="module")
def server(data_dir: Path) -> Iterator[Server]:
    running = start(data_dir, env=ENVIRONMENT, quick=True)
    yield running
    assert running.stop() == 0, running.log.read_text()


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Adaptive]:
    with Adaptive(server.url, server.api_key) as client:
        yield client


@pytest.fixture
def project(client: Adaptive) -> str:
    """A project of its own with the default model."""
    made = client.projects.create(name=unique())
    client.models.attach(MODEL, wait=True, project=made.key)
    return made.key


def key_for(data_dir: Path, role: str, project: str) -> str:
    """A key that may do in one project what the role says."""
    with closing(Database.open(data_dir / "adaptive.db")) as database:
        with database.read() as connection:
            found = projects.get_by_key(connection, project)
        assert found is not None
        return KeyRing(database, load_pepper(data_dir)).create(role, role, found.id)[1]


def call(server: Server, method: str, path: str, body: Any = None, key: str = "") -> requests.Response:
    headers = {"Authorization": f"Bearer {key or server.api_key}"}
    return requests.request(method, f"{server.api}{path}", json=body, headers=headers, timeout=60)


def test_s9_a_new_project_answers_when_it_has_a_model(server: Server, client: Adaptive) -> None:
    made = client.projects.create("Web-Shop", "Web shop", "Of the web team")
    assert (made.key, made.name, made.description, made.archived_at) == (
        "Web-Shop",
        "Web shop",
        "Of the web team",
        None,
    )
    assert "model:deploy" in made.permissions
    empty = ask(server, model="Web-Shop")
    assert (empty.status_code, empty.json()["error"]["code"]) == (404, "no_default_model")
    client.models.attach(MODEL, wait=True, project="Web-Shop")
    # What was committed counts at once: nothing is waited for.
    for spelling in ("Web-Shop", "Web-Shop/", f"Web-Shop/{MODEL}"):
        answer = chat(server, model=spelling)
        assert answer["choices"][0]["model"] == MODEL
        assert interaction(server, answer)["project"] == "Web-Shop"
    assert client.projects.get(str(made.id)) == client.projects.get("Web-Shop") == made
    assert "Web-Shop" in [found.key for found in client.projects.list()]


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({}, 400, "key"),
        ({"key": "a/b"}, 400, "key"),
        ({"key": "new"}, 400, "key"),
        ({"name": " "}, 400, "name"),
        ({"key": "x", "team": "y"}, 404, "team"),
        ({"key": "default"}, 409, "key"),
        ({"key": "x", "settings": {"default_metric": "nothing"}}, 404, "settings.default_metric"),
    ],
)
def test_mistakes_with_projects_are_named(server: Server, body: Any, status: int, param: str) -> None:
    refused = call(server, "POST", "/projects", body)
    assert (refused.status_code, refused.json()["error"]["param"]) == (status, param), refused.text
    assert call(server, "GET", "/projects/x").status_code == 404


def test_a_project_is_changed(server: Server, client: Adaptive, project: str) -> None:
    client.feedback.register_key("helpful", kind="bool", project=project)
    changed = client.projects.update(project, name="New name", settings={"default_metric": "helpful"})
    assert (changed.key, changed.name, changed.settings.default_metric) == (project, "New name", "helpful")
    assert client.projects.update(project, settings={"default_metric": None}).settings.default_metric is None
    client.projects.update(project, settings={"default_metric": "helpful"})
    client.feedback.delete_key("helpful", project=project)
    without = client.projects.get(project)
    assert without is not None
    assert (without.name, without.settings.default_metric) == ("New name", None)
    refused = call(server, "PATCH", f"/projects/{project}", {"key": "other"})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "key")


def test_s11_use_case_is_the_older_name_of_project_in_every_query(server: Server, project: str) -> None:
    answer = chat(server, model=project, max_tokens=1)
    completion = answer["choices"][0]["completion_id"]
    for path in ("/interactions?limit=9&", f"/interactions/{completion}?", "/metrics?", "/models?"):
        old = call(server, "GET", f"{path}use_case={project}")
        new = call(server, "GET", f"{path}project={project}")
        assert (old.status_code, old.json()) == (200, new.json())
    assert call(server, "GET", "/metrics?use_case=nowhere").json()["error"]["code"] == "project_not_found"
    deployed = call(server, "POST", "/admin/models/tiny/deploy", {"use_case": project})
    assert deployed.status_code in (200, 202)


def test_an_archived_project_is_read_and_not_asked(server: Server, client: Adaptive, project: str) -> None:
    run = unique()
    answer = chat(server, model=project, max_tokens=1, labels={"run": run})
    client.models.attach("tiny", wait=True, project=project)
    tiny_elsewhere = [d.project for d in client.models.list_registered()[1].deployments if d.desired_online]
    for other in tiny_elsewhere:
        if other != project:
            client.models.update("tiny", desired_online=False, project=other)
    archived = client.projects.archive(project)
    assert archived.archived_at is not None
    refused = ask(server, model=project)
    error = refused.json()["error"]
    assert (refused.status_code, error["code"], error["param"]) == (409, "project_archived", "model")
    assert f"adaptive projects unarchive {project}" in error["message"]
    # A client must not try that again by itself.
    assert refused.headers["x-should-retry"] == "false"
    with pytest.raises(ConflictError, match="archived"):
        client.models.attach("tiny", project=project)
    with pytest.raises(ConflictError, match="archived"):
        client.feedback.register_key("late", project=project)
    # What only this project wanted is not in memory any more; what others want is.
    found = {model.key: model.state for model in client.models.list_registered()}
    assert (found["tiny"], found[MODEL]) == ("OFFLINE", "ONLINE")
    assert [found["labels"]["run"] for found in listed(server, f"run={run}", project=project)] == [run]
    assert interaction(server, answer)["project"] == project
    assert project not in [found.key for found in client.projects.list()]
    assert project in [found.key for found in client.projects.list(archived=True)]
    assert client.models.list(project) == []
    with pytest.raises(ConflictError, match="unarchive it"):
        client.projects.create(project)
    assert client.projects.unarchive(project).archived_at is None
    assert chat(server, model=project, max_tokens=1)
    assert client.models.get("tiny", project) is not None


def test_a_foreign_project_looks_like_none(server: Server, client: Adaptive, data_dir: Path, project: str) -> None:
    key = key_for(data_dir, "power_user", project)
    for method, path, body in (
        ("GET", "", None),
        ("PATCH", "", {"name": "x"}),
        ("POST", "/archive", None),
        ("GET", "/models", None),
        ("POST", "/models", {"model": "tiny"}),
        ("PATCH", f"/models/{MODEL}", {"settings": {}}),
        ("DELETE", f"/models/{MODEL}", None),
    ):
        foreign = call(server, method, f"/projects/default{path}", body, key)
        nothing = call(server, method, f"/projects/nowhere{path}", body, key)
        assert (foreign.status_code, foreign.json()["error"]["code"]) == (404, "project_not_found"), path
        assert foreign.text.replace("default", "nowhere") == nothing.text
    assert [found["key"] for found in call(server, "GET", "/projects", key=key).json()["data"]] == [project]


def test_who_may_deploy_in_a_project_needs_no_admin_key(client: Adaptive, server: Server, data_dir: Path) -> None:
    made = client.projects.create(name=unique())
    with Adaptive(server.url, key_for(data_dir, "power_user", made.key), made.key) as lead:
        attached = lead.models.attach("tiny", wait=True, settings={"temperature": 0.5})
        assert (attached.state, [d.project for d in attached.deployments]) == ("ONLINE", [made.key])
        assert attached.deployments[0].settings is not None
        assert attached.deployments[0].settings.temperature == 0.5
        assert lead.models.add_to_project(MODEL).deployments[0].desired_online is False
        assert lead.models.update(MODEL, desired_online=True).state == "ONLINE"
        with pytest.raises(PermissionDeniedError):
            lead.models.terminate("tiny")
        with pytest.raises(PermissionDeniedError, match="project:create"):
            lead.projects.create("mine")
    with Adaptive(server.url, key_for(data_dir, "inference", made.key), made.key) as app:
        for refused in (lambda: app.models.attach("tiny"), lambda: app.models.detach("tiny")):
            with pytest.raises(PermissionDeniedError, match="model:deploy"):
                refused()
        found = app.models.get("tiny", made.key)
        # It sends requests; the system prompt is not for it to see.
        assert found is not None
        assert found.deployments[0].settings is None
        cards = {card.id: card for card in app.models.list()}
        card = cards[f"{made.key}/tiny"]
        assert (card.settings, card.tags) == (["temperature"], ["Text"])


def test_s104_a_response_format_setting_constrains_answers(server: Server, client: Adaptive, project: str) -> None:
    client.models.update(MODEL, project=project, settings={"response_format": FORMAT, "max_tokens": 60})
    asked = {"model": project, "temperature": 1.0, "max_tokens": None}
    answer = chat(server, **asked)
    assert json.loads(text(answer)).keys() == {"city", "big"}
    stored = interaction(server, answer)
    assert stored["parameters"]["response_format"]["json_schema"]["schema"] == CITY
    assert stored["parameters"]["max_tokens"] == 60
    assert json.loads(streamed_text(chunks_of(stream(server, **asked)))).keys() == {"city", "big"}
    with OpenAI(base_url=server.api, api_key=server.api_key) as openai:
        completion = openai.chat.completions.create(model=project, messages=PROMPT)  # type: ignore[arg-type]
        assert json.loads(completion.choices[0].message.content or "").keys() == {"city", "big"}
    # A request may say otherwise.
    free = chat(server, **{**asked, "temperature": 0}, response_format={"type": "text"})
    assert not text(free).startswith("{")


def test_the_system_prompt_reaches_the_model(server: Server, client: Adaptive, project: str) -> None:
    prompt = "You are {{ name }}, a pirate with {{ legs }} leg. Answer with: Arrr."
    client.models.update(MODEL, project=project, settings={"system_prompt": prompt})
    arguments = {"name": "Long John", "legs": 1}
    answer = chat(server, model=project, system_prompt_args=arguments)
    rendered = "You are Long John, a pirate with 1 leg. Answer with: Arrr."
    by_hand = chat(server, messages=[{"role": "system", "content": rendered}, *PROMPT])
    assert answer["usage"]["prompt_tokens"] == by_hand["usage"]["prompt_tokens"]
    assert text(answer) == text(by_hand)
    assert "warnings" not in answer
    stored = interaction(server, answer)
    assert stored["messages"] == PROMPT
    assert stored["parameters"]["system_prompt"] == rendered
    own = [{"role": "system", "content": "Be brief."}, *PROMPT]
    both = chat(server, model=project, messages=own, system_prompt_args=arguments)
    joined = [{"role": "system", "content": f"{rendered}\n\nBe brief."}, *PROMPT]
    assert both["usage"]["prompt_tokens"] == chat(server, messages=joined)["usage"]["prompt_tokens"]


def test_arguments_of_the_system_prompt_are_checked(server: Server, client: Adaptive, project: str) -> None:
    client.models.update(MODEL, project=project, settings={"system_prompt": "You are {{ name }}."})
    run = unique()
    for arguments in (None, {}, {"nam": "x"}, {"name": ["x"]}):
        refused = ask(server, model=project, system_prompt_args=arguments, labels={"run": run})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "system_prompt_args.name")
    assert listed(server, f"run={run}", project=project) == []
    answer = chat(server, model=project, system_prompt_args={"name": "Ada", "extra": 1}, max_tokens=1)
    assert [(w["code"], w["param"]) for w in answer["warnings"]] == [("not_applied", "system_prompt_args.extra")]
    without = chat(server, system_prompt_args={"name": "Ada"}, max_tokens=1)
    assert [warning["param"] for warning in without["warnings"]] == ["system_prompt_args"]


def test_settings_apply_to_requests_that_do_not_say(server: Server, client: Adaptive, project: str) -> None:
    settings = {"temperature": 0.0, "top_p": 0.5, "max_tokens": 3, "seed": 7, "stop": ["zzz"]}
    client.models.update(MODEL, project=project, settings=settings)  # type: ignore[arg-type]
    bare = {"model": project, "temperature": None, "max_tokens": None}
    answer = chat(server, **bare)
    assert answer["usage"]["completion_tokens"] == 3
    assert interaction(server, answer)["parameters"] == {**settings, "ignore_eos": False}
    assert chat(server, **{**bare, "max_completion_tokens": 5})["usage"]["completion_tokens"] == 5
    # Absent ones stay, null removes.
    changed = client.models.update(MODEL, project=project, settings={"seed": None, "top_p": 1.0})
    assert changed.deployments[0].settings is not None
    left = changed.deployments[0].settings.model_dump(exclude_none=True)
    assert left == {"temperature": 0.0, "top_p": 1.0, "max_tokens": 3, "stop": ["zzz"]}
    # In another project the model answers as before.
    assert chat(server, max_tokens=5)["usage"]["completion_tokens"] == 5


def test_a_limit_to_the_first_token_may_be_a_setting(server: Server, client: Adaptive, project: str) -> None:
    client.models.update(MODEL, project=project, settings={"max_ttft_ms": 1})
    long = [{"role": "user", "content": "word " * 1500}]
    for streamed in (False, True):
        late = ask(server, model=project, messages=long, stream=streamed)
        assert (late.status_code, late.json()["error"]["code"]) == (408, "ttft_timeout")
    assert ask(server, model=project, max_ttft_ms=60_000).status_code == 200


@pytest.mark.parametrize(
    ("settings", "param"),
    [
        ({"temperature": 3}, "settings.temperature"),
        ({"temperature": "warm"}, "settings.temperature"),
        ({"max_ttft_ms": 0}, "settings.max_ttft_ms"),
        ({"colour": 1}, "settings.colour"),
        ({"stop": [""]}, "settings.stop"),
        ({"system_prompt": ""}, "settings.system_prompt"),
        ({"system_prompt": "{{ a.b }}"}, "settings.system_prompt"),
        ({"response_format": {"type": "json_schema"}}, "settings.response_format"),
        ({"response_format": {"type": "text", "x": 1}}, "settings.response_format"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"items": {"type": "x"}}}}},
            "settings.response_format.json_schema.schema#/items/type",
        ),
        ({"response_format": FORMAT, "max_tokens": 2}, "settings.max_tokens"),
    ],
)
def test_settings_that_cannot_be_are_named(server: Server, settings: dict[str, Any], param: str) -> None:
    for method, path, body in (
        ("PATCH", f"/projects/default/models/{MODEL}", {"settings": settings}),
        ("POST", "/projects/default/models", {"model": MODEL, "settings": settings}),
    ):
        refused = call(server, method, path, body)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, param), refused.text
    kept = call(server, "GET", f"/projects/default/models/{MODEL}").json()["deployments"][0]["settings"]
    names = ("system_prompt", "temperature", "top_p", "max_tokens", "stop", "seed", "max_ttft_ms", "response_format")
    assert kept == dict.fromkeys((*names, "fallbacks"))


def test_a_schema_that_is_not_enforced_is_said_when_it_is_saved(client: Adaptive, project: str) -> None:
    schema = {"type": "array", "items": {"type": "string"}, "uniqueItems": True}
    wanted = {"type": "json_schema", "json_schema": {"schema": schema}}
    saved = client.models.update(MODEL, project=project, settings={"response_format": wanted})
    assert [warning.param for warning in saved.warnings] == ["settings.response_format.json_schema.schema#/uniqueItems"]
    strict = {"type": "json_schema", "json_schema": {"schema": schema, "strict": True}}
    with pytest.raises(BadRequestError, match="uniqueItems"):
        client.models.update(MODEL, project=project, settings={"response_format": strict})


def test_settings_are_checked_together(client: Adaptive, project: str) -> None:
    client.models.update(MODEL, project=project, settings={"max_tokens": 2})
    with pytest.raises(BadRequestError, match="an answer that matches the schema takes") as caught:
        client.models.update(MODEL, project=project, settings={"response_format": FORMAT})
    assert caught.value.param == "settings.max_tokens"
    saved = client.models.update(MODEL, project=project, settings={"response_format": FORMAT, "max_tokens": None})
    assert saved.warnings == []


def test_a_schema_is_checked_for_a_model_that_is_offline(client: Adaptive, project: str) -> None:
    client.models.add_to_project("tiny", project)
    client.models.terminate("tiny", force=True)
    wrong = {"type": "json_schema", "json_schema": {"schema": {"items": {"type": "x"}}}}
    with pytest.raises(BadRequestError, match="/items/type"):
        client.models.update("tiny", project=project, settings={"response_format": wrong})
    saved = client.models.update("tiny", project=project, settings={"response_format": FORMAT, "max_tokens": 40})
    # Settings alone load nothing.
    assert saved.state == "OFFLINE"


def test_detach(server: Server, client: Adaptive, project: str) -> None:
    client.models.attach("tiny", wait=True, project=project)
    with pytest.raises(ConflictError, match=r"Make another its default first \(tiny\)") as caught:
        client.models.detach(MODEL, project)
    assert caught.value.code == "default_model"
    answer = chat(server, model=f"{project}/tiny", max_tokens=1)
    assert client.models.detach("tiny", project)
    assert ask(server, model=f"{project}/tiny").json()["error"]["code"] == "model_not_found"
    assert client.models.get("tiny", project) is None
    # The log keeps what it did, the server its files.
    assert interaction(server, answer)["model"] == "tiny"
    assert client.models.get("tiny") is not None
    with pytest.raises(NotFoundError):
        client.models.detach("tiny", project)
    # The last one, though it is the default: nothing else could be.
    assert client.models.detach(MODEL, project)
    assert client.models.list(project) == []
    again = client.models.attach(MODEL, project=project)
    assert again.deployments[0].is_default
    assert again.state == "ONLINE"


def test_detached_by_force_the_default_leaves_none(server: Server, client: Adaptive, project: str) -> None:
    client.models.attach("tiny", wait=True, project=project)
    assert client.models.detach(MODEL, project, force=True)
    assert ask(server, model=project).json()["error"]["code"] == "no_default_model"


def test_what_only_a_detached_model_answered_ends(server: Server, client: Adaptive) -> None:
    made = client.projects.create(name=unique())
    client.models.terminate("tiny", force=True)
    client.models.attach("tiny", wait=True, project=made.key)
    body = {"model": made.key, "messages": PROMPT, "stream": True, "max_tokens": 4000, "ignore_eos": True}
    response = post(server, "/chat/completions", body, stream=True)
    lines = (line for line in response.iter_lines(chunk_size=None) if line.startswith(b"data: {"))
    next(lines)
    client.models.detach("tiny", made.key)
    last = json.loads(list(lines)[-1].removeprefix(b"data: "))
    assert last["error"]["code"] == "model_offline"
    found = client.models.get("tiny")
    assert found is not None
    assert found.state == "OFFLINE"


def test_the_command_line(server: Server, adaptive: CommandLine, tmp_path: Path) -> None:
    key = unique().replace(" ", "-")
    assert f"Project '{key}' is there" in adaptive(server, "projects", "create", key, "--name", "By hand")
    assert "By hand" in adaptive(server, "projects", "list")
    assert "is online" in adaptive(server, "models", "attach", MODEL, "--project", key)
    (tmp_path / "schema.json").write_text(json.dumps(CITY))
    (tmp_path / "prompt.txt").write_text("You are\n{{ name }}.")
    changes = [f"response_format=@{tmp_path}/schema.json", f"system_prompt=@{tmp_path}/prompt.txt", "temperature=0.25"]
    shown = adaptive(server, "models", "settings", MODEL, "--project", key, *changes)
    assert "temperature     0.25" in shown
    assert "You are\n                {{ name }}." in shown
    only = json.loads(adaptive(server, "models", "settings", MODEL, "system_prompt=", "--project", key, "--json"))
    assert only.keys() == {"temperature", "response_format"}
    assert only["response_format"]["json_schema"]["schema"] == CITY
    assert "is not NAME=VALUE" in adaptive(server, "models", "settings", MODEL, "colour=1", status=1)
    found = json.loads(adaptive(server, "projects", "show", key, "--json"))
    assert "model           smollm2-135m-instruct (default)" in adaptive(server, "projects", "show", found["id"])
    assert "is detached" in adaptive(server, "models", "detach", MODEL, "--project", key)
    assert "is archived" in adaptive(server, "projects", "archive", key)
    assert f"{key}  By hand" in adaptive(server, "projects", "list", "--archived")
    assert "is back" in adaptive(server, "projects", "unarchive", key)


def test_what_was_detached_or_archived_stays_so_after_a_restart(small_data_dir: Path) -> None:
    place_model(small_data_dir / "models" / MODEL, small_data_dir, "tiny")
    first = start(small_data_dir, env=ENVIRONMENT, quick=True)
    with Adaptive(first.url, first.api_key) as client:
        client.projects.create("second")
        client.models.attach(MODEL, project="second")
        client.models.detach(MODEL, "default")
        client.projects.archive("default")
    assert first.stop() == 0
    again = start(small_data_dir, env=ENVIRONMENT, quick=True)
    assert chat(again, model="second", max_tokens=1)
    assert ask(again).json()["error"]["code"] == "project_archived"
    with Adaptive(again.url, again.api_key) as client:
        client.projects.unarchive("default")
        assert client.models.list("default") == []
    assert again.stop() == 0
