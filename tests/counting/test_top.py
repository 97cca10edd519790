"""Rankings: bounded, whatever clients send."""

from __future__ import annotations

import pytest

from redis_middleware import MemoryStorage
from redis_middleware.counting import First, Top
from redis_middleware.counting.top import LONGEST, MOST, Add
from redis_middleware.ops import Get, Set
from redis_middleware.storage import Storage


def first(storage: Storage, top: Top, count: int = 10) -> list[tuple[str, int]]:
    storage.execute(top.take())
    [found] = storage.execute([First((top.key(),), (count,))])
    return list(found)


def test_the_most_come_first(storage: Storage) -> None:
    top = Top("paths")
    for path in ("/a", "/b", "/b", "/c", "/b", "/c"):
        top.count(path)
    assert first(storage, top, 2) == [("/b", 3), ("/c", 2)]


def test_names_are_cut(storage: Storage) -> None:
    top = Top("paths")
    for end in ("x", "y"):
        top.count("/" * LONGEST + end)
    assert first(storage, top) == [("/" * LONGEST, 2)]


@pytest.mark.parametrize(("name", "kept"), [("/\udcff", "/?"), ("/ü€😀", "/ü€😀"), ("", ""), ("/\x00", "/\x00")])
def test_any_name_can_be_stored(storage: Storage, name: str, kept: str) -> None:
    top = Top("paths")
    top.count(name)
    assert first(storage, top) == [(kept, 1)]


def test_a_list_is_bounded_here_and_there(storage: Storage) -> None:
    top = Top("paths")
    for number in range(MOST + 10):
        top.count(f"/{number}")
    storage.execute(top.take())
    top.count("/often")
    top.count("/often")
    found = first(storage, top, MOST + 10)
    assert len(found) == MOST
    assert found[0] == ("/often", 2)


def test_it_never_fails_whatever_is_there(storage: Storage) -> None:
    storage.execute([Set("n", b"something else", ttl=60)])
    assert storage.execute([Add(("n",), (10, "a", 1))]) == [None]


def test_a_list_goes_first_when_memory_runs_short() -> None:
    storage = MemoryStorage(max_bytes=4000)
    storage.execute([Set("older", b"x" * 1000, None)])
    storage.execute([Add(("n",), (10, "a" * 1000, 1)), Set("newer", b"x" * 1500, None)])
    assert storage.execute([Get("older"), First(("n",), (1,))]) == [b"x" * 1000, []]


def test_a_list_that_does_not_fit_is_not_kept() -> None:
    storage = MemoryStorage(max_bytes=500)
    assert storage.execute([Add(("n",), (10, "a" * 1000, 1))]) == [None]
    assert storage.execute([First(("n",), (1,))]) == [[]]
