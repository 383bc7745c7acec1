from __future__ import annotations

import inspect
import json
import subprocess
import sys

import pytest

import adaptive_engine
from adaptive_engine import sdk
from budgets import least

IMPORT_BUDGET_SECS = 0.3

MEASURE = """
import json, sys, time
start = time.process_time()
import adaptive_engine
before = set(sys.modules)
adaptive_engine.Adaptive
seconds = time.process_time() - start
print(json.dumps({"seconds": seconds, "modules": sorted(sys.modules), "lazy": "httpx2" not in before}))
"""


def test_names_at_the_front_desk() -> None:
    assert set(adaptive_engine.__all__) == {*sdk.__all__, "__version__"}
    assert all(getattr(adaptive_engine, name) is getattr(sdk, name) for name in sdk.__all__)
    assert set(adaptive_engine.__all__) <= set(dir(adaptive_engine))
    with pytest.raises(AttributeError, match="Adaptiv"):
        _ = adaptive_engine.Adaptiv  # type: ignore[attr-defined]


def test_every_error_is_exported() -> None:
    family = {
        name
        for name, value in vars(sdk.errors).items()
        if inspect.isclass(value) and value.__module__ == sdk.errors.__name__
    }
    assert family <= set(sdk.__all__)
    tree = sdk.errors.__doc__ or ""
    assert all(name in tree for name in family)


def test_both_clients_offer_the_same() -> None:
    def surface(client: object) -> dict[str, set[str]]:
        nouns = (
            *("chat", "interactions", "feedback", "ab_tests", "models", "graders", "imports"),
            *("projects", "users", "teams", "roles", "permissions", "keys"),
        )
        return {noun: {name for name in dir(getattr(client, noun)) if not name.startswith("_")} for noun in nouns}

    blocking, asynchronous = sdk.Adaptive(api_key="key"), sdk.AsyncAdaptive(api_key="key")
    assert surface(blocking) == surface(asynchronous)
    assert surface(blocking) == {
        "chat": {"create", "parse"},
        "interactions": {
            *("create", "get", "list", "groups", "labels", "update_labels"),
            *("delete", "delete_all", "export", "image"),
        },
        "feedback": {
            *("register_key", "get_key", "list_keys", "update_key", "delete_key", "statistics"),
            *("log_metric", "log_preference", "log_outcome", "list_outcomes"),
        },
        "ab_tests": {"create", "get", "list", "series", "cancel"},
        "models": {
            *("list", "list_registered", "get", "deploy", "attach", "add_to_project", "detach"),
            *("update", "update_compute_config", "terminate", "add_external", "update_external"),
        },
        "imports": {"create", "list", "sources", "get", "wait", "cancel"},
        "graders": {"create", "list", "get", "update", "delete", "run", "cancel", "judge"},
        "projects": {
            *("create", "list", "get", "update", "archive", "unarchive", "usage", "traffic"),
            *("share", "unshare", "shares"),
        },
        "users": {
            *("me", "list", "get", "create", "create_service_account", "delete"),
            *("add_to_team", "remove_from_team"),
        },
        "teams": {"list", "create", "delete"},
        "roles": {"list", "create", "update", "delete"},
        "permissions": {"list", "own"},
        "keys": {"list", "create", "revoke", "update"},
    }


def test_import_is_fast_and_brings_only_the_base_dependencies() -> None:
    runs = []

    def seconds() -> float:
        runs.append(json.loads(subprocess.check_output([sys.executable, "-I", "-c", MEASURE])))
        return float(runs[-1]["seconds"])

    assert least(seconds, IMPORT_BUDGET_SECS) < IMPORT_BUDGET_SECS
    assert runs[0]["lazy"]
    modules = {name for name in runs[0]["modules"] if "." not in name}
    loaded = modules - sys.stdlib_module_names - _at_startup()
    assert loaded <= {
        "adaptive_engine",
        "httpx2",
        "httpcore2",
        "idna",
        "pydantic",
        "pydantic_core",
        "typing_extensions",
    }
    ours = {name for name in runs[0]["modules"] if name.startswith("adaptive_engine.")}
    assert all(name.startswith(("adaptive_engine.sdk", "adaptive_engine._version")) for name in ours)


def _at_startup() -> set[str]:
    """What the interpreter itself loads here, for instance to find packages that are installed for editing."""
    listing = subprocess.check_output([sys.executable, "-I", "-c", "import sys; print(*sys.modules)"], text=True)
    return {name.partition(".")[0] for name in listing.split()} | {"__main__"}
