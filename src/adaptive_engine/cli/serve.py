"""`adaptive serve`: the server, from the first start on an empty machine to Ctrl-C."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adaptive_engine.cli.options import DataDir, create_data_dir, load_settings, resolve_data_dir

if TYPE_CHECKING:
    from adaptive_engine.settings import Settings


def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on. Default: 127.0.0.1", show_default=False)
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port to listen on. Default: 9000", show_default=False)
    ] = None,
    data_dir: DataDir = None,
    deterministic: Annotated[
        bool,
        typer.Option("--deterministic", help="Greedy text never depends on what else is running; somewhat slower."),
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(min=1, max=256, help="Processes that serve, for more cores. Default: 1", show_default=False),
    ] = None,
) -> None:
    """Serve models over HTTP and store every answer.

    The first start fetches the default model (98 MB) and prints an admin key. After that it needs no network.
    Other settings are environment variables, see docs/configuration.md.

    \b
    Examples:
      adaptive serve
      adaptive serve --port 8000 --data-dir ./data
      ADAPTIVE_ADMIN_API_KEY=my-own-secret-key-123 adaptive serve --deterministic
    """
    settings = settings_of(host, port, resolve_data_dir(data_dir), deterministic, workers)
    create_data_dir(settings.data_dir)

    if (failpoints := arm_failpoints()) is not None:
        typer.echo(f"Warning: ADAPTIVE_TESTING=1 lets this server break on purpose: {failpoints}.", err=True)
    typer.echo("Starting ...", err=True)
    from adaptive_engine.cli.progress import show_progress
    from adaptive_engine.server.lifespan import announce, only_server, running
    from adaptive_engine.telemetry.logging import configure, log_uncaught
    from adaptive_engine.telemetry.redaction import hide

    configure(settings.log_format, settings.log_level)
    log_uncaught()
    for secret in settings.secrets():
        hide(secret)
    with ExitStack() as stack:
        stack.enter_context(only_server(settings.data_dir))
        if settings.server.workers > 1:
            options = {"host": host, "port": port, "deterministic": deterministic, "workers": workers}
            serve_with_workers(settings, options)
            _say("Stopped.")
            return
        check_port(settings.server.host, settings.server.port)
        with show_progress() as progress:
            services, new_key = stack.enter_context(running(settings, progress))

        from adaptive_engine.server.app import create_app
        from adaptive_engine.server.http import run

        app = create_app(services)
        services.engines.wait()

        def on_ready(url: str) -> None:
            services.backends.providers.listens_at(url)
            announce(settings.data_dir, url)
            _greet(url, new_key)

        def on_stop(running: int) -> None:
            services.readiness.drain()
            announce_stop(running)

        run(app, settings.server, on_ready, on_stop)
    _say("Stopped.")


_OF_OTHERS = {f"ADAPTIVE_{name}" for name in ("URL", "BASE_URL", "API_KEY", "CACHE_DIR", "DEBUG")}
"""Variables that clients, downloads and the command line read."""
_OF_TESTS = {"ADAPTIVE_TESTING", "ADAPTIVE_FAILPOINTS"}


def arm_failpoints() -> str | None:
    """Where this process will break, if it is one of a test."""
    if os.environ.get("ADAPTIVE_TESTING") != "1":
        return None
    from adaptive_engine import failpoints

    wanted = os.environ.get(failpoints.VARIABLE, "")
    failpoints.install(wanted)
    return wanted or "nowhere"


def serve_with_workers(settings: Settings, options: dict[str, Any]) -> None:
    """The same with several processes on one socket. `options` are those of the command line."""
    from adaptive_engine.cli.progress import show_progress
    from adaptive_engine.errors import InvalidRequest
    from adaptive_engine.registry import ensure_default_model
    from adaptive_engine.server.http import listen, url_of
    from adaptive_engine.server.lifespan import announce
    from adaptive_engine.server.workers import Workers

    if not settings.engine.own_process:
        raise InvalidRequest("Several workers share one engine process: leave ADAPTIVE_ENGINE__OWN_PROCESS true.")
    if settings.ray.address is not None:
        raise InvalidRequest(
            "Workers share one engine process. With ADAPTIVE_RAY__ADDRESS, start several servers instead."
        )
    with listen(settings.server) as listening:
        with show_progress() as progress:
            ensure_default_model(settings.models_dir, progress)
        url = url_of(listening)

        def on_ready(new_key: str | None) -> None:
            announce(settings.data_dir, url)
            _greet(url, new_key)

        Workers(settings, listening, {**options, "data_dir": str(settings.data_dir)}).run(on_ready)


def settings_of(
    host: str | None, port: int | None, data_dir: Path, deterministic: bool, workers: int | None = None
) -> Settings:
    """Variables of the environment, overridden by what the command line says."""
    from adaptive_engine.settings import Settings

    settings = load_settings(data_dir)
    _warn_of_misspelled_variables(Settings)
    return with_options(settings, host, port, deterministic, workers)


def with_options(
    settings: Settings, host: str | None, port: int | None, deterministic: bool, workers: int | None = None
) -> Settings:
    server = {"host": host, "port": port, "workers": workers}
    settings.server = settings.server.model_copy(update={k: v for k, v in server.items() if v is not None})
    if deterministic:
        settings.engine = settings.engine.model_copy(update={"deterministic": True})
    return settings


def _warn_of_misspelled_variables(settings: type[Settings]) -> None:
    """A variable of ours that sets nothing is most likely a typing error."""
    import difflib

    from pydantic import BaseModel

    areas = [name for name, field in settings.model_fields.items() if isinstance(field.default, BaseModel)]
    known = {f"ADAPTIVE_{name.upper()}" for name in settings.model_fields.keys() - {*areas}} | {
        f"ADAPTIVE_{area.upper()}__{name.upper()}"
        for area in areas
        for name in settings.model_fields[area].default.__class__.model_fields
    }
    others = _OF_OTHERS | _OF_TESTS if os.environ.get("ADAPTIVE_TESTING") == "1" else _OF_OTHERS
    for name in os.environ:
        if name.upper().startswith("ADAPTIVE_") and name.upper() not in known | others:
            close = difflib.get_close_matches(name.upper(), known, n=1)
            hint = f" Did you mean {close[0]}?" if close else ""
            typer.echo(f"Warning: {name} is no setting and has no effect.{hint}", err=True)


def check_port(host: str, port: int) -> None:
    """Say that the port is taken before a model is loaded for nothing."""
    from adaptive_engine.errors import Conflict

    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as exc:
        raise Conflict(f"Cannot listen on {host}:{port}: {exc.strerror}. Try another --host or --port.") from exc


def _greet(url: str, new_key: str | None) -> None:
    typer.echo(f"Adaptive Engine is ready at {url} (pid {os.getpid()}). Ctrl-C stops it.", err=True)
    if new_key is not None:
        # Installed by `make`, the command is not on the PATH.
        command = "adaptive" if shutil.which("adaptive") else os.path.relpath(sys.argv[0])
        typer.echo(_FIRST_KEY.format(url=url, key=new_key, command=command))


def announce_stop(running: int) -> None:
    if running:
        _say(f"Stopping when {running} running request(s) have finished. Ctrl-C again ends them now.")


def _say(text: str) -> None:
    # Ctrl-C ends `| tee log` first, and must not end the requests with it.
    with suppress(OSError):
        typer.echo(text, err=True)


_FIRST_KEY = """
Your admin key. It is shown this once; only a hash of it is stored. `{command} keys create NAME --admin` makes another.

  export ADAPTIVE_URL={url}
  export ADAPTIVE_API_KEY={key}

Talk to the model in the terminal:

  {command} chat "Why is the sea salty?"

From Python, with our SDK or with OpenAI's:

  from adaptive_engine import Adaptive
  adaptive = Adaptive(default_project="default")
  answer = adaptive.chat.create(messages=[{{"role": "user", "content": "Why is the sea salty?"}}])
  print(answer.choices[0].message.content)

  import os
  from openai import OpenAI
  client = OpenAI(base_url="{url}/api/v1", api_key=os.environ["ADAPTIVE_API_KEY"])
  answer = client.chat.completions.create(
      model="default", messages=[{{"role": "user", "content": "Why is the sea salty?"}}])
  print(answer.choices[0].message.content)

With curl:

  curl $ADAPTIVE_URL/api/v1/chat/completions -H "Authorization: Bearer $ADAPTIVE_API_KEY" \\
    -H "Content-Type: application/json" \\
    -d '{{"model": "default", "messages": [{{"role": "user", "content": "Why is the sea salty?"}}]}}'
"""
