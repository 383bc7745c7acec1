"""What the repository promises about the web application's packages."""

from __future__ import annotations

import json
from pathlib import Path

UI = Path(__file__).parents[2] / "ui"


def test_the_lock_file_names_no_registry_and_every_content() -> None:
    """Behind which registry somebody is, is theirs; what comes from it is not."""
    packages = json.loads((UI / "package-lock.json").read_text())["packages"]
    assert [name for name, package in packages.items() if "resolved" in package] == []
    assert [name for name, package in packages.items() if name and "integrity" not in package] == []
