"""Bills of materials in CycloneDX's format: what is installed with a release, and what its web application has."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from ui import find_npm

ROOT = Path(__file__).resolve().parents[1]
NAME = "adaptive-engine"
EXTRAS = ("", "server", "otel", "postgresql", "parquet", "ray")
"""Those that a server has. The others are for development and for converting models."""

Json = dict[str, Any]


def python_packages(tool: Path, version: str) -> Json:
    """Of the environment that this runs in. `tool` is `cyclonedx-py`."""
    command = [
        tool,
        "environment",
        sys.executable,
        "--pyproject",
        "pyproject.toml",
        "--output-reproducible",
        "--of",
        "JSON",
    ]
    bill: Json = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
    shipped = needed(NAME, frozenset(EXTRAS))
    bill["components"] = [each for each in bill["components"] if normal(each["name"]) in shipped]
    kept = {each["bom-ref"] for each in bill["components"]}
    root = bill["metadata"]["component"]
    root["version"] = version
    bill["dependencies"] = [
        {**each, "dependsOn": [on for on in each.get("dependsOn", ()) if on in kept]}
        for each in bill["dependencies"]
        if each["ref"] in kept | {root["bom-ref"]}
    ]
    return bill


def web_packages(version: str) -> Json:
    """Of the lock file, without what only builds and tests."""
    directory, npm = find_npm()
    with tempfile.TemporaryDirectory() as folder:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(ROOT / "ui" / name, folder)
        package = Path(folder, "package.json")
        # npm makes no bill of a package without a version.
        package.write_text(json.dumps({**json.loads(package.read_text()), "version": version}))
        command = [*npm, "sbom", "--sbom-format", "cyclonedx", "--omit", "dev", "--package-lock-only"]
        made = subprocess.run(command, cwd=folder, env={"PATH": str(directory)}, check=True, capture_output=True)
    bill: Json = json.loads(made.stdout)
    # The same lock file makes the same bill.
    del bill["serialNumber"], bill["metadata"]["timestamp"]
    bill["metadata"]["component"]["name"] = f"{NAME}-ui"
    return bill


def needed(name: str, extras: frozenset[str]) -> set[str]:
    """The normalised names of all packages that are installed with `name[extras]` here, without itself."""
    found: set[str] = set()
    asked: set[tuple[str, frozenset[str]]] = set()
    waiting = [(name, extras)]
    while waiting:
        package, wanted = waiting.pop()
        if (package, wanted) in asked:
            continue
        asked.add((package, wanted))
        for text in distribution(package).requires or ():
            requirement = Requirement(text)
            if any(requirement.marker is None or requirement.marker.evaluate({"extra": extra}) for extra in wanted):
                found.add(normal(requirement.name))
                waiting.append((normal(requirement.name), frozenset(requirement.extras) | {""}))
    return found


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
