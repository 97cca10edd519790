"""One reading for all who ask at once, and for a second; counted at the socket too."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from redis_middleware import ASGIMiddleware, Health, RateLimit, RedisStorage, Sessions, WSGIMiddleware
from redis_middleware.flow import Sleep
from redis_middleware.layers.health.facts import Facts
from redis_middleware.layers.health.readings import Readings
from redis_middleware.ops import Get

from ...conftest import Clock
from ...edges import Edge, asgi_app, asgi_call, environ, hello, scope, wsgi_app, wsgi_call
from ...wire import Wire

SECRET = "0123456789abcdef0123456789abcdef"
PROBES = 100


def slow() -> Generator[Any, Any, Facts]:
    yield (Get("a"),)
    return Facts({"kind": "slow"})


def test_who_comes_second_waits_for_what_the_first_finds(clock: Clock) -> None:
    readings = Readings(clock)
    first, second = readings.get("key", slow), readings.get("key", slow)
    assert type(next(first)) is tuple
    assert type(next(second)) is Sleep
    with pytest.raises(StopIteration) as found:
        first.send([b""])
    with pytest.raises(StopIteration) as waited:
        second.send(None)
    assert waited.value.value is found.value.value


def test_who_is_cancelled_leaves_the_reading_to_the_next(clock: Clock) -> None:
    readings = Readings(clock)
    first, second = readings.get("key", slow), readings.get("key", slow)
    next(first)
    next(second)
    first.close()
    assert type(second.send(None)) is tuple


def test_who_vanished_without_a_word_holds_nobody_for_ever(clock: Clock) -> None:
    readings = Readings(clock)
    vanished, waiting = readings.get("key", slow), readings.get("key", slow)
    next(vanished)
    told = run_through(waiting)
    assert told.facts.trouble == "timeout"
    clock.move(5)
    assert type(next(readings.get("key", slow))) is tuple


def run_through(flow: Generator[Any, Any, Any]) -> Any:
    try:
        while True:
            assert type(flow.send(None)) is Sleep
    except StopIteration as stop:
        return stop.value


def test_a_reading_serves_for_a_second_and_the_one_before_is_known(clock: Clock) -> None:
    readings = Readings(clock)
    first = read(readings)
    clock.move(0.999)
    assert read(readings) is first
    clock.move(0.001)
    second = read(readings)
    assert second is not first
    assert second.before is first.facts


def read(readings: Readings) -> Any:
    flow = readings.get("key", slow)
    try:
        next(flow)
        flow.send([b""])
    except StopIteration as stop:
        return stop.value


@pytest.mark.parametrize("path", ["/api/redis/health", "/readyz", "/api/redis/stats"])
def test_a_hundred_parallel_probes_make_a_few_trips(wire: Wire, prefix: str, path: str, loop: asyncio.Runner) -> None:
    layers = [Health(), RateLimit("1/day"), Sessions(SECRET)]
    for kind in ("wsgi", "asgi"):
        storage = RedisStorage(wire.url, prefix=prefix)
        before = wire.trips
        if kind == "wsgi":
            wrapped = WSGIMiddleware(wsgi_app(hello), layers=layers, storage=storage)
            with ThreadPoolExecutor(20) as pool:
                calls = [pool.submit(wsgi_call, wrapped, environ("GET", path, (), "127.0.0.1")) for _ in range(PROBES)]
            statuses = [call.result().status for call in calls]
        else:
            app = ASGIMiddleware(asgi_app(hello), layers=layers, storage=storage)

            async def all_at_once(app: ASGIMiddleware = app) -> list[int]:
                answers = await asyncio.gather(*[asgi_call(app, scope("GET", path, (), "127.0.0.1")) for _ in range(PROBES)])
                return [answer.status for answer in answers]

            statuses = loop.run(all_at_once())
        assert statuses == [200] * PROBES
        assert 1 <= wire.trips - before <= 12
        storage.close()
        loop.run(storage.aclose())


def test_live_never_asks_and_start_asks_until_it_was_answered(wire: Wire, edge: Edge, prefix: str, clock: Clock) -> None:
    storage = RedisStorage(wire.url, prefix=prefix)
    call = edge.wrap(hello, [Health(clock=clock)], storage)
    assert call(path="/livez").status == 200
    assert wire.trips == 0
    assert call(path="/startupz").status == 200
    asked = wire.trips
    assert asked > 0
    clock.move(60)
    assert call(path="/startupz").status == 200
    assert wire.trips == asked
    storage.close()
