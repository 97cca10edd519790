"""From measured sessions to what is reported: rows, Markdown tables, and a part of the JSON document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from ..meter import Traffic
from ..peers import Environments
from ..report import table
from .contenders import BUDGET, CASES
from .measure import COUNTED, Plan, Series
from .races import CLIENTS, TIMES, Outcome


@dataclass(frozen=True, slots=True)
class Cost:
    """One case of a contender: what goes over the wire, and medians of the CPU time of one request over all rounds.

    `ratio` is the worker's CPU time to that of the bare app in the same round.
    """

    traffic: Traffic
    cpu_us: float
    ratio: float
    redis_us: float


@dataclass(frozen=True, slots=True)
class Row:
    """A contender: each case, and the worst that came of the races."""

    contender: str
    bare_us: float
    costs: dict[str, Cost]
    outcome: Outcome


def rows(series: Sequence[Series]) -> list[Row]:
    """A row for each contender."""
    return [
        Row(
            contender=one.contender.title,
            bare_us=median(sample.bare_us for samples in one.samples.values() for sample in samples),
            costs={
                case: Cost(
                    traffic=one.traffic[case],
                    cpu_us=median(sample.cpu_us for sample in samples),
                    ratio=median(sample.cpu_us / sample.bare_us for sample in samples),
                    redis_us=median(sample.redis_us for sample in samples),
                )
                for case, samples in one.samples.items()
            },
            outcome=worst(one.outcomes),
        )
        for one in series
    ]


def worst(outcomes: Sequence[Outcome]) -> Outcome:
    """What was left at the least, and whether a logout was ever undone."""
    incremented = [one.incremented for one in outcomes if one.incremented is not None]
    return Outcome(
        added=min(one.added for one in outcomes),
        incremented=min(incremented, default=None),
        keys=min(one.keys for one in outcomes),
        revived=any(one.revived for one in outcomes),
    )


def document(series: Sequence[Series]) -> dict[str, Any]:
    """Everything about sessions, for a JSON file."""
    return {
        "session_rows": [asdict(row) for row in rows(series)],
        "session_samples": {
            one.contender.key: {case: [asdict(sample) for sample in samples] for case, samples in one.samples.items()}
            for one in series
        },
        "session_budget": dict(BUDGET),
    }


def markdown(series: Sequence[Series], places: Environments, plan: Plan) -> str:
    """The tables of sessions, and what they come from; nothing if there is nothing."""
    if not series and not places.missing:
        return ""
    found = rows(series)
    budget = ("*redis_middleware may take*", *(str(trips) for trips in BUDGET.values()))
    traffic = [(row.contender, *(str(cost.traffic) for cost in row.costs.values())) for row in found]
    cpu = [(row.contender, f"{row.bare_us:.0f}", *map(_cpu, row.costs.values())) for row in found]
    races = [(row.contender, *_outcome(row.outcome)) for row in found]
    counts = f"{plan.starts} × {plan.rounds} rounds of {plan.requests} requests of each kind over {plan.concurrency} connections"
    parts = [
        "### Sessions",
        f"CPU: {counts}; traffic: {COUNTED} requests of each kind, one by one.",
        places.listed(),
        "Trips to Redis · commands · bytes of both directions, for one request:",
        table(("Sessions", *CASES), [budget, *traffic], words=1),
        "CPU time of the worker as a ratio to the bare app's · CPU µs of Redis, for one request:",
        table(("Sessions", "bare app's µs", *CASES), cpu, words=1),
        f"What is left of {TIMES} changes that {CLIENTS} clients made to one session at once, and whether somebody who logs out "
        "while a slow request is under way is logged in again after it:",
        table(("Sessions", "`n = n + 1`", "`increment`", "a key each", "alive after the logout"), races, words=1),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _cpu(cost: Cost) -> str:
    return f"{cost.ratio:.2f} · {cost.redis_us:.0f}"


def _outcome(outcome: Outcome) -> tuple[str, ...]:
    incremented = "" if outcome.incremented is None else str(outcome.incremented)
    return str(outcome.added), incremented, str(outcome.keys), "yes" if outcome.revived else "no"
