"""So many at once: a place is held while a request lasts, and given back however it ends."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redis_middleware import (
    ASGIMiddleware,
    ConfigurationError,
    MemoryStorage,
    RateLimit,
    RedisStorage,
    Request,
    WSGIMiddleware,
    run,
)
from redis_middleware.flow import Next
from redis_middleware.layers.rate_limit.decide import Decide
from redis_middleware.pump import pump
from redis_middleware.stack import Stack
from redis_middleware.storage import Storage

from ...conftest import Clock
from ...edges import Edge, Seen, environ, hello, scope, wsgi_app, wsgi_call
from ...scripts import Eternally
from .test_algorithms import SECOND, Eternal


def at_once(limit: RateLimit, storage: Storage) -> int:
    """How many are held now."""
    [policy] = [policy for policy in run(limit.explain("192.0.2.1"), storage) if policy["policy"] == "in-flight"]
    return int(str(policy["limit"])) - int(str(policy["remaining"]))


def test_one_more_than_fits_is_denied_and_told_no_time(storage: Storage) -> None:
    limit = RateLimit(max_in_flight=1)
    inner: list[Any] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        if not inner:
            inner.append(None)
            inner.append(wsgi_call(middleware, environ_of()))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"done"]

    environ_of, middleware = environ, WSGIMiddleware(app, layers=[limit], storage=storage)
    outer = wsgi_call(middleware, environ_of())
    assert (outer.status, inner[1].status) == (200, 429)
    assert inner[1].headers.get("retry-after") is None
    assert b"Too many at once" in inner[1].body
    assert at_once(limit, storage) == 0


def test_a_place_is_given_back_when_the_response_ends(edge: Edge, storage: Storage) -> None:
    limit = RateLimit("100/minute", max_in_flight=1)
    call = edge.wrap(hello, [limit], storage)
    answers = [call() for _ in range(3)]
    assert [answer.status for answer in answers] == [200] * 3
    assert answers[0].headers.get("ratelimit-policy") == '"minute";q=100;w=60'
    assert at_once(limit, storage) == 0


def test_a_denied_request_takes_no_place(edge: Edge, storage: Storage) -> None:
    limit = RateLimit("1/minute", max_in_flight=5)
    call = edge.wrap(hello, [limit], storage)
    assert [call().status for _ in range(9)] == [200] + [429] * 8
    assert at_once(limit, storage) == 0


def test_a_place_is_given_back_when_the_app_raises(edge: Edge, storage: Storage) -> None:
    def raising(seen: Seen) -> Any:
        raise ZeroDivisionError

    limit = RateLimit(max_in_flight=1)
    with pytest.raises(ZeroDivisionError):
        edge.wrap(raising, [limit], storage)()
    assert at_once(limit, storage) == 0


def test_a_stream_holds_its_place_to_its_end(edge: Edge, storage: Storage) -> None:
    limit = RateLimit(max_in_flight=2)
    held: list[int] = []

    def stream(seen: Seen) -> Any:
        def pieces() -> Iterator[bytes]:
            for _ in range(3):
                held.append(at_once(limit, storage))
                yield b"x"

        return 200, [("content-type", "text/plain")], pieces()

    assert edge.wrap(stream, [limit], storage)().body == b"xxx"
    assert held == [1, 1, 1]
    assert at_once(limit, storage) == 0


def test_a_client_that_leaves_a_stream_gives_its_place_back(storage: Storage) -> None:
    def stream(seen: Seen) -> Any:
        return 200, [("content-type", "text/plain")], (b"x" for _ in itertools.count())

    limit = RateLimit(max_in_flight=1)
    iterable: Any = WSGIMiddleware(wsgi_app(stream), layers=[limit], storage=storage)(environ(), lambda *head: list)
    next(iterable)
    assert at_once(limit, storage) == 1
    iterable.close()
    assert at_once(limit, storage) == 0


def test_an_asgi_client_that_leaves_gives_its_place_back(storage: Storage) -> None:
    limit = RateLimit(max_in_flight=1)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": b"x", "more_body": True})

    async def leave(message: Any) -> None:
        if message.get("body"):
            raise OSError("gone")

    async def once() -> None:
        try:
            await ASGIMiddleware(app, layers=[limit], storage=storage)(scope(), None, leave)  # type: ignore[arg-type]
        finally:
            await storage.aclose()

    with pytest.raises(OSError, match="gone"):
        asyncio.run(once())
    assert at_once(limit, storage) == 0


def test_a_worker_that_was_killed_loses_its_places_after_the_lease(storage: Storage, clock: Clock) -> None:
    limit = RateLimit(max_in_flight=1, lease=30, clock=clock)

    def ask() -> Any:
        drive = Stack([limit])(Request(peer="192.0.2.1"))  # and nobody goes on with it
        abandoned.append(drive)
        return pump(drive, storage)

    abandoned: list[Any] = []
    assert type(ask()) is Next
    assert ask().value.status == 429
    clock.move(29.9)
    assert ask().value.status == 429
    clock.move(0.1)
    assert type(ask()) is Next
    for drive in abandoned:
        drive.close()


def test_a_request_longer_than_its_lease_keeps_its_place(storage: Storage) -> None:
    """On the real clock: a heart cannot be hurried."""
    limit = RateLimit(max_in_flight=1, lease=2)
    memory = isinstance(storage, MemoryStorage)
    real = MemoryStorage() if memory else RedisStorage(storage_url(storage), prefix="lease:", timeout=5)
    release, entered = threading.Event(), threading.Event()

    def slow(seen: Seen) -> Any:
        entered.set()
        assert release.wait(10)
        return hello(seen)

    middleware = WSGIMiddleware(wsgi_app(slow), layers=[limit], storage=real)
    thread = threading.Thread(target=wsgi_call, args=(middleware, environ()))
    thread.start()
    assert entered.wait(5)
    assert not release.wait(2.6), "longer than the lease"
    assert at_once(limit, real) == 1
    release.set()
    thread.join()
    assert at_once(limit, real) == 0
    real.close()


def storage_url(storage: Any) -> str:
    return f"redis://{storage._connect.where}"


@pytest.mark.parametrize("kind", ["websocket"])
def test_a_websocket_holds_its_place_while_it_is_open(kind: str, storage: Storage) -> None:
    limit = RateLimit(max_in_flight=1)
    held: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        held.append(at_once(limit, storage))

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        pass

    async def once() -> None:
        await ASGIMiddleware(app, layers=[limit], storage=storage)(scope() | {"type": kind}, receive, send)
        await storage.aclose()

    asyncio.run(once())
    assert held == [1]
    assert at_once(limit, storage) == 0


_runs = itertools.count()
OPS = st.tuples(
    st.sampled_from([0.0, 1.0, 29.999999, 30.0, -0.000001, -45.0]),
    st.integers(1, 3),  # whose lease
    st.sampled_from(["take", "renew", "release", "look"]),
)


@settings(max_examples=150, deadline=None)
@given(trace=st.lists(OPS, max_size=40), most=st.integers(1, 3))
def test_random_traces_are_decided_alike_in_lua_and_in_python(trace: list[Any], most: int, redis_url: str) -> None:
    clock, table = Clock(), Eternal()
    server = RedisStorage(redis_url, prefix=f"leases{next(_runs)}:", clock=clock, timeout=5)
    for move, token, what in trace:
        clock.move(move)
        cost = {"take": 1, "renew": 1, "release": -1, "look": 0}[what]
        at = 1 if what in ("renew", "release") else 0
        script = Decide(("{s}:1",), (at, "l", most, 30 * SECOND, cost, 0, 1, token))
        [there] = server.execute([Eternally(script.keys, script.args)])
        assert script.apply(table, there.now) == there
    server.close()


@pytest.mark.parametrize("options", [{"max_in_flight": 0}, {"max_in_flight": 5, "lease": 0.1}])
def test_numbers_that_make_no_sense_are_refused(options: Any) -> None:
    with pytest.raises(ConfigurationError):
        RateLimit(**options)
