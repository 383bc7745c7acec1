"""`adaptive doctor`: what would keep the server from working here, and how to mend it."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from adaptive_engine.cli.options import DataDir, models_dir, resolve_data_dir

if TYPE_CHECKING:
    from adaptive_engine.registry import ModelDirectory
    from adaptive_engine.settings import Settings

_FREE_BYTES_WANTED = 2 * 2**30
_MEMORY_WANTED = 2 * 2**30
# Of a running server, which answers at once or not at all.
_ANSWER_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Finding:
    level: Literal["ok", "warning", "problem"]
    subject: str
    message: str
    remedy: str = ""


def doctor(
    data_dir: DataDir = None,
    host: Annotated[str | None, typer.Option(help="The address the server would listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="The port the server would listen on.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check machine, libraries, models, database, port and a running server; say how to mend what is wrong.

    Exit status 1 when something would keep the server from working.

    \b
    Examples:
      adaptive doctor
      adaptive doctor --data-dir ./data --port 8000
    """
    findings = list(_examine(resolve_data_dir(data_dir), host, port))
    if as_json:
        typer.echo(json.dumps([{k: getattr(f, k) for k in Finding.__slots__} for f in findings], indent=2))
    else:
        for finding in findings:
            typer.echo(f"{_MARKS[finding.level]} {finding.subject}: {finding.message}")
            if finding.remedy:
                typer.echo(f"      {finding.remedy}")
    if any(finding.level == "problem" for finding in findings):
        raise typer.Exit(1)


_MARKS = {"ok": "ok   ", "warning": "warn ", "problem": "FAIL "}


def _examine(data_dir: Path, host: str | None, port: int | None) -> Iterator[Finding]:
    from adaptive_engine.cli.serve import settings_of
    from adaptive_engine.errors import InvalidRequest

    try:
        settings = settings_of(host, port, data_dir, deterministic=False)
    except InvalidRequest as exc:
        yield Finding("problem", "Settings", exc.message, "Change or unset the variable.")
        return
    for check in (_python, _memory, _native, _openvino):
        yield check()
    yield _data_dir(data_dir)
    yield from _database(settings)
    yield from _models(data_dir)
    yield from _vllm(data_dir, settings.vllm.command)
    yield _port(data_dir, settings.server.host, settings.server.port)
    yield from _server(data_dir)


def _python() -> Finding:
    return Finding("ok", "Python", sys.version.split()[0])


def _memory() -> Finding:
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return Finding("warning", "Memory", "cannot be read on this system")
    text = f"{free / 2**30:.1f} GiB free, {os.cpu_count()} cores"
    if free < _MEMORY_WANTED:
        remedy = "Stop other programs, or lower ADAPTIVE_ENGINE__KV_CACHE_LEN."
        return Finding("warning", "Memory", f"{text}; less than 2 GiB is tight", remedy)
    return Finding("ok", "Machine", text)


def _native() -> Finding:
    from adaptive_engine.native.library import instructions, why_not

    if reason := why_not():
        remedy = "What is imported without it runs on OpenVINO, which is slower; native models do not run."
        return Finding("warning", "Native runtime", f"not here: {reason}", remedy)
    return Finding("ok", "Native runtime", f"computes with {instructions()}")


def _openvino() -> Finding:
    try:
        from adaptive_engine.privacy import silence_openvino

        silence_openvino()
        import openvino as ov

        name = ov.Core().get_property("CPU", "FULL_DEVICE_NAME")
    except (ImportError, RuntimeError) as exc:
        remedy = "pip install 'adaptive-engine[server]'"
        return Finding("problem", "OpenVINO", f"does not work here: {str(exc)[:200]}", remedy)
    return Finding("ok", "OpenVINO", f"{ov.__version__} on {name}")


def _data_dir(data_dir: Path) -> Finding:
    existing = next(path for path in (data_dir, *data_dir.parents) if path.exists())
    if not os.access(existing, os.W_OK):
        return Finding("problem", "Data directory", f"{existing} cannot be written", "Choose another with --data-dir.")
    free = shutil.disk_usage(existing).free
    if free < _FREE_BYTES_WANTED:
        remedy = "Make room: models and stored answers live there."
        return Finding("warning", "Data directory", f"{data_dir} has {free / 2**30:.1f} GiB free", remedy)
    state = "" if data_dir.exists() else " (made at the first start)"
    return Finding("ok", "Data directory", f"{data_dir}{state}, {free / 2**30:.0f} GiB free")


def _database(settings: Settings) -> Iterator[Finding]:
    from adaptive_engine.errors import AdaptiveError
    from adaptive_engine.services import access
    from adaptive_engine.services.storage import open_database
    from adaptive_engine.store import StoreOutdated

    path = None if settings.db.url else settings.database_path
    if path is not None and not path.exists():
        yield Finding("ok", "Database", "none yet; `adaptive serve` makes it")
        return
    try:
        with closing(open_database(settings, migrate=False)) as database:
            database.probe()
            with database.read() as connection:
                has_admin = access.has_admin(connection)
    except StoreOutdated as exc:
        if exc.revision is None:
            yield Finding("ok", "Database", "empty yet; `adaptive serve` makes its tables")
        else:
            remedy = "Stop servers of the older version; `adaptive serve` migrates it then, see docs/upgrades.md."
            yield Finding("warning", "Database", exc.message, remedy)
        return
    except AdaptiveError as exc:
        remedy = "Check the disk and the file's owner, then try again." if path else "See docs/postgresql.md."
        yield Finding("problem", "Database", exc.message, remedy)
        return
    where = f"{path}, {path.stat().st_size / 1e6:.1f} MB" if path else "PostgreSQL answers, and can be written"
    yield Finding("ok", "Database", where)
    if not has_admin:
        yield Finding("warning", "Keys", "there is no admin key", "Make one: adaptive keys create NAME --admin")


def _models(data_dir: Path) -> Iterator[Finding]:
    from adaptive_engine.errors import AdaptiveError
    from adaptive_engine.registry import ModelDirectory, model_paths

    paths = model_paths(models_dir(data_dir))
    if not paths:
        yield Finding("ok", "Models", "none yet; `adaptive serve` fetches the default model (98 MB) once")
    for path in paths:
        try:
            model = ModelDirectory.load(path)
            model.verify()
        except (AdaptiveError, OSError) as exc:
            remedy = f"Delete {path} and import it again: adaptive models import"
            yield Finding("problem", f"Model {path.name}", str(exc), remedy)
        else:
            remedy = (
                f"Stop the server, delete {path} and import it again: it would run natively." if _slow(model) else ""
            )
            yield Finding("ok", f"Model {path.name}", "all checksums match", remedy)


def _slow(model: ModelDirectory) -> bool:
    """Whether it was imported for OpenVINO, and would be faster otherwise."""
    from adaptive_engine.native.library import instructions

    quantised = (model.manifest.quantization or "").startswith("Q")
    return model.engine == "openvino" and model.manifest.source.kind == "gguf" and quantised and bool(instructions())


def _vllm(data_dir: Path, command: str) -> Iterator[Finding]:
    """Only where a model needs it."""
    from adaptive_engine.cli.vllm_models import load_all
    from adaptive_engine.errors import InvalidRequest
    from adaptive_engine.vllm.command import program_of

    models, damaged = load_all(data_dir)
    for message in damaged:
        yield Finding("problem", "Models of vLLM", message, "Import it again: adaptive models import --engine vllm")
    if models:
        try:
            yield Finding("ok", "vLLM", program_of(command)[0])
        except InvalidRequest as exc:
            yield Finding("problem", "vLLM", exc.message, "See docs/vllm.md.")


def _port(data_dir: Path, host: str, port: int) -> Finding:
    from adaptive_engine.cli.serve import check_port
    from adaptive_engine.errors import Conflict
    from adaptive_engine.server.lifespan import running_server

    try:
        check_port(host, port)
    except Conflict as exc:
        url = running_server(data_dir)
        if url is not None:
            return Finding("warning", "Port", f"{exc.message} A server of this data directory runs at {url}.")
        return Finding("problem", "Port", exc.message, "Choose another with --port.")
    return Finding("ok", "Port", f"{host}:{port} is free")


def _server(data_dir: Path) -> Iterator[Finding]:
    """What the server that runs on this data directory says of itself at /readyz."""
    from adaptive_engine.server.lifespan import running_server

    url = running_server(data_dir)
    if url is None:
        return
    try:
        state = _readiness(url)
    except (OSError, ValueError) as exc:
        yield Finding("problem", "Server", f"{url} does not answer: {exc}", "See its log, and restart it.")
        return
    if not state["problems"]:
        yield Finding("ok", "Server", f"{url} answers requests")
    level: Literal["warning", "problem"] = "warning" if state["status"] == "degraded" else "problem"
    for problem in state["problems"]:
        yield Finding(level, "Server", problem, "Its log says more; docs/observability.md says what this means.")


def _readiness(url: str) -> dict[str, Any]:
    """Raises OSError, or ValueError for an answer that is none of a server."""
    from urllib.error import HTTPError
    from urllib.request import urlopen

    try:
        with urlopen(f"{url}/readyz", timeout=_ANSWER_SECONDS) as answer:
            state: dict[str, Any] = json.load(answer)
    except HTTPError as exc:
        # One that is not ready says why in its body.
        state = json.load(exc)
    return state
