"""The child process of an import that a server follows and may end: `python -m adaptive_engine.registry.job`.

Asked by one line of JSON on standard input: `models_dir`, `key`, and `name` (of the catalog) or `path`. It lives as
long as its input stays open, so that it ends with whoever asked. Tells its progress by lines of JSON: `stage`, `done`
and `total`, and at last `key`, the model's, or `error` with `message` and `code`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any, BinaryIO

from adaptive_engine.errors import AdaptiveError
from adaptive_engine.registry import ModelDirectory, Progress, import_by_name, import_model

# Below the server: its streams come first when there are not enough cores.
_NICE = 10


def main() -> int:
    os.nice(_NICE)
    # What libraries print belongs into the log.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    # Whoever starts the server in the background of a shell has children that ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def tell(said: dict[str, Any]) -> None:
        answers.write(json.dumps(said).encode() + b"\n")

    def progress(stage: str, done: int, total: int | None) -> None:
        tell({"stage": stage, "done": done, "total": total})

    try:
        asked = json.loads(sys.stdin.buffer.readline())
        threading.Thread(target=_end_with, args=(sys.stdin.buffer,), daemon=True).start()
        tell({"key": _import(asked, progress).key})
    except AdaptiveError as exc:
        tell({"error": {"message": exc.message, "code": exc.code}})
        return 1
    except (KeyboardInterrupt, BrokenPipeError):
        # Nobody listens any more; what was written is removed on the way here.
        return 130
    return 0


def _import(asked: dict[str, Any], progress: Progress) -> ModelDirectory:
    models_dir, key = Path(asked["models_dir"]), asked["key"]
    if asked.get("name") is not None:
        return import_by_name(asked["name"], models_dir, key, progress=progress)
    return import_model(Path(asked["path"]), models_dir, key, progress=progress)


def _end_with(questions: BinaryIO) -> None:
    questions.read()
    os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    sys.exit(main())
