from __future__ import annotations

from adaptive_engine.engine.recent import RecentlyUsed


def memory(max_size: int = 10) -> RecentlyUsed[str, str]:
    return RecentlyUsed(max_size, len)


def test_what_was_used_last_is_kept() -> None:
    recent = memory()
    for key in "abc":
        recent.put(key, "1234")
        recent.get("a")
    assert [recent.get(key) for key in "abc"] == ["1234", None, "1234"]


def test_a_value_in_the_place_of_another_counts_for_itself() -> None:
    recent = memory()
    recent.put("a", "1234")
    recent.put("b", "1234")
    recent.put("b", "123456")
    assert [recent.get(key) for key in "ab"] == ["1234", "123456"]


def test_what_is_larger_than_all_may_be_displaces_nothing() -> None:
    recent = memory()
    recent.put("a", "1234")
    recent.put("b", "12345678901")
    assert [recent.get(key) for key in "ab"] == ["1234", None]


def test_what_has_no_size_would_never_be_forgotten() -> None:
    recent = memory()
    recent.put("a", "")
    assert len(recent) == 0
