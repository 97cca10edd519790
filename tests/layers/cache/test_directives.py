"""RFC 9111 §5, requirement by requirement: what header fields say to a cache. Names begin with their section."""

from __future__ import annotations

from typing import Any

import pytest

from redis_middleware import run
from redis_middleware.layers.cache.key import Url
from redis_middleware.layers.cache.steps import Find
from redis_middleware.ops import Get
from redis_middleware.storage import Storage

from ...conftest import Clock
from ...edges import Edge, Seen
from .site import Site, header, is_hit, is_stored, told

MINUTE = [("cache-control", "max-age=60")]
TAGGED = [*MINUTE, ("etag", '"one"')]
EVER = "max-age=1000000"


def said(directives: str) -> list[tuple[str, str]]:
    return [("cache-control", directives)]


@pytest.fixture
def site(edge: Edge, storage: Storage) -> Site:
    return Site(edge, storage, MINUTE)


def read(key: str) -> Any:
    """An action: the entry and the body of a URL."""
    found = yield from Find((key,), ("",))
    body = yield from Get(key + ":")
    return found.entry, body


def fail(seen: Seen) -> None:
    raise ZeroDivisionError


# §1.2.2, which §5 refers to


@pytest.mark.parametrize("number", [2**31, 2**32, 2**64, 10**40])
def test_1_2_2_a_number_too_large_is_a_very_large_one(site: Site, clock: Clock, number: int) -> None:
    site.headers = said(f"max-age={number}")
    site.get()
    clock.move(1_000_000)
    assert is_hit(site.get())
    site.headers = [*said("max-age=60"), ("age", str(number))]
    site.get("/old")
    assert not is_hit(site.get("/old"))


# §5.1 Age


def test_5_1_of_several_ages_the_first_counts(site: Site) -> None:
    site.headers = [*MINUTE, ("age", "10, 50"), ("age", "55")]
    site.get()
    assert site.get().headers.getall("age") == ["10"]


@pytest.mark.parametrize("age", ["-10", "10.5", "ten", '"10"', "10s", "", "-10, 20"])
def test_5_1_an_age_that_is_no_number_is_ignored(site: Site, age: str) -> None:
    site.headers = [*MINUTE, ("age", age)]
    site.get()
    assert (told(site.get()), site.get().headers.getall("age")) == ("hit; ttl=60", ["0"])


# §5.2 Cache-Control


@pytest.mark.parametrize("client_demand", ["ignore", "revalidate", "bypass"])
def test_5_2_directives_pass_in_both_directions(edge: Edge, storage: Storage, client_demand: str) -> None:
    lines = ["max-age=60, x-new=1", 'community="UCI", public, no-transform']
    site = Site(edge, storage, [("Cache-Control", line) for line in lines], client_demand=client_demand)
    asked = "max-age=0, min-fresh=10, x-new=1"
    answers = [site.get(cache_control=asked), site.call("POST", headers=[("cache-control", asked)])]
    assert [header(seen, "cache-control") for seen in site.seen] == [asked, asked]
    answers += [site.get(), site.get(), site.head()]
    assert is_hit(answers[-1])
    assert [answer.headers.getall("cache-control") for answer in answers] == [lines] * 5


@pytest.mark.parametrize("directives", ["MAX-AGE=60", 'max-age="60"', 'Max-Age="60" , foo="a, no-store"', ", max-age=60,,"])
def test_5_2_directives_are_read_in_any_case_and_with_quotes_or_without(site: Site, clock: Clock, directives: str) -> None:
    site.headers = said(directives)
    site.get()
    clock.move(59)
    assert is_hit(site.get())
    clock.move(1)
    assert not is_hit(site.get())


def test_5_2_1_5_no_store_of_a_client_is_followed_if_that_is_wanted(edge: Edge, storage: Storage) -> None:
    site = Site(edge, storage, MINUTE, client_demand="bypass")
    assert not is_stored(site.get(cache_control="no-store"))
    assert is_stored(site.get())
    assert site.get(cache_control="no-store").body == b"3"
    assert site.get().body == b"2"


def test_5_2_1_7_only_if_cached_is_answered_from_what_is_stored_or_with_504(site: Site, clock: Clock) -> None:
    for path in ("/none", "/some"):
        if path == "/some":
            site.get(path)
        answer = site.get(path, cache_control="only-if-cached")
        assert answer.status == (200 if path == "/some" else 504)
    clock.move(100)
    assert site.get("/some", cache_control="only-if-cached").status == 504
    assert site.runs == 1


def test_5_2_2_1_max_age(site: Site, clock: Clock) -> None:
    site.headers = said("max-age=20")
    site.get()
    clock.move(19)
    assert is_hit(site.get())
    clock.move(1)
    assert not is_hit(site.get())


@pytest.mark.parametrize(
    "directive", ["must-revalidate", "proxy-revalidate", "s-maxage=60", "must-revalidate=x", 'Must-Revalidate="1"']
)
def test_5_2_2_2_what_must_be_revalidated_is_never_used_stale(edge: Edge, storage: Storage, clock: Clock, directive: str) -> None:
    """Nor are §5.2.2.8 and §5.2.2.10. An app that is out of order is what to be disconnected is here: the error is shown."""
    allowed = "max-age=60, stale-while-revalidate=1000, stale-if-error=1000"
    site = Site(
        edge, storage, [*said(f"{allowed}, {directive}"), ("etag", '"one"')], client_demand="revalidate", stale_if_error=1000
    )
    site.get()
    clock.move(59)
    assert is_hit(site.get())
    clock.move(1)
    site.status = 502
    assert site.get(cache_control="max-stale").status == 502
    site.act = fail
    with pytest.raises(ZeroDivisionError):
        site.get(cache_control="max-stale=1000")
    site.act, site.status = lambda seen: None, 304
    assert (site.get().status, site.get().body) == (200, b"1")


@pytest.mark.parametrize("directives", ["max-age=60, must-understand, no-store", "max-age=60, must-understand"])
def test_5_2_2_3_must_understand(edge: Edge, storage: Storage, directives: str) -> None:
    """For statuses whose meaning is known, it takes `no-store` away; others are not stored."""
    site = Site(edge, storage, said(directives), conformance=True)
    for status, stored in ((200, True), (404, True), (299, False), (499, False), (599, False)):
        site.status = status
        assert is_stored(site.get(f"/{status}")) is stored
        assert is_hit(site.get(f"/{status}")) is stored


@pytest.mark.parametrize(
    "directives", ["no-cache", "no-cache, max-age=60", 'NO-CACHE="", max-age=60', "public, s-maxage=60, no-cache"]
)
def test_5_2_2_4_no_cache_is_validated_each_time(site: Site, directives: str) -> None:
    site.headers = [*said(directives), ("etag", '"one"')]
    site.get()
    site.status = 304
    assert [site.get().body for _ in range(2)] == [b"1", b"1"]
    assert [header(seen, "if-none-match") for seen in site.seen] == [None, '"one"', '"one"']


def test_5_2_2_4_no_cache_is_never_used_without_whatever_else_permits(edge: Edge, storage: Storage) -> None:
    headers = [*said("no-cache, max-age=60, stale-if-error=1000, stale-while-revalidate=1000"), ("etag", '"one"')]
    site = Site(edge, storage, headers, client_demand="revalidate", stale_if_error=1000)
    site.get()
    site.status = 500
    assert site.get(cache_control="max-stale").status == 500
    site.act = fail
    with pytest.raises(ZeroDivisionError):
        site.get()


def test_5_2_2_4_no_cache_with_names_leaves_these_fields_out(site: Site, clock: Clock) -> None:
    site.headers = [*said('max-age=60, no-cache="X-Mine, x-yours"'), ("x-mine", "1"), ("X-Yours", "1"), ("x-ours", "1")]
    assert site.get().headers.get("x-mine") == "1"
    answer = site.get()
    assert is_hit(answer)
    assert [name in answer.headers for name in ("x-mine", "x-yours", "x-ours")] == [False, False, True]


@pytest.mark.parametrize(
    "directives", ["no-store", "no-store, max-age=60", "public, max-age=60, NO-STORE", 'max-age=60, no-store="x"']
)
def test_5_2_2_5_of_no_store_nothing_is_kept(edge: Edge, storage: Storage, clock: Clock, directives: str) -> None:
    """Nor is what was stored before it."""
    site = Site(edge, storage, said("max-age=60, stale-if-error=1000"))
    site.body = b"x" * 10_000
    site.get()
    clock.move(60)
    site.headers = said(directives)
    for path in ("/", "/other"):
        assert told(site.get(path)).endswith("; detail=no-store")
        key = Url("http", "example.org", path, "").key
        assert run(read(key), storage) == (None, None)
    site.status = 500
    assert site.get().status == 500


def test_5_2_2_6_no_transform_or_not_the_bytes_stay_the_same(site: Site) -> None:
    site.headers = [*said("max-age=60, no-transform"), ("content-encoding", "gzip")]
    site.body = bytes(range(256)) * 100
    answers = [site.get(accept_encoding=coding) for coding in ("gzip", "identity", "br")]
    assert [(answer.body, answer.headers.get("content-encoding")) for answer in answers] == [(site.body, "gzip")] * 3
    assert site.runs == 1


@pytest.mark.parametrize(
    "directives", ["private", "private, max-age=60", "public, s-maxage=60, PRIVATE", 'max-age=60, private=""']
)
def test_5_2_2_7_private_is_not_stored(site: Site, directives: str) -> None:
    site.headers = said(directives)
    assert told(site.get()) == "fwd=uri-miss; detail=private"
    assert not is_hit(site.get())


def test_5_2_2_7_private_with_names_keeps_these_fields_out(site: Site, clock: Clock) -> None:
    """They are not stored, so they are not there when they are validated either."""
    site.headers = [*said('max-age=60, private="X-Mine"'), ("x-mine", "1"), ("x-ours", "1"), ("etag", '"one"')]
    assert site.get().headers.get("x-mine") == "1"
    answers = [site.get()]
    clock.move(100)
    site.status, site.headers = 304, said("max-age=60")
    answers += [site.get(), site.get()]
    assert [("x-mine" in answer.headers, "x-ours" in answer.headers) for answer in answers] == [(False, True)] * 3


def test_5_2_2_9_public_may_be_stored_without_a_time(site: Site) -> None:
    site.status, site.headers = 302, [*said("public"), ("last-modified", "Fri, 15 Jan 2026 08:00:00 GMT")]
    assert is_stored(site.get(cookie="a=1"))
    assert is_hit(site.get(cookie="a=2"))


def test_5_2_2_10_s_maxage_counts_before_max_age_and_expires(site: Site, clock: Clock) -> None:
    site.headers = [*said(f"s-maxage=20, {EVER}"), ("expires", "Fri, 15 Jan 2027 09:00:00 GMT")]
    site.get()
    clock.move(19)
    assert is_hit(site.get())
    clock.move(1)
    assert not is_hit(site.get())


@pytest.mark.parametrize(
    "directives", ["foo", "foo=1", 'foo="no-store, private"', "x-no-store", "immutable", "no-stores", "max-ages=0"]
)
def test_5_2_3_directives_that_are_not_known_change_nothing(site: Site, directives: str) -> None:
    site.headers = said(f"{directives}, max-age=60")
    assert is_stored(site.get())
    assert told(site.get()) == "hit; ttl=60"


# §5.3 Expires


@pytest.mark.parametrize(
    "value", ["0", "-1", "", "tomorrow", "1800000060", "Fri, 32 Jan 2027 09:00:00 GMT", "2027-01-15T09:00:00Z"]
)
def test_5_3_an_expires_that_is_no_date_has_passed(site: Site, value: str) -> None:
    site.headers = [("expires", value), ("etag", '"one"'), ("last-modified", "Fri, 15 Jan 2026 08:00:00 GMT")]
    site.get()
    assert not is_hit(site.get())


@pytest.mark.parametrize("directive", ["max-age", "s-maxage"])
@pytest.mark.parametrize(
    ("expires", "seconds", "hit"),
    [("0", 60, True), ("Fri, 15 Jan 2027 07:00:00 GMT", 60, True), ("Sat, 15 Jan 2028 08:00:00 GMT", 0, False)],
)
def test_5_3_expires_is_ignored_beside_a_max_age(site: Site, directive: str, expires: str, seconds: int, hit: bool) -> None:
    site.headers = [*said(f"{directive}={seconds}"), ("expires", expires), ("etag", '"one"')]
    site.get()
    assert is_hit(site.get()) is hit


# §5.4 Pragma, §5.5 Warning


def test_5_4_pragma_of_a_response_means_nothing(site: Site) -> None:
    site.headers = [*MINUTE, ("pragma", "no-cache")]
    site.get()
    assert is_hit(site.get())


def test_5_5_warnings_pass_and_are_not_made(edge: Edge, storage: Storage, clock: Clock) -> None:
    site = Site(edge, storage, MINUTE, stale_if_error=1000)
    site.get()
    clock.move(100)
    site.status = 500
    answer = site.get()
    assert (is_hit(answer), "warning" in answer.headers) == (True, False)
    site.status, site.headers = 200, [*MINUTE, ("warning", '199 - "old"')]
    site.get("/b")
    assert site.get("/b").headers.getall("warning") == ['199 - "old"']
