"""RFC 9111, section by section, about one response: may it be stored, how long is it fresh, what becomes of it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_middleware.http import Headers
from redis_middleware.layers.cache import rfc9111
from redis_middleware.layers.cache.fields import MOST_SECONDS
from redis_middleware.layers.cache.rfc9111 import Control, Demand

NOW = 1_800_000_000.25
TODAY = "Fri, 15 Jan 2027 08:00:00 GMT"
IN_AN_HOUR = "Fri, 15 Jan 2027 09:00:00 GMT"
AN_HOUR_AGO = "Fri, 15 Jan 2027 07:00:00 GMT"
YESTERDAY = "Thu, 14 Jan 2027 08:00:00 GMT"

Lines = Sequence[tuple[str, str]]


def refusal(lines: Lines, *, method: str = "GET", status: int = 200, authorized: bool = False) -> str | None:
    headers = Headers(lines)
    return rfc9111.refusal(method, status, headers, Control.of(headers), authorized=authorized, now=NOW)


def lifetime(lines: Lines, status: int = 200) -> float | None:
    headers = Headers(lines)
    return rfc9111.lifetime(status, headers, Control.of(headers), NOW)


def said(directives: str) -> list[tuple[str, str]]:
    return [("cache-control", directives)]


def control(directives: str) -> Control:
    return Control.of(Headers(said(directives)))


# §3 Storing responses in caches


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "get"])
def test_3_a_method_has_to_be_understood(method: str) -> None:
    assert refusal(said("max-age=60"), method=method) == "method"


@pytest.mark.parametrize("status", [100, 103, 199, 304, 600, 999])
def test_3_a_status_has_to_be_final_and_of_a_response(status: int) -> None:
    assert refusal(said("max-age=60"), status=status) == "status"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "lines",
    [said("max-age=60"), said("s-maxage=60"), [("expires", IN_AN_HOUR)], [*said("public"), ("etag", '"a"')]],
    ids=["max-age", "s-maxage", "expires", "public"],
)
@pytest.mark.parametrize("status", [200, 302, 404, 500, 599])
def test_3_what_says_how_long_may_be_stored_whatever_its_status(lines: Lines, status: int, method: str) -> None:
    assert refusal(lines, method=method, status=status) is None


@pytest.mark.parametrize("status", [200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501])
def test_3_a_heuristically_cacheable_status_may_be_stored_without(status: int) -> None:  # RFC 9110 §15.1
    assert refusal([("last-modified", YESTERDAY)], status=status) is None


@pytest.mark.parametrize("status", [201, 302, 303, 307, 400, 403, 500, 503])
def test_3_another_status_may_not(status: int) -> None:
    assert refusal([("etag", '"a"')], status=status) == "status"


def test_3_what_would_never_be_used_is_not_stored() -> None:
    assert refusal([]) == "freshness"
    assert refusal([("etag", '"a"')]) is None  # it can be validated


def test_3_5_a_request_with_authorization() -> None:
    assert refusal(said("max-age=60"), authorized=True) == "authorization"


@pytest.mark.parametrize("directives", ["public, max-age=60", "must-revalidate, max-age=60", "s-maxage=60"])
def test_3_5_unless_the_response_allows_it(directives: str) -> None:
    assert refusal(said(directives), authorized=True) is None


@pytest.mark.parametrize(
    "directives",
    ["public=yes", "public; x", "must-revalidate=1", "s-maxage", "s-maxage=x", "s-maxage=1, s-maxage=2", "s-maxage =1"],
)
def test_3_5_by_a_directive_that_is_well_formed(directives: str) -> None:
    assert refusal(said(f"{directives}, max-age=60"), authorized=True) == "authorization"


# §3.1 Storing header fields


@pytest.mark.parametrize(
    "name",
    [
        "Connection",
        "Keep-Alive",
        "Proxy-Connection",
        "TE",
        "Transfer-Encoding",
        "Upgrade",
        "Proxy-Authenticate",
        "Proxy-Authentication-Info",
        "Proxy-Authorization",
    ],
)
def test_3_1_fields_of_one_connection_or_proxy_are_not_stored(name: str) -> None:
    headers = Headers([("a", "1"), (name, "x"), ("b", "2")])
    assert rfc9111.storable(headers, Control.of(headers)) == [("a", "1"), ("b", "2")]


def test_3_1_nor_are_those_that_connection_lists() -> None:
    headers = Headers([("connection", "X-A, close"), ("Connection", "x-b"), ("x-a", "1"), ("X-B", "2"), ("x-c", "3")])
    assert rfc9111.storable(headers, Control.of(headers)) == [("x-c", "3")]


def test_3_1_but_what_the_cache_goes_by_cannot_be_listed() -> None:  # RFC 9110 §7.6.1: it is for all recipients
    lines = [("cache-control", "no-cache"), ("vary", "accept"), ("expires", TODAY), ("age", "1"), ("date", TODAY)]
    headers = Headers([("connection", "cache-control, vary, expires, age, date"), *lines])
    assert rfc9111.storable(headers, Control.of(headers)) == lines


def test_3_1_fields_that_are_not_known_are_stored_each_line_of_them() -> None:
    lines = [("X-New", "1"), ("set-cookie", "a=b"), ("Set-Cookie", "c=d"), ("x-new", "2")]
    assert rfc9111.storable(Headers(lines), Control({})) == lines


# §3.2 Updating stored header fields


def test_3_2_a_304_replaces_the_fields_that_it_has() -> None:
    stored = Headers([("Cache-Control", "max-age=1"), ("X-A", "1"), ("x-a", "2"), ("x-b", "3")])
    fresh = Headers([("cache-control", "max-age=60"), ("x-a", "4"), ("x-c", "5")])
    assert rfc9111.updated(stored, fresh) == [("x-b", "3"), *fresh.lines]


@pytest.mark.parametrize("name", ["content-type", "content-location", "content-md5", "set-cookie", "expires", "content-foo"])
def test_3_2_whatever_they_are(name: str) -> None:
    assert rfc9111.updated(Headers([(name, "1")]), Headers([(name.title(), "2")])) == [(name.title(), "2")]


@pytest.mark.parametrize("name", ["Content-Length", "Content-Encoding", "Content-Range", "ETag"])
def test_3_2_but_not_what_belongs_to_the_stored_body(name: str) -> None:
    assert rfc9111.updated(Headers([(name.lower(), "1")]), Headers([(name, "2")])) == [(name.lower(), "1")]


def test_3_2_nor_what_may_not_be_stored() -> None:
    fresh = Headers([("connection", "x-a"), ("x-a", "2"), ("cache-control", 'private="x-b"'), ("x-b", "2")])
    stored = Headers([("x-a", "1"), ("x-b", "1")])
    assert rfc9111.updated(stored, fresh) == [("x-a", "1"), ("x-b", "1"), ("cache-control", 'private="x-b"')]


# §4.1 Calculating cache keys with Vary


def test_4_1_vary_is_a_list_of_names_in_any_case() -> None:
    headers = Headers([("Vary", "Accept-Language, ACCEPT"), ("vary", ", accept-language")])
    assert rfc9111.vary(headers) == ("accept", "accept-language")
    assert rfc9111.vary(Headers()) == ()


@pytest.mark.parametrize("lines", [["*"], ["accept, *"], ["accept", "*"], ["accept accept-language"], ["accept; x"], ['"a"']])
def test_4_1_a_star_never_matches_and_so_is_not_stored(lines: list[str]) -> None:
    headers = [*said("max-age=60"), *[("vary", line) for line in lines]]
    assert refusal(headers) == "vary"


# §4.2.1 Calculating freshness lifetime


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([*said("s-maxage=1, max-age=2"), ("expires", IN_AN_HOUR)], 1),  # the first that is there
        ([*said("max-age=2"), ("expires", IN_AN_HOUR)], 2),  # §5.3: Expires is ignored
        ([*said("max-age=2"), ("expires", "0")], 2),
        ([("expires", IN_AN_HOUR), ("date", TODAY)], 3600),
        ([("expires", IN_AN_HOUR), ("date", AN_HOUR_AGO)], 7200),  # its Date is what it is relative to
        ([("expires", IN_AN_HOUR)], 3599.75),  # without one, when it came (RFC 9110 §6.6.1)
        ([("expires", IN_AN_HOUR), ("date", "today")], 3599.75),
        ([("expires", AN_HOUR_AGO), ("date", TODAY)], 0),
        ([("expires", TODAY), ("date", TODAY)], 0),
        (said("max-age=99999999999999999999"), MOST_SECONDS),  # §1.2.2
        (said("s-maxage=x, max-age=60"), 0),  # what is invalid is stale
        (said("max-age=1.5"), 0),
        (said("max-age=-1"), 0),
        (said("max-age=1, max-age=2"), 0),  # and so is what contradicts itself
        (said("no-transform"), None),
        ([], None),
    ],
)
def test_4_2_1_lifetime(lines: Lines, expected: float | None) -> None:
    assert lifetime(lines) == expected


@pytest.mark.parametrize("value", ["0", "-1", "", "tomorrow", "Fri, 15 Jan 2027 09:00:00 UTC"])
def test_5_3_an_invalid_expires_is_in_the_past(value: str) -> None:
    assert lifetime([("expires", value), ("last-modified", YESTERDAY)]) == 0


def test_5_3_and_so_are_several() -> None:
    assert lifetime([("expires", IN_AN_HOUR), ("expires", IN_AN_HOUR)]) == 0


# §4.2.2 Calculating heuristic freshness


def test_4_2_2_a_tenth_of_the_time_since_it_was_modified() -> None:
    assert lifetime([("date", TODAY), ("last-modified", YESTERDAY)]) == 8640
    assert lifetime([("date", TODAY), ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")]) == 86_400  # at most a day
    assert lifetime([("date", TODAY), ("last-modified", IN_AN_HOUR)]) == 0
    assert lifetime([("date", TODAY), ("last-modified", "yesterday")]) is None


@pytest.mark.parametrize("lines", [said("max-age=0"), said("s-maxage=x"), [("expires", "0")]])
def test_4_2_2_never_if_there_is_an_explicit_time(lines: Lines) -> None:
    assert lifetime([*lines, ("last-modified", YESTERDAY)]) == 0


def test_4_2_2_only_for_statuses_that_allow_it_or_by_public() -> None:
    modified = [("date", TODAY), ("last-modified", YESTERDAY)]
    assert lifetime(modified, 302) is None
    assert lifetime([*modified, *said("public")], 302) == 8640
    assert lifetime([*modified, *said("public=1")], 302) is None


# §4.2.3 Calculating age


@pytest.mark.parametrize(
    ("lines", "waited", "expected"),
    [
        ([], 0, 0),
        ([], 2, 2),  # response_delay
        ([("age", "10")], 2, 12),  # corrected_age_value
        ([("date", AN_HOUR_AGO)], 2, 3600.25),  # apparent_age
        ([("date", AN_HOUR_AGO), ("age", "7200")], 0, 7200),
        ([("date", AN_HOUR_AGO), ("age", "x")], 0, 3600.25),  # §5.1: ignored
        ([("date", IN_AN_HOUR)], 0, 0),
    ],
)
def test_4_2_3_age(lines: Lines, waited: float, expected: float) -> None:
    assert rfc9111.initial_age(Headers(lines), NOW - waited, NOW) == expected


# §4.2.4 Serving stale responses


@pytest.mark.parametrize(
    "directive", ["must-revalidate", "proxy-revalidate", "no-cache", "s-maxage=60", "s-maxage=x", "must-revalidate=1"]
)
def test_4_2_4_prohibited_by_a_directive(directive: str) -> None:  # §5.2.2.2, §5.2.2.8, §5.2.2.4, §5.2.2.10
    assert control(f"{directive}, max-age=60").forbids_stale
    assert not control('max-age=60, no-cache="set-cookie"').forbids_stale


# §4.3.1: what can be validated


def test_4_3_1_validators() -> None:
    assert rfc9111.has_validator(Headers([("ETag", '"a"')]))
    assert rfc9111.has_validator(Headers([("last-modified", YESTERDAY)]))
    assert not rfc9111.has_validator(Headers([("date", TODAY)]))


# §5.2.1 Request directives


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("max-age=5", Demand(max_age=5)),  # §5.2.1.1
        ("max-age=x", Demand(max_age=0)),
        ("max-stale=5", Demand(max_stale=5)),  # §5.2.1.2
        ("max-stale", Demand(max_stale=MOST_SECONDS)),  # however stale
        ("max-stale=x", Demand()),
        ("max-stale=", Demand()),
        ("max-stale=5, max-stale", Demand()),
        ("min-fresh=5", Demand(min_fresh=5)),  # §5.2.1.3
        ("no-cache", Demand(no_cache=True)),  # §5.2.1.4
        ("no-store", Demand(no_store=True)),  # §5.2.1.5
        ("only-if-cached", Demand(only_if_cached=True)),  # §5.2.1.7
        ("No-Cache, MAX-AGE=0", Demand(no_cache=True, max_age=0)),
        ("no-transform, x=y", Demand()),
    ],
)
def test_5_2_1_what_a_request_asks(line: str, expected: Demand) -> None:
    assert Demand.of(Headers([("cache-control", line)])) == expected


def test_5_4_pragma_counts_where_there_is_no_cache_control() -> None:
    pragma = ("Pragma", "No-Cache")
    assert Demand.of(Headers([pragma])) == Demand(no_cache=True)
    assert Demand.of(Headers([pragma, ("cache-control", "max-age=5")])) == Demand(max_age=5)
    assert Demand.of(Headers([("pragma", "x")])) == Demand() == Demand.of(Headers())


def test_5_4_pragma_of_a_response_means_nothing() -> None:
    assert refusal([("pragma", "no-cache"), *said("max-age=60")]) is None


# §5.2.2 Response directives


@pytest.mark.parametrize("directive", ["must-understand", "must-understand, no-store"])
def test_5_2_2_3_must_understand_is_for_statuses_that_are_understood(directive: str) -> None:
    assert refusal(said(f"{directive}, max-age=60"), status=200) is None
    assert refusal(said(f"{directive}, max-age=60"), status=299) == "must-understand"
    assert refusal(said(f"{directive}, max-age=60"), status=206) == "must-understand"
    assert refusal(said("max-age=60"), status=299) is None


@pytest.mark.parametrize("directive", ["must-understand=1", "must-understand; x"])
def test_5_2_2_3_a_wrong_must_understand_lifts_no_no_store(directive: str) -> None:
    assert refusal(said(f"{directive}, no-store, max-age=60")) == "no-store"


@pytest.mark.parametrize(
    "directives", ["no-cache", 'no-cache="vary"', 'no-cache="set cookie"', 'no-cache, no-cache="set-cookie"']
)
def test_5_2_2_4_no_cache_is_stored_and_always_validated(directives: str) -> None:
    assert refusal([*said(directives), ("etag", '"a"')]) is None
    assert control(directives).validates_always
    assert control(directives).unvalidated_fields == frozenset()


def test_5_2_2_4_no_cache_with_names_is_about_these_fields() -> None:
    qualified = control('max-age=60, no-cache="Set-Cookie", no-cache="x-a"')
    assert qualified.unvalidated_fields == {"set-cookie", "x-a"}
    assert not qualified.validates_always


@pytest.mark.parametrize("directive", ["no-store", "NO-STORE", 'no-store="x"', "no-store=0", "no-store;"])
def test_5_2_2_5_no_store(directive: str) -> None:
    assert refusal(said(f"public, {directive}, s-maxage=60")) == "no-store"


@pytest.mark.parametrize(
    "directive", ["private", "private=", 'private=""', 'private="vary"', 'private="a b"', 'private, private="a"']
)
def test_5_2_2_7_private(directive: str) -> None:
    assert refusal(said(f"{directive}, public, s-maxage=60")) == "private"


def test_5_2_2_7_private_with_names_is_about_these_fields() -> None:
    headers = Headers([*said('max-age=60, private="Set-Cookie, X-A"'), ("set-cookie", "a=b"), ("x-a", "1"), ("x-b", "2")])
    assert refusal(headers.lines) is None
    assert [name for name, _ in rfc9111.storable(headers, Control.of(headers))] == ["cache-control", "x-b"]


def test_5_2_3_a_directive_that_is_not_known_means_nothing() -> None:
    assert refusal(said('max-age=60, community="UCI", x')) is None


# RFC 9213: a targeted field


def targeted(value: str, lines: Lines = ()) -> list[tuple[str, str]]:
    return [("CDN-Cache-Control", value), *lines]


def test_rfc9213_2_2_it_replaces_cache_control_and_expires() -> None:
    assert refusal(targeted("max-age=60", said("no-store"))) is None
    assert refusal(targeted("no-store", said("max-age=60"))) == "no-store"
    assert refusal(targeted("private", said("max-age=60"))) == "private"
    assert lifetime(targeted("max-age=60", [*said("max-age=5"), ("expires", "0")])) == 60
    assert lifetime(targeted("public", [*said("max-age=5"), ("expires", IN_AN_HOUR)])) is None
    assert lifetime(targeted("public", [("date", TODAY), ("last-modified", YESTERDAY)])) == 8640
    assert refusal(targeted("public", [("expires", IN_AN_HOUR)])) == "freshness"


@pytest.mark.parametrize("value", ["max-age=60, &&", "Max-Age=60", "max-age = 60", "", "'"])
def test_rfc9213_2_1_an_invalid_one_is_ignored(value: str) -> None:
    assert refusal(targeted(value, said("no-store"))) == "no-store"
    assert lifetime(targeted(value, said("max-age=5"))) == 5


@pytest.mark.parametrize("value", ["max-age=60.5", 'max-age="60"', "max-age=(60)"])
def test_rfc9213_2_1_a_value_of_the_wrong_type_is_stale(value: str) -> None:
    assert lifetime(targeted(value, said("max-age=5"))) == 0


@pytest.mark.parametrize("value", ['private=("set-cookie")', "private=set-cookie", "private=1", 'private="vary"'])
def test_rfc9213_2_1_private_of_the_wrong_type_is_private(value: str) -> None:
    assert refusal(targeted(f"max-age=60, {value}")) == "private"


def test_rfc9213_2_its_directives_mean_the_same() -> None:
    assert Control.of(Headers(targeted("s-maxage=60"))).forbids_stale
    assert Control.of(Headers(targeted("no-cache"))).validates_always
    assert refusal(targeted("max-age=60"), authorized=True) == "authorization"
    assert refusal(targeted("s-maxage=60"), authorized=True) is None


# Whatever stands there

WORDS = st.sampled_from(
    [
        "max-age=60", "max-age=99999999999", "s-maxage=60", "max-age", "max-age=-1", "max-age=x", "public", "no-cache", "private",
        'private="a"', "no-store", "must-understand", "must-revalidate", '"', "=", ";", " ",
        "\\", ",", 'x="', '"a, b"', "1", "\xe4",
    ]
)  # fmt: skip
VALUES = st.lists(st.one_of(WORDS, st.text(st.characters(max_codepoint=255), max_size=8)), max_size=6).map(", ".join)
DATES = st.sampled_from([TODAY, IN_AN_HOUR, AN_HOUR_AGO, YESTERDAY, "0", "", "Friday, 15-Jan-77 08:00:00 GMT"])
LINES = st.one_of(
    st.tuples(st.sampled_from(["Cache-Control", "cdn-cache-control", "vary", "connection", "pragma", "age"]), VALUES),
    st.tuples(st.sampled_from(["expires", "date", "last-modified", "age", "etag"]), st.one_of(DATES, st.text(max_size=5))),
)
SOUP = st.lists(LINES, max_size=8)
STATUSES = st.integers(100, 620)


@given(SOUP, STATUSES, st.booleans())
def test_no_soup_raises_and_freshness_is_a_number(lines: Lines, status: int, authorized: bool) -> None:
    headers = Headers.received(list(lines))
    control = Control.of(headers)
    rfc9111.refusal("GET", status, headers, control, authorized=authorized, now=NOW)
    fresh = rfc9111.lifetime(status, headers, control, NOW)
    assert fresh is None or (math.isfinite(fresh) and fresh >= 0)
    age = rfc9111.initial_age(headers, NOW - 1, NOW)
    assert math.isfinite(age)
    assert age >= 1
    rfc9111.vary(headers)
    rfc9111.updated(headers, headers)
    Demand.of(headers)


@given(SOUP, st.integers(0, 8), st.sampled_from(["no-store", "private", "NO-STORE", " Private\t"]), STATUSES)
def test_no_store_and_private_hold_whatever_else_stands_there(lines: Lines, place: int, directive: str, status: int) -> None:
    soup = [line for line in lines if line[0] != "cdn-cache-control"]  # which replaces Cache-Control
    headers = Headers.received([*soup[:place], ("cache-control", directive), *soup[place:]])
    if "store" in directive.lower() and Control.of(headers).permits("must-understand"):
        return  # which lifts it
    assert rfc9111.refusal("GET", status, headers, Control.of(headers), authorized=False, now=NOW)


@given(SOUP, st.integers(0, 8), st.sampled_from(["no-store", "private"]), STATUSES)
def test_nor_does_anything_lift_them_from_a_targeted_field(lines: Lines, place: int, directive: str, status: int) -> None:
    soup = [line for line in lines if line[0] != "cdn-cache-control"]
    headers = Headers.received([*soup[:place], ("cdn-cache-control", f"max-age=60, {directive}"), *soup[place:]])
    assert rfc9111.refusal("GET", status, headers, Control.of(headers), authorized=False, now=NOW)


@given(SOUP, st.sampled_from(["vary", "cache-control", "cdn-cache-control", "expires"]))
def test_what_decides_is_stored_if_the_response_is(lines: Lines, name: str) -> None:
    headers = Headers.received(list(lines))
    control = Control.of(headers)
    if rfc9111.refusal("GET", 200, headers, control, authorized=False, now=NOW) is None:
        assert Headers.received(rfc9111.storable(headers, control)).getall(name) == headers.getall(name)
