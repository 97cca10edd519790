"""Everything in this process's memory: the default storage, and the one that gives every op its exact meaning.

Rules:

1. A batch runs under one lock with one reading of the clock, so it is atomic here (other storages promise less).
2. Every key has its bytes counted, and the sum never stays above `max_bytes`. When it would, keys go in this order:
   what has expired; then what can be made again (`Keep.SPARE`); then what was used least recently; and those that hold
   somebody back (`Keep.HELD`) last of all, so a flood of new subjects does not free a denied one.
3. Keys that expire wait in a bucket for each second. A batch looks at a few keys of the oldest due bucket and never at
   everything, so no request pays for a million keys that expired together.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush
from threading import Lock
from typing import Any

from ..errors import ConfigurationError, StorageError
from ..ops import Keep, Op, milliseconds, perform

OVERHEAD = 460
"""Bytes that a key costs besides its text and its value: entry, dictionary, order and bucket (measured, CPython 3.11)."""

NEVER = 2**63
"""When a key without a ttl expires, in microseconds."""

NEVER_DUE = NEVER // 1_000_000

SWEEP = 8
"""How many due keys a batch removes in passing: more than most batches add, so that expired keys do not pile up."""


class _Entry:
    __slots__ = ("due", "expires", "keep", "size", "value")

    def __init__(self, value: Any, expires: int, due: int, keep: Keep, size: int) -> None:
        self.value = value
        self.expires = expires
        self.due = due  # the first whole second at which it has surely expired
        self.keep = keep
        self.size = size


class MemoryStorage:
    """Keeps everything in this process's memory, bounded by `max_bytes` (64 MiB by default).

    `clock` gives seconds since the epoch. Threads and event loops may share one object; processes do not share it.
    Values that were stored are lost when the process ends, and, least useful first, when memory runs short.

    Raises `ConfigurationError` if `max_bytes` is not positive. An op whose value alone is larger than `max_bytes` is
    answered with a `StorageError`.
    """

    def __init__(self, *, max_bytes: int = 64 << 20, clock: Callable[[], float] = time.time) -> None:
        if max_bytes <= 0:
            raise ConfigurationError(f"max_bytes must be positive, got {max_bytes}")
        self._max_bytes = max_bytes
        self._clock = clock
        self._lock = Lock()
        self._pid = os.getpid()
        self._entries = _Entries(max_bytes)

    def __repr__(self) -> str:
        return f"MemoryStorage(max_bytes={self._max_bytes})"

    @property
    def used_bytes(self) -> int:
        """What the stored keys cost together, in bytes, as it is counted against `max_bytes`."""
        return self._entries.bytes

    @property
    def key_count(self) -> int:
        """How many keys are stored, those included that have expired and were not collected yet."""
        return len(self._entries.index)

    def execute(self, ops: Sequence[Op[Any]], /) -> list[Any]:
        """Execute a batch at once and atomically. An op that fails has a `StorageError` as its result."""
        if self._pid != os.getpid():
            self._after_fork()
        with self._lock:
            now = int(self._clock() * 1_000_000)
            table = self._entries
            table.now = now
            table.sweep(SWEEP)
            return [perform(op, table, now) for op in ops]

    def _after_fork(self) -> None:
        """A child has no thread that could give back a lock, or finish a batch, that was under way in its parent."""
        if self._lock.locked():
            self._entries = _Entries(self._max_bytes)
        self._lock, self._pid = Lock(), os.getpid()

    async def aexecute(self, ops: Sequence[Op[Any]], /) -> list[Any]:
        """`execute`: it takes microseconds and never waits for anything but its lock."""
        return self.execute(ops)

    def close(self) -> None:
        """Nothing to give back; what is stored stays."""

    async def aclose(self) -> None:
        """Nothing to give back; what is stored stays."""


class _Entries:
    """The table: an index of all keys, their order of use by `Keep`, and buckets of keys by the second they expire."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.bytes = 0
        self.evicted = 0
        self.now = 0
        self.index: dict[str, _Entry] = {}
        self._used: tuple[OrderedDict[str, None], ...] = tuple(OrderedDict() for _ in Keep)
        self._due: dict[int, set[str]] = {}
        self._seconds: list[int] = []  # a heap of the keys of _due

    def get(self, key: str, /) -> Any | None:
        entry = self.index.get(key)
        if entry is None:
            return None
        if entry.expires <= self.now:
            self._remove(key, entry)
            return None
        self._used[entry.keep].move_to_end(key)
        return entry.value

    def set(self, key: str, value: Any, ttl: float | None, keep: Keep | None = None, /) -> None:
        size = OVERHEAD + len(key) + _size(value)
        if size > self.max_bytes:
            raise StorageError(f"a value of {size} bytes does not fit into max_bytes={self.max_bytes}")
        expires = NEVER if ttl is None else self.now + milliseconds(ttl) * 1000
        due = -(-expires // 1_000_000)
        entry = self.index.get(key)
        if entry is None:
            entry = self.index[key] = _Entry(value, expires, due, Keep.NORMAL if keep is None else keep, size)
            self._used[entry.keep][key] = None
            self._schedule(key, due)
            self.bytes += size
        else:
            self.bytes += size - entry.size
            entry.value, entry.size, entry.expires = value, size, expires
            self._reorder(key, entry, entry.keep if keep is None else keep)
            if due != entry.due:
                self._unschedule(key, entry.due)
                entry.due = due
                self._schedule(key, due)
        if self.bytes > self.max_bytes:
            self._make_room(key)

    def delete(self, key: str, /) -> bool:
        entry = self.index.get(key)
        if entry is None:
            return False
        self._remove(key, entry)
        return entry.expires > self.now

    def sweep(self, most: float) -> None:
        """Remove at most `most` keys whose time has passed."""
        seconds, now = self._seconds, self.now
        while seconds and most > 0 and seconds[0] * 1_000_000 <= now:
            bucket = self._due.get(seconds[0])
            if bucket is None:
                heappop(seconds)
            else:
                key = next(iter(bucket))
                self._remove(key, self.index[key])
            most -= 1

    def _make_room(self, newest: str) -> None:
        while self.bytes > self.max_bytes and self._seconds and self._seconds[0] * 1_000_000 <= self.now:  # what expired
            self.sweep(1)
        for keys in self._used:  # SPARE, NORMAL, HELD
            while self.bytes > self.max_bytes and keys:
                oldest = next(iter(keys))
                if oldest == newest:
                    if len(keys) == 1:
                        break  # it was made room for: the next shelf has to give
                    keys.move_to_end(oldest)
                    continue
                self._remove(oldest, self.index[oldest])
                self.evicted += 1

    def facts(self) -> dict[str, object]:
        """What there is to know: see `Inspect`."""
        keys = len(self.index)
        return {"kind": "memory", "used_bytes": self.bytes, "max_bytes": self.max_bytes, "keys": keys, "evicted": self.evicted}

    def _remove(self, key: str, entry: _Entry) -> None:
        del self.index[key]
        del self._used[entry.keep][key]
        self._unschedule(key, entry.due)
        self.bytes -= entry.size

    def _reorder(self, key: str, entry: _Entry, keep: Keep) -> None:
        if keep is entry.keep:
            self._used[keep].move_to_end(key)
        else:
            del self._used[entry.keep][key]
            entry.keep = keep
            self._used[keep][key] = None

    def _schedule(self, key: str, due: int) -> None:
        if due >= NEVER_DUE:
            return
        bucket = self._due.get(due)
        if bucket is None:
            self._due[due] = {key}
            heappush(self._seconds, due)
        else:
            bucket.add(key)

    def _unschedule(self, key: str, due: int) -> None:
        if due >= NEVER_DUE:
            return
        bucket = self._due[due]
        bucket.discard(key)
        if not bucket:
            del self._due[due]
            if len(self._seconds) > 2 * len(self._due) + 64:  # seldom enough to cost nothing on the average
                self._seconds = list(self._due)
                heapify(self._seconds)


def _size(value: Any) -> int:
    """About how many bytes a value takes; a sequence that begins and ends with a number is taken to hold numbers."""
    if type(value) is bytes or type(value) is str:
        return len(value)
    if isinstance(value, dict):
        return 64 + sum(len(key) + 120 + _size(item) for key, item in value.items())
    if isinstance(value, (tuple, list)):
        if value and type(value[0]) is int and type(value[-1]) is int:
            return 56 + 40 * len(value)
        return 56 + sum([8 + _size(item) for item in value])
    return 32
