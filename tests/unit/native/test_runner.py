"""The life of a runner: its threads, its memory, and copies of its process."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from adaptive_engine.engine import native
from adaptive_engine.engine.native import NativeModel, NativeRunner, read_native
from adaptive_engine.engine.sequence import Slice
from adaptive_engine.errors import EngineFailed
from unit.native.models import Decoder, Part, Sizes, needs_library, random_tensors, read_model

pytestmark = needs_library


class Tokens:
    """As much of a sequence as a runner looks at."""

    def __init__(self, tokens: list[int], blocks: list[int]) -> None:
        self.tokens = tokens
        self.blocks = blocks


def slice_of(
    tokens: list[int], start: int = 0, drafts: tuple[int, ...] = (), blocks: tuple[int, ...] = (2, 1)
) -> Slice:
    """All of the tokens from `start` on."""
    return Slice(Tokens(tokens, list(blocks)), start, len(tokens), list(drafts))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("models") / "model"
    read_model(directory, Sizes(), random_tensors(Sizes()))
    return directory


@pytest.fixture(scope="module")
def model(directory: Path) -> NativeModel:
    return read_native(directory)


def test_a_runner_computes_what_the_decoder_does(model: NativeModel) -> None:
    tokens = list(range(40))
    with Decoder(model) as decoder:
        right = decoder.step(Part([*tokens, 7, 9], [2, 1]))
    runner = NativeRunner(model, kv_tokens=128, threads=2)
    assert (runner.num_blocks, runner.shape.vocab_size) == (5, 250)
    runner.start([slice_of(tokens, drafts=(7, 9))])
    assert np.array_equal(runner.finish(), right[39:])
    runner.start([slice_of([*tokens, 7], 40)])
    assert np.array_equal(runner.finish(), right[40:41])


def test_a_token_that_the_model_does_not_have_is_refused(model: NativeModel) -> None:
    runner = NativeRunner(model, kv_tokens=64, threads=1)
    with pytest.raises(ValueError, match="the tokenizer has the token 250, the model does not"):
        runner.start([slice_of([249, 250])])
    runner.start([slice_of([249])])
    assert np.isfinite(runner.finish()).all()


@pytest.mark.parametrize(
    "part",
    [
        slice_of([-1]),
        slice_of([1], blocks=()),
        slice_of([1], blocks=(3,)),
        slice_of([1], blocks=(-1,)),
        slice_of([1] * 33, blocks=(1,)),
        slice_of([1] * 65, start=64, blocks=(1, 2)),
    ],
)
def test_nothing_outside_the_memory_of_a_model_is_computed_with(model: NativeModel, part: Slice) -> None:
    runner = NativeRunner(model, kv_tokens=64, threads=1)
    with pytest.raises(ValueError, match="refers to tokens, blocks or rows that are not there"):
        runner.start([slice_of([1]), part])
    runner.start([slice_of([249])])
    assert np.isfinite(runner.finish()).all()


def has_threads(count: int) -> bool:
    """Or has soon: the system may count one for a moment that has ended."""
    for _ in range(500):
        if len(os.listdir("/proc/self/task")) == count:
            return True
        time.sleep(0.01)
    return False


def test_threads_and_memory_end_with_the_runner(model: NativeModel) -> None:
    # Those of the test before have ended too.
    gc.collect()
    time.sleep(0.1)
    before = len(os.listdir("/proc/self/task"))
    for _ in range(10):
        runner = NativeRunner(model, kv_tokens=1 << 22, threads=4)
        runner.start([slice_of([1, 2, 3])])
        runner.finish()
        assert has_threads(before + 4)
        del runner
        gc.collect()
        assert has_threads(before)


def processors_of_new_threads(model: NativeModel, threads: int) -> list[set[int]]:
    """Of each thread of a runner: the processors that it may use."""
    before = set(os.listdir("/proc/self/task"))
    runner = NativeRunner(model, kv_tokens=64, threads=threads)
    found = [os.sched_getaffinity(int(thread)) for thread in set(os.listdir("/proc/self/task")) - before]
    runner.start([slice_of([1, 2, 3])])
    runner.finish()
    return found


def test_as_many_threads_as_processors_have_one_each(model: NativeModel) -> None:
    allowed = os.sched_getaffinity(0)
    own = processors_of_new_threads(model, len(allowed))
    assert sorted(own, key=min) == [{processor} for processor in sorted(allowed)]
    assert processors_of_new_threads(model, len(allowed) + 1) == [allowed] * (len(allowed) + 1)
    assert os.sched_getaffinity(0) == allowed


QUOTAS = {
    "none": ({"cpu.max": "max 100000\n"}, 8),
    "two processors": ({"cpu.max": "200000 100000\n"}, 2),
    "two and a half": ({"cpu.max": "250000 100000\n"}, 3),
    "a tenth": ({"cpu.max": "10000 100000\n"}, 1),
    "more than there are": ({"cpu.max": "3200000 100000\n"}, 8),
    "of the older kind": ({"cpu.cfs_quota_us": "150000\n", "cpu.cfs_period_us": "50000\n"}, 3),
    "none of the older kind": ({"cpu.cfs_quota_us": "-1\n", "cpu.cfs_period_us": "100000\n"}, 8),
    "nonsense": ({"cpu.max": "\n"}, 8),
    "no files": ({}, 8),
}


@pytest.mark.parametrize(("files", "threads"), QUOTAS.values(), ids=QUOTAS.keys())
def test_a_thread_for_each_processor_that_the_container_gets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], threads: int
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    quotas = [(tmp_path, names) for _, names in native._CGROUP_QUOTAS]
    monkeypatch.setattr(native, "_CGROUP_QUOTAS", quotas)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert native._processors() == threads


def test_runners_work_beside_one_another(model: NativeModel) -> None:
    right = NativeRunner(model, kv_tokens=64, threads=1)
    right.start([slice_of(list(range(50)))])
    expected = right.finish().copy()
    wrong = []

    def work() -> None:
        for _ in range(20):
            runner = NativeRunner(model, kv_tokens=64, threads=2)
            for _ in range(3):
                runner.start([slice_of(list(range(50)))])
                if not np.array_equal(runner.finish(), expected):
                    wrong.append(runner)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_a_cache_that_does_not_fit_is_refused(model: NativeModel) -> None:
    with pytest.raises(EngineFailed, match="There is no room for the KV cache of model"):
        NativeRunner(model, kv_tokens=1 << 46, threads=1)


def test_a_copy_of_the_process_leaves_the_threads_alone(model: NativeModel) -> None:
    runner = NativeRunner(model, kv_tokens=64, threads=2)
    child = os.fork()
    if child == 0:
        del runner
        gc.collect()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    runner.start([slice_of([1])])
    assert np.isfinite(runner.finish()).all()


def run(code: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """In a process of its own, which has a runner of one thread."""
    before = (
        "import gc, resource, sys, threading, time\n"
        "from pathlib import Path\n"
        "from adaptive_engine.engine.native import NativeRunner, read_native\n"
        "from adaptive_engine.errors import EngineFailed\n"
        "from unit.native.test_runner import slice_of\n"
        "model = read_native(Path(sys.argv[1]))\n"
        "runner = NativeRunner(model, kv_tokens=1 << 20, threads=1)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, "-c", before + code, str(directory)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_process_may_end_while_a_step_runs(directory: Path) -> None:
    code = (
        "def work():\n"
        "    while True:\n"
        "        runner.start([slice_of([1] * 64)])\n"
        "        runner.finish()\n"
        "threading.Thread(target=work, daemon=True).start()\n"
        "time.sleep(0.2)\n"
    )
    for _ in range(3):
        ended = run(code, directory)
        assert (ended.returncode, ended.stderr) == (0, "")


def test_a_step_without_memory_is_an_error_and_the_next_one_works(directory: Path) -> None:
    code = (
        "many = slice_of([1] * 64)\n"
        "many.sequence.tokens = [1] * (1 << 19)\n"
        "many.sequence.blocks = list(range(1, 1 << 15))\n"
        "many.stop = 1 << 19\n"
        "now = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (now + (300 << 20), resource.RLIM_INFINITY))\n"
        "try:\n"
        "    runner.start([many])\n"
        "except MemoryError as exc:\n"
        "    print(exc)\n"
        "runner.start([slice_of([1])])\n"
        "print(runner.finish().shape)\n"
    )
    ended = run(code, directory)
    assert (ended.stdout, ended.returncode) == ("a step has more rows than there is memory for\n(1, 250)\n", 0), ended


def test_threads_that_cannot_be_had_are_refused(directory: Path) -> None:
    code = (
        "now = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (now + (64 << 20), resource.RLIM_INFINITY))\n"
        "try:\n"
        "    NativeRunner(model, kv_tokens=64, threads=100)\n"
        "except EngineFailed as exc:\n"
        "    print(exc.message)\n"
        "runner.start([slice_of([1])])\n"
        "print(runner.finish().shape)\n"
    )
    ended = run(code, directory)
    assert ended.stdout == "model cannot have 100 threads, or memory for them.\n(1, 250)\n", ended
    assert ended.returncode == 0
