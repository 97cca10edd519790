"""What a cache counts: answers by where they came from, refusals by reason, bytes, and the pages that are hit or missed most."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ...counting import First, ReadTotals, Top, Totals
from ...counting.totals import Add
from ...flow import Action
from ...ops import Op, gather

KEY, HITS, MISSES = "c:statistics", "c:hits", "c:misses"

REFUSED = "refused:"
"""What the totals of refusals begin with; the reason follows."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the caches of all workers have done, as far as it has been added; `refused` is by reason.

    `hits` came from what is stored, of which `stale` had expired and `revalidated` were confirmed by the app; `misses` came
    from the app, of which `stored` were stored. `renewed` were fetched with nobody waiting for them. `bytes` are those of the
    bodies that were stored. `hottest` and `most_missed` are the paths with the most hits and misses today (UTC).
    """

    hits: int
    stale: int
    revalidated: int
    misses: int
    stored: int
    renewed: int
    bytes: int
    refused: dict[str, int]
    hottest: list[tuple[str, int]]
    most_missed: list[tuple[str, int]]

    @property
    def hit_ratio(self) -> float:
        """Of all answers, the share that came from what is stored; 0 if there were none."""
        return self.hits / max(self.hits + self.misses, 1)


class Counts:
    """Counts for one cache, in this process. Serves all threads and tasks."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._totals = Totals(KEY, clock)
        self._hits = Top(HITS, clock)
        self._misses = Top(MISSES, clock)

    def hit(self, path: str, how: str = "") -> None:
        """An answer came from what is stored; `how` is `stale` or `revalidated` if that is to be told."""
        self._totals.count("hits")
        self._hits.count(path)
        if how:
            self._totals.count(how)

    def miss(self, path: str, refused: str | None = None) -> None:
        """An answer came from the app; `refused` is why it is not stored."""
        self._totals.count("misses")
        self._misses.count(path)
        if refused:
            self._totals.count(REFUSED + refused)

    def stored(self, size: int, *, renewed: bool) -> None:
        """A response with so many bytes was stored; `renewed` without anybody having waited for it."""
        self._totals.count("stored")
        self._totals.count("bytes", size)
        if renewed:
            self._totals.count("renewed")

    def due(self) -> tuple[Op[Any], ...]:
        """What is to be added now, if it is time."""
        return (*self._totals.due(), *self._hits.due(), *self._misses.due())

    def put_back(self, ops: Iterable[Op[Any]]) -> None:
        """Count again what could not be added; lists are not that precious."""
        self._totals.put_back([op for op in ops if isinstance(op, Add)])

    def read(self, count: int) -> Action[Statistics]:
        """An action: what all have counted, with so many paths."""
        mine = (*self._totals.take(), *self._hits.take(), *self._misses.take())
        lists = [First((top.key(),), (count,)) for top in (self._hits, self._misses)]
        totals, hottest, missed = (yield from gather(*mine, ReadTotals((KEY,)), *lists))[len(mine) :]
        return _statistics(totals, hottest, missed)


def _statistics(totals: dict[str, int], hottest: list[tuple[str, int]], missed: list[tuple[str, int]]) -> Statistics:
    return Statistics(
        hits=totals.get("hits", 0),
        stale=totals.get("stale", 0),
        revalidated=totals.get("revalidated", 0),
        misses=totals.get("misses", 0),
        stored=totals.get("stored", 0),
        renewed=totals.get("renewed", 0),
        bytes=totals.get("bytes", 0),
        refused={name.removeprefix(REFUSED): number for name, number in totals.items() if name.startswith(REFUSED)},
        hottest=hottest,
        most_missed=missed,
    )
