"""The README leads to tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent


def test_every_test_of_the_tables_is_there() -> None:
    last = HERE
    named = re.findall(r"`((?:\.\./[\w/]+/)?test_\w+\.py)?(?:::)?(test_\w+)?`", (HERE / "README.md").read_text())
    assert len(named) > 40
    for file, name in named:
        # A name without a file is of the file before.
        last = (HERE / file).resolve() if file else last
        assert last.is_file(), file
        assert not name or f"def {name}(" in last.read_text(), f"{file}::{name}"


def test_every_file_of_faults_is_in_the_tables() -> None:
    text = (HERE / "README.md").read_text()
    for file in HERE.glob("*.py"):
        assert file.name in text or file.name in ("__init__.py", "test_readme.py"), file.name
