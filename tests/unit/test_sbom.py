"""What a release says it consists of."""

from __future__ import annotations

import sbom


def test_what_a_server_needs_is_counted_and_what_only_tests_need_is_not() -> None:
    found = sbom.needed(sbom.NAME, frozenset(sbom.EXTRAS))
    assert {"openvino", "httpx2", "psycopg-binary", "pyarrow", "pydantic-core", "uvloop"} <= found
    assert not {"pytest", "mypy", "openai", "playwright", "torch", sbom.NAME} & found


def test_the_bare_install_is_small() -> None:
    assert "fastapi" not in sbom.needed(sbom.NAME, frozenset({""}))
