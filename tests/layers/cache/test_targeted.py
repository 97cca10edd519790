"""RFC 9213, requirement by requirement: `CDN-Cache-Control`. Names begin with their section."""

from __future__ import annotations

import pytest

from redis_middleware.storage import Storage

from ...conftest import Clock
from ...edges import Edge
from .site import Lines, Site, header, is_hit, is_stored, told

NO_STORE = [("cache-control", "no-store")]
MINUTE = [("cache-control", "max-age=60")]


def targeted(value: str, lines: Lines = ()) -> list[tuple[str, str]]:
    return [("cdn-cache-control", value), *lines]


@pytest.fixture
def site(edge: Edge, storage: Storage) -> Site:
    return Site(edge, storage)


@pytest.mark.parametrize("value", ["", "max-age=60, &&", "max-age = 60", "Max-Age=60", "max-age=60,", "'"])
def test_2_1_one_that_is_empty_or_cannot_be_parsed_is_ignored(site: Site, clock: Clock, value: str) -> None:
    site.headers = targeted(value, [("cache-control", "max-age=20")])
    site.get()
    clock.move(19)
    assert is_hit(site.get())
    clock.move(1)
    assert not is_hit(site.get())


@pytest.mark.parametrize("value", ["max-age=60.5", 'max-age="60"', "max-age=sixty", "max-age=(60)", "max-age"])
def test_2_1_a_value_of_another_type_than_its_directives_is_not_used(site: Site, value: str) -> None:
    site.headers = targeted(value, [*MINUTE, ("etag", '"one"')])
    site.get()
    assert not is_hit(site.get())


def test_2_1_parameters_are_ignored(site: Site, clock: Clock) -> None:
    site.headers = targeted("max-age=20;x=1;max-age=60")
    site.get()
    clock.move(19)
    assert is_hit(site.get())
    clock.move(1)
    assert not is_hit(site.get())


@pytest.mark.parametrize(
    "others",
    [
        NO_STORE,
        [("cache-control", "private")],
        [("cache-control", "max-age=0")],
        [("expires", "0")],
        [*NO_STORE, ("expires", "0")],
    ],
)
def test_2_2_it_replaces_cache_control_and_expires(site: Site, clock: Clock, others: Lines) -> None:
    site.headers = targeted("max-age=60", others)
    assert is_stored(site.get())
    clock.move(59)
    assert told(site.get()) == "hit; ttl=1"


def test_2_2_also_if_it_allows_less(site: Site) -> None:
    site.headers = targeted("none", [*MINUTE, ("expires", "Sat, 15 Jan 2028 08:00:00 GMT")])
    site.get()
    assert not is_hit(site.get())


@pytest.mark.parametrize(
    "name", ["surrogate-control", "cloudflare-cdn-cache-control", "x-cache-control", "example-cache-control"]
)
def test_2_2_one_of_another_name_changes_nothing_and_passes(site: Site, name: str) -> None:
    site.headers = [(name, "no-store, max-age=0"), *MINUTE]
    first, second = site.get(), site.get()
    assert [told(answer) for answer in (first, second)] == ["fwd=uri-miss; stored", "hit; ttl=60"]
    assert [answer.headers.get(name) for answer in (first, second)] == ["no-store, max-age=0"] * 2


def test_2_2_max_age(site: Site, clock: Clock) -> None:
    site.headers = targeted("max-age=20", MINUTE)
    site.get()
    clock.move(19)
    assert is_hit(site.get())
    clock.move(1)
    assert not is_hit(site.get())


def test_2_2_must_revalidate(edge: Edge, storage: Storage, clock: Clock) -> None:
    site = Site(edge, storage, targeted("max-age=60, must-revalidate"), stale_if_error=1000)
    site.get()
    clock.move(60)
    site.status = 500
    assert site.get().status == 500


def test_2_2_no_cache(site: Site) -> None:
    site.headers = targeted("max-age=60, no-cache", [*MINUTE, ("etag", '"one"')])
    site.get()
    site.status = 304
    assert site.get().body == b"1"
    assert header(site.seen[-1], "if-none-match") == '"one"'


@pytest.mark.parametrize("directive", ["no-store", "private"])
def test_2_2_no_store_and_private(site: Site, directive: str) -> None:
    site.headers = targeted(f"max-age=60, {directive}", MINUTE)
    assert told(site.get()) == f"fwd=uri-miss; detail={directive}"
    assert not is_hit(site.get())


def test_2_2_the_other_directives_that_cache_control_has(edge: Edge, storage: Storage, clock: Clock) -> None:
    site = Site(edge, storage, targeted("max-age=0, s-maxage=60", NO_STORE), conformance=True)
    assert is_stored(site.get(authorization="Ada"))
    assert told(site.get()) == "hit; ttl=60"
    site.headers = targeted("max-age=60, stale-if-error=100", NO_STORE)
    site.get("/b")
    clock.move(100)
    site.status = 500
    assert told(site.get("/b")) == "hit; detail=stale-if-error"


def test_2_2_each_response_for_itself(site: Site, clock: Clock) -> None:
    site.headers = targeted("max-age=20", MINUTE)
    site.get()
    clock.move(20)
    site.headers = list(MINUTE)
    site.get()
    clock.move(20)
    assert told(site.get()) == "hit; ttl=40"


def test_3_it_is_passed_on(site: Site) -> None:
    site.headers = targeted("max-age=60", NO_STORE)
    for answer in (site.get(), site.get()):
        assert answer.headers.getall("cdn-cache-control") == ["max-age=60"]
        assert answer.headers.getall("cache-control") == ["no-store"]
