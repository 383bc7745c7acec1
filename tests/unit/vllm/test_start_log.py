"""Lines that vLLM 0.32 wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from adaptive_engine.types import ModelMemory
from adaptive_engine.vllm import start_log
from adaptive_engine.vllm.start_log import StartReport

GIB = 2**30
ON_TWO_GPUS = """\
(Worker_TP0 pid=11) INFO 11-22 04:49:44 [gpu_model_runner.py:5150] Model loading took 7.50 GiB memory and 1.2 seconds
(Worker_TP1 pid=12) INFO 11-22 04:49:44 [gpu_model_runner.py:5150] Model loading took 7.25 GiB memory and 1.2 seconds
(Worker_TP0 pid=11) INFO 11-22 04:49:46 [gpu_worker.py:760] Available KV cache memory: 20.0 GiB
(Worker_TP1 pid=12) INFO 11-22 04:49:46 [gpu_worker.py:760] Available KV cache memory: 20.5 GiB
(EngineCore pid=10) INFO 11-22 04:53:46 [kv_cache_utils.py:2328] GPU KV cache size: 298,128 tokens
"""
ON_A_CPU = """\
(Worker pid=30769) INFO 11-22 04:53:46 [cpu_worker.py:260] Explicitly set (1.0/19.34) GiB for KV cache on node 0.
(EngineCore pid=30735) INFO 11-22 04:53:46 [kv_cache_utils.py:2327] CPU KV cache size: 46,592 tokens, Maximum 5.69x
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "vllm.log"


def test_memory_of_all_devices(log: Path) -> None:
    log.write_text(ON_TWO_GPUS)
    expected = ModelMemory(int(14.75 * GIB), int(40.5 * GIB))
    assert start_log.report(log, 1) == StartReport(expected, 298_128)


def test_weights_by_their_files_where_nothing_is_said(log: Path) -> None:
    log.write_text(ON_A_CPU)
    assert start_log.report(log, 300) == StartReport(ModelMemory(300, GIB), 46_592)
    assert start_log.report(log, 0) == StartReport(None, 46_592)
    log.unlink()
    assert start_log.report(log, 300) == StartReport()


def test_only_the_last_start_counts(log: Path) -> None:
    log.write_text(f"{ON_TWO_GPUS}--- started at 2026-11-22 04:48:59 ---\n{ON_A_CPU}")
    assert start_log.report(log, 300).cache_tokens == 46_592


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["INFO 11-22 04:48:59 [a.py:1] Hello.", "", "Killed"], "Killed"),
        (["vllm: error: unrecognized arguments: --x", "see --help"], "vllm: error: unrecognized arguments: --x"),
        (
            [
                "(EngineCore pid=2) ERROR 11-22 04:49:44 [core.py:133] torch.OutOfMemoryError: CUDA out of memory.",
                "(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above.",
            ],
            "torch.OutOfMemoryError: CUDA out of memory.",
        ),
        (["OSError: [Errno 98] Address already in use\x1b[0m"], "OSError: [Errno 98] Address already in use[0m"),
        (["ValueError: " + "x" * 1000], "ValueError: " + "x" * 288 + "..."),
        ([], ""),
    ],
)
def test_why_it_failed(log: Path, lines: list[str], reason: str) -> None:
    log.write_text("\n".join(lines))
    assert start_log.failure(log) == reason
