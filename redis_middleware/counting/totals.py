"""Totals by name: how often something has happened since anybody counts, on all workers together."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import Any, ClassVar

from ..errors import StorageError
from ..ops import Script, Table

EVERY = 2.0
"""Seconds between two additions of one process."""

KEPT = 30 * 86_400
"""Seconds for which totals are kept to which nobody adds."""


@dataclass(slots=True)
class Add(Script[None]):
    """Add to totals. One key; args: name and number of each.

    It never fails, as it leaves together with what must not be lost for a statistic.
    """

    # It writes, and yet may run before it is known to be needed: it counts what happened in requests before this one.
    safe: ClassVar[bool] = True
    lua: ClassVar[str] = f"""
for i = 1, #args, 2 do redis.pcall('HINCRBY', keys[1], args[i], args[i + 1]) end
redis.pcall('EXPIRE', keys[1], {KEPT})
"""

    def apply(self, table: Table, now: int, /) -> None:
        stored = table.get(self.keys[0])
        if isinstance(stored, dict | None):
            counts = Counter(stored)
            for name, number in self.pairs().items():
                counts[name] += number
            with suppress(StorageError):  # it does not fit into memory
                table.set(self.keys[0], dict(counts), KEPT)

    def parse(self, reply: Any, /) -> None:
        return None

    def pairs(self) -> dict[str, int]:
        """What it adds to which."""
        return {str(name): int(number) for name, number in zip(self.args[::2], self.args[1::2], strict=True)}


@dataclass(slots=True)
class ReadTotals(Script[dict[str, int]]):
    """All totals under a key, in the order of their names."""

    safe: ClassVar[bool] = True
    lua: ClassVar[str] = "return redis.call('HGETALL', keys[1])"

    def apply(self, table: Table, now: int, /) -> dict[str, int]:
        stored = table.get(self.keys[0]) or {}
        if not isinstance(stored, dict):
            raise StorageError(f"WRONGTYPE the key holds a {type(stored).__name__}, not totals")
        return dict(sorted(stored.items()))

    def parse(self, reply: Any, /) -> dict[str, int]:
        counts = {name.decode(): int(number) for name, number in zip(reply[::2], reply[1::2], strict=True)}
        return dict(sorted(counts.items()))


class Totals:
    """What this process has counted and not yet added. `key` is where it is added. Serves all threads and tasks.

    Whoever counts sees to it that there are few names.
    """

    def __init__(self, key: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.key = key
        self._clock = clock
        self._lock = Lock()
        self._counts: Counter[str] = Counter()
        self._added = clock()

    def count(self, name: str, number: int = 1) -> None:
        """So many more."""
        with self._lock:
            self._counts[name] += number

    def due(self) -> tuple[Add, ...]:
        """What is to be added now, if it is time: one op or none. Whoever takes it sends it, or puts it back."""
        if not self._counts or self._clock() - self._added < EVERY:
            return ()
        return self.take()

    def take(self) -> tuple[Add, ...]:
        """What is to be added, however young."""
        with self._lock:
            counts, self._counts, self._added = self._counts, Counter(), self._clock()
        return (Add((self.key,), tuple([part for item in counts.items() for part in item])),) if counts else ()

    def put_back(self, ops: Iterable[Add]) -> None:
        """Count again what could not be added.

        If it was added all the same, as by a batch that timed out, it is counted twice.
        """
        with self._lock:
            for op in ops:
                self._counts.update(op.pairs())
