"""The benchmarks run to their end and keep what they promise to keep. What they measured is never asserted."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from benchmarks import report
from redis_middleware.cli.processes import python

ROOT = Path(__file__).parent.parent

COSTS = {"cpu_us", "added_us", "added_low_us", "added_high_us", "best_added_us", "ratio"}


def benchmarks(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = python("-m", "benchmarks", *map(str, arguments))
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_a_small_run_measures_every_stack_under_both_servers(tmp_path: Path) -> None:
    kept, page = tmp_path / "numbers.json", tmp_path / "page.md"
    page.write_text(f"# By hand\n\n{report.BEGIN}\nold\n{report.END}\n\nThe end.\n")

    few = ("--starts", "1", "--rounds", "2", "--requests", "20", "--apps", "fastapi", "flask")
    done = benchmarks(*few, "--json", kept, "--write", page)

    assert done.returncode == 0, done.stderr
    document = json.loads(kept.read_text())
    assert document["machine"]["cpu"]
    assert [(row["platform"], row["stack"]) for row in document["rows"]] == [
        (platform, stack) for platform in ("uvicorn, FastAPI", "gunicorn, Flask") for stack in ("bare", "toy", "memory", "redis")
    ]
    assert all(row["cost"].keys() == COSTS and row["requests_per_second"] > 0 for row in document["rows"])
    assert {row["trips"] for row in document["rows"]} == {None, 1}
    assert {len(samples) for stacks in document["samples"].values() for samples in stacks.values()} == {2}
    assert [(row["edge"], row["stack"]) for row in document["direct_rows"]] == [
        (edge, stack) for edge in ("ASGIMiddleware", "WSGIMiddleware") for stack in ("bare", "toy", "memory")
    ]
    assert page.read_text() == f"# By hand\n\n{report.BEGIN}\n\n{done.stdout}\n{report.END}\n\nThe end.\n"
    assert "| gunicorn, Flask | redis |" in done.stdout
    assert "uvicorn, FastAPI: start 1 of 1" in done.stderr


def test_a_file_without_the_markers_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("no markers\n")

    done = benchmarks("--write", page)

    assert done.returncode != 0
    assert report.BEGIN in done.stderr
    assert "directly" not in done.stderr


def test_what_a_stack_adds_is_taken_within_each_round() -> None:
    """A machine that is twice as slow in one round makes no difference to the ratio."""
    cost = report.cost(stack=[12.0, 24.0, 12.0], bare=[10.0, 20.0, 10.0])

    assert cost.ratio == pytest.approx(1.2)
    assert cost.added_us == pytest.approx(2)
    assert cost.best_added_us == pytest.approx(2)
