"""Round trips, counted at the socket of a real server: the promise of one trip (DESIGN §5)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from redis_middleware import Flow, Health, RateLimit, RedisStorage, Request, body, proceed
from redis_middleware.ops import Set

from .edges import Edge, hello
from .toys import Keeper, Lock, Reader, Writer
from .wire import Wire


@pytest.fixture
def over(wire: Wire, prefix: str) -> Iterator[RedisStorage]:
    storage = RedisStorage(wire.url, prefix=prefix, timeout=5)
    yield storage
    storage.close()


def trips(wire: Wire, edge: Edge, storage: RedisStorage, *layers: object, requests: int = 5) -> float:
    """Trips a request, once connected and with the scripts known to the server."""
    call = edge.wrap(hello, layers, storage)  # type: ignore[arg-type]
    call()
    before = wire.trips
    for _ in range(requests):
        assert call().status == 200
    return (wire.trips - before) / requests


def test_two_limits_are_one_trip(wire: Wire, edge: Edge, over: RedisStorage) -> None:
    assert trips(wire, edge, over, RateLimit("200/day; 50/hour")) == 1


def test_the_reads_of_all_layers_share_that_trip(wire: Wire, edge: Edge, over: RedisStorage) -> None:
    assert trips(wire, edge, over, Health(), RateLimit("200/day; 50/hour"), Reader("a"), Reader("b")) == 1


def test_a_write_after_the_response_is_a_second_one(wire: Wire, edge: Edge, over: RedisStorage) -> None:
    assert trips(wire, edge, over, Health(), RateLimit("200/day; 50/hour"), Reader("a"), Writer()) == 2


def test_writes_at_the_head_and_at_the_end_are_one_trip_if_the_body_comes_at_once(
    wire: Wire, edge: Edge, over: RedisStorage
) -> None:
    class Forgets(Keeper):
        """Keeps every body and never answers from it."""

        def __call__(self, request: Request, /) -> Flow:
            response = yield from proceed()
            whole = yield from body(100)
            request.outbox.append(Set("kept", whole or b"", ttl=60))
            return response

    assert trips(wire, edge, over, RateLimit("200/day"), Forgets(), Writer()) == 2


def test_a_hit_is_one_trip_with_the_limit_in_it(wire: Wire, edge: Edge, over: RedisStorage) -> None:
    assert trips(wire, edge, over, RateLimit("200/day"), Keeper()) == 1


def test_an_op_that_is_no_read_waits_for_its_turn(wire: Wire, edge: Edge, over: RedisStorage) -> None:
    assert trips(wire, edge, over, RateLimit("200/day"), Lock()) == 3


def test_health_asks_once_a_second_and_nothing_elsewhere(wire: Wire, edge: Edge, over: RedisStorage) -> None:
    assert trips(wire, edge, over, Health()) == 0
    call = edge.wrap(hello, [Health(clock=lambda: 0.0), RateLimit("1/day")], over)
    call(path="/api/redis/health")
    before = wire.trips
    assert call(path="/api/redis/health").status == 200
    assert wire.trips == before


def test_a_request_that_an_outer_layer_answers_consumes_no_limit(edge: Edge, over: RedisStorage) -> None:
    call = edge.wrap(hello, [Health(), RateLimit("1/day")], over)
    for _ in range(3):
        assert call(path="/api/redis/health").status == 200
    assert [call().status, call().status] == [200, 429]
