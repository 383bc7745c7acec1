"""The compose file, the image, and the configuration beside them."""

from __future__ import annotations

import re

from sbom import EXTRAS

from adaptive_engine import __version__
from deploy.tools import ROOT, run

COMPOSE = ROOT / "deploy/compose.yaml"


def test_the_compose_file_is_one() -> None:
    run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE))


def test_all_yaml_is_tidy() -> None:
    run("yamllint", "--strict", "deploy")


def test_the_image_is_built_by_good_practice() -> None:
    run("hadolint", "deploy/Dockerfile")


def test_every_variable_is_explained_and_no_secret_has_a_default() -> None:
    used = dict(re.findall(r"\$\{(\w+)(:[-?])?", COMPOSE.read_text()))
    example = (ROOT / "deploy/.env.example").read_text()
    assert used.keys() == set(re.findall(r"^(\w+)=", example, re.MULTILINE))
    required = {name for name, default in used.items() if default != ":-"}
    assert required == set(re.findall(r"^(\w+)=$", example, re.MULTILINE))


def test_what_the_services_mount_is_there() -> None:
    for path in re.findall(r"- (\./[\w./-]+):", COMPOSE.read_text()):
        assert (COMPOSE.parent / path).exists(), path


def test_the_image_has_all_that_a_server_can_use() -> None:
    installed = re.search(r"\.whl\)\[([\w,]+)\]", (ROOT / "deploy/Dockerfile").read_text())
    assert installed is not None
    assert {*installed[1].split(",")} == {*EXTRAS} - {""}


def test_only_the_stage_that_builds_the_wheel_has_a_compiler() -> None:
    _, wheel, *others = re.split(r"^FROM ", (ROOT / "deploy/Dockerfile").read_text(), flags=re.MULTILINE)
    assert " gcc libc6-dev" in wheel
    assert len(others) == 2
    assert "hatch_build.py" in wheel
    assert not any("apt-get" in stage for stage in others)


def test_the_image_has_no_more_rights_than_it_needs() -> None:
    last_stage = (ROOT / "deploy/Dockerfile").read_text().split("\nFROM ")[-1]
    assert re.search(r"^USER 10001:10001$", last_stage, re.MULTILINE)
    assert "pip install" not in last_stage
    api = COMPOSE.read_text().partition("\n  api:")[2].partition("\n  prometheus:")[0]
    assert "<<: *hardened" in api
    assert f"image: adaptive-engine:{__version__}" in api
