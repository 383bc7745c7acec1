from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from adaptive_engine.registry import ModelDirectory
from integration.server import place_model
from unit.cli.test_models import adaptive
from unit.registry.gguf_builder import tiny_model


@pytest.fixture
def deploy_tiny(small_model_dir: ModelDirectory, tmp_path: Path) -> Callable[..., None]:
    """Imports and deploys a model of one layer."""

    def make(key: str = "tiny") -> None:
        # The import finds the files there.
        place_model(small_model_dir.path, tmp_path / "data", key)
        adaptive("models", "import", str(tiny_model(tmp_path / "tiny.gguf")), "--key", key)
        adaptive("models", "deploy", key)

    return make
