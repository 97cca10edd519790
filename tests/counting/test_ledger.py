"""The ledger: what is counted in a process, and when it is added."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from redis_middleware import ASGIMiddleware, MemoryStorage, RateLimit, StorageUnavailable, WSGIMiddleware
from redis_middleware.counting import HOUR, TOTALS, First, Ledger, ReadTotals, Top, hourly
from redis_middleware.counting.ledger import BOUNDS, EVERY, OVERDUE
from redis_middleware.flow import Flow, Layer
from redis_middleware.http import Request, Response
from redis_middleware.ops import Get
from redis_middleware.storage import Storage

from ..conftest import Clock
from ..edges import Edge, asgi_call, environ, hello, scope, wsgi_call


class Counts(Layer):
    """Counts its requests, and reads something."""

    def __call__(self, request: Request) -> Flow:
        request.ledger.count("seen")
        request.ledger.rank("paths", request.path)
        yield from Get("a")
        return Response(200, (), b"")


@pytest.fixture
def ledger(clock: Clock) -> Ledger:
    return Ledger(clock, clock)


def added(ledger: Ledger, storage: Storage) -> dict[str, int]:
    storage.execute(ledger.take())
    [totals] = storage.execute([ReadTotals((TOTALS,))])
    return dict(totals)


def test_nothing_is_due_before_its_time(ledger: Ledger, clock: Clock) -> None:
    ledger.count("one")
    assert ledger
    assert ledger.due() == ()
    clock.move(EVERY)
    assert not ledger.is_overdue
    ledger.count("two", 5)
    total, hour = ledger.due()
    assert total.pairs() == hour.pairs() == {"one": 1, "two": 5}  # type: ignore[attr-defined]
    assert not ledger
    assert ledger.due() == ledger.take() == ()


def test_what_waits_for_too_long_is_overdue(ledger: Ledger, clock: Clock) -> None:
    assert not ledger.is_overdue
    ledger.count("one")
    clock.move(OVERDUE)
    assert ledger.is_overdue


def test_all_totals_and_those_of_the_hour(ledger: Ledger, storage: Storage, clock: Clock) -> None:
    for _ in range(2):
        ledger.count("one")
        storage.execute(ledger.take())
        first = hourly(clock.now)
        clock.move(HOUR)
    totals, hour, next_hour = storage.execute([ReadTotals((key,)) for key in (TOTALS, first, hourly(clock.now))])
    assert (totals, hour, next_hour) == ({"one": 2}, {"one": 1}, {})


def test_times_are_in_buckets(ledger: Ledger, storage: Storage) -> None:
    for seconds in (0.0001, 0.0005, 0.003, 7):
        ledger.observe("trip", seconds)
    assert added(ledger, storage) == {"trip:0.0005": 2, "trip:0.005": 1, "trip:inf": 1, "trip:sum": 7_003_600}
    assert list(BOUNDS) == sorted(BOUNDS)


def test_rankings(ledger: Ledger, storage: Storage) -> None:
    for path in ("/a", "/b", "/a"):
        ledger.rank("paths", path)
    storage.execute(ledger.take())
    assert storage.execute([First((Top("paths").key(),), (10,))]) == [[("/a", 2), ("/b", 1)]]


def test_what_could_not_be_added_is_added_later(ledger: Ledger, storage: Storage) -> None:
    ledger.count("one")
    taken = ledger.take()
    ledger.count("one")
    ledger.put_back(taken)
    assert added(ledger, storage) == {"one": 2}


# At the edges


def test_it_leaves_with_a_trip_of_a_request(edge: Edge, storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    call = edge.wrap(hello, [Counts()], storage)
    call()
    call()
    monkeypatch.setattr("redis_middleware.counting.ledger.EVERY", 0)
    call()
    [totals] = storage.execute([ReadTotals((TOTALS,))])
    assert totals["seen"] == 3


class Down:
    """A storage that is out of reach, until it is not."""

    def __init__(self, inner: Storage) -> None:
        self.inner = inner
        self.down = True

    def execute(self, ops: Any, /) -> list[Any]:
        if self.down:
            raise StorageUnavailable("switched off")
        return self.inner.execute(ops)

    async def aexecute(self, ops: Any, /) -> list[Any]:
        return self.execute(ops)

    def close(self) -> None: ...
    async def aclose(self) -> None: ...


def test_an_outage_loses_nothing(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Down(MemoryStorage())
    monkeypatch.setattr("redis_middleware.counting.ledger.EVERY", 0)
    call = edge.wrap(hello, [Counts()], storage)
    assert [call().status, call().status] == [503, 503]
    edge.flush()
    storage.down = False
    call()
    edge.flush()
    [totals] = storage.execute([ReadTotals((TOTALS,))])
    assert (totals["seen"], totals["trip failed"]) == (3, 2)


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redis_middleware.counting.ledger.OVERDUE", 0)
    monkeypatch.setattr("redis_middleware.heart.BEAT", 0.01)


def seen(storage: Storage) -> object:
    return storage.execute([ReadTotals((TOTALS,))])[0].get("seen")


@pytest.mark.usefixtures("soon")
def test_it_is_sent_by_itself_if_nobody_comes() -> None:
    storage = MemoryStorage()
    app = WSGIMiddleware(lambda environ, start: [], layers=[Counts()], storage=storage)
    wsgi_call(app, environ())
    deadline = time.monotonic() + 10
    while seen(storage) != 1:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.usefixtures("soon")
def test_so_it_is_in_an_event_loop() -> None:
    storage = MemoryStorage()

    async def main() -> None:
        await asgi_call(ASGIMiddleware(nothing, layers=[Counts()], storage=storage), scope())
        async with asyncio.timeout(10):
            while seen(storage) != 1:
                await asyncio.sleep(0.01)

    asyncio.run(main())


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "lifespan.shutdown.complete"})


def test_and_when_the_server_shuts_down() -> None:
    storage = MemoryStorage()

    async def main() -> None:
        app = ASGIMiddleware(nothing, layers=[Counts(), RateLimit("5/day")], storage=storage)
        await asgi_call(app, scope())
        await app({"type": "lifespan"}, lambda: asyncio.sleep(0, {}), ignored)

    async def ignored(message: Any) -> None:
        pass

    asyncio.run(main())
    assert seen(storage) == 1
