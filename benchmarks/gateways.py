"""Gateways of others, for comparison: how they are installed, and started in front of the two upstreams.

    python benchmarks/gateways.py        installs what is missing, and says so

LiteLLM and TensorZero come from PyPI, Portkey from npm, each into an environment of its own under `.venvs/`. nginx, a
plain proxy and the least that a hop costs, comes from the system: `apt install nginx-light`.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import machine

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENTS = ROOT / ".venvs"
KEY = "sk-benchmark"
CHAT = "/v1/chat/completions"
# The last release whose gateway is in its wheel.
TENSORZERO = "tensorzero==2026.6.0"
LITELLM = "litellm[proxy]"
# Newer versions of the server library end in "TypeError: immutable" (Portkey-AI/gateway issue 1389).
PORTKEY = ("@portkey-ai/gateway@1.15.2", "hono@4.9.7", "@hono/node-server@1.13.8")


@dataclass(frozen=True)
class Target:
    """Where requests go for one upstream, and as whose."""

    port: int
    path: str
    headers: tuple[str, ...]
    model: str


@dataclass(frozen=True)
class Gateway:
    pid: int
    targets: Mapping[str, Target]
    """By the name of the upstream."""


Upstreams = Mapping[str, int]
"""Ports by name."""
Start = Callable[[Upstreams, Path], AbstractContextManager[Gateway]]
"""Given a folder for its files."""


@contextmanager
def served(
    command: Sequence[str], folder: Path, env: Mapping[str, str], targets: Mapping[str, Target]
) -> Iterator[Gateway]:
    """A gateway on one processor, whose log lies in `folder`; ends with the block."""
    log = folder / "log"
    with log.open("w") as sink:
        process = subprocess.Popen(
            command, stdout=sink, stderr=sink, env={**os.environ, **env}, cwd=folder, start_new_session=True
        )
    try:
        for target in targets.values():
            _wait_until_it_answers(process, target, log)
        yield Gateway(process.pid, targets)
    finally:
        _end(process)


def _wait_until_it_answers(process: subprocess.Popen[bytes], target: Target, log: Path) -> None:
    body = f'{{"model": "{target.model}", "messages": [{{"role": "user", "content": "Hello"}}]}}'.encode()
    headers = {"content-type": "application/json", **dict(line.split(": ", 1) for line in target.headers)}
    request = urllib.request.Request(f"http://127.0.0.1:{target.port}{target.path}", body, headers)
    deadline = time.monotonic() + 120
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10):
                return
        except (OSError, urllib.error.URLError) as exc:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{process.args!r} does not answer: {exc}\n{log.read_text()[-1000:]}") from exc
        time.sleep(0.2)


def _end(process: subprocess.Popen[bytes]) -> None:
    for number, seconds in ((signal.SIGTERM, 15), (signal.SIGKILL, 15)):
        try:
            os.killpg(process.pid, number)
            process.wait(seconds)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def litellm(upstreams: Upstreams, folder: Path) -> Iterator[Gateway]:
    port, python = free_port(), ENVIRONMENTS / "litellm/bin/python"
    models = "".join(
        f"  - model_name: {name}\n    litellm_params:\n      {{model: openai/mock, "
        f'api_base: "http://127.0.0.1:{at}/v1", api_key: sk-up}}\n'
        for name, at in upstreams.items()
    )
    config = folder / "litellm.yaml"
    config.write_text(
        f"model_list:\n{models}litellm_settings: {{telemetry: false}}\ngeneral_settings: {{master_key: {KEY}}}\n"
    )
    command = [str(python.with_name("litellm")), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    env = {"LITELLM_MODE": "PRODUCTION", "LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    targets = {name: Target(port, CHAT, (f"Authorization: Bearer {KEY}",), name) for name in upstreams}
    with served([*command, "--num_workers", "1", "--telemetry", "False"], folder, env, targets) as gateway:
        yield gateway


@contextmanager
def portkey(upstreams: Upstreams, folder: Path) -> Iterator[Gateway]:
    port, (node, _) = free_port(), find_npm()
    entry = ENVIRONMENTS / "portkey/node_modules/@portkey-ai/gateway/build/start-server.js"
    env = {"NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "127.0.0.1,localhost"}
    targets = {
        name: Target(
            port,
            CHAT,
            (
                "x-portkey-provider: openai",
                f"x-portkey-custom-host: http://127.0.0.1:{at}/v1",
                f"Authorization: Bearer {KEY}",
            ),
            "mock",
        )
        for name, at in upstreams.items()
    }
    with served([str(node / "node"), str(entry), f"--port={port}", "--headless"], folder, env, targets) as gateway:
        yield gateway


_TENSORZERO = """
import sys, time
from tensorzero.tensorzero import _start_http_gateway
gateway = _start_http_gateway(
    config_file=sys.argv[1], clickhouse_url=None, postgres_url=None, valkey_url=None, async_setup=False
)
with open(sys.argv[2], "w") as file:
    file.write(gateway.base_url.split(":")[2].split("/")[0] + "\\n")
while True:
    time.sleep(3600)
"""


@contextmanager
def tensorzero(upstreams: Upstreams, folder: Path) -> Iterator[Gateway]:
    """The gateway in its wheel, which chooses its port. Without its store, which is a database of its own."""
    config, chosen = folder / "tensorzero.toml", folder / "port"
    config.write_text(
        "[gateway]\nobservability.enabled = false\n"
        + "".join(
            f'[models.{name}]\nrouting = ["up"]\n[models.{name}.providers.up]\ntype = "openai"\nmodel_name = "mock"\n'
            f'api_base = "http://127.0.0.1:{at}/v1/"\napi_key_location = "none"\n'
            for name, at in upstreams.items()
        )
    )
    python = ENVIRONMENTS / "tensorzero/bin/python"
    env = {"TOKIO_WORKER_THREADS": "1", "RUST_LOG": "error"}
    with served([str(python), "-c", _TENSORZERO, str(config), str(chosen)], folder, env, {}) as gateway:
        deadline = time.monotonic() + 60
        while not chosen.exists() or not chosen.read_text().endswith("\n"):
            if time.monotonic() > deadline:
                raise RuntimeError(f"TensorZero did not start: {(folder / 'log').read_text()[-1000:]}")
            time.sleep(0.1)
        port = int(chosen.read_text())
        path = "/openai" + CHAT
        yield Gateway(
            gateway.pid, {name: Target(port, path, (), f"tensorzero::model_name::{name}") for name in upstreams}
        )


_NGINX = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/errors warn;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  {upstreams}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
    {locations}
  }}
}}
"""


@contextmanager
def nginx(upstreams: Upstreams, folder: Path) -> Iterator[Gateway]:
    port, config = free_port(), folder / "nginx.conf"
    servers = "\n  ".join(
        f"upstream {name} {{ server 127.0.0.1:{at}; keepalive 512; keepalive_requests 100000000; }}"
        for name, at in upstreams.items()
    )
    locations = "\n    ".join(f"location /{name}/ {{ proxy_pass http://{name}/; }}" for name in upstreams)
    config.write_text(_NGINX.format(folder=folder, port=port, upstreams=servers, locations=locations))
    targets = {name: Target(port, f"/{name}{CHAT}", (), "mock") for name in upstreams}
    command = [str(shutil.which("nginx")), "-p", str(folder), "-c", str(config)]
    with served(command, folder, {}, targets) as gateway:
        yield gateway


OTHERS: dict[str, Start] = {"nginx": nginx, "tensorzero": tensorzero, "portkey": portkey, "litellm": litellm}


def installed(name: str) -> bool:
    if name == "nginx":
        return shutil.which("nginx") is not None
    return (ENVIRONMENTS / name / ".installed").exists()


def version(name: str) -> str:
    if name == "nginx":
        told = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True)
        return told.stderr.strip().rpartition("/")[2]
    if name == "portkey":
        return PORTKEY[0].rpartition("@")[2]
    return machine.version_in(ENVIRONMENTS / name / "bin/python", name)


def find_npm() -> tuple[Path, list[str]]:
    """Where `node` is, and the command that is npm: what the web application is built with."""
    sys.path.insert(0, str(ROOT / "scripts"))
    from ui import find_npm as find

    found: tuple[Path, list[str]] = find()
    return found


def install(name: str) -> None:
    folder = ENVIRONMENTS / name
    print(f"installing {name} into {folder.relative_to(ROOT)}", flush=True)
    if name == "portkey":
        folder.mkdir(parents=True, exist_ok=True)
        node, npm = find_npm()
        environment = {**os.environ, "PATH": f"{node}{os.pathsep}{os.environ['PATH']}"}
        options = ("--no-audit", "--no-fund", "--loglevel=error", "--legacy-peer-deps", "--save-exact")
        (folder / "package.json").write_text('{"private": true}\n')
        subprocess.run([*npm, "install", *options, *PORTKEY], cwd=folder, env=environment, check=True)
    else:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        package = TENSORZERO if name == "tensorzero" else LITELLM
        subprocess.run([str(folder / "bin/python"), "-m", "pip", "install", "--quiet", package], check=True)
    (folder / ".installed").touch()


def main() -> None:
    for name in OTHERS:
        if installed(name):
            continue
        if name == "nginx":
            print("nginx is not there and is left out: apt install nginx-light")
            continue
        try:
            install(name)
        except subprocess.CalledProcessError as exc:
            print(f"{name} is left out: {exc}")


if __name__ == "__main__":
    main()
