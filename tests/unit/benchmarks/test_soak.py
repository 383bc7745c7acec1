from __future__ import annotations

from soak import Sample, engine_leaks, growth, server_leaks

from adaptive_engine.engine import EngineStats


def samples(*memory: float, files: int = 20, threads: int = 10) -> list[Sample]:
    """One a minute."""
    return [Sample(float(minute), mib, files, threads) for minute, mib in enumerate(memory)]


def test_growth_is_that_of_the_second_half() -> None:
    slope, total = growth(samples(100, 300, 500, 600, 602, 604, 606, 608))
    assert (round(slope, 9), round(total, 9)) == (2.0, 6.0)
    assert growth(samples(100)) == (0.0, 0.0)


def test_a_cache_that_fills_early_is_no_leak() -> None:
    held = samples(100, 400, 600, *[620.0] * 10)
    assert server_leaks(held, held[0]) == []


def test_memory_that_keeps_growing_is_a_leak() -> None:
    held = samples(*(500 + 5 * minute for minute in range(20)))
    (leak,) = server_leaks(held, held[0])
    assert "5.0 MiB a minute" in leak


def test_files_and_threads_that_stay_are_leaks() -> None:
    (before,), (after,) = samples(100), samples(100, files=80, threads=19)
    assert server_leaks([before], after) == [
        "80 files when idle at the end, 20 when idle before",
        "19 threads when idle at the end, 10 when idle before",
    ]
    (after,) = samples(100, files=28, threads=18)
    assert server_leaks([before], after) == []


def test_an_idle_engine_holds_nothing() -> None:
    assert engine_leaks(EngineStats(kv_blocks_total=9, finished=5, cancelled=2), healthy=True) == []
    leaks = engine_leaks(EngineStats(running=1, kv_blocks_used=4), healthy=False)
    assert leaks == [
        "the engine is not healthy",
        "the idle engine counts running = 1",
        "the idle engine counts kv_blocks_used = 4",
    ]
