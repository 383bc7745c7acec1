"""The notebooks of the documents run from top to bottom, on one server."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from adaptive_engine.registry import ModelDirectory, import_model
from adaptive_engine.services import models as service
from adaptive_engine.store import Database
from integration.server import Server, place_model, start

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "docs/notebooks").glob("*.ipynb"))
PYTHON = ROOT / ".venvs/docs/bin/python"
RUN = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
nbformat.validate(notebook)
NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
"""


@pytest.fixture(scope="module")
def server(default_model_dir: ModelDirectory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data_dir = tmp_path_factory.mktemp("notebooks")
    place_model(default_model_dir.path, data_dir)
    shapes = import_model(ROOT / "tests/fixtures/vision_model", data_dir / "models", "shapes")
    with closing(Database.open(data_dir / "adaptive.db")) as database, database.write() as connection:
        service.ensure_default_project(connection)
        service.register(connection, shapes)
        service.deploy(connection, "default", "shapes", make_default=False)
    running = start(data_dir)
    yield running
    assert running.stop() == 0, running.log.read_text()


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(notebook: Path, server: Server, tmp_path: Path) -> None:
    assert PYTHON.exists(), "make .venvs/docs/.installed"
    environment = {
        "PATH": os.environ["PATH"],
        # The SDK of this tree.
        "PYTHONPATH": str(ROOT / "src"),
        "HOME": str(tmp_path),
        "NO_COLOR": "1",
        "ADAPTIVE_URL": server.url,
        "ADAPTIVE_API_KEY": server.api_key,
    }
    done = subprocess.run(
        [PYTHON, "-c", RUN, str(notebook)], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


def test_they_carry_no_outputs() -> None:
    assert len(NOTEBOOKS) == 3
    for notebook in NOTEBOOKS:
        for cell in json.loads(notebook.read_text())["cells"]:
            assert not cell.get("outputs"), notebook.name
