"""Who is counted most: which subjects are denied, which pages are hit.

A list lasts a day of the calendar (UTC) and has at most `MOST` names; those with the lowest counts go first. Clients may choose
what is in it, as with paths: so names are cut, and where memory runs short, lists go before anything else.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import Any, ClassVar

from ..errors import StorageError
from ..ops import Keep, Script, Table

MOST = 1000
"""How many names a list has, in a process and in the storage."""

LONGEST = 200
"""How many characters of a name are kept."""

EVERY = 2.0
"""Seconds between two additions of one process."""

DAY = 86_400


@dataclass(slots=True)
class Add(Script[None]):
    """Add to a list. One key; args: `MOST`, then name and number of each.

    It never fails, as it leaves together with what must not be lost for a statistic.
    """

    # It writes, and yet may run before it is known to be needed: it counts what happened in requests before this one.
    safe: ClassVar[bool] = True
    lua: ClassVar[str] = """
for i = 2, #args, 2 do redis.pcall('ZINCRBY', keys[1], args[i + 1], args[i]) end
redis.pcall('ZREMRANGEBYRANK', keys[1], 0, -1 - args[1])
redis.pcall('PEXPIRE', keys[1], 172800000)
"""

    def apply(self, table: Table, now: int, /) -> None:
        stored = table.get(self.keys[0])
        if not isinstance(stored, dict | None):
            return
        counts = Counter(stored)
        for name, number in zip(self.args[1::2], self.args[2::2], strict=True):
            counts[str(name)] += int(number)
        kept = sorted(counts.items(), key=_rank, reverse=True)[: int(self.args[0])]
        with suppress(StorageError):  # it does not fit into memory
            table.set(self.keys[0], dict(kept), 2 * DAY, Keep.SPARE)

    def parse(self, reply: Any, /) -> None:
        return None


@dataclass(slots=True)
class First(Script[list[tuple[str, int]]]):
    """The first of a list, the highest counts first. One key; args: how many."""

    safe: ClassVar[bool] = True
    lua: ClassVar[str] = "return redis.call('ZREVRANGE', keys[1], 0, args[1] - 1, 'WITHSCORES')"

    def apply(self, table: Table, now: int, /) -> list[tuple[str, int]]:
        counts = table.get(self.keys[0]) or {}
        return sorted(counts.items(), key=_rank, reverse=True)[: int(self.args[0])]

    def parse(self, reply: Any, /) -> list[tuple[str, int]]:
        return [(name.decode(), int(number)) for name, number in zip(reply[::2], reply[1::2], strict=True)]


class Top:
    """What of a list this process has still to add. Bounded; serves all threads and tasks."""

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._clock = clock
        self._lock = Lock()
        self._counts: Counter[str] = Counter()
        self._added = clock()

    def count(self, name: str) -> None:
        """One more for a name, of which the first `LONGEST` characters count."""
        name = name[:LONGEST]
        if not name.isascii():
            name = name.encode("utf-8", "replace").decode()  # no storage takes half a surrogate pair
        with self._lock:
            if name in self._counts or len(self._counts) < MOST:
                self._counts[name] += 1

    def due(self) -> tuple[Add, ...]:
        """What is to be added now, if it is time."""
        if not self._counts or self._clock() - self._added < EVERY:
            return ()
        return self.take()

    def take(self) -> tuple[Add, ...]:
        """What is to be added, however young."""
        with self._lock:
            counts, self._counts, self._added = self._counts, Counter(), self._clock()
        return (Add((self.key(),), (MOST, *[part for item in counts.items() for part in item])),) if counts else ()

    def key(self) -> str:
        """Where today's list is."""
        return f"n:top:{self._name}:{int(time.time() // DAY)}"


def _rank(item: tuple[str, int]) -> tuple[int, bytes]:
    """By number, and as a sorted set does among equals."""
    return item[1], item[0].encode()
