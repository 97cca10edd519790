"""The cache under real servers with several workers, on a real Redis."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from redis_middleware.cli.processes import Server

from .launch import mounted

SERVERS = [
    ("gunicorn gthread", "flask_app", "--workers", "2", "--threads", "8"),
    ("granian wsgi", "flask_app", "--workers", "2", "--blocking-threads", "8"),
    ("uvicorn httptools", "starlette_app", "--workers", "2"),
    ("hypercorn", "starlette_app", "--workers", "2"),
]

MANY = 50


@pytest.fixture(params=SERVERS, ids=lambda param: f"{param[1]} under {param[0]}")
def running(request: pytest.FixtureRequest, redis_url: str, prefix: str) -> Iterator[Server]:
    server, app, *options = request.param
    with mounted(server, f"tests.servers.cached:{app}", *options, REDIS_URL=redis_url, PREFIX=prefix) as made:
        yield made


def test_of_50_cold_requests_to_two_workers_one_runs_the_app(running: Server) -> None:
    def get(number: int) -> httpx.Response:
        return httpx.get(f"http://{running.address}/slow", timeout=20)

    with ThreadPoolExecutor(MANY) as pool:
        answers = list(pool.map(get, range(MANY)))
    assert {(answer.status_code, answer.text) for answer in answers} == {(200, "1")}
    told = [answer.headers["cache-status"] for answer in answers]
    assert sum("stored" in line for line in told) == 1
    assert sum("; hit" in line or "; collapsed" in line for line in told) == MANY - 1
    assert "Traceback" not in running.output()


def test_nobody_waits_for_what_is_renewed(running: Server) -> None:
    """Whoever asks gets what is there; it is renewed after that, once for all workers."""
    seen = []
    end = time.monotonic() + 20
    with httpx.Client(base_url=f"http://{running.address}", timeout=20) as client:
        while time.monotonic() < end and "2" not in seen:
            answer = client.get("/hot")
            seen.append(answer.text)
            if len(seen) > 1:
                assert "; hit" in answer.headers["cache-status"]
            time.sleep(0.02)
    assert (seen[0], seen[-1]) == ("1", "2")
    assert "Traceback" not in running.output()


def test_a_film_of_10_gib_passes_and_is_not_kept(running: Server) -> None:
    before = memory(running)
    received = 0
    with httpx.stream("GET", f"http://{running.address}/film", timeout=20) as answer:
        assert answer.headers["content-length"] == str(10 << 30)
        assert "detail=size" in answer.headers["cache-status"]
        for piece in answer.iter_raw():
            received += len(piece)
            if received > 300 << 20:
                break
    assert memory(running) - before < 128 << 20


def memory(server: Server) -> int:
    """The bytes in memory of a server and its workers."""
    pids = [server.process.pid]
    for pid in pids:
        pids += [int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()]
    pages = [Path(f"/proc/{pid}/statm").read_text().split()[1] for pid in pids]
    return sum(int(number) for number in pages) * 4096
