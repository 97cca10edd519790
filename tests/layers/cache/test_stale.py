"""RFC 5861, requirement by requirement: what may be used stale, and for how long. Names begin with their section."""

from __future__ import annotations

import pytest

from redis_middleware.storage import Storage

from ...conftest import Clock
from ...edges import Edge, Seen
from .site import Site, settle, told

WHILE, INSTEAD = "; detail=stale-while-revalidate", "; detail=stale-if-error"


@pytest.mark.parametrize(("seconds", "stale"), [(0, True), (19.9, True), (20.1, False)])
def test_3_while_it_is_revalidated_what_is_stale_is_used_for_so_long_and_no_longer(
    edge: Edge, storage: Storage, clock: Clock, seconds: float, stale: bool
) -> None:
    site = Site(edge, storage, [("cache-control", "max-age=60, stale-while-revalidate=20")])
    site.get()
    clock.move(60 + seconds)
    answer = site.get()
    settle(edge)
    assert (answer.body, told(answer).endswith(WHILE)) == (b"1" if stale else b"2", stale)


@pytest.mark.parametrize(("seconds", "status"), [(0, 200), (19.9, 200), (20.1, 503)])
def test_4_in_place_of_an_error_what_is_stale_is_used_for_so_long_and_no_longer(
    edge: Edge, storage: Storage, clock: Clock, seconds: float, status: int
) -> None:
    site = Site(edge, storage, [("cache-control", "max-age=60, stale-if-error=20")])
    site.get()
    clock.move(60 + seconds)
    site.status = 503
    answer = site.get()
    assert (answer.status, told(answer).endswith(INSTEAD)) == (status, status == 200)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_4_these_are_errors(edge: Edge, storage: Storage, clock: Clock, status: int) -> None:
    site = Site(edge, storage, [("cache-control", "max-age=60, stale-if-error=20")])
    site.get()
    clock.move(70)
    site.status = status
    assert told(site.get()).endswith(INSTEAD)


@pytest.mark.parametrize("status", [400, 403, 404, 410, 429])
def test_4_and_these_are_none(edge: Edge, storage: Storage, clock: Clock, status: int) -> None:
    site = Site(edge, storage, [("cache-control", "max-age=60, stale-if-error=20")])
    site.get()
    clock.move(70)
    site.status = status
    assert site.get().status == status


def test_4_an_app_that_raises_is_one(edge: Edge, storage: Storage, clock: Clock) -> None:
    site = Site(edge, storage, [("cache-control", "max-age=60, stale-if-error=20")])
    site.get()
    clock.move(70)

    def fail(seen: Seen) -> None:
        raise ZeroDivisionError

    site.act = fail
    answer = site.get()
    assert (answer.body, told(answer).endswith(INSTEAD), answer.headers.get("age")) == (b"1", True, "70")
