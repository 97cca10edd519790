"""The response cache, as a client and an app see it: the same under WSGI and ASGI, in memory and on a real server."""

from __future__ import annotations

from typing import Any

import pytest

from redis_middleware import ConfigurationError, ResponseCache
from redis_middleware.storage import Storage

from ...conftest import Clock
from ...edges import Edge, Seen
from .site import Lines, Site, header, is_hit, is_stored, query, told

MINUTE = [("cache-control", "max-age=60")]
TAGGED = [*MINUTE, ("etag", '"one"')]
DATED = [*MINUTE, ("last-modified", "Fri, 15 Jan 2027 08:00:00 GMT")]


@pytest.fixture
def site(edge: Edge, storage: Storage) -> Site:
    return Site(edge, storage, MINUTE)


# Fresh, stale, gone


def test_what_is_fresh_is_not_asked_for_again(site: Site, clock: Clock) -> None:
    first = site.get()
    assert (first.body, told(first)) == (b"1", "fwd=uri-miss; stored")
    clock.move(59)
    second = site.get()
    assert (second.status, second.body, told(second)) == (200, b"1", "hit; ttl=1")
    assert second.headers.get("age") == "59"
    assert second.headers.getall("content-length") == ["1"]
    assert second.headers.get("content-type") == "text/plain"
    clock.move(1)
    third = site.get()
    assert (third.body, told(third)) == (b"2", "fwd=uri-miss; stored")


def test_a_response_that_may_never_be_fresh_is_not_used_at_the_same_moment(site: Site) -> None:
    site.headers = [("cache-control", "max-age=0"), ("etag", '"one"')]
    assert [site.get().body for _ in range(3)] == [b"1", b"2", b"3"]


def test_the_age_that_a_response_came_with_counts(site: Site, clock: Clock) -> None:
    site.headers.append(("age", "50"))
    site.get()
    clock.move(9)
    answer = site.get()
    assert (answer.headers.getall("age"), told(answer)) == (["59"], "hit; ttl=1")
    clock.move(1)
    assert site.get().body == b"2"


def test_each_url_for_itself(site: Site) -> None:
    assert [site.get(path).body for path in ("/a", "/b", "/a?x", "/a?y", "/a?x", "/a")] == [b"1", b"2", b"3", b"4", b"3", b"1"]
    assert site.call("GET", "/a", host="example.net").body == b"5"
    assert site.call("GET", "/a", host="EXAMPLE.org:80").body == b"1"


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("cache-control", "no-store, max-age=60")],
        [("cache-control", "private, max-age=60")],
        [("cache-control", "max-age=60"), ("vary", "*")],
        [("cache-control", "no-cache")],
    ],
)
def test_what_may_not_be_stored_is_not(site: Site, headers: Lines) -> None:
    site.headers = list(headers)
    assert [site.get().body for _ in range(3)] == [b"1", b"2", b"3"]


def test_a_response_says_what_the_cache_did_and_why(site: Site) -> None:
    site.headers = [("cache-control", "no-store")]
    assert told(site.get()) == "fwd=uri-miss; detail=no-store"
    site.headers = [("cache-control", "private")]
    assert told(site.get()) == "fwd=uri-miss; detail=private"
    site.headers = []
    assert told(site.get()) == "fwd=uri-miss; detail=freshness"
    assert told(site.call("POST")) == "fwd=method"
    assert told(site.call("OPTIONS")) == "fwd=method"
    assert told(site.get(transfer_encoding="chunked")) == "fwd=bypass; detail=body"
    assert told(site.call(host="exa mple")) == "fwd=bypass; detail=host"


@pytest.mark.parametrize("status", [200, 203, 204, 301, 308, 404, 410, 302, 307])
def test_statuses_that_say_how_long_are_stored(site: Site, status: int) -> None:
    site.status = status
    first, second = site.get(), site.get()
    assert is_hit(second)
    assert (second.status, second.body) == (status, first.body)
    assert site.runs == 1


# Lifetimes of our own


def test_ttl_holds_for_responses_that_say_nothing(edge: Edge, storage: Storage, clock: Clock) -> None:
    site = Site(edge, storage, ttl=10)
    site.get()
    clock.move(9.9)
    answer = site.get()
    assert is_hit(answer)
    assert "cache-control" not in answer.headers
    clock.move(0.1)
    assert site.get().body == b"2"
    for headers in ([("cache-control", "no-store")], [("cache-control", "max-age=0")], [("expires", "0")]):
        site.headers = headers
        clock.move(10)
        assert not is_hit(site.get())
        assert not is_hit(site.get())


def test_ttl_holds_for_no_errors(edge: Edge, storage: Storage) -> None:
    site = Site(edge, storage, ttl=10)
    for status in (400, 401, 403, 404, 410, 429, 500, 503):
        site.status = status
        assert told(site.get()) == "fwd=uri-miss; detail=status"


def test_routes_say_it_for_paths_and_the_first_that_matches_wins(edge: Edge, storage: Storage, clock: Clock) -> None:
    site = Site(edge, storage, ttl=10, routes={"/menu/today": 5, "/menu/*": 100})
    for path in ("/menu/today", "/menu/week", "/other"):
        site.get(path)
    clock.move(6)
    assert [is_hit(site.get(path)) for path in ("/menu/today", "/menu/week", "/other")] == [False, True, True]
    clock.move(5)
    assert [is_hit(site.get(path)) for path in ("/menu/today", "/menu/week", "/other")] == [False, True, False]


def test_a_targeted_field_counts_in_place_of_the_others(site: Site, clock: Clock) -> None:
    site.headers = [("cache-control", "no-store"), ("cdn-cache-control", "max-age=60")]
    site.get()
    clock.move(30)
    assert is_hit(site.get())


# Validation


@pytest.mark.parametrize(
    ("headers", "field", "value"),
    [(TAGGED, "if-none-match", '"one"'), (DATED, "if-modified-since", "Fri, 15 Jan 2027 08:00:00 GMT")],
)
def test_what_is_stale_is_validated(site: Site, clock: Clock, headers: Lines, field: str, value: str) -> None:
    site.headers = list(headers)
    site.get()
    clock.move(100)
    site.status, site.headers = 304, [("cache-control", "max-age=30"), ("x-new", "yes")]
    answer = site.get()
    assert header(site.seen[-1], field) == value
    assert (answer.status, answer.body, told(answer)) == (200, b"1", "fwd=stale; fwd-status=304; stored")
    assert answer.headers.get("x-new") == "yes"
    clock.move(29)
    answer = site.get()
    assert (answer.body, told(answer), answer.headers.get("age")) == (b"1", "hit; ttl=1", "29")
    assert answer.headers.get("x-new") == "yes"
    assert answer.headers.get("cache-control") == "max-age=30"
    clock.move(1)
    assert told(site.get()) == "fwd=stale; fwd-status=304; stored"


def test_what_has_changed_takes_its_place(site: Site, clock: Clock) -> None:
    site.headers = list(TAGGED)
    site.get()
    clock.move(100)
    site.headers = [*MINUTE, ("etag", '"two"')]
    answer = site.get()
    assert (answer.body, told(answer)) == (b"2", "fwd=stale; stored")
    assert (site.get().body, site.get().headers.get("etag")) == (b"2", '"two"')


def test_a_big_body_is_validated_too(site: Site, clock: Clock) -> None:
    site.headers, site.body = list(TAGGED), b"x" * 100_000
    site.get()
    for _ in range(3):
        clock.move(100)
        site.status, site.headers = 304, list(MINUTE)
        answer = site.get()
        assert (answer.status, len(answer.body), told(answer)) == (200, 100_000, "fwd=stale; fwd-status=304; stored")
        answer = site.get()
        assert (len(answer.body), is_hit(answer)) == (100_000, True)
        assert site.head().headers.getall("content-length") == ["100000"]


@pytest.mark.parametrize("size", [3, 100_000])
def test_the_clients_own_conditions_are_for_what_comes_of_it(site: Site, clock: Clock, size: int) -> None:
    site.headers, site.body = list(TAGGED), b"x" * size
    site.get()
    clock.move(100)
    site.status, site.headers = 304, list(MINUTE)
    mine = site.get(if_none_match='"mine"')
    assert header(site.seen[-1], "if-none-match") == '"one"'
    assert (mine.status, len(mine.body)) == (200, size)
    clock.move(100)
    same = site.get(if_none_match='W/"one"')
    assert (same.status, same.body, told(same)) == (304, b"", "fwd=stale; fwd-status=304; stored")
    assert len(site.get().body) == size


def test_the_app_does_not_see_a_range_when_it_is_asked_about_the_whole(site: Site, clock: Clock) -> None:
    site.headers, site.body = list(TAGGED), b"0123456789"
    site.get()
    clock.move(100)
    site.status, site.headers = 304, list(MINUTE)
    answer = site.get(range="bytes=2-4")
    assert header(site.seen[-1], "range") is None
    assert (answer.status, answer.body) == (206, b"234")


def test_what_cannot_be_validated_is_not_kept_for_that(site: Site, clock: Clock) -> None:
    site.get()
    clock.move(60)
    assert told(site.get(if_none_match='"mine"')) == "fwd=uri-miss; stored"
    assert header(site.seen[-1], "if-none-match") == '"mine"'


def test_no_cache_is_validated_each_time(site: Site) -> None:
    site.headers = [("cache-control", "no-cache, max-age=60"), ("etag", '"one"')]
    assert told(site.get()) == "fwd=uri-miss; stored"
    site.status, site.headers = 304, []
    assert [told(site.get()) for _ in range(2)] == ["fwd=stale; fwd-status=304; stored"] * 2


def test_a_304_to_a_clients_own_condition_is_the_clients(site: Site) -> None:
    site.status = 304
    answer = site.get(if_none_match='"mine"')
    assert (answer.status, told(answer)) == (304, "fwd=uri-miss; detail=status")
    site.status = 200
    assert is_stored(site.get())
    assert is_hit(site.get())


# Conditions, ranges and HEAD on what is fresh


def test_a_client_that_has_it_gets_304(site: Site) -> None:
    site.headers = [*TAGGED, ("content-location", "/x"), ("vary", "accept")]
    site.get()
    for match in ('"one"', 'W/"one"', '"two", "one"', "*"):
        answer = site.get(if_none_match=match)
        assert (answer.status, answer.body) == (304, b"")
        assert is_hit(answer)
        assert answer.headers.get("etag") == '"one"'
        assert answer.headers.get("cache-control") == "max-age=60"
        assert answer.headers.get("vary") == "accept"
        assert answer.headers.get("content-location") == "/x"
        assert "content-length" not in answer.headers
        assert "content-type" not in answer.headers
    assert site.get(if_none_match='"two"').body == b"1"
    assert site.runs == 1


def test_a_client_that_has_it_since_then_gets_304(site: Site) -> None:
    site.headers = list(DATED)
    site.get()
    assert site.get(if_modified_since="Fri, 15 Jan 2027 08:00:00 GMT").status == 304
    assert site.get(if_modified_since="Fri, 15 Jan 2027 07:59:59 GMT").status == 200
    assert site.get(if_modified_since="Fri, 15 Jan 2027 08:00:00 GMT", if_none_match='"x"').status == 200
    assert site.runs == 1


def test_who_has_no_tag_gets_one_made(site: Site) -> None:
    site.get()
    tag = site.get().headers.get("etag")
    assert tag is not None
    assert site.get(if_none_match=tag).status == 304
    site.body = b"other"
    site.get("/other")
    assert site.get("/other").headers.get("etag") != tag


def test_the_app_is_not_asked_about_a_tag_that_it_does_not_know(site: Site, clock: Clock) -> None:
    site.headers = [("cache-control", "max-age=60, stale-if-error=1000")]
    site.get()
    clock.move(100)
    site.get()
    assert header(site.seen[-1], "if-none-match") is None


@pytest.mark.parametrize("size", [10, 100_000])
def test_parts_of_what_is_stored(site: Site, size: int) -> None:
    site.headers, site.body = list(TAGGED), (b"0123456789" * (size // 10))
    site.get()
    for asked, body, content_range in (
        ("bytes=2-4", b"234", f"bytes 2-4/{size}"),
        ("bytes=-3", b"789", f"bytes {size - 3}-{size - 1}/{size}"),
        (f"bytes={size - 1}-", b"9", f"bytes {size - 1}-{size - 1}/{size}"),
    ):
        answer = site.get(range=asked)
        assert (answer.status, answer.body, answer.headers.get("content-range")) == (206, body, content_range)
        assert answer.headers.getall("content-length") == [str(len(body))]
        assert is_hit(answer)
    answer = site.get(range=f"bytes={size}-")
    assert (answer.status, answer.headers.get("content-range")) == (416, f"bytes */{size}")
    for ignored in ("bytes=0-1,3-4", "lines=1-2", "bytes=x"):
        assert (site.get(range=ignored).status, len(site.get(range=ignored).body)) == (200, size)
    assert site.get(range="bytes=0-0", if_range='"one"').status == 206
    assert site.get(range="bytes=0-0", if_range='"two"').status == 200
    assert site.get(range="bytes=0-0", if_none_match='"one"').status == 304
    assert site.runs == 1


def test_a_part_that_the_app_sends_is_not_stored_for_the_whole(site: Site) -> None:
    site.status, site.headers = 206, [*MINUTE, ("content-range", "bytes 0-0/10")]
    assert told(site.get(range="bytes=0-0")) == "fwd=uri-miss; stored"
    site.status, site.headers = 200, list(MINUTE)
    assert is_stored(site.get())
    assert is_hit(site.get())


@pytest.mark.parametrize("size", [3, 100_000])
def test_head_is_answered_from_get(site: Site, size: int) -> None:
    site.body = b"x" * size
    site.get()
    answer = site.head()
    assert (answer.status, answer.body, answer.headers.getall("content-length")) == (200, b"", [str(size)])
    assert is_hit(answer)
    assert site.runs == 1


def test_head_stores_nothing_and_holds_nobody_up(site: Site) -> None:
    assert told(site.head()) == "fwd=uri-miss; detail=head"
    assert told(site.get()) == "fwd=uri-miss; stored"


def test_a_404_with_a_tag_is_no_304(site: Site) -> None:
    site.status, site.headers, site.body = 404, list(TAGGED), b"x" * 5000
    site.get()
    answer = site.get(if_none_match='"one"')
    assert (answer.status, len(answer.body)) == (404, 5000)


# Vary


def test_variants(site: Site) -> None:
    site.headers.append(("vary", "Accept-Language, X-Beta"))
    assert site.get(accept_language="de").body == b"1"
    assert site.get(accept_language="en").body == b"2"
    assert told(site.get(accept_language="fr")) == "fwd=vary-miss; stored"
    assert site.get(accept_language="de", x_beta="1").body == b"4"
    assert site.get().body == b"5"
    assert site.get(accept_language="de").body == b"1"
    assert site.get(accept_language="en").body == b"2"
    assert site.get(accept_language="de", x_beta="1").body == b"4"
    assert site.get().body == b"5"


def test_another_worker_learns_what_varies(edge: Edge, storage: Storage) -> None:
    site, other = (Site(edge, storage, [*MINUTE, ("vary", "accept-language")]) for _ in range(2))
    site.get(accept_language="de")
    site.get(accept_language="en")
    assert is_hit(other.get(accept_language="en"))
    assert is_hit(other.get(accept_language="de"))


def test_variants_are_bounded(edge: Edge, storage: Storage, clock: Clock) -> None:
    site = Site(edge, storage, [*MINUTE, ("vary", "accept-language")], max_variants=2)
    for language in ("a", "b", "c"):
        site.get(accept_language=language)
        clock.move(1)
    assert [is_hit(site.get(accept_language=language)) for language in ("c", "b", "a")] == [True, True, False]


# What a client may ask for


def test_only_if_cached(site: Site) -> None:
    answer = site.get(cache_control="only-if-cached")
    assert (answer.status, "cache-status" in answer.headers, site.runs) == (504, False, 0)
    site.get()
    assert is_hit(site.get(cache_control="only-if-cached"))


def test_client_demand_is_ignored_by_default(site: Site, clock: Clock) -> None:
    site.get()
    clock.move(30)
    demands = ["no-cache", "no-store", "max-age=0", "min-fresh=60"]
    assert all(is_hit(site.get(cache_control=demand)) for demand in demands)
    assert is_hit(site.get(pragma="no-cache"))
    clock.move(40)
    assert site.get(cache_control="max-stale=100").body == b"2"


@pytest.mark.parametrize("client_demand", ["revalidate", "bypass"])
def test_client_demand_may_have_the_app_asked(edge: Edge, storage: Storage, clock: Clock, client_demand: Any) -> None:
    site = Site(edge, storage, TAGGED, client_demand=client_demand)
    site.get()
    clock.move(30)
    assert is_hit(site.get(cache_control="max-age=30"))
    assert is_hit(site.get(cache_control="min-fresh=30"))
    for demand in ("no-cache", "max-age=29", "min-fresh=31"):
        answer = site.get(cache_control=demand)
        assert told(answer) == "fwd=request; stored"
        clock.move(30)
    assert told(site.get(pragma="no-cache")) == "fwd=request; stored"
    clock.move(70)
    answer = site.get(cache_control="max-stale=10")
    assert (told(answer), answer.headers.get("age")) == ("hit; ttl=-10; detail=max-stale", "70")
    assert is_hit(site.get(cache_control="max-stale"))
    assert not is_hit(site.get(cache_control="max-stale=9"))


def test_only_bypass_has_nothing_stored(edge: Edge, storage: Storage) -> None:
    for client_demand, stored in (("ignore", True), ("revalidate", True), ("bypass", False)):
        site = Site(edge, storage, MINUTE, client_demand=client_demand)
        site.get("/" + client_demand, cache_control="no-store")
        assert is_hit(site.get("/" + client_demand)) is stored


# Stale all the same


def test_stale_if_error(site: Site, clock: Clock) -> None:
    site.headers = [("cache-control", "max-age=60, stale-if-error=100")]
    site.get()
    clock.move(159)
    site.status = 503
    answer = site.get()
    assert (answer.status, answer.body, told(answer)) == (200, b"1", "hit; detail=stale-if-error")

    def fail(seen: Seen) -> None:
        raise ZeroDivisionError

    site.act = fail
    assert site.get().body == b"1"
    clock.move(2)
    with pytest.raises(ZeroDivisionError):
        site.get()
    site.act = lambda seen: None
    assert site.get().status == 503


def test_stale_if_error_of_our_own(edge: Edge, storage: Storage, clock: Clock) -> None:
    site = Site(edge, storage, MINUTE, stale_if_error=100)
    site.body = b"x" * 5000
    site.get()
    site.status = 500
    clock.move(100)
    assert told(site.get()) == "hit; detail=stale-if-error"
    assert len(site.get().body) == 5000


@pytest.mark.parametrize("directive", ["must-revalidate", "proxy-revalidate", "no-cache", "s-maxage=60"])
def test_must_revalidate_is_never_stale(edge: Edge, storage: Storage, clock: Clock, directive: str) -> None:
    headers = [("cache-control", f"max-age=60, {directive}"), ("etag", '"one"')]
    site = Site(edge, storage, headers, stale_if_error=1000, client_demand="revalidate")
    site.get()
    clock.move(100)
    site.status = 500
    assert site.get(cache_control="max-stale").status == 500


# Tags and queries


def test_cache_tags_never_reach_a_client(site: Site, clock: Clock) -> None:
    site.headers = [*TAGGED, ("cache-tag", "menu, all")]
    answers = [site.get(), site.get(), site.head(), site.get(if_none_match='"one"'), site.get(range="bytes=0-0")]
    clock.move(100)
    site.status = 304
    answers += [site.get(), site.get()]
    site.status = 200
    answers += [site.call(method) for method in ("POST", "OPTIONS", "DELETE")]
    answers += [site.call(host="?"), site.get(transfer_encoding="chunked")]
    site.headers[0] = ("cache-control", "private")
    answers.append(site.get("/private"))
    site.status = 404
    answers += [site.call("POST"), site.get("/404")]
    assert ["cache-tag" in answer.headers for answer in answers] == [False] * len(answers)


def test_another_name_for_tags(edge: Edge, storage: Storage) -> None:
    site = Site(edge, storage, [*MINUTE, ("surrogate-key", "menu")], tags_header="Surrogate-Key")
    assert "surrogate-key" not in site.get().headers
    assert "surrogate-key" not in site.get().headers


def test_ignored_parameters_are_ignored_for_the_app_too(edge: Edge, storage: Storage) -> None:
    site = Site(edge, storage, MINUTE, ignore=["utm_*", "fbclid"], sort=True)
    assert site.get("/?b=2&utm_source=x&a=1&fbclid=y").body == b"1"
    assert query(site.seen[-1]) == "a=1&b=2"
    assert is_hit(site.get("/?a=1&b=2&utm_medium=z"))
    assert is_hit(site.get("/?a=1&b=2"))
    assert site.get("/?a=1&b=2&utm=1").body == b"2"


# Invalidation


@pytest.mark.filterwarnings("ignore:Unknown REQUEST_METHOD")  # of wsgiref.validate, which knows eight
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "MKCOL", "SHOUT"])
@pytest.mark.parametrize("status", [200, 201, 204, 303])
def test_what_may_have_changed_is_forgotten(site: Site, method: str, status: int) -> None:
    site.get("/a?x=1")
    site.get("/b")
    site.status = status
    site.call(method, "/a?x=1")
    site.status = 200
    assert not is_hit(site.get("/a?x=1"))
    assert is_hit(site.get("/b"))


@pytest.mark.parametrize(("method", "status"), [("OPTIONS", 200), ("TRACE", 200), ("POST", 400), ("POST", 404), ("PUT", 500)])
def test_what_has_changed_nothing_is_not(site: Site, method: str, status: int) -> None:
    site.get()
    site.status = status
    site.call(method)
    site.status = 200
    assert is_hit(site.get())


@pytest.mark.parametrize("field", ["location", "content-location"])
def test_what_the_response_names_is_forgotten_too_if_it_is_of_the_same_origin(site: Site, field: str) -> None:
    for url, forgotten in (
        ("/a", True),
        ("a", True),
        ("http://example.org/a", True),
        ("http://example.org:80/a", True),
        ("//example.org/a", True),
        ("http://example.net/a", False),
        ("https://example.org/a", False),
        ("http://example.org:81/a", False),
        ("//[bad/a", False),
    ):
        site.headers = list(MINUTE)
        site.get("/a")
        site.call("GET", "/a", host="example.net")
        site.headers, site.status = [(field, url)], 201
        site.call("POST", "/list")
        site.headers, site.status = list(MINUTE), 200
        assert is_hit(site.get("/a")) is not forgotten
        assert is_hit(site.call("GET", "/a", host="example.net"))


def test_all_variants_of_it_are_forgotten(site: Site) -> None:
    site.headers.append(("vary", "accept-language"))
    site.get(accept_language="de")
    site.get(accept_language="en")
    site.call("DELETE")
    assert not is_hit(site.get(accept_language="de"))
    assert not is_hit(site.get(accept_language="en"))


def test_a_method_in_a_field_does_not_keep_what_has_changed(site: Site) -> None:
    site.get()
    site.call("POST", headers=[("x-http-method-override", "DELETE")])
    assert not is_hit(site.get())


# Configuration


@pytest.mark.parametrize(
    "options",
    [
        {"ttl": 0},
        {"ttl": -1},
        {"ttl": 1e9},
        {"routes": {"/": 0}},
        {"max_body_bytes": 0},
        {"max_variants": 0},
        {"client_demand": "obey"},
        {"on_error": "fallback"},
        {"wait": -1},
        {"wait": 61},
        {"lease": 0.5},
        {"stale_if_error": -1},
        {"stale_while_revalidate": -1},
        {"ignore": "utm_*"},
    ],
)
def test_options_out_of_range_are_errors_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        ResponseCache(**options)


# What a POST says that a GET would get (RFC 9110 §9.3.3)


@pytest.fixture
def form(edge: Edge, storage: Storage) -> Site:
    return Site(edge, storage, [*MINUTE, ("content-location", "/form")], conformance=True)


def test_a_plain_cache_stores_the_response_to_a_post_for_get(form: Site) -> None:
    assert told(form.call("POST", "/form")) == "fwd=method; stored"
    answer = form.get("/form")
    assert (answer.body, is_hit(answer)) == (b"1", True)
    assert told(form.call("POST", "/form")) == "fwd=method; stored"
    assert form.get("/form").body == b"2"


@pytest.mark.parametrize(
    "headers",
    [
        [("content-location", "/form")],
        MINUTE,
        [*MINUTE, ("content-location", "/other")],
        [("cache-control", "no-store, max-age=60"), ("content-location", "/form")],
    ],
)
def test_not_if_it_does_not_say_so(form: Site, headers: list[tuple[str, str]]) -> None:
    form.headers = headers
    assert not is_stored(form.call("POST", "/form"))
    form.headers = list(MINUTE)
    assert is_stored(form.get("/form"))


def test_a_careful_one_does_not(edge: Edge, storage: Storage) -> None:
    site = Site(edge, storage, [*MINUTE, ("content-location", "/form")])
    assert told(site.call("POST", "/form")) == "fwd=method"
    assert is_stored(site.get("/form"))
