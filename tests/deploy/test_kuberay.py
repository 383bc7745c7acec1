"""The file for KubeRay: its pods against the schemas of Kubernetes, its application against Ray Serve's and ours."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from ray.serve.schema import ServeDeploySchema

from adaptive_engine import __version__
from adaptive_engine.deploy.ray.application import application as build
from adaptive_engine.deploy.ray.options import ReplicaOptions
from adaptive_engine.registry.catalog import DEFAULT_MODEL
from deploy.tools import ROOT, run

FILE = ROOT / "deploy/kuberay/adaptive-engine.yaml"


@pytest.fixture(scope="module")
def manifests() -> dict[str, dict[str, Any]]:
    return {manifest["kind"]: manifest for manifest in yaml.safe_load_all(FILE.read_text())}


def pods(manifests: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The templates of all pods."""
    cluster = manifests["RayService"]["spec"]["rayClusterConfig"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"], manifests["Deployment"]["spec"]]
    return [group["template"] for group in groups]


def test_kubernetes_knows_every_field(manifests: dict[str, dict[str, Any]]) -> None:
    known = [manifest for kind, manifest in manifests.items() if kind != "RayService"]
    templates = [
        {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "pod"}, "template": template}
        for template in pods(manifests)
    ]
    run("python", "tests/deploy/validate.py", stdin=json.dumps([*known, *templates]))


def test_ray_serve_knows_the_application(manifests: dict[str, dict[str, Any]]) -> None:
    config = ServeDeploySchema.model_validate(yaml.safe_load(manifests["RayService"]["spec"]["serveConfigV2"]))
    (application,) = config.applications
    options = ReplicaOptions.model_validate(application.args)
    assert application.name == f"adaptive-{DEFAULT_MODEL.key}"
    assert options.model == DEFAULT_MODEL.key
    assert application.import_path == f"{build.__module__}:{build.__name__}"
    build(application.args)
    (workers,) = manifests["RayService"]["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    assert (workers["minReplicas"], workers["maxReplicas"]) == (options.min_replicas, options.max_replicas)
    (container,) = workers["template"]["spec"]["containers"]
    assert float(container["resources"]["limits"]["cpu"]) == options.cpus


def test_everything_runs_the_same_with_no_more_rights_than_it_needs(manifests: dict[str, dict[str, Any]]) -> None:
    for template in pods(manifests):
        (container,) = template["spec"]["containers"]
        assert container["image"].endswith(f":{__version__}")
        assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        assert template["spec"]["securityContext"]["runAsNonRoot"]
        assert "/data/models" in [mount["mountPath"] for mount in container["volumeMounts"]]
    pinned = next(line for line in (ROOT / "constraints.txt").read_text().splitlines() if line.startswith("ray=="))
    assert manifests["RayService"]["spec"]["rayClusterConfig"]["rayVersion"] == pinned.removeprefix("ray==")
