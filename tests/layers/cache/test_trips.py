"""What the cache costs in round trips, counted at the socket of a real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from redis_middleware import RateLimit, RedisStorage, Sessions
from redis_middleware.ops import Get

from ...conftest import Clock
from ...edges import Edge
from ...wire import Wire
from .site import Site, Watch, is_hit, is_stored

MINUTE = [("cache-control", "max-age=60")]
BIG = b"x" * 100_000

Trips = Callable[..., int]


@pytest.fixture
def over(wire: Wire, prefix: str, clock: Clock) -> Iterator[RedisStorage]:
    storage = RedisStorage(wire.url, prefix=prefix, timeout=5, clock=clock)
    yield storage
    storage.close()


@pytest.fixture(params=[False, True], ids=["alone", "limited"])
def site(request: pytest.FixtureRequest, edge: Edge, over: RedisStorage, clock: Clock) -> Site:
    """A site whose scripts the server knows; alone, and with two limits outside and a session inside."""
    outside = [RateLimit("100000/day; 50000/hour")] if request.param else []
    inside = [Sessions("a secret of more than thirty-two bytes, for tests")] if request.param else []
    site = Site(edge, over, [*MINUTE, ("cache-tag", "a")], outside=outside, inside=inside)
    for path, body in (("/known", b"1"), ("/known", BIG), ("/big", BIG)):
        site.body = body
        site.get(path)
        site.get(path)
    site.headers = [("cache-control", "no-store")]
    site.get("/private")
    site.call("POST", "/known")
    site.headers, site.body = MINUTE, b"hello"
    clock.move(1)
    return site


@pytest.fixture
def trips(site: Site, wire: Wire) -> Trips:
    def count(path: str = "/", method: str = "GET", **headers: str) -> int:
        before = wire.trips
        site.call(method, path, [(name.replace("_", "-"), value) for name, value in headers.items()])
        return wire.trips - before

    return count


def test_a_miss_is_three_and_a_hit_one(trips: Trips) -> None:
    assert [trips() for _ in range(3)] == [3, 1, 1]  # look; take the lead; store


def test_a_big_one_too(site: Site, trips: Trips) -> None:
    site.body = BIG
    assert [trips() for _ in range(3)] == [3, 1, 1]


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ([*MINUTE, ("vary", "accept-language")], b"x"),
        ([*MINUTE, ("cache-tag", "a, b, c")], b"x"),
        (MINUTE, BIG),
        ([*MINUTE, ("vary", "accept-language"), ("cache-tag", "a, b, c")], BIG),
    ],
)
def test_what_a_worker_has_to_learn_costs_it_once(
    edge: Edge, over: RedisStorage, site: Site, trips: Trips, wire: Wire, headers: Any, body: bytes
) -> None:
    site.headers, site.body = headers, body
    assert [trips(accept_language="de") for _ in range(2)] == [3, 1]
    other = Site(edge, over, headers)
    for expected in (range(2, 4), range(1, 2), range(1, 2)):
        before = wire.trips
        assert is_hit(other.get(accept_language="de"))
        assert wire.trips - before in expected


def test_another_variant_of_what_is_learnt(site: Site, trips: Trips) -> None:
    site.headers = [*MINUTE, ("vary", "accept-language")]
    assert [trips(accept_language=language) for language in ("de", "en", "de", "en", "fr")] == [3, 3, 1, 1, 3]


def test_what_is_not_stored_is_one_once_that_is_learnt(site: Site, trips: Trips) -> None:
    site.headers = [("cache-control", "no-store")]
    assert [trips() for _ in range(3)] == [3, 1, 1]


def test_what_turns_out_too_long_is_every_other_time(site: Site, trips: Trips) -> None:
    site.act = lambda seen: (200, [*MINUTE, ("content-type", "text/plain")], iter([BIG] * 11))
    assert [trips() for _ in range(4)] == [3, 1, 3, 1]


def test_what_is_stored_for_others_only_is_one_once_that_is_learnt(site: Site, trips: Trips) -> None:
    trips()
    assert [trips(cookie="a=1") for _ in range(4)] == [3, 1, 1, 1]
    assert trips() == 1


def test_what_was_stored_once_and_is_not_any_more(site: Site, trips: Trips, clock: Clock) -> None:
    site.headers = [*MINUTE, ("etag", '"one"')]
    trips()
    clock.move(100)
    site.headers = [("cache-control", "private")]
    assert [trips() for _ in range(3)] == [3, 1, 1]


def test_validation_is_three(site: Site, trips: Trips, clock: Clock) -> None:
    for body in (b"x", BIG):
        site.headers, site.body, site.status = [*MINUTE, ("etag", '"one"')], body, 200
        trips("/" + str(len(body)))
        clock.move(100)
        site.status = 304
        assert trips("/" + str(len(body))) == 3
        assert trips("/" + str(len(body))) == 1


def test_head_is_one_and_takes_no_lead(site: Site, trips: Trips) -> None:
    assert trips(method="HEAD") == 1
    assert is_stored(site.get())
    assert trips(method="HEAD") == 1


def test_what_may_change_something_is_one(edge: Edge, over: RedisStorage, site: Site, wire: Wire) -> None:
    alone = Site(edge, over)
    before = wire.trips
    alone.call("POST")
    assert wire.trips - before == 1


def test_an_answer_without_a_body_moves_none(edge: Edge, over: RedisStorage, clock: Clock) -> None:
    watch = Watch(over)
    read: list[str] = []
    watch.before = lambda op: read.append(op.key) if isinstance(op, Get) and op.key.startswith("c:{") else None
    site = Site(edge, watch, [*MINUTE, ("etag", '"one"'), ("last-modified", "Fri, 15 Jan 2027 08:00:00 GMT")])
    site.body = BIG
    site.get()
    assert site.get().body == BIG
    assert len(read) == 1
    assert site.head().headers.get("content-length") == str(len(BIG))
    assert site.get(if_none_match='"one"').status == 304
    assert site.get(if_modified_since="Fri, 15 Jan 2027 08:00:00 GMT").status == 304
    assert len(read) == 1
    assert site.get(if_none_match='"two"').body == BIG
    assert len(read) == 2
