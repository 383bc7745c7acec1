from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adaptive_engine.store import Database


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a test has a store of its own, on each database; modules about one of them define `address` themselves."""
    if request.param == "sqlite":
        return str(tmp_path / "data" / "store.db")
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def database(address: str) -> Iterator[Database]:
    database = Database.open(address)
    yield database
    database.close()
