"""What layers have counted on all workers: totals, the same by hour, and rankings of the day.

It costs one batch of reads whose size does not grow with the traffic, and no scan: the counts are kept as counts, see `counting`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ...counting import HOUR, TOTALS, First, ReadTotals, Top, hourly
from ...errors import StorageError
from ...flow import Action
from ...ops import gather

HOURS = 24
"""Of how many hours there is something to see, the present one included."""

FIRST = 10
"""How many names of a ranking are shown."""

Totals = Mapping[str, int]
Ranking = Sequence[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Trips:
    """How long trips took. `buckets` says how many took at most so many seconds, the last of them all."""

    buckets: tuple[tuple[float, int], ...]
    seconds: float
    failed: int

    @property
    def count(self) -> int:
        """How many there were."""
        return self.buckets[-1][1] if self.buckets else 0

    @property
    def mean(self) -> float | None:
        """Seconds; None if there were none."""
        return self.seconds / self.count if self.count else None


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted. `hours` are named by the unix time at which they began, the oldest first."""

    totals: Totals = field(default_factory=dict)
    hours: Mapping[int, Totals] = field(default_factory=dict)
    rankings: Mapping[str, Ranking] = field(default_factory=dict)
    trouble: str | None = None
    """Why nothing could be read; None if it could."""


def read(rankings: Iterable[str], at: float) -> Action[Counted]:
    """An action: all counts, as of a unix time."""
    names = list(dict.fromkeys(rankings))
    hours = [(int(at // HOUR) - ago) * HOUR for ago in reversed(range(HOURS))]
    keys = [TOTALS, *map(hourly, hours)]
    try:
        totals, *rest = yield from gather(
            *[ReadTotals((key,)) for key in keys], *[First((Top(name).key(),), (FIRST,)) for name in names]
        )
    except StorageError:
        return Counted(trouble="failed")
    return Counted(totals, dict(zip(hours, rest, strict=False)), dict(zip(names, rest[HOURS:], strict=True)))


def trips(totals: Totals) -> Trips:
    """The trips among totals: these say how many there were in each bucket alone."""
    alone = {_bound(name): number for name, number in totals.items() if name.startswith("trip:") and name != "trip:sum"}
    buckets, sum_of = [], 0
    for bound, number in sorted(alone.items()):
        sum_of += number
        buckets.append((bound, sum_of))
    if buckets and buckets[-1][0] != float("inf"):
        buckets.append((float("inf"), sum_of))
    return Trips(tuple(buckets), totals.get("trip:sum", 0) / 1_000_000, totals.get("trip failed", 0))


def parts(totals: Totals, begin: str) -> dict[str, int]:
    """The totals whose names begin like this, by the rest of their names."""
    return {name.removeprefix(begin): number for name, number in totals.items() if name.startswith(begin)}


def _bound(name: str) -> float:
    return float(name.partition(":")[2])
