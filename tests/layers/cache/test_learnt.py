"""Hints: bounded, and never more than hints."""

from __future__ import annotations

from redis_middleware.layers.cache.learnt import NOTHING, Hint, Learnt


def test_what_was_noted_is_remembered_for_each_kind_of_request() -> None:
    learnt = Learnt()
    learnt.note("a", False, Hint(("accept",)))
    learnt.note("a", True, Hint(refused=True))
    assert learnt.of("a", False) == Hint(("accept",))
    assert learnt.of("a", True) == Hint(refused=True)
    assert learnt.of("b", False) is NOTHING
    learnt.note("a", False, Hint(("origin",)))
    assert learnt.of("a", False) == Hint(("origin",))


def test_what_was_used_least_recently_is_forgotten_first() -> None:
    learnt = Learnt(most=2)
    learnt.note("a", False, Hint(beside=True))
    learnt.note("b", False, Hint(beside=True))
    learnt.of("a", False)
    learnt.note("c", False, Hint(beside=True))
    assert [learnt.of(key, False).beside for key in "abc"] == [True, False, True]
    learnt.note("a", False, Hint(beside=True))
    learnt.note("d", False, Hint(beside=True))
    assert [learnt.of(key, False).beside for key in "acd"] == [True, False, True]
