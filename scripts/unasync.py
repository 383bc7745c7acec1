"""Write `sdk/_sync` from `sdk/_async`: `python scripts/unasync.py`, or `--check` to only report what is stale.

Plain text replacement, so that comments and the examples in docstrings follow the code.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src/adaptive_engine/sdk/_async"
TARGET = ROOT / "src/adaptive_engine/sdk/_sync"

REPLACEMENTS = [
    (r".*# async only\n", ""),
    (r"\basync (def|for|with)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\bAsync(?=[A-Z])", ""),
    (r"\bStopAsyncIteration\b", "StopIteration"),
    (r"\b__a(enter|exit|iter|next)__\b", r"__\1__"),
    (r"\ba(close|iter|iter_bytes|next|read)\b", r"\1"),
    (r"\bimport asyncio\b", "import time"),
    (r"\basyncio\.sleep\b", "time.sleep"),
    (r"\b_async\b", "_sync"),
]


def generate(source: Path) -> str:
    """The blocking version of one file, formatted as `ruff format` would."""
    text = source.read_text(encoding="utf-8")
    for pattern, replacement in REPLACEMENTS:
        text = re.sub(pattern, replacement, text)
    header = f"# Generated from _async/{source.name} by scripts/unasync.py. Edit that file, then run the script.\n"
    # A loop that only yields becomes `yield from`, which asynchronous generators do not have.
    fixes = ("--select", "I,UP028", "--fix", "--unsafe-fixes", "--exit-zero", "--quiet")
    text = _ruff("check", *fixes, text=header + text)
    return _ruff("format", text=text)


def _ruff(*command: str, text: str) -> str:
    name = str(TARGET / "generated.py")
    ruff = [sys.executable, "-m", "ruff", *command, "--stdin-filename", name, "-"]
    return subprocess.run(ruff, input=text, capture_output=True, text=True, check=True, cwd=ROOT).stdout


def stale() -> list[str]:
    """Files of `_sync` that differ from what `_async` gives, are missing, or have no source."""
    wanted = {path.name: generate(path) for path in SOURCE.glob("*.py")}
    found = {path.name: path.read_text(encoding="utf-8") for path in TARGET.glob("*.py")}
    return sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))


def main() -> int:
    names = stale()
    if "--check" in sys.argv[1:]:
        sys.stdout.writelines(f"stale: {TARGET / name}\n" for name in names)
        return 1 if names else 0
    TARGET.mkdir(exist_ok=True)
    for name in names:
        source = SOURCE / name
        if source.exists():
            (TARGET / name).write_text(generate(source), encoding="utf-8")
        else:
            (TARGET / name).unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
