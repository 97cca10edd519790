"""Memory: its bound, what it drops first, and when."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from redis_middleware import ConfigurationError, MemoryStorage, StorageError
from redis_middleware.ops import Get, Keep, Set, SetIfAbsent, Touch
from redis_middleware.storage.memory import OVERHEAD, SWEEP

from ..conftest import Clock

ENTRY = OVERHEAD + 100


def entry(number: int, keep: Keep = Keep.NORMAL, ttl: float | None = 60) -> Set:
    """An op that costs ENTRY bytes."""
    key = f"{number:06d}"
    return Set(key, bytes(100 - len(key)), ttl, keep)


def kept(storage: MemoryStorage, *numbers: int) -> list[int]:
    values = storage.execute([Get(f"{number:06d}") for number in numbers])
    return [number for number, value in zip(numbers, values, strict=True) if value is not None]


def test_the_bound_holds_whatever_is_stored(clock: Clock) -> None:
    storage = MemoryStorage(max_bytes=10 * ENTRY, clock=clock)
    for number in range(1000):
        storage.execute([entry(number, Keep(number % 3))])
        assert storage.used_bytes <= 10 * ENTRY
    assert storage.key_count == 10


def test_what_was_used_least_recently_goes(clock: Clock) -> None:
    storage = MemoryStorage(max_bytes=3 * ENTRY, clock=clock)
    storage.execute([entry(1), entry(2), entry(3)])
    storage.execute([Get("000001")])
    storage.execute([entry(4)])
    assert kept(storage, 1, 2, 3, 4) == [1, 3, 4]


def test_what_has_expired_goes_first(clock: Clock) -> None:
    storage = MemoryStorage(max_bytes=3 * ENTRY, clock=clock)
    storage.execute([entry(1), entry(2, ttl=1), entry(3)])
    clock.move(2)
    storage.execute([entry(4)])
    assert kept(storage, 1, 3, 4) == [1, 3, 4]


def test_cache_entries_go_before_what_cannot_be_made_again(clock: Clock) -> None:
    storage = MemoryStorage(max_bytes=3 * ENTRY, clock=clock)
    storage.execute([entry(1), entry(2, Keep.SPARE), entry(3)])
    storage.execute([Get("000002"), entry(4)])
    assert kept(storage, 1, 2, 3, 4) == [1, 3, 4]


def test_a_flood_does_not_free_who_is_held(clock: Clock) -> None:
    storage = MemoryStorage(max_bytes=10 * ENTRY, clock=clock)
    storage.execute([entry(0, Keep.HELD)])
    for number in range(1, 1000):
        storage.execute([entry(number)])
    assert kept(storage, 0) == [0]


def test_a_flood_of_held_keys_is_bounded_too(clock: Clock) -> None:
    storage = MemoryStorage(max_bytes=10 * ENTRY, clock=clock)
    for number in range(100):
        storage.execute([entry(number, Keep.HELD)])
    assert storage.used_bytes <= 10 * ENTRY
    storage.execute([entry(100)])
    assert kept(storage, 100) == [100], "what is being stored now is never what goes"


def test_touching_does_not_make_a_key_more_precious(clock: Clock) -> None:
    storage = MemoryStorage(max_bytes=3 * ENTRY, clock=clock)
    storage.execute([entry(1, Keep.SPARE), entry(2), entry(3), Touch("000001", 60), entry(4)])
    assert kept(storage, 1, 2, 3, 4) == [2, 3, 4]


def test_a_value_larger_than_everything_is_refused_and_nothing_is_lost(clock: Clock) -> None:
    storage = MemoryStorage(max_bytes=3 * ENTRY, clock=clock)
    storage.execute([entry(1)])
    refused, _ = storage.execute([Set("big", bytes(4 * ENTRY), None), entry(2)])
    assert isinstance(refused, StorageError)
    assert kept(storage, 1, 2) == [1, 2]


def test_a_key_expires_exactly_when_its_ttl_is_over(clock: Clock) -> None:
    storage = MemoryStorage(clock=clock)
    storage.execute([Set("a", b"1", ttl=1)])
    clock.move(0.999)
    assert storage.execute([Get("a")]) == [b"1"]
    clock.move(0.001)
    assert storage.execute([Get("a"), SetIfAbsent("a", b"2", 1)]) == [None, True]


def test_expired_keys_are_collected_a_few_at_a_time(clock: Clock) -> None:
    storage = MemoryStorage(clock=clock)
    storage.execute([entry(number, ttl=1) for number in range(1000)])
    clock.move(3)
    before = storage.key_count
    storage.execute([Get("other")])
    assert before - storage.key_count == SWEEP
    for _ in range(1000 // SWEEP):
        storage.execute([Get("other")])
    assert storage.key_count == 0
    assert storage.used_bytes == 0


def test_a_key_that_is_written_again_and_again_leaves_nothing_behind(clock: Clock) -> None:
    storage = MemoryStorage(clock=clock)
    for _ in range(1000):
        clock.move(0.01)
        storage.execute([Set("a", b"1", ttl=5)])
    entries = storage._entries
    assert sum(map(len, entries._due.values())) == 1
    assert len(entries._seconds) <= 5 + 2


def test_a_key_touched_for_ever_leaves_nothing_behind(clock: Clock) -> None:
    storage = MemoryStorage(clock=clock)
    storage.execute([Set("a", b"1", ttl=3600)])
    for _ in range(1000):
        clock.move(1)
        storage.execute([Touch("a", 3600)])
    entries = storage._entries
    assert len(entries._due) == 1
    assert len(entries._seconds) <= 2 + 64


def test_what_is_inside_of_sequences_is_counted(clock: Clock) -> None:
    storage = MemoryStorage(clock=clock)
    storage._entries.set("a", (b"x" * 100_000,) * 10, None)
    assert storage.used_bytes > 1_000_000


def test_a_child_is_not_held_up_by_a_batch_of_its_parent() -> None:
    storage = MemoryStorage()
    storage.execute([Set("a", b"1", ttl=60)])
    storage._lock.acquire()
    child = os.fork()
    if child == 0:
        storage.execute([Set("b", b"1", ttl=60)])
        os._exit(0)
    storage._lock.release()
    _, status = os.waitpid(child, 0)
    assert status == 0
    assert storage.execute([Get("a")]) == [b"1"]


def test_threads_share_it() -> None:
    storage = MemoryStorage()
    with ThreadPoolExecutor(16) as pool:
        first = list(pool.map(lambda n: storage.execute([SetIfAbsent(f"k{n % 10}", b"1", 60)])[0], range(1000)))
    assert sum(first) == 10


def test_a_bound_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="max_bytes"):
        MemoryStorage(max_bytes=0)
