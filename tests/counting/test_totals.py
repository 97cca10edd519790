"""Totals: what all workers have counted together."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from redis_middleware import MemoryStorage
from redis_middleware.counting import ReadTotals
from redis_middleware.counting.totals import Add
from redis_middleware.ops import Delete, Set
from redis_middleware.storage import Storage


def test_what_several_processes_add_is_the_sum(storage: Storage) -> None:
    for _ in range(3):
        storage.execute([Add(("n",), (60, "b", 1, "a", 2))])
    assert storage.execute([ReadTotals(("n",))]) == [{"a": 6, "b": 3}]


def test_no_totals_are_none(storage: Storage) -> None:
    assert storage.execute([ReadTotals(("n",))]) == [{}]


def test_it_never_fails_whatever_is_there(storage: Storage) -> None:
    storage.execute([Set("n", b"something else", ttl=60)])
    assert storage.execute([Add(("n",), (60, "a", 1))]) == [None]


def test_totals_that_nobody_adds_to_are_forgotten(storage: Storage, control: Any) -> None:
    storage.execute([Add(("n",), (60, "a", 1))])
    if not isinstance(storage, MemoryStorage):
        [key] = control.scan_iter(f"{storage._prefix.decode()}n")  # type: ignore[attr-defined]
        assert 0 < control.ttl(key) <= 60


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.text(max_size=5), st.integers(-(2**40), 2**40)), max_size=9))
def test_memory_and_redis_mean_the_same(storage: Storage, pairs: list[tuple[str, int]]) -> None:
    memory, key = MemoryStorage(), "same"
    storage.execute([Delete(key)])
    for one in pairs:
        assert memory.execute([Add((key,), (60, *one))]) == storage.execute([Add((key,), (60, *one))])
    assert memory.execute([ReadTotals((key,))]) == storage.execute([ReadTotals((key,))])
