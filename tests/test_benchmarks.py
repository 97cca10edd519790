"""The benchmarks run to their end and keep what they promise to keep. What they measured is never asserted."""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.sessions import apps
from benchmarks.sessions.contenders import BUDGET, Peer
from benchmarks.sessions.measure import Plan
from benchmarks.sessions.meter import Meter
from benchmarks.sessions.peers import environments
from benchmarks.sessions.races import Outcome
from benchmarks.sessions.report import markdown, worst
from redis_middleware.cli.processes import Server, python

ROOT = Path(__file__).parent.parent

COSTS = {"cpu_us", "added_us", "added_low_us", "added_high_us", "best_added_us", "ratio"}


def benchmarks(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = python("-m", "benchmarks", *map(str, arguments))
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_a_small_run_measures_every_stack_under_both_servers(tmp_path: Path) -> None:
    kept, page = tmp_path / "numbers.json", tmp_path / "page.md"
    page.write_text(f"# By hand\n\n{report.BEGIN}\nold\n{report.END}\n\nThe end.\n")

    few = ("--starts", "1", "--rounds", "2", "--requests", "20", "--apps", "fastapi", "flask", "--sessions")
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


def test_our_sessions_keep_to_their_budget_and_lose_nothing(tmp_path: Path) -> None:
    kept = tmp_path / "numbers.json"

    few = ("--starts", "1", "--rounds", "2", "--requests", "40", "--apps", "--sessions", "django", "starlette")
    done = benchmarks(*few, "--json", kept)

    assert done.returncode == 0, done.stderr
    document = json.loads(kept.read_text())
    rows = {row["contender"]: row for row in document["session_rows"]}
    assert [*rows] == ["redis_middleware, Django at our edge", "redis_middleware, Starlette"]
    for row in rows.values():
        assert {case: int(cost["traffic"]["trips"]) for case, cost in row["costs"].items()} == BUDGET
        assert all(cost["cpu_us"] > 0 for cost in row["costs"].values())
        assert {**row["outcome"], "added": ...} == {"added": ..., "incremented": 200, "keys": 200, "revived": False}
    assert document["peers"] == document["missing_peers"] == {}
    assert "| redis_middleware, Django at our edge | 0 · 0 · 0 |" in done.stdout


def test_the_app_of_the_sessions_in_flask_does_what_is_counted() -> None:
    client = apps.flask(apps.OURS, "memory://").test_client()

    for path in ("login", "untouched", "read", "write", "both", "increment", "add"):
        assert client.get(f"/{path}").status_code == 200
    assert client.get("/show").json == {"user": "4711", "n": 2, "keys": 1}
    client.get("/logout")
    assert client.get("/show").json == {"user": None, "n": None, "keys": 0}


def test_a_peer_that_cannot_be_installed_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    peer = Peer("Nobody's", (str(tmp_path / "not there"),), ())
    said: list[str] = []

    found = environments([peer], said.append, tmp_path)

    assert not found.has(peer)
    assert found.has(None)
    assert [*found.missing] == ["Nobody's"]
    assert "Nobody's cannot be installed" in said[-1]
    assert "* **Nobody's is missing**: ERROR:" in markdown([], found, Plan([], 1, 1, 1, 1))


def test_what_is_reported_of_races_is_the_worst() -> None:
    outcomes = [Outcome(50, None, 70, False), Outcome(60, None, 40, True), Outcome(70, None, 50, False)]

    assert worst(outcomes) == Outcome(50, None, 40, True)


def test_trips_commands_and_bytes_are_counted_at_the_socket(server: Server) -> None:
    ping, pong = b"*1\r\n$4\r\nPING\r\n", b"+PONG\r\n"

    with (meter := Meter(server.host, server.port)), socket.create_connection(("127.0.0.1", meter.port), timeout=10) as client:
        for count in (2, 1):
            client.sendall(ping * count)
            assert client.makefile("rb").read(len(pong) * count) == pong * count
        traffic = meter.traffic

    assert (traffic.trips, traffic.commands, traffic.size) == (2, 3, 3 * len(ping + pong))
