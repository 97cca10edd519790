"""The benchmarks run to their end and keep what they promise to keep. What they measured is never asserted."""

from __future__ import annotations

import asyncio
import json
import socket
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from itertools import count
from pathlib import Path

import pytest
import redis

from benchmarks import report
from benchmarks.cache import apps as pages
from benchmarks.cache import report as cache_report
from benchmarks.cache.contenders import BUDGET as CACHE_BUDGET
from benchmarks.cache.kept import Kept, kept
from benchmarks.cache.measure import Plan as CachePlan
from benchmarks.cache.questions import GIVEN, SHARED, findings
from benchmarks.choice import OURS
from benchmarks.load import client, get
from benchmarks.meter import Meter
from benchmarks.peers import Environments, Peer, environments
from benchmarks.sessions import apps
from benchmarks.sessions.contenders import BUDGET
from benchmarks.sessions.measure import Plan
from benchmarks.sessions.races import Outcome
from benchmarks.sessions.report import markdown, worst
from redis_middleware.cli.processes import Server, python, redis_server

ROOT = Path(__file__).parent.parent

COSTS = {"cpu_us", "added_us", "added_low_us", "added_high_us", "best_added_us", "ratio"}


def benchmarks(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = python("-m", "benchmarks", *map(str, arguments))
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_a_small_run_measures_every_stack_under_both_servers(tmp_path: Path) -> None:
    kept, page = tmp_path / "numbers.json", tmp_path / "page.md"
    page.write_text(f"# By hand\n\n{report.BEGIN}\nold\n{report.END}\n\nThe end.\n")

    few = ("--starts", "1", "--rounds", "2", "--requests", "20", "--apps", "fastapi", "flask", "--sessions", "--caches")
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

    few = ("--starts", "1", "--rounds", "2", "--requests", "40", "--apps", "--sessions", "django", "starlette", "--caches")
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
    client = apps.flask(OURS, "memory://").test_client()

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


def test_our_caches_keep_to_their_budget_and_give_nobody_what_is_anothers(tmp_path: Path) -> None:
    kept = tmp_path / "numbers.json"

    few = ("--starts", "1", "--rounds", "2", "--requests", "40", "--apps", "--sessions", "--caches", "django", "starlette")
    done = benchmarks(*few, "--json", kept)

    assert done.returncode == 0, done.stderr
    document = json.loads(kept.read_text())
    rows = {row["contender"]: row for row in document["cache_rows"]}
    assert [*rows] == ["redis_middleware, Starlette", "redis_middleware, Django"]
    for row in rows.values():
        assert {case: int(traffic["trips"]) for case, traffic in row["traffic"].items()} == CACHE_BUDGET
        found = row["findings"]
        assert found["given"] == dict.fromkeys(GIVEN, False)
        assert list(found["shared"].values()) == [False, True]
        assert (found["error"], found["runs"]) == (None, 1)
        assert found["agents"]["entries"] <= 6  # of 400: what was counted meanwhile, and that nobody is to wait
        assert 0 < found["languages"]["entries"] <= 33
        assert row["cpu_us"] > 0
    assert document["peers"] == document["missing_peers"] == {}
    assert "| redis_middleware, Django | 1 · " in done.stdout


def test_the_app_of_the_caches_in_flask_says_who_has_made_an_answer() -> None:
    for library, same in ((OURS, True), ("none", False)):
        client = pages.flask(library, "memory://").test_client()
        first, second = (client.get("/page/a?q=b", base_url="http://localhost") for _ in range(2))
        assert len(first.data) == pytest.approx(10 << 10, abs=100)
        assert (first.json == second.json) is same
        assert client.get("/error/a").status_code == 500
        assert client.get("/cookie/a").headers["set-cookie"].startswith("visitor=")


@asynccontextmanager
async def served(answer: Callable[[bytes], bytes]) -> AsyncIterator[int]:
    """The port of a server that answers each request by a function, and closes a connection when it is asked to."""
    ended: list[asyncio.Future[None]] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended.append(asyncio.get_running_loop().create_future())
        done = ended[-1]
        while request := await reader.read(1 << 16):
            writer.write(answer(request))
            if b"Connection: close" in request:
                break
        writer.close()
        await writer.wait_closed()
        done.set_result(None)

    async with await asyncio.start_server(talk, "127.0.0.1") as server:
        yield server.sockets[0].getsockname()[1]
        await asyncio.gather(*ended)


def made(run: int) -> bytes:
    body = json.dumps({"run": run}).encode()
    return b"HTTP/1.1 200 OK\r\nSet-Cookie: a=%d\r\nContent-Length: %d\r\n\r\n" % (run, len(body)) + body


def test_a_cache_that_gives_everything_to_everybody_is_found_out() -> None:
    stored: dict[bytes, bytes] = {}

    def answer(request: bytes) -> bytes:
        return stored.setdefault(request.split()[1].partition(b"?")[0], made(len(stored)))

    async def asked() -> None:
        async with served(answer) as port:
            found = await findings(port, lambda: Kept(len(stored), 0))
        assert found.given == dict.fromkeys(GIVEN, True)
        assert found.shared == dict.fromkeys(SHARED, True)
        assert (found.error, found.runs) == (200, 1)
        assert found.agents == found.languages == Kept(1, 0)

    asyncio.run(asked())


def test_a_cache_that_stores_nothing_is_no_safe_one() -> None:
    runs = count()

    async def asked() -> None:
        async with served(lambda request: made(next(runs))) as port:
            with pytest.raises(RuntimeError, match="expected the second answer to come from the cache"):
                await findings(port, lambda: Kept(0, 0))

    asyncio.run(asked())


def test_the_load_can_be_of_many_requests_and_of_another_status() -> None:
    seen: list[bytes] = []

    def answer(request: bytes) -> bytes:
        seen.append(request)
        return b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10240\r\n\r\n"

    async def asked() -> None:
        async with served(answer) as port, client(port, 1) as one:
            await one.run(2, (get(f"/{number}", **{"If-None-Match": "*", "Accept": "a/b"}) for number in range(2)), 304)
            with pytest.raises(RuntimeError, match="expected 200"):
                await one.run(1)

    asyncio.run(asked())
    assert [request.split()[1] for request in seen[:2]] == [b"/0", b"/1"]
    assert b"\r\nIf-None-Match: *\r\n" in seen[0]
    assert seen[0].count(b"Accept: ") == seen[0].count(b"Accept: a/b\r\n") == 1


def test_what_is_kept_is_counted_in_redis_and_in_a_database(tmp_path: Path) -> None:
    database = tmp_path / "cache.db"
    with redis_server() as own, redis.Redis(own.host, own.port) as control:
        before = kept(own.host, own.port, database)
        control.set("page", b"x" * 10_000)
        with closing(sqlite3.connect(database)) as rows:
            rows.executescript("CREATE TABLE entries (data); CREATE TABLE streams (chunk_data)")
            rows.execute("INSERT INTO entries VALUES (?)", (b"head",))
            rows.execute("INSERT INTO streams VALUES (?)", (b"x" * 1000,))
            rows.commit()
        found = kept(own.host, own.port, database).since(before)

    assert before == Kept(0, 0)
    assert found.entries == 2
    assert 11_004 < found.size < 20_000


def test_a_peer_that_is_missing_is_named_beside_the_caches_too() -> None:
    places = Environments(missing={"hishel": "ERROR: no such thing"})

    assert cache_report.markdown([], Environments(), CachePlan([], 1, 1, 1, 1)) == ""
    assert "* **hishel is missing**: ERROR: no such thing" in cache_report.markdown([], places, CachePlan([], 1, 1, 1, 1))
