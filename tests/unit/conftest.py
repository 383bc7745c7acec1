from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adaptive_engine.store import Database
from stores import place_store


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a test has a store of its own, on each database; modules about one of them define `address` themselves."""
    if request.param == "sqlite":
        path = tmp_path / "data" / "store.db"
        place_store(path)
        return str(path)
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def database(address: str) -> Iterator[Database]:
    database = Database.open(address)
    yield database
    database.close()
