"""The programs of `.venvs/deploy`, which `make test` installs."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / ".venvs/deploy/bin"


def run(tool: str, *arguments: str, stdin: str = "") -> str:
    """What it prints. It must find nothing wrong."""
    assert TOOLS.exists(), "make .venvs/deploy/.installed"
    done = subprocess.run([TOOLS / tool, *arguments], cwd=ROOT, input=stdin, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
