"""From rounds to what is reported: medians, what a stack adds to the bare app, a Markdown text and a JSON document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from . import direct
from .apps import STACKS
from .rounds import Series

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
"""Between these lines a file's measured part stands; the rest of it is written by hand."""


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU microseconds a request with a stack, over all rounds.

    `added_us` and `ratio` compare with the bare app in the same round. Half of all rounds lie between `added_low_us` and
    `added_high_us`. `best_added_us` is the best round of the stack less the best of the bare app: the fewest interruptions.
    """

    cpu_us: float
    added_us: float
    added_low_us: float
    added_high_us: float
    best_added_us: float
    ratio: float


@dataclass(frozen=True, slots=True)
class Row:
    """A stack on a platform: medians over all rounds."""

    platform: str
    stack: str
    cost: Cost
    requests_per_second: float
    p50_ms: float
    p99_ms: float
    trips: float | None
    """To Redis, a request; None for a stack without it."""


@dataclass(frozen=True, slots=True)
class DirectRow:
    """A stack behind an edge that was called directly."""

    edge: str
    stack: str
    cost: Cost


def cost(stack: Sequence[float], bare: Sequence[float]) -> Cost:
    """The cost of a stack from the microseconds of each round, and the bare app's at the same places."""
    added = [a - b for a, b in zip(stack, bare, strict=True)]
    low, middle, high = quantiles(added, n=4) if len(added) > 1 else added * 3
    ratio = median(a / b for a, b in zip(stack, bare, strict=True))
    return Cost(median(stack), middle, low, high, min(stack) - min(bare), ratio)


def rows(series: Sequence[Series]) -> list[Row]:
    """A row for each platform and stack."""
    return [
        Row(
            platform=one.platform.title,
            stack=stack,
            cost=cost([sample.cpu_us for sample in samples], [sample.cpu_us for sample in one.samples["bare"]]),
            requests_per_second=median(sample.requests_per_second for sample in samples),
            p50_ms=median(sample.p50_ms for sample in samples),
            p99_ms=median(sample.p99_ms for sample in samples),
            trips=one.trips if stack == "redis" else None,
        )
        for one in series
        for stack, samples in one.samples.items()
    ]


def direct_rows(series: direct.Series) -> list[DirectRow]:
    """A row for each edge and stack."""
    return [DirectRow(edge, stack, cost(us, stacks["bare"])) for edge, stacks in series.items() for stack, us in stacks.items()]


def document(facts: dict[str, Any], series: Sequence[Series], called: direct.Series) -> dict[str, Any]:
    """Everything, for a JSON file: the facts, the rows, and the samples that they come from."""
    return {
        **facts,
        "rows": [asdict(row) for row in rows(series)],
        "direct_rows": [asdict(row) for row in direct_rows(called)],
        "samples": {
            one.platform.app: {stack: [asdict(sample) for sample in samples] for stack, samples in one.samples.items()}
            for one in series
        },
        "direct_samples_us": called,
    }


def markdown(facts: dict[str, Any], series: Sequence[Series], called: direct.Series) -> str:
    """The tables, and what they come from."""
    head = ("Server", "Stack", "CPU µs", "added µs (half of all rounds)", "best", "ratio", "req/s", "p50 ms", "p99 ms", "trips")
    loaded = [
        (row.platform, row.stack, *_costs(row.cost, row.stack), f"{row.requests_per_second:,.0f}",
         f"{row.p50_ms:.2f}", f"{row.p99_ms:.2f}", "" if row.trips is None else f"{row.trips:.2f}")
        for row in rows(series)
    ]  # fmt: skip
    alone = [(row.edge, row.stack, *_costs(row.cost, row.stack)) for row in direct_rows(called)]
    parts = [
        f"`{facts['command']}`, {facts['date']}: {facts['plan']}.",
        "; ".join(f"{name} {value}" for name, value in facts["machine"].items()) + ".",
        "\n".join(f"* `{stack}`: {what}" for stack, what in STACKS.items()),
        table(head, loaded) if loaded else "",
        "The edges called directly, with no server:",
        table(("Edge", *head[1:6]), alone),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def measured_part(path: Path) -> tuple[str, str]:
    """What stands before and after the measured part of a file. Raises `SystemExit` if the marker lines are not there."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{path} must be a file with a line {BEGIN} and, below it, a line {END}")
    return before + begin, end + after


def replace_measured(path: Path, text: str) -> None:
    """Put a text in the place of the measured part of a file."""
    before, after = measured_part(path)
    path.write_text(f"{before}\n\n{text}\n{after}", encoding="utf-8")


def _costs(cost: Cost, stack: str) -> tuple[str, str, str, str]:
    if stack == "bare":
        return f"{cost.cpu_us:.1f}", "", "", ""
    added = f"{cost.added_us:+.1f} ({cost.added_low_us:.1f} to {cost.added_high_us:.1f})"
    return f"{cost.cpu_us:.1f}", added, f"{cost.best_added_us:+.1f}", f"{cost.ratio:.2f}"


def table(head: Sequence[str], lines: Sequence[Sequence[str]], words: int = 2) -> str:
    """A Markdown table; all columns but the first so many are numbers."""
    rule = ["---"] * words + ["---:"] * (len(head) - words)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, rule, *lines))
