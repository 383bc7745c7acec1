"""Imports of models by a running server: one at a time, in a child process, followed and cancelled from outside.

They are known to the server that runs them, to all its workers, and forgotten with it; what was imported is in its data
directory and in the store.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from collections.abc import Sequence as Seq
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from adaptive_engine.errors import AdaptiveError, Conflict, InvalidRequest, NotFound, Unavailable
from adaptive_engine.privacy import child_environment
from adaptive_engine.registry import ModelDirectory, locate
from adaptive_engine.registry.catalog import CATALOG, CatalogEntry
from adaptive_engine.registry.directory import derive_key
from adaptive_engine.services import models
from adaptive_engine.services.siblings import Siblings
from adaptive_engine.store import Database
from adaptive_engine.store import models as store
from adaptive_engine.types import now_ms, uuid7

_log = logging.getLogger(__name__)

REMEMBERED = 20
"""Imports, the newest ones."""
MAX_FILES = 200
# Seconds in which a child has to end by itself: it removes what it wrote.
_PATIENCE = 10
# What siblings are asked, and the seconds in which one has ended an import.
_LIST, _CANCEL, _CANCEL_SECONDS = "imports", "cancel import", 2 * _PATIENCE

ImportState = Literal["RUNNING", "COMPLETED", "FAILED", "CANCELLED"]


@dataclass(frozen=True, slots=True)
class ModelImport:
    """One import. Times are epoch ms, amounts bytes."""

    id: UUID
    name: str | None
    """Of the catalog, or else:"""
    path: str | None
    """Within the directory that imports are allowed from."""
    key: str
    created_at: int
    state: ImportState = "RUNNING"
    stage: str | None = None
    """What it does: a verb such as `download`; None before it began."""
    done: int = 0
    total: int | None = None
    """None where nobody knows it."""
    error: tuple[str, str] | None = None
    """Message and code of what made it fail."""
    ended_at: int | None = None


@dataclass(frozen=True, slots=True)
class Sources:
    """What can be imported. `files` is None where no directory is configured."""

    catalog: list[CatalogEntry]
    files: list[str] | None


class Imports:
    """Thread-safe. All of it may block. `close` at the end."""

    def __init__(
        self, database: Database, models_dir: Path, directory: Path | None, siblings: Siblings | None = None
    ) -> None:
        """`directory` is where imports by path are allowed from. `siblings` have imports of their own."""
        self._database = database
        self._models_dir = models_dir
        self._directory = None if directory is None else directory.expanduser().resolve()
        self._siblings = siblings or Siblings()
        self._lock = threading.Lock()
        self._known: deque[ModelImport] = deque(maxlen=REMEMBERED)
        self._child: subprocess.Popen[bytes] | None = None
        self._cancelled: UUID | None = None
        self._thread: threading.Thread | None = None

    def sources(self) -> Sources:
        """The catalog, and at most MAX_FILES files and directories that look like models."""
        return Sources(list(CATALOG.values()), None if self._directory is None else _found_in(self._directory))

    def answers(self) -> dict[str, Callable[..., Any]]:
        """To what siblings ask."""
        return {_LIST: self._own, _CANCEL: self._cancel}

    def list(self) -> list[ModelImport]:
        """Newest first."""
        found = [*self._own(), *self._elsewhere()]
        return sorted(found, key=lambda each: (each.created_at, each.id), reverse=True)[:REMEMBERED]

    def get(self, import_id: UUID | None) -> ModelImport:
        """Raises NotFound."""
        for found in (self._own, self._elsewhere):
            for each in found():
                if each.id == import_id:
                    return each
        raise NotFound(
            "There is no such import. A server remembers its newest ones until it is restarted.",
            code="import_not_found",
        )

    def start(self, *, name: str | None = None, path: str | None = None, key: str | None = None) -> ModelImport:
        """Begin to import a model of the catalog, or a file or directory below the configured one.

        Raises InvalidRequest and NotFound for a source or key that cannot be, Conflict while another import runs or
        when the key is an external model's, and Unavailable when there is no room for another process.
        """
        source, key = self._examine(name, path, key)
        elsewhere = self._elsewhere()
        with self._lock:
            running = next((each for each in (*self._known, *elsewhere) if each.state == "RUNNING"), None)
            if running is not None:
                raise Conflict(
                    f"'{running.key}' is being imported, and one model is imported at a time. Wait for it, or cancel "
                    f"the import {running.id}.",
                    code="import_running",
                )
            begun = ModelImport(uuid7(), name, path, key, now_ms())
            self._child = self._ask({**source, "key": key, "models_dir": str(self._models_dir)})
            self._known.appendleft(begun)
            following = (begun.id, self._child)
            self._thread = threading.Thread(target=self._follow, args=following, name="import", daemon=True)
            self._thread.start()
            return begun

    def cancel(self, import_id: UUID | None) -> ModelImport:
        """End an import, and remove what it wrote. One that has ended stays as it is. Raises NotFound."""
        if import_id is not None and not self._cancel(import_id):
            self._siblings.ask(_CANCEL, import_id, seconds=_CANCEL_SECONDS)
        return self.get(import_id)

    def join(self) -> None:
        """Return when nothing is being imported."""
        thread = self._thread
        if thread is not None:
            thread.join()

    def close(self) -> None:
        """Cancel what runs."""
        for each in self._own():
            self._cancel(each.id)

    def _own(self) -> Seq[ModelImport]:
        with self._lock:
            return [*self._known]

    def _elsewhere(self) -> Seq[ModelImport]:
        return [each for found in self._siblings.ask(_LIST).values() for each in found]

    def _cancel(self, import_id: UUID) -> bool:
        """Whether it is one of this process's; then it has ended."""
        with self._lock:
            found = next((each for each in self._known if each.id == import_id), None)
            if found is None or found.state != "RUNNING":
                return found is not None
            self._cancelled = import_id
            self._end_child()
        self.join()
        return True

    def _examine(self, name: str | None, path: str | None, key: str | None) -> tuple[dict[str, str], str]:
        """What the child is asked for, and the model's key."""
        if (name is None) == (path is None):
            raise InvalidRequest("Send name, a model of the catalog, or path, a file on the server.", param="name")
        if name is not None:
            if name not in CATALOG:
                raise NotFound(
                    f"'{name[:80]}' is not in the catalog. It has: {', '.join(CATALOG)}.",
                    code="model_not_found",
                    param="name",
                )
            source = {"name": name}
        else:
            assert path is not None
            source = {"path": str(self._allowed(path))}
        chosen = name or derive_key(Path(path or "").name) if key is None else key
        locate(self._models_dir, chosen)
        with self._database.read() as connection:
            known = store.get_by_key(connection, chosen)
        if known is not None and known.provider != "internal":
            raise Conflict(
                f"The key '{chosen}' belongs to an external model, or one of vLLM; choose another key.", param="key"
            )
        return source, chosen

    def _allowed(self, path: str) -> Path:
        if self._directory is None:
            raise InvalidRequest(
                "Files are not imported over the API here. Set ADAPTIVE_IMPORT_DIR to the directory that they are in, "
                "or use `adaptive models import` on the server's machine.",
                code="import_dir_not_set",
                param="path",
            )
        try:
            found = (self._directory / path).resolve(strict=True)
        except (OSError, ValueError):
            found = None
        # What lies elsewhere, be it by a link, is as good as not there.
        if found is None or not found.is_relative_to(self._directory) or found == self._directory:
            raise NotFound(
                f"There is no '{path[:200]}' in the server's import directory.", code="model_not_found", param="path"
            )
        return found

    def _ask(self, question: dict[str, str]) -> subprocess.Popen[bytes]:
        try:
            child = subprocess.Popen(
                [sys.executable, "-m", "adaptive_engine.registry.job"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=child_environment("ADAPTIVE_CACHE_DIR"),
                # Ctrl-C in a terminal is the server's business, and a group of its own can be killed as a whole.
                start_new_session=True,
            )
        except OSError as exc:
            _log.error("the process of an import cannot be started: %s", exc)
            raise Unavailable(
                f"The import's process cannot be started: {exc.strerror}. Try again when the server has less to do.",
                retry_after=10,
            ) from exc
        assert child.stdin is not None
        # One that is dead already tells so by its status. Past the buffer, which would try again when it is closed.
        with suppress(BrokenPipeError):
            os.write(child.stdin.fileno(), json.dumps(question).encode() + b"\n")
        return child

    def _end_child(self) -> None:
        child = self._child
        assert child is not None
        assert child.stdin is not None
        child.stdin.close()
        timer = threading.Timer(_PATIENCE, _kill, (child,))
        timer.daemon = True
        timer.start()

    def _follow(self, import_id: UUID, child: subprocess.Popen[bytes]) -> None:
        """In a thread: keep what the child tells, and register what it imported. Whatever happens, it ends."""
        try:
            said, status = self._listen(import_id, child)
            if "error" in said and import_id != self._cancelled:
                self._fail(import_id, said["error"]["message"], said["error"]["code"])
            elif "key" in said:
                directory = ModelDirectory.load(locate(self._models_dir, said["key"]))
                with self._database.write() as connection:
                    models.register(connection, directory)
                self._update(import_id, state="COMPLETED", ended_at=now_ms())
            elif import_id == self._cancelled:
                self._update(import_id, state="CANCELLED", ended_at=now_ms())
            else:
                message = f"The import ended with status {status}. The server's log may say why."
                self._fail(import_id, message, "import_failed")
        except AdaptiveError as exc:
            self._fail(import_id, exc.message, exc.code)
        except Exception:
            _log.exception("import %s cannot be followed", import_id)
            self._fail(import_id, "The import failed unexpectedly; the server's log says why.", "import_failed")

    def _listen(self, import_id: UUID, child: subprocess.Popen[bytes]) -> tuple[dict[str, Any], int]:
        """What the child said last, and its status. When it cannot be understood, the end of its input ends it."""
        said: dict[str, Any] = {}
        with child:
            assert child.stdout is not None
            for line in child.stdout:
                said = json.loads(line)
                if "stage" in said:
                    self._update(import_id, stage=said["stage"], done=said["done"], total=said["total"])
            return said, child.wait()

    def _fail(self, import_id: UUID, message: str, code: str) -> None:
        _log.warning("import %s failed: %s", import_id, message)
        self._update(import_id, state="FAILED", error=(message, code), ended_at=now_ms())

    def _update(self, import_id: UUID, **changes: Any) -> None:
        with self._lock:
            at = next(at for at, each in enumerate(self._known) if each.id == import_id)
            self._known[at] = dataclasses.replace(self._known[at], **changes)


def _kill(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)


def _found_in(directory: Path) -> list[str]:
    """Names below it, with a slash between."""
    files = [*directory.glob("*.gguf"), *directory.glob("*/*.gguf")]
    models = [path.parent for path in directory.glob("*/openvino*_model.xml")]
    names = {str(path.relative_to(directory)) for path in (*files, *models)}
    return sorted(names)[:MAX_FILES]
