"""The Helm chart, rendered by Helm itself and checked against the schemas of the oldest and newest Kubernetes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from adaptive_engine import __version__
from adaptive_engine.settings import Settings
from deploy.tools import ROOT, run

SECRETS = {"appSecret": "s" * 32, "adminApiKey": "k" * 20}
POSTGRESQL = {**SECRETS, "databaseUrl": "postgresql://adaptive:word@db.example/adaptive"}
CASES: dict[str, dict[str, Any]] = {
    "one": SECRETS,
    "own secret": {"existingSecret": "ours", "replicas": 3},
    "everything": {
        **POSTGRESQL,
        "autoscaling": {"enabled": True},
        "ingress": {"enabled": True, "host": "llm.example", "className": "nginx", "tlsSecret": "tls"},
        "settings": {"ADAPTIVE_ENGINE__MAX_RUNNING": "32"},
        "storage": {"className": "fast"},
        "imagePullSecrets": [{"name": "registry"}],
        "podAnnotations": {"team": "models"},
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "cpu", "operator": "Exists"}],
        "drainSeconds": 60,
    },
    "no secret": {},
    "two without PostgreSQL": {**SECRETS, "replicas": 2},
    "both kinds of secret": {**SECRETS, "existingSecret": "ours"},
    "ingress without host": {**SECRETS, "ingress": {"enabled": True}},
    "short secret": {**SECRETS, "appSecret": "short"},
    "misspelled": {**SECRETS, "repicas": 1},
    "two drains": {**SECRETS, "settings": {"ADAPTIVE_SERVER__DRAIN_SECONDS": "90"}},
    "own hosts": {
        **SECRETS,
        "ingress": {"enabled": True, "host": "llm.example"},
        "settings": {"ADAPTIVE_SERVER__ALLOWED_HOSTS": "llm.example,chat.example"},
    },
    "number as a setting": {**SECRETS, "settings": {"ADAPTIVE_ENGINE__MAX_RUNNING": 32}},
}


@pytest.fixture(scope="module")
def examined() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("python", "tests/deploy/examine.py", stdin=json.dumps(CASES)))
    return found


def pod(case: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = case["StatefulSet demo-adaptive-engine"]["spec"]["template"]["spec"]
    return spec


def test_helm_finds_nothing_wrong(examined: dict[str, Any]) -> None:
    assert [message for message in examined["lint"]["messages"] if message["severity"] > 1] == []
    assert examined["lint"]["errors"] == []


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("no secret", "Set existingSecret, or appSecret and adminApiKey"),
        ("two without PostgreSQL", "set databaseUrl"),
        ("both kinds of secret", "leave appSecret"),
        ("ingress without host", "ingress.host"),
        ("short secret", "/appSecret"),
        ("misspelled", "'repicas' not allowed"),
        ("two drains", "settings.ADAPTIVE_SERVER__DRAIN_SECONDS: set drainSeconds instead"),
        ("number as a setting", "/settings/ADAPTIVE_ENGINE__MAX_RUNNING"),
    ],
)
def test_wrong_values_say_what_is_wrong(examined: dict[str, Any], case: str, reason: str) -> None:
    assert reason in examined["cases"][case]["refused"]


@pytest.mark.parametrize("case", ["one", "own secret", "everything"])
def test_a_pod_has_no_more_rights_than_it_needs(examined: dict[str, Any], case: str) -> None:
    spec = pod(examined["cases"][case])
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/data", "/tmp"}
    assert "k" * 20 not in json.dumps(spec)


def test_probes_ask_what_the_server_answers(examined: dict[str, Any]) -> None:
    (container,) = pod(examined["cases"]["one"])["containers"]
    paths = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")}
    assert paths == {"startup": "/readyz", "liveness": "/livez", "readiness": "/readyz"}


def test_a_server_gets_the_time_to_end_its_requests(examined: dict[str, Any]) -> None:
    spec = pod(examined["cases"]["everything"])
    variables = {variable["name"]: variable["value"] for variable in spec["containers"][0]["env"]}
    assert variables["ADAPTIVE_SERVER__DRAIN_SECONDS"] == "60"
    unready = int(variables["ADAPTIVE_SERVER__UNREADY_SECONDS"])
    assert unready > 0, "Kubernetes goes on sending requests until all of it has heard"
    assert spec["terminationGracePeriodSeconds"] > 60 + unready


def test_no_variable_is_given_twice(examined: dict[str, Any]) -> None:
    variables = pod(examined["cases"]["own hosts"])["containers"][0]["env"]
    names = [variable["name"] for variable in variables]
    assert len(names) == len({*names})
    assert {"name": "ADAPTIVE_SERVER__ALLOWED_HOSTS", "value": "llm.example,chat.example"} in variables


def test_several_servers_are_scaled_and_kept(examined: dict[str, Any]) -> None:
    found = examined["cases"]["everything"]
    assert "replicas" not in found["StatefulSet demo-adaptive-engine"]["spec"]
    scaler = found["HorizontalPodAutoscaler demo-adaptive-engine"]["spec"]
    assert scaler["scaleTargetRef"]["kind"] == "StatefulSet"
    assert found["PodDisruptionBudget demo-adaptive-engine"]["spec"]["maxUnavailable"] == 1
    assert found["Ingress demo-adaptive-engine"]["spec"]["tls"] == [{"hosts": ["llm.example"], "secretName": "tls"}]


def test_secrets_are_in_a_secret(examined: dict[str, Any]) -> None:
    made = examined["cases"]["everything"]["Secret demo-adaptive-engine"]["stringData"]
    assert made["ADAPTIVE_DB__URL"] == POSTGRESQL["databaseUrl"]
    own = examined["cases"]["own secret"]
    assert not [name for name in own if name.startswith("Secret")]
    assert pod(own)["containers"][0]["envFrom"] == [{"secretRef": {"name": "ours"}}]


def test_the_chart_is_for_this_version() -> None:
    chart = (ROOT / "deploy/helm/adaptive-engine/Chart.yaml").read_text()
    assert f'appVersion: "{__version__}"' in chart
    assert f"version: {__version__}" in chart


def test_every_variable_of_the_chart_is_a_setting(examined: dict[str, Any]) -> None:
    found = examined["cases"]["everything"]
    variables = {variable["name"] for variable in pod(found)["containers"][0]["env"]}
    for name in variables | found["Secret demo-adaptive-engine"]["stringData"].keys():
        area, _, field = name.removeprefix("ADAPTIVE_").lower().partition("__")
        known = Settings.model_fields[area]
        assert not field or field in type(known.default).model_fields, name
