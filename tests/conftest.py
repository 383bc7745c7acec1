from __future__ import annotations

import pytest

from adaptive_engine.registry import ModelDirectory, ensure_default_model


@pytest.fixture(scope="session")
def default_model_dir(tmp_path_factory: pytest.TempPathFactory) -> ModelDirectory:
    """The default model, imported once. The download cache keeps its file, so only a new machine needs the network."""
    return ensure_default_model(tmp_path_factory.mktemp("models"))
