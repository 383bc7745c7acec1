"""What the documents say is compared with the code they speak of."""

from __future__ import annotations

import ast
import dataclasses
import re
from pathlib import Path

from pydantic import BaseModel

from adaptive_engine.cli.app import COMMANDS
from adaptive_engine.grammar.schema.limits import SchemaLimits
from adaptive_engine.permissions import PERMISSIONS, ROLES
from adaptive_engine.providers.base import Profile
from adaptive_engine.providers.registry import VENDORS
from adaptive_engine.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "adaptive_engine"


def variables(model: type[BaseModel], prefix: str = "ADAPTIVE_") -> dict[str, object]:
    """Each setting's environment variable with its default."""
    found: dict[str, object] = {}
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found.update(variables(field.annotation, f"{prefix}{name.upper()}__"))
        else:
            found[f"{prefix}{name.upper()}"] = field.default
    return found


def test_every_setting_is_documented_with_its_default() -> None:
    table = dict(
        re.findall(r"^\| `(ADAPTIVE_\w+)` \| (.*?) \|", (ROOT / "docs/configuration.md").read_text(), re.MULTILINE)
    )
    settings = variables(Settings)
    assert table.keys() == settings.keys()
    for name, default in settings.items():
        if isinstance(default, int | float | str):
            shown = f"{default:g}" if isinstance(default, float) else str(default)
            assert table[name].strip("`").lower() == shown.lower(), name


def test_the_limits_of_schemas_are_documented() -> None:
    text = (ROOT / "docs/structured_output.md").read_text()
    table = {name: int(value) for name, value in re.findall(r"^\| `(\w+)` \| (\d+) \|", text, re.MULTILINE)}
    assert table == dataclasses.asdict(SchemaLimits())


def test_the_table_of_roles_is_true() -> None:
    text = (ROOT / "docs/access.md").read_text()
    head, *rows = re.findall(r"^\| (.*) \|$", text[text.index("## Roles") : text.index("## Rules")], re.MULTILINE)
    names = [cell.strip(" `") for cell in head.split("|")[1:]]
    table: dict[str, set[str]] = {name: set() for name in names}
    for row in rows:
        permission, *marks = (cell.strip(" `") for cell in row.split("|"))
        for name, mark in zip(names, marks, strict=True):
            table[name] |= {permission} if mark == "x" else set()
    assert table == ROLES
    assert [row.split("`")[1] for row in rows] == list(PERMISSIONS)


def test_every_provider_is_documented_with_its_endpoint() -> None:
    text = (ROOT / "docs/providers.md").read_text()
    table = dict(
        re.findall(r"^\| `(\w+)` \| (`http\S+` )?\| ", text[text.index("| Provider | Endpoint") :], re.MULTILINE)
    )
    assert {name: shown.strip("` ") or None for name, shown in table.items() if name in VENDORS} == {
        name: vendor.endpoint for name, vendor in VENDORS.items()
    }


def test_every_fact_of_a_profile_is_documented() -> None:
    text = (ROOT / "docs/providers.md").read_text()
    rows = re.findall(r"^\| (`.*?) \|", text[text.index("### Profiles") :].partition("\n## ")[0], re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert {field.name for field in dataclasses.fields(Profile)} == named - VENDORS.keys()


def test_every_command_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    for name in COMMANDS:
        assert f"adaptive {name}" in readme, name


def test_the_map_names_every_package_and_nothing_else() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    table = text[text.index("## Packages") :]
    named = set(re.findall(r"^\| `(\w+)/`", table, re.MULTILINE))
    packages = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert named == packages


def test_files_that_documents_name_exist() -> None:
    for document in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        text = document.read_text()
        for link in re.findall(r"\]\(([\w./-]+)\)", text):
            assert (document.parent / link).exists(), f"{document.name} links to {link}"
        for path in re.findall(
            r"`((?:server|services|store|engine|providers|sdk|wire|cli|registry)/[\w/]+\.py)`", text
        ):
            assert (PACKAGE / path).exists(), f"{document.name} names {path}"


# What each package may import of the others. `cli/` stands on top and may import all.
BELOW = {
    "types": set(),
    "wire": set(),
    "telemetry": set(),
    "sdk": {"wire", "_version"},
    "sandbox": set(),
    "grammar": {"sandbox"},
    "images": {"sandbox", "types", "wire"},
    "experiments": set(),
    "engine": {"grammar", "errors", "types", "privacy"},
    "providers": {"errors", "types", "_version"},
    "store": {"errors", "types"},
    "registry": {"errors", "types", "privacy"},
    "services": {
        "permissions",
        "engine",
        "providers",
        "experiments",
        "grammar",
        "images",
        "sandbox",
        "store",
        "registry",
        "wire",
        "errors",
        "types",
        "settings",
        "telemetry",
        "_version",
    },
    "server": {
        *("services", "engine", "providers", "experiments", "grammar", "store", "registry", "wire"),
        *("errors", "types", "settings", "telemetry", "permissions", "__version__"),
    },
}


def imports(code: str) -> set[str]:
    """The names directly below `adaptive_engine` that this code imports, however it spells that."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            modules.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            modules.update(f"{node.module}.{alias.name}" for alias in node.names)
    return {module.partition(".")[2].partition(".")[0] for module in modules if module.split(".")[0] == PACKAGE.name}


def test_every_spelling_of_an_import_is_seen() -> None:
    code = "from adaptive_engine import store, types\nimport adaptive_engine.wire.chat as chat, os\n"
    assert imports(code + "def f():\n    from adaptive_engine.sdk.http import Call") == {
        "store",
        "types",
        "wire",
        "sdk",
    }


def test_imports_point_down() -> None:
    """The layers of docs/architecture.md: none imports one that stands above it."""
    packages = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert BELOW.keys() == packages - {"cli"}
    for layer, allowed in BELOW.items():
        for file in (PACKAGE / layer).rglob("*.py"):
            found = imports(file.read_text()) - allowed - {layer}
            assert not found, f"{file.relative_to(PACKAGE)} imports {found}"


def test_each_outside_library_stays_in_its_corner() -> None:
    corners = {
        "openvino": ("engine/runner.py", "engine/vision/graph.py", "registry/", "cli/doctor.py"),
        "sqlalchemy": ("store/",),
        "PIL": ("images/worker.py", "engine/vision/"),
    }
    for library, places in corners.items():
        for file in PACKAGE.rglob("*.py"):
            where = str(file.relative_to(PACKAGE))
            if re.search(rf"^\s*(?:from|import) {library}\b", file.read_text(), re.MULTILINE):
                assert where.startswith(places), f"{where} imports {library}"
