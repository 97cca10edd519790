"""From measured caches to what is reported: rows, Markdown tables, and a part of the JSON document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from ..meter import Traffic
from ..peers import Environments
from ..report import table
from .contenders import BUDGET
from .kept import Kept
from .measure import COUNTED, PAGES, Plan, Series
from .questions import AT_ONCE, GIVEN, MANY, SHARED, Findings


@dataclass(frozen=True, slots=True)
class Row:
    """A contender: what goes over the wire, what was seen of it, and medians of all rounds.

    `ratio` is the worker's CPU time for a hit to that of the bare app in the same round, `hot_ratio` where all ask for one page.
    """

    contender: str
    traffic: dict[str, Traffic | None]
    findings: Findings
    bare_us: float
    cpu_us: float
    ratio: float
    hot_ratio: float
    redis_us: float
    requests_per_second: float
    p50_ms: float
    p99_ms: float


def rows(series: Sequence[Series]) -> list[Row]:
    """A row for each contender that was measured."""
    return [
        Row(
            contender=one.contender.title,
            traffic=one.traffic,
            findings=one.findings,
            bare_us=median(sample.bare_us for sample in one.samples),
            cpu_us=median(sample.cpu_us for sample in one.samples),
            ratio=median(sample.cpu_us / sample.bare_us for sample in one.samples),
            hot_ratio=median(sample.hot_us / sample.bare_us for sample in one.samples),
            redis_us=median(sample.redis_us for sample in one.samples),
            requests_per_second=median(sample.requests_per_second for sample in one.samples),
            p50_ms=median(sample.p50_ms for sample in one.samples),
            p99_ms=median(sample.p99_ms for sample in one.samples),
        )
        for one in series
        if one.findings is not None
    ]


def document(series: Sequence[Series]) -> dict[str, Any]:
    """Everything about caches, for a JSON file."""
    return {
        "cache_rows": [asdict(row) for row in rows(series)],
        "cache_samples": {one.contender.key: [asdict(sample) for sample in one.samples] for one in series},
        "cache_budget": dict(BUDGET),
    }


def markdown(series: Sequence[Series], places: Environments, plan: Plan) -> str:
    """The tables of caches, and what they come from; nothing if there is nothing."""
    if not series and not places.missing:
        return ""
    found = rows(series)
    budget = ("*redis_middleware may take*", *(str(trips) for trips in BUDGET.values()))
    traffic = [(row.contender, *("" if one is None else str(one) for one in row.traffic.values())) for row in found]
    load = ("bare app's µs", "ratio", "ratio, one page", "Redis µs", "req/s", "p50 ms", "p99 ms")
    stored = ("a 500", *SHARED, f"handlers run for {AT_ONCE}", f"kept of {MANY} `User-Agent`", f"of {MANY} `Accept-Language`")
    counts = f"{plan.starts} × {plan.rounds} rounds of {plan.requests} hits of each kind over {plan.concurrency} connections"
    parts = [
        "### Caches",
        f"CPU and rate: {counts}; traffic: {COUNTED} requests of each kind, one by one.",
        places.listed(),
        "Trips to Redis · commands · bytes of both directions, for one request of a page of 10 KiB:",
        table(("Cache", *BUDGET), [budget, *traffic], words=1),
        f"CPU time of the worker for a hit as a ratio to the bare app's, of {len(PAGES)} pages in turn and of one page; of the "
        "former CPU of Redis, rate and latency:",
        table(("Cache", *load), [(row.contender, *_load(row)) for row in found], words=1),
        "Whether somebody else is given what was made for one who asked before:",
        table(("Cache", *GIVEN), [(row.contender, *map(_yes, row.findings.given.values())) for row in found], words=1),
        "Whether an error is given to others; whether somebody with a cookie is given what was made for one without; how often "
        f"the handler of a cold page runs for {AT_ONCE} requests at once; and what is kept of a page that varies, after {MANY} "
        "requests that differ in it: keys · KiB.",
        table(("Cache", *stored), [(row.contender, *_stored(row.findings)) for row in found], words=1),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _load(row: Row) -> tuple[str, ...]:
    rate = (f"{row.requests_per_second:,.0f}", f"{row.p50_ms:.2f}", f"{row.p99_ms:.2f}")
    return f"{row.bare_us:.0f}", f"{row.ratio:.2f}", f"{row.hot_ratio:.2f}", f"{row.redis_us:.0f}", *rate


def _stored(found: Findings) -> tuple[str, ...]:
    error = "no" if found.error is None else f"yes, as {found.error}"
    shared = ("yes" if given else "no" for given in found.shared.values())
    return error, *shared, str(found.runs), _kept(found.agents), _kept(found.languages)


def _kept(kept: Kept) -> str:
    return f"{kept.entries} · {kept.size / 1024:,.0f}"


def _yes(seen: bool) -> str:
    return "**yes**" if seen else "no"
