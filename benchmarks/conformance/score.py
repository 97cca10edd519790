"""What the results mean, by the suite's own rules (`lib/display.mjs`): a test counts only if those that it needs have passed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from .suite import Results, Test

KINDS = ("required", "optimal", "check")


class Verdict(StrEnum):
    """What became of a test."""

    PASSED = "passed"
    FAILED = "failed"
    YES = "yes"  # of a check, which says how a cache behaves, and not how well
    NO = "no"
    SETUP = "setup failed"  # something else than what is tested went wrong
    RETRY = "retried"  # a request came twice to the origin
    NEEDS = "needs another"  # that has not passed

    @property
    def good(self) -> bool:
        """Whether the test passed, or the answer is yes."""
        return self in (Verdict.PASSED, Verdict.YES)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A test's verdict with the client's message."""

    test: Test
    verdict: Verdict
    message: str = ""


@dataclass(frozen=True, slots=True)
class Count:
    """Of one kind: how many passed (or are answered by yes), how many there are, and how many went which way."""

    good: int
    total: int
    verdicts: Mapping[Verdict, int]


def outcomes(tests: Mapping[str, Test], results: Results) -> dict[str, Outcome]:
    """The outcome of each test that was run."""
    return {
        name: Outcome(test, _verdict(test, tests, results), _message(test, tests, results))
        for name, test in tests.items()
        if name in results
    }


def score(found: Mapping[str, Outcome]) -> dict[str, Count]:
    """The count of each kind."""
    counts = {}
    for kind in KINDS:
        verdicts = [outcome.verdict for outcome in found.values() if outcome.test.kind == kind]
        tally = {verdict: verdicts.count(verdict) for verdict in Verdict if verdict in verdicts}
        counts[kind] = Count(sum(verdict.good for verdict in verdicts), len(verdicts), tally)
    return counts


def changes(found: Mapping[str, Outcome], before: Mapping[str, Outcome]) -> tuple[list[Outcome], list[Outcome]]:
    """The tests that pass and did not pass before, and those that did and no longer do."""
    both = [(outcome, before[name]) for name, outcome in found.items() if name in before]
    better = [now for now, then in both if now.verdict.good and not then.verdict.good]
    worse = [now for now, then in both if then.verdict.good and not now.verdict.good]
    return better, worse


def _verdict(test: Test, tests: Mapping[str, Test], results: Results) -> Verdict:
    result: Any = results[test.id]
    if _missing(test, tests, results):
        return Verdict.NEEDS
    if result is not True and result[0] == "Setup":
        return Verdict.RETRY if result[1] == "retry" else Verdict.SETUP
    if test.kind == "check":
        return Verdict.YES if result is True else Verdict.NO
    return Verdict.PASSED if result is True else Verdict.FAILED


def _missing(test: Test, tests: Mapping[str, Test], results: Results) -> list[str]:
    """The tests that it needs and that have not passed."""
    return [
        need for need in test.needs if need not in tests or need not in results or not _verdict(tests[need], tests, results).good
    ]


def _message(test: Test, tests: Mapping[str, Test], results: Results) -> str:
    missing = _missing(test, tests, results)
    if missing:
        return "needs " + ", ".join(missing)
    result: Any = results[test.id]
    if result is True:
        return ""
    return str(result[1]) if result[0] in ("Setup", "Assertion") else f"{result[0]}: {result[1]}"
