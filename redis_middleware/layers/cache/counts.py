"""What a cache counts: answers by where they came from, refusals by reason, bytes, and the pages that are hit or missed most."""

from __future__ import annotations

from dataclasses import dataclass

from ...counting import TOTALS, First, ReadTotals, Top
from ...flow import Action
from ...http import Request
from ...ops import gather

HITS, MISSES = "cache hits", "cache misses"
"""Rankings of paths."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the caches of all workers have done, as far as it has been added; `refused` is by reason.

    `hits` came from what is stored, of which `stale` had expired and `revalidated` were confirmed by the app; `misses` came
    from the app. `stored` is how many responses were stored, of which `renewed` with nobody waiting for them, and `bytes` those
    of their bodies. `hottest` and `most_missed` are the paths with the most hits and misses today (UTC).
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


def hit(request: Request, how: str = "") -> None:
    """An answer came from what is stored; `how` is `stale` or `revalidated` if that is to be told."""
    request.ledger.count("cache hits")
    request.ledger.rank(HITS, request.path)
    if how:
        request.ledger.count(f"cache {how}")


def miss(request: Request, refused: str | None = None) -> None:
    """An answer came from the app; `refused` is why it is not stored."""
    request.ledger.count("cache misses")
    request.ledger.rank(MISSES, request.path)
    if refused:
        request.ledger.count(f"cache refused:{refused}")


def stored(request: Request, size: int) -> None:
    """A response with so many bytes was stored."""
    request.ledger.count("cache stored")
    request.ledger.count("cache bytes", size)
    if request.repeated is not None:
        request.ledger.count("cache renewed")


def read(count: int) -> Action[Statistics]:
    """An action: what all have counted, with so many paths."""
    lists = [First((Top(name).key(),), (count,)) for name in (HITS, MISSES)]
    totals, hottest, missed = yield from gather(ReadTotals((TOTALS,)), *lists)
    names = ("hits", "stale", "revalidated", "misses", "stored", "renewed", "bytes")
    counts = {name: totals.get(f"cache {name}", 0) for name in names}
    begin = "cache refused:"
    refused = {name.removeprefix(begin): number for name, number in totals.items() if name.startswith(begin)}
    return Statistics(**counts, refused=refused, hottest=hottest, most_missed=missed)
