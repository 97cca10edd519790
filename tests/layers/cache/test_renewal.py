"""Renewing in the background: what is stale while it is renewed, and what is fresh but not for long (RFC 5861 §3, XFetch)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from redis_middleware import RateLimit, ResponseCache
from redis_middleware.storage import Storage

from ...conftest import Clock
from ...edges import Edge, Seen
from .site import Site, header, is_hit, is_stored, settle, told

WHILE = [("cache-control", "max-age=60, stale-while-revalidate=60")]

STALE = "hit; ttl=-30; detail=stale-while-revalidate"

Make = Callable[..., Site]


@pytest.fixture
def stale(edge: Edge, storage: Storage, clock: Clock) -> Make:
    """A site with a response that has been stale for half a minute."""

    def make(headers: Any = WHILE, **options: Any) -> Site:
        site = Site(edge, storage, headers, **options)
        assert is_stored(site.get())
        clock.move(90)
        return site

    return make


def test_what_is_stale_is_sent_at_once_and_renewed_after_that(stale: Make, edge: Edge) -> None:
    site = stale()
    answer = site.get()
    settle(edge)
    assert (answer.body, told(answer)) == (b"1", STALE)
    answer = site.get()
    assert (answer.body, told(answer)) == (b"2", "hit; ttl=60")
    assert site.runs == 2


def test_for_so_long_as_it_may_be(stale: Make, edge: Edge, clock: Clock) -> None:
    site = stale()
    clock.move(40)
    answer = site.get()
    settle(edge)
    assert (answer.body, told(answer)) == (b"2", "fwd=uri-miss; stored")
    assert site.runs == 2


def test_the_configuration_may_say_it(stale: Make, edge: Edge) -> None:
    site = stale([("cache-control", "max-age=60")], stale_while_revalidate=60)
    assert told(site.get()) == STALE
    settle(edge)
    assert site.runs == 2


@pytest.mark.parametrize("forbids", ["must-revalidate", "proxy-revalidate", "no-cache"])
def test_never_if_the_response_forbids_it(stale: Make, edge: Edge, forbids: str) -> None:
    site = stale([("cache-control", f"max-age=60, stale-while-revalidate=60, {forbids}"), ("etag", '"v1"')])
    assert told(site.get()) == "fwd=stale; stored"
    settle(edge)
    assert site.runs == 2


def test_the_app_is_asked_with_the_validators_and_not_with_the_conditions_of_the_client(stale: Make, edge: Edge) -> None:
    site = stale([*WHILE, ("etag", '"v1"')])
    site.get(if_none_match='"mine"', range="bytes=0-0", if_range='"mine"', accept="text/plain")
    settle(edge)
    seen = site.seen[-1]
    asked = {name: header(seen, name) for name in ("if-none-match", "range", "if-range", "accept")}
    assert asked == {"if-none-match": '"v1"', "range": None, "if-range": None, "accept": "text/plain"}


def test_what_cannot_be_validated_is_fetched_without_conditions(stale: Make, edge: Edge) -> None:
    site = stale()
    site.get(if_none_match='"mine"', range="bytes=0-0")
    settle(edge)
    assert [header(site.seen[-1], name) for name in ("if-none-match", "if-modified-since", "range")] == [None] * 3
    assert is_hit(site.get())


def test_a_304_renews_it(stale: Make, edge: Edge) -> None:
    site = stale([*WHILE, ("last-modified", "Thu, 01 Jan 2015 00:00:00 GMT")])
    site.status = 304
    site.get()
    settle(edge)
    answer = site.get()
    assert (answer.status, answer.body, told(answer)) == (200, b"1", "hit; ttl=60")


def test_a_head_request_has_it_renewed_by_a_get(stale: Make, edge: Edge) -> None:
    site = stale()
    assert told(site.head()) == STALE
    settle(edge)
    assert site.seen[-1].method == "GET"
    assert site.get().body == b"2"


def test_layers_outside_do_not_count_it_and_those_inside_see_it(edge: Edge, storage: Storage, clock: Clock) -> None:
    inner = RateLimit("10/day", name="inner")
    site = Site(edge, storage, WHILE, outside=[RateLimit("2/day")], inside=[inner])
    site.get()
    clock.move(90)
    site.get()
    settle(edge)
    assert site.runs == 2
    assert site.get().status == 429  # the third of the client


def test_an_app_in_trouble_is_asked_once_a_lease(stale: Make, edge: Edge, clock: Clock) -> None:
    site = stale(lease=10)
    site.status = 503
    for _ in range(3):
        assert told(site.get()) == STALE
        settle(edge)
    assert site.runs == 2
    clock.move(10)
    assert "stale-while-revalidate" in told(site.get())
    settle(edge)
    assert site.runs == 3


def test_so_is_one_that_raises(stale: Make, edge: Edge, caplog: pytest.LogCaptureFixture) -> None:
    site = stale()

    def act(seen: Seen) -> None:
        raise ZeroDivisionError

    site.act = act
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            assert told(site.get()) == STALE
            settle(edge)
    assert site.runs == 2
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [ZeroDivisionError]


def test_what_takes_its_place_and_may_not_be_stored_ends_it(stale: Make, edge: Edge) -> None:
    site = stale()
    site.headers = [("cache-control", "private")]
    assert told(site.get()) == STALE
    settle(edge)
    answer = site.get()
    assert (answer.body, told(answer)) == (b"3", "fwd=uri-miss; detail=private")


def test_what_was_purged_meanwhile_is_not_fetched(stale: Make, edge: Edge) -> None:
    site = stale()
    site.act = lambda seen: site.purge(url="http://example.org/")
    site.get()
    settle(edge)
    site.act = lambda seen: None
    assert told(site.get()) == "fwd=uri-miss; stored"


def test_what_was_purged_softly_is_sent_while_it_is_renewed(edge: Edge, storage: Storage, clock: Clock) -> None:
    site = Site(edge, storage, WHILE)
    site.get()
    clock.move(10)
    site.purge(url="http://example.org/", soft=True)
    clock.move(10)
    answer = site.get()
    settle(edge)
    assert (answer.body, told(answer)) == (b"1", "hit; ttl=-10; detail=stale-while-revalidate")
    assert site.get().body == b"2"


# Early


def test_what_takes_long_is_renewed_before_it_expires(edge: Edge, storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the chance that the paper gives it; here the die is loaded."""
    monkeypatch.setattr("redis_middleware.layers.cache.terms.expovariate", lambda rate: 1e9)
    site = Site(edge, storage, [("cache-control", "max-age=60")])
    site.get()
    answer = site.get()
    settle(edge)
    assert (answer.body, told(answer)) == (b"1", "hit; ttl=60")
    assert site.runs == 2
    assert site.cache is not None


def test_not_if_it_is_switched_off(edge: Edge, storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redis_middleware.layers.cache.terms.expovariate", lambda rate: 1e9)
    site = Site(edge, storage, [("cache-control", "max-age=60")], early_renewal=0)
    site.get()
    assert is_hit(site.get())
    settle(edge)
    assert site.runs == 1


def test_nor_if_there_is_much_time(edge: Edge, storage: Storage) -> None:
    site = Site(edge, storage, [("cache-control", "max-age=3600")])
    site.get()
    for _ in range(20):
        assert is_hit(site.get())
    settle(edge)
    assert site.runs == 1


@pytest.mark.parametrize("eagerness", [-1, 101])
def test_an_eagerness_out_of_range(eagerness: float) -> None:
    with pytest.raises(ValueError, match="early_renewal must be 0"):
        ResponseCache(early_renewal=eagerness)
