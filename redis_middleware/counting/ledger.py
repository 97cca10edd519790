"""The ledger of an edge: what is counted in this process, until it is added to what all workers have counted.

It leaves with the first trip that a request makes after `EVERY` seconds; where there is none, the heart of the edge sends it
after `OVERDUE`. There are totals since anybody counts, the same for each of the last hours, and rankings of today.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from threading import Lock
from typing import Any

from ..ops import Op
from .top import Top
from .totals import Add

EVERY, OVERDUE = 2.0, 4.0

TOTALS = "n:totals"
"""The key of the totals."""

TOTALS_KEPT = 30 * 86_400
"""Seconds for which totals are kept to which nobody adds."""

HOUR, HOURS = 3600, 48
"""Of how many hours there are counts, the present one included."""

BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
"""The upper bounds of the buckets of times, in seconds."""


def hourly(at: float) -> str:
    """The key of what was counted in the hour of a unix time."""
    return f"n:hour:{int(at // HOUR) * HOUR}"


class Ledger:
    """Counts for one edge. Few names, however many requests; serves all threads and tasks.

    `clock` counts seconds, `date` says unix time.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, date: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._date = date
        self._lock = Lock()
        self._counts: Counter[str] = Counter()
        self._tops: dict[str, Top] = {}
        self._since = clock()

    def count(self, name: str, number: int = 1) -> None:
        """So many more of something. Whoever counts sees to it that there are few names."""
        with self._lock:
            self._counts[name] += number

    def rank(self, name: str, item: str) -> None:
        """One more for an item of a ranking: there may be any number of items, of which those with the most are kept."""
        top = self._tops.get(name)
        if top is None:
            with self._lock:
                top = self._tops.setdefault(name, Top(name))
        top.count(item)

    def observe(self, name: str, seconds: float) -> None:
        """Something took so long: one more in the bucket `name:bound`, and microseconds in `name:sum`."""
        bound = next((bound for bound in BOUNDS if seconds <= bound), "inf")
        with self._lock:
            self._counts[f"{name}:{bound}"] += 1
            self._counts[f"{name}:sum"] += round(seconds * 1_000_000)

    @property
    def is_overdue(self) -> bool:
        """Whether something has waited for longer than for a trip of a request."""
        return bool(self._counts) and self._clock() - self._since >= OVERDUE

    def __bool__(self) -> bool:
        """Whether there is something to add."""
        return bool(self._counts)

    def due(self) -> tuple[Op[Any], ...]:
        """What is to be added now, if it is time. Whoever takes it sends it, or puts it back."""
        if not self._counts or self._clock() - self._since < EVERY:
            return ()
        return self.take()

    def take(self) -> tuple[Op[Any], ...]:
        """What is to be added, however young."""
        with self._lock:
            counts, self._counts, self._since = self._counts, Counter(), self._clock()
            tops = list(self._tops.values())
        ops: list[Op[Any]] = [op for top in tops for op in top.take()]
        pairs = [part for pair in counts.items() for part in pair]
        if pairs:
            ops.append(Add((TOTALS,), (TOTALS_KEPT, *pairs)))
            ops.append(Add((hourly(self._date()),), (HOURS * HOUR, *pairs)))
        return tuple(ops)

    def put_back(self, ops: Iterable[Op[Any]]) -> None:
        """Count again what could not be added; rankings are not that precious.

        If it was added all the same, as by a batch that timed out, it is counted twice.
        """
        with self._lock:
            for op in ops:
                if isinstance(op, Add) and op.keys == (TOTALS,):
                    self._counts.update(op.pairs())
