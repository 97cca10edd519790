"""Exact: however many processes and threads ask, a limit of K admits K."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from redis_middleware import MemoryStorage, RateLimit, RedisStorage, WSGIMiddleware
from redis_middleware.cli.processes import python

from .conftest import Clock
from .edges import ASGI, WSGI, Edge, environ, hello, wsgi_app, wsgi_call

ASK = """
import sys
from concurrent.futures import ThreadPoolExecutor
from redis_middleware import RateLimit, RedisStorage, WSGIMiddleware
from tests.edges import environ, hello, wsgi_app, wsgi_call

storage = RedisStorage(sys.argv[1], prefix=sys.argv[2], timeout=10)
app = WSGIMiddleware(wsgi_app(hello), layers=[RateLimit("500/minute")], storage=storage)
with ThreadPoolExecutor(4) as pool:
    statuses = list(pool.map(lambda _: wsgi_call(app, environ()).status, range(200)))
assert set(statuses) <= {200, 429}, set(statuses)
print(statuses.count(200))
"""


def test_four_processes_of_four_threads_admit_exactly_the_limit(redis_url: str, prefix: str) -> None:
    processes = [
        subprocess.Popen(python("-c", ASK, redis_url, prefix), stdout=subprocess.PIPE, cwd=Path(__file__).parent.parent)
        for _ in range(4)
    ]
    admitted = [int(process.communicate(timeout=60)[0]) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4
    assert sum(admitted) == 500


def test_sixteen_threads_on_one_memory_admit_exactly_the_limit() -> None:
    app = WSGIMiddleware(wsgi_app(hello), layers=[RateLimit("500/minute")], storage=MemoryStorage())
    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(lambda _: wsgi_call(app, environ()).status, range(1000)))
    assert statuses.count(200) == 500


def test_a_denied_request_takes_nothing_from_the_other_limits(edge: Edge, redis_url: str, prefix: str, clock: Clock) -> None:
    for storage in (MemoryStorage(clock=clock), RedisStorage(redis_url, prefix=prefix, clock=clock, timeout=5)):
        call = edge.wrap(hello, [RateLimit("100/hour; 1/minute", clock=clock)], storage)
        answers = [call() for _ in range(20)]
        assert [answer.status for answer in answers] == [200] + [429] * 19
        assert answers[-1].headers.get("ratelimit") == '"hour";r=99;t=3600, "minute";r=0;t=60'
        clock.move(60)
        assert call().headers.get("ratelimit") == '"hour";r=98;t=3540, "minute";r=0;t=60'
        clock.move(-60)


def test_both_edges_count_on_one_limit(redis_url: str, prefix: str) -> None:
    storage = RedisStorage(redis_url, prefix=prefix, timeout=5)
    asgi, wsgi = ASGI(), WSGI()
    calls = [kind.wrap(hello, [RateLimit("5/minute")], storage) for kind in (asgi, wsgi)]
    assert [calls[i % 2]().status for i in range(8)] == [200] * 5 + [429] * 3
    asgi.close()
    storage.close()
