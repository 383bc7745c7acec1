"""The `adaptive` command. `main` is its entry point; `app.py` has the table of commands."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command line and ends the process: 0, 1 after a failure, 2 after a misuse, 130 after Ctrl-C."""
    try:
        from adaptive_engine.cli.app import run
    except ModuleNotFoundError as exc:
        # The bare install is the SDK, but pip creates the command with it.
        sys.exit(f"The 'adaptive' command needs '{exc.name}'. Install it: pip install 'adaptive-engine[server]'")
    run()
