"""The tools of the gateway's benchmark against each other."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import pytest
from common import running
from gateway import EVENTS, SCENARIOS, Bench, compiled, markdown
from gateways import CHAT, Gateway, Target
from results import Results, Row


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tools")


@pytest.fixture(scope="module")
def load(folder: Path) -> Path:
    return compiled("load", folder)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_load_generator_reads_what_the_upstream_sends(folder: Path, load: Path, scenario: str) -> None:
    wanted = SCENARIOS[scenario]
    with ExitStack() as stack:
        command = [str(compiled("upstream", folder)), "0", str(EVENTS), "1" if scenario == "paced" else "0"]
        port = int(stack.enter_context(running(command, r"ready at (http://\S+)")).url.rpartition(":")[2])
        target = Target(port, CHAT, (), "mock")
        bench = Bench(load, folder, 0.05, {"direct": Gateway(1, {wanted.upstream: target})})
        values = bench.turn("direct", wanted)
    assert values["per_second"] > 0
    assert ("event_p99_ms" in values) == (scenario != "json")


def test_what_is_not_the_answer_is_an_error(folder: Path, load: Path) -> None:
    with running([str(compiled("upstream", folder)), "0", "7", "0"], r"ready at (http://\S+)") as upstream:
        target = Target(int(upstream.url.rpartition(":")[2]), CHAT, (), "mock")
        bench = Bench(load, folder, 0.01, {"direct": Gateway(1, {"fast": target})})
        with pytest.raises(RuntimeError, match="7 of 50 events"):
            bench.turn("direct", SCENARIOS["streams"])


def test_the_tables_say_which_goals_are_met() -> None:
    rows = []
    for number, factor in enumerate((1.0, 1.1, 0.9)):
        for name, speed in (("ours", 2500.0), ("unstored", 3000.0), ("portkey", 700.0)):
            rows.append(Row("json", "", name, number, {"per_second": speed * factor, "cpu_ms": 1000 / speed}, 0.02))
            rows.append(Row("paced", "", name, number, {"event_p99_ms": 5000 / speed}, 0.01))
    text = markdown(Results({"cores": 2}, rows))
    lines = {line.split("|")[1].strip(): line for line in text.splitlines() if line.startswith("|")}
    assert "2500 (2250-2750)" in lines["Adaptive Engine"]
    assert "| ok " in lines["JSON requests/s, stored"]
    assert "(!)" in lines["JSON requests/s, not stored"]
    assert "0.28" in lines["paced: 99 % of events, of Portkey's"]
    assert "not measured" in lines["streams/s, stored"]
    assert json.dumps(2) in lines["cores"]
