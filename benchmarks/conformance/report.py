"""The outcomes as text for a shell, as Markdown, and as a JSON document that a later run can be compared with."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .score import Outcome, Verdict, changes, outcomes, score
from .suite import Test
from .unreachable import MISTAKEN, impossible, remark

JUDGED = ("required", "optimal")
"""The kinds of which a failure is one; the checks only ask."""

Found = Mapping[str, Outcome]


def text(facts: Mapping[str, Any], found: Found) -> str:
    """The score, and every required and optimal test that has not passed, with the reason."""
    lines = [f"{facts['suite']}: {facts['stage']}", ""]
    lines += [f"{kind:9} {passed:>3} of {total:>3}   {others}" for kind, passed, total, others in _rows(facts["edge"], found)]
    for title, group in _groups(found):
        lines += ["", f"{title} ({len(group)})", *(f"  {line}" for line in _listed(facts["edge"], group))]
    return "\n".join(lines) + "\n"


def markdown(facts: Mapping[str, Any], found: Found) -> str:
    """The same as Markdown, without the tests that were not decided."""
    cells = [("Tests", "Passed", "Of", "The others"), ("---", "---:", "---:", "---"), *_rows(facts["edge"], found)]
    parts = [
        f"`{facts['command']}`, {facts['date']}: {facts['suite']}; {facts['stage']}.",
        "\n".join("| " + " | ".join(line) + " |" for line in cells),
    ]
    for title, group in _groups(found):
        if group[0].verdict is not Verdict.NEEDS:
            parts.append(
                "\n".join([f"{title[0].upper()}{title[1:]}:", "", *(f"* {line}" for line in _listed(facts["edge"], group, "`"))])
            )
    return "\n\n".join(parts) + "\n"


def compared(found: Found, before: Found, edge: str) -> str:
    """What has changed since, the checks included."""
    better, worse = changes(found, before)
    lines = [""]
    for title, group in (("newly passing", better), ("newly failing", worse)):
        lines += [f"{title} ({len(group)})", *(f"  {line}" for line in _listed(edge, group))]
    return "\n".join(lines) + "\n"


def document(facts: Mapping[str, Any], found: Found, results: Mapping[str, Any]) -> dict[str, Any]:
    """Everything: the facts, the score, each test's verdict, and what the suite's client said."""
    return {
        **facts,
        "score": {kind: {"passed": count.good, "of": count.total} for kind, count in score(found).items()},
        "tests": {
            name: {"kind": outcome.test.kind, "verdict": outcome.verdict, "message": outcome.message}
            for name, outcome in found.items()
        },
        "results": results,
    }


def read(path: Path, tests: Mapping[str, Test]) -> dict[str, Outcome]:
    """The outcomes in a document, or in results as the suite's client prints them and its directory `results` has them."""
    stored = json.loads(path.read_text(encoding="utf-8"))
    return outcomes(tests, stored.get("results", stored))


def _rows(edge: str, found: Found) -> list[tuple[str, str, str, str]]:
    """A row for each kind: its name, how many passed, of how many, and what became of the others."""
    rows = []
    for kind, count in score(found).items():
        others = [f"{number} {verdict}" for verdict, number in count.verdicts.items() if not verdict.good]
        for words, tests in (("cannot pass", impossible(edge)), ("mistaken", MISTAKEN)):
            failed = [found[test] for test in tests if test in found and not found[test].verdict.good]
            number = sum(outcome.test.kind == kind for outcome in failed)
            if number:
                others.append(f"{number} of these {words}")
        rows.append(("checks" if kind == "check" else kind, str(count.good), str(count.total), ", ".join(others)))
    return rows


def _groups(found: Found) -> Iterable[tuple[str, list[Outcome]]]:
    """The required and optimal tests that have not passed, by kind and verdict."""
    for kind in JUDGED:
        for verdict in Verdict:
            group = [outcome for outcome in found.values() if outcome.test.kind == kind and outcome.verdict is verdict]
            if group and not verdict.good:
                yield f"{kind}, {verdict}", group


def _listed(edge: str, group: Iterable[Outcome], quote: str = "") -> Iterable[str]:
    for outcome in group:
        words = [outcome.message] if outcome.message else []
        if not outcome.verdict.good and (said := remark(outcome.test.id, edge)):
            words.append(f"({said})")
        yield f"{quote}{outcome.test.id}{quote}" + (": " + " ".join(words) if words else "")
