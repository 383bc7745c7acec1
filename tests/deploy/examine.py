"""Run with the Python of `.venvs/deploy`: what Helm and the schemas of Kubernetes say of the chart, as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate
import yaml

CHART = Path(__file__).parents[2] / "deploy/helm/adaptive-engine"
KUBERNETES = ("1.27", "1.37")


def rendered(chart: helm_python.Chart, values: dict[str, Any]) -> dict[str, Any]:
    """The manifests by kind and name, or why there are none."""
    try:
        files = chart.render(values, name="demo", namespace="models")
    except helm_python.HelmError as refused:
        return {"refused": str(refused)}
    manifests = [
        manifest
        for name, text in files.items()
        if name.endswith(".yaml")
        for manifest in yaml.safe_load_all(text)
        if manifest
    ]
    for manifest in manifests:
        for version in KUBERNETES:
            kubernetes_validate.validate(manifest, version, strict=True)
    return {f"{manifest['kind']} {manifest['metadata']['name']}": manifest for manifest in manifests}


def main() -> None:
    cases: dict[str, dict[str, Any]] = json.load(sys.stdin)
    with helm_python.Chart.load(str(CHART)) as chart:
        found = {name: rendered(chart, values) for name, values in cases.items()}
    json.dump({"lint": helm_python.lint(str(CHART), cases["one"], strict=True), "cases": found}, sys.stdout)


if __name__ == "__main__":
    main()
