"""What the documents say is compared with the code they speak of."""

from __future__ import annotations

import ast
import dataclasses
import re
from pathlib import Path

from pydantic import BaseModel

from adaptive_engine.cli.app import COMMANDS
from adaptive_engine.engine import template
from adaptive_engine.experiments import assign
from adaptive_engine.grammar import schemas
from adaptive_engine.grammar.schema.limits import SchemaLimits
from adaptive_engine.images import decoder
from adaptive_engine.permissions import PERMISSIONS, ROLES
from adaptive_engine.providers import connection as provider_connection
from adaptive_engine.providers import http as provider_http
from adaptive_engine.providers import http_provider, sse
from adaptive_engine.providers.base import Profile
from adaptive_engine.providers.registry import VENDORS
from adaptive_engine.server import bodies, body_limit, http
from adaptive_engine.server.graphql import limits as graphql
from adaptive_engine.server.graphql import route
from adaptive_engine.services import claims, grading, idempotency, keys, limits, prompts, sign_in, traffic
from adaptive_engine.services import imports as model_imports
from adaptive_engine.settings import Settings
from adaptive_engine.store import pages, recorder, statistics
from adaptive_engine.telemetry import meter
from adaptive_engine.telemetry.answered import Answered
from adaptive_engine.telemetry.catalog import FAMILIES
from adaptive_engine.types import Interaction, uuid7
from adaptive_engine.wire import chat, external_models, filters, interactions, models

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


def bounds() -> list[list[str]]:
    """The rows of the tables of docs/limits.md: what, limit, changed by, past it."""
    text = (ROOT / "docs/limits.md").read_text()
    rows = [row.split(" | ") for row in re.findall(r"^\| (.*) \|$", text[text.index("## Requests") :], re.MULTILINE)]
    return [row for row in rows if len(row) == 4 and row[0] != "What"]


def test_bounds_that_settings_change_are_their_defaults() -> None:
    settings = variables(Settings)
    changed = {row[2].strip("`"): row[1] for row in bounds() if row[2].startswith("`ADAPTIVE")}
    assert len(changed) >= 20
    for name, shown in changed.items():
        default = settings[name]
        if default is not None:
            assert isinstance(default, int | float)
            assert shown.split()[0] == (f"{default:g}" if isinstance(default, float) else str(default)), name


def test_bounds_that_are_fixed_are_those_of_the_code() -> None:
    shown = {row[0]: set(re.findall(r"\d+(?:\.\d+)?", row[1])) for row in bounds() if row[2] == "fixed"}
    constants: dict[str, tuple[float, ...]] = {
        "Address and headers, where they come in pieces (one has 256 KiB at most)": (http.MAX_HEAD_BYTES,),
        "Connections that wait to be taken": (http._BACKLOG,),
        "Bodies with large images that arrive at once": (body_limit._MOST_LARGE,),
        "`messages`": (chat.MAX_MESSAGES,),
        "`n`": (chat.MAX_CHOICES,),
        "`stop`": (chat.MAX_STOP,),
        "`top_logprobs`": (chat.MAX_TOP_LOGPROBS,),
        "`max_tokens`": (chat.MAX_TOKENS,),
        "System prompt of a model's settings": (models.MAX_SYSTEM_PROMPT,),
        "The same with its arguments": (prompts.MAX_RENDERED,),
        "GraphQL: tokens of a document": (graphql.MAX_TOKENS,),
        "GraphQL: characters of a document": (route.MAX_CHARACTERS,),
        "GraphQL: fragments, repeated fields": (graphql.MAX_FRAGMENTS, graphql.MAX_REPEATED),
        "Members of objects and items of lists in a body; of objects alone": (bodies.MAX_VALUES, bodies.MAX_MEMBERS),
        "Summing up what the server measures": (statistics.STATISTICS_SECONDS,),
        "GraphQL: depth": (graphql.MAX_DEPTH,),
        "GraphQL: fields": (graphql.MAX_FIELDS,),
        "GraphQL: fields at the root of an operation": (graphql.MAX_ROOT_FIELDS,),
        "GraphQL: values of an answer": (graphql.MAX_VALUES,),
        "Frames of an animation": (decoder.MAX_FRAMES,),
        "Compiled schemas that are kept": (schemas._CACHE_BYTES,),
        "Schemas that wait to be compiled": (schemas._MOST_PENDING,),
        "Rendering a chat template": (template.RENDER_SECONDS,),
        "Answer that is no stream": (provider_http.MAX_BODY_BYTES,),
        "Stream": (http_provider._MAX_STREAM_BYTES,),
        "One event of a stream": (sse.MAX_EVENT_BYTES,),
        "Headers of an answer": (provider_connection.MAX_HEADER_BYTES,),
        "Idle connections": (provider_http._IDLE_CONNECTIONS, provider_http._IDLE_SECONDS),
        "`extra_params` of a model": (external_models.MAX_EXTRA_PARAMS,),
        "A page": (interactions.MAX_PAGE, interactions.DEFAULT_PAGE),
        "Conditions of a filter": (filters.MAX_NODES, filters.MAX_DEPTH, filters.MAX_VALUES),
        "Finding a page": (pages.PAGE_SECONDS,),
        "Sorting by something else than time": (pages.MOST_SORTED,),
        "Counting": (pages.MOST_COUNTED,),
        "Spans of a traffic report": (traffic.MAX_SPANS,),
        "Interactions that wait to be stored": (recorder.QUEUE_ROWS,),
        "Finished ones while the store is away": (recorder.UNSAVED_ROWS, recorder.UNSAVED_IMAGE_BYTES),
        "Judgements at once": (grading.AT_ONCE,),
        "Models of an A/B test": (assign.MAX_ARMS,),
        "Keys and sign-ins that are known without asking the store": (keys.CACHE_KEYS, keys.CACHE_SECONDS),
        "Keys and projects whose requests are counted": (limits.MOST_IDLE,),
        "A sign-in of a browser": (sign_in.SIGNED_IN_DAYS,),
        "Answers kept for an API key by [`Idempotency-Key`](idempotency.md)": (
            claims.KEYS_OF_OWNER,
            claims.KEEP_HOURS,
        ),
        "Those of unstored answers": (idempotency.MEMORY_ANSWERS, idempotency.MEMORY_BYTES),
        "Requests that wait for one such answer": (idempotency.MOST_WAITING, idempotency.WAIT_SECONDS),
        "Series of a metric": (meter.MAX_SERIES,),
        "Imports that are remembered": (model_imports.REMEMBERED,),
    }
    for what, numbers in constants.items():
        assert {f"{number:.12g}" for number in numbers} <= shown[what], what


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


def test_every_metric_is_documented() -> None:
    text = (ROOT / "docs/observability.md").read_text()
    rows = re.findall(r"^\| `(adaptive_\w+)` \| (\w+) \| (.*?) ?\| (.*) \|$", text, re.MULTILINE)
    table = {name: (kind, tuple(re.findall(r"`(\w+)`", labels)), meaning) for name, kind, labels, meaning in rows}
    assert table == {family.full_name: (family.kind, family.labels, family.help) for family in FAMILIES}


def test_every_instrument_and_span_is_documented() -> None:
    text = (ROOT / "docs/observability.md").read_text()
    code = (PACKAGE / "telemetry/otel.py").read_text()
    assert set(re.findall(r"`(gen_ai\.(?:server|client)\.[\w.]+)`", text)) == set(
        re.findall(r'histogram\("([\w.]+)"', code)
    )
    timings = {"queue_ms": 1.0, "ttft_ms": 2.0, "total_ms": 3.0}
    row = Interaction(uuid7(), uuid7(), uuid7(), [], "complete", "LIVE", 0, timings=timings)
    phases = Answered(row, 0, 0, 0, 1, 1, None).phases()
    assert {*phases} == set(re.findall(r"`(\w+)`", text[text.index("| Span | Kind |") :].partition("\n\n")[0]))


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
    for document in [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
        *(ROOT / "docs").glob("*.md"),
    ]:
        text = document.read_text()
        for link in re.findall(r"\]\(([\w./-]+)\)", text):
            assert (document.parent / link).exists(), f"{document.name} links to {link}"
        for path in re.findall(
            r"`((?:server|services|store|engine|providers|sdk|wire|cli|registry)/[\w/]+\.py)`", text
        ):
            assert (PACKAGE / path).exists(), f"{document.name} names {path}"


def test_the_site_leads_to_every_document() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text().partition("\nnav:")[2]
    for document in (ROOT / "docs").glob("*.md"):
        assert re.search(rf"- (?:\w+: )?{document.name}$", navigation, re.MULTILINE), (
            f"mkdocs.yml lacks {document.name}"
        )


# What each package may import of the others. `cli/` stands on top and may import all.
BELOW = {
    "types": set(),
    "wire": set(),
    "native": set(),
    "telemetry": {"errors", "types", "_version"},
    "sdk": {"wire", "_version"},
    "sandbox": {"privacy"},
    "grammar": {"sandbox"},
    "images": {"sandbox", "types", "wire"},
    "experiments": set(),
    "engine": {"native", "grammar", "errors", "types", "privacy"},
    "vllm": {"registry", "errors", "types", "privacy"},
    "providers": {"errors", "telemetry", "types", "_version"},
    "store": {"errors", "types"},
    "registry": {"native", "errors", "types", "privacy", "_version"},
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
        "native",
        "vllm",
        "wire",
        "errors",
        "types",
        "settings",
        "telemetry",
        "privacy",
        "_version",
    },
    "deploy": {"services", "engine", "grammar", "registry", "wire", "errors", "types", "settings", "__version__"},
    "server": {
        *("deploy", "services", "engine", "providers", "experiments", "grammar", "store", "registry", "wire"),
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
        "openvino": ("engine/openvino/", "engine/vision/graph.py", "registry/", "cli/doctor.py"),
        "sqlalchemy": ("store/",),
        "PIL": ("images/worker.py", "engine/vision/"),
        "prometheus_client": ("telemetry/exposition.py",),
        "opentelemetry": ("telemetry/otel.py",),
        "ray": ("deploy/ray/",),
    }
    for library, places in corners.items():
        for file in PACKAGE.rglob("*.py"):
            where = str(file.relative_to(PACKAGE))
            if re.search(rf"^\s*(?:from|import) {library}\b", file.read_text(), re.MULTILINE):
                assert where.startswith(places), f"{where} imports {library}"
