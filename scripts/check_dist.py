"""Install a wheel of `dist/` into an empty environment and use it: `python scripts/check_dist.py`.

It is the one that has the decoder in C. A server is started in a new folder with the default model, and asked for
/readyz, a completion, the web application and its files.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.request
import venv
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
KEY = "a-key-to-check-a-release"


def main() -> int:
    (wheel,) = (ROOT / "dist").glob("*_x86_64.whl")
    with tempfile.TemporaryDirectory() as folder:
        install(wheel, Path(folder, "venv"))
        load_library(Path(folder, "venv"))
        serve(Path(folder))
    print(f"{wheel.name} installs, serves and answers.")
    return 0


def install(wheel: Path, environment: Path) -> None:
    venv.create(environment, with_pip=True)
    pip = [environment / "bin/python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    subprocess.run([*pip, "--constraint", ROOT / "constraints.txt", f"{wheel}[server]"], check=True)
    found = subprocess.run(
        [environment / "bin/python", "-m", "pip", "check"], capture_output=True, text=True, check=False
    )
    require(found.returncode == 0, found.stdout)
    # Code that Python would run at each start: only what comes with the environment itself.
    stray = [path.name for path in environment.rglob("*.pth") if path.name != "distutils-precedence.pth"]
    require(not stray, f"the environment has {stray}")


def load_library(environment: Path) -> None:
    (library,) = environment.glob("lib/python*/site-packages/adaptive_engine/native/libdecoder.so")
    ctypes.CDLL(str(library), mode=os.RTLD_NOW)


def serve(folder: Path) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ["HOME"],
        "ADAPTIVE_ADMIN_API_KEY": KEY,
        "ADAPTIVE_DATA_DIR": str(folder / "data"),
    }
    command = [folder / "venv/bin/adaptive", "serve", "--port", "0"]
    server = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        said = ""
        while (found := re.search(r"ready at (http://\S+)", said)) is None:
            line = server.stderr.readline()
            require(bool(line), f"the server did not get ready:\n{said}")
            said += line
        ask(found[1])
    finally:
        server.terminate()
        server.communicate(timeout=60)
    require(server.returncode == 0, f"the server ended with {server.returncode}")


def ask(url: str) -> None:
    require(json.loads(get(f"{url}/readyz"))["status"] == "ok", "it is not ready")
    asked = {"model": "default", "messages": [{"role": "user", "content": "Name the capital of France."}]}
    asked |= {"temperature": 0, "max_tokens": 20}
    answer = json.loads(get(f"{url}/api/v1/chat/completions", asked))
    text = answer["choices"][0]["message"]["content"]
    require("Paris" in text, f"it answers {text!r}")
    page = get(f"{url}/").decode()
    require("<title>" in page, "the web application is not there")
    for path in re.findall(r'(?:src|href)="(/[^"]+)"', page):
        get(f"{url}{path}")


def get(url: str, body: Any = None) -> bytes:
    """The body of a good answer. Raises HTTPError for others."""
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=60) as answer:
        found: bytes = answer.read()
    return found


def require(condition: bool, problem: str) -> None:
    if not condition:
        sys.exit(f"{problem[0].upper()}{problem[1:]}.")


if __name__ == "__main__":
    sys.exit(main())
