"""RFC 9111 §4, requirement by requirement: which stored response answers a request. Names begin with their section."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from redis_middleware.storage import Storage

from ...conftest import Clock
from ...edges import Edge, Seen
from .site import Lines, Site, header, is_hit, is_stored, told

MINUTE = [("cache-control", "max-age=60")]
TAGGED = [*MINUTE, ("etag", '"one"')]
NOW = "Fri, 15 Jan 2027 08:00:00 GMT"
"""The clock's time, but for a quarter of a second."""
SOON = "Fri, 15 Jan 2027 08:00:10 GMT"
BEFORE = "Fri, 15 Jan 2027 07:59:59 GMT"
DAYS_AGO = "Tue, 05 Jan 2027 08:00:00 GMT"


@pytest.fixture
def site(edge: Edge, storage: Storage) -> Site:
    return Site(edge, storage, MINUTE, early_renewal=0)  # what is renewed before it expires is no use here


# §4 Constructing responses


@pytest.mark.filterwarnings("ignore:Unknown REQUEST_METHOD")  # of wsgiref.validate, which knows eight
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "SHOUT"])
def test_4_other_methods_always_reach_the_app(site: Site, method: str) -> None:
    site.get()
    answers = [site.call(method) for _ in range(2)]
    assert [answer.body for answer in answers] == [b"2", b"3"]
    assert [told(answer) for answer in answers] == ["fwd=method"] * 2


def test_4_a_body_that_answered_get_answers_head_and_never_the_other_way(site: Site) -> None:
    site.head("/head")
    assert not is_hit(site.get("/head"))
    assert is_hit(site.head("/head"))


def test_4_of_several_responses_the_most_recent_is_used(edge: Edge, storage: Storage, clock: Clock) -> None:
    site = Site(edge, storage, TAGGED, client_demand="revalidate")
    site.get()
    for expected in (b"2", b"3"):
        clock.move(10)
        assert site.get(cache_control="no-cache").body == expected
        answer = site.get()
        assert (answer.body, is_hit(answer)) == (expected, True)


@pytest.mark.parametrize("came", ["1000", "0"])
def test_4_age_takes_the_place_of_the_one_that_came(site: Site, clock: Clock, came: str) -> None:
    site.headers = [("cache-control", "max-age=5000"), ("age", came)]
    site.get()
    clock.move(20)
    answer = site.get()
    assert is_hit(answer)
    assert answer.headers.getall("age") == [str(int(came) + 20)]


# §4.1 Vary


def test_4_1_all_fields_that_vary_names_have_to_match(site: Site) -> None:
    site.headers += [("Vary", "Accept-Language"), ("vary", "x-beta, x-plan")]
    plain = {"accept_language": "de", "x_beta": "1", "x_plan": "free"}
    assert site.get(**plain).body == b"1"
    for change in ({"accept_language": "en"}, {"x_beta": "2"}, {"x_plan": "Free"}):
        assert not is_hit(site.get(**{**plain, **change}))
    assert site.get(**plain).body == b"1"


def test_4_1_what_is_absent_matches_what_is_absent_alone(site: Site) -> None:
    site.headers.append(("vary", "x-beta"))
    assert site.get(x_beta="").body == b"1"
    assert site.get().body == b"2"
    assert site.get(x_beta="0").body == b"3"
    assert site.get().body == b"2"
    assert site.get(x_beta="").body == b"1"


def test_4_1_what_means_the_same_matches(site: Site) -> None:
    site.headers.append(("vary", "accept-encoding, accept-language"))
    site.get(accept_encoding="gzip, br", accept_language="de,en;q=0.5")
    assert is_hit(site.get(accept_encoding="BR,gzip", accept_language="DE , en; q=0.5"))
    assert not is_hit(site.get(accept_encoding="gzip, br", accept_language="en,de;q=0.5"))


@pytest.mark.parametrize("vary", ["*", "accept, *", "accept-language, *"])
def test_4_1_a_star_never_matches(site: Site, vary: str) -> None:
    site.headers.append(("vary", vary))
    assert told(site.get()) == "fwd=uri-miss; detail=vary"
    assert not is_hit(site.get())


@pytest.mark.parametrize("later", [[("vary", "accept-language")], []])
def test_4_1_of_responses_with_and_without_vary_the_most_recent_counts(site: Site, clock: Clock, later: Lines) -> None:
    earlier = [] if later else [("vary", "accept-language")]
    site.headers = [*TAGGED, *earlier]
    site.get(accept_language="de")
    clock.move(60)
    site.headers = [*MINUTE, *later]
    assert site.get(accept_language="de").body == b"2"
    answer = site.get(accept_language="de")
    assert (answer.body, is_hit(answer)) == (b"2", True)
    assert is_hit(site.get(accept_language="en")) is not bool(later)


# §4.2 Freshness


def test_4_2_fresh_is_what_is_younger_than_its_lifetime(site: Site, clock: Clock) -> None:
    site.headers = [("cache-control", "max-age=20")]
    site.get()
    clock.move(19.9)
    assert is_hit(site.get())
    clock.move(0.1)
    assert not is_hit(site.get())


@pytest.mark.parametrize(
    "expires", [SOON, SOON.lower(), SOON.upper(), "friday, 15-jan-27 08:00:10 gmt", "FRI jan 15 08:00:10 2027"]
)
def test_4_2_dates_are_read_in_any_case(site: Site, clock: Clock, expires: str) -> None:
    site.headers = [("date", NOW), ("expires", expires)]
    site.get()
    assert told(site.get()) == "hit; ttl=9"
    clock.move(10)
    assert not is_hit(site.get())


def test_4_2_expires_is_never_later_than_it_was_sent(site: Site, clock: Clock) -> None:
    site.headers = [("date", NOW), ("expires", SOON)]
    site.get()
    clock.move(9.5)
    assert is_hit(site.get())
    clock.move(0.25)  # SOON, to the moment
    assert not is_hit(site.get())


@pytest.fixture(params=["Asia/Tokyo", "America/Los_Angeles"])
def elsewhere(request: pytest.FixtureRequest) -> Iterator[None]:
    """This process in another time zone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", request.param)
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("elsewhere")
def test_4_2_the_time_zone_of_the_server_changes_nothing(site: Site, clock: Clock) -> None:
    site.headers = [("date", NOW), ("expires", SOON), ("last-modified", DAYS_AGO)]
    site.get()
    assert told(site.get()) == "hit; ttl=9"
    assert site.get(if_modified_since=DAYS_AGO).status == 304
    clock.move(10)
    assert not is_hit(site.get())


@pytest.mark.parametrize("zone", ["UTC", "UT", "PST", "+0000", "Z", ""])
def test_4_2_a_date_of_another_zone_than_gmt_has_expired(site: Site, zone: str) -> None:
    site.headers = [("date", NOW), ("expires", SOON.replace("GMT", zone)), ("etag", '"one"')]
    site.get()
    assert not is_hit(site.get())


@pytest.mark.parametrize(
    "headers",
    [
        [("cache-control", "max-age=60, max-age=0")],
        [("cache-control", "max-age=60"), ("cache-control", "max-age=0")],
        [("cache-control", "max-age=60, no-cache")],
        [("cache-control", "max-age=x")],
        [("cache-control", "max-age=60.5")],
        [("cache-control", "max-age=-60")],
        [("cache-control", "s-maxage=0, max-age=60")],
        [("expires", "Sat, 15 Jan 2028 08:00:00 GMT"), ("expires", NOW)],
    ],
)
def test_4_2_1_what_contradicts_itself_or_is_wrong_is_stale(site: Site, headers: Lines) -> None:
    site.headers = [*headers, ("etag", '"one"')]
    site.get()
    assert not is_hit(site.get())


def test_4_2_1_the_first_that_is_there_counts(site: Site, clock: Clock) -> None:
    everything = [("cache-control", "s-maxage=20, max-age=40"), ("expires", "Fri, 15 Jan 2027 08:01:00 GMT")]
    for path, headers, seconds in (("/a", everything, 20), ("/b", [("cache-control", "max-age=40"), everything[1]], 40)):
        site.headers = [*headers, ("last-modified", DAYS_AGO)]
        site.get(path)
        clock.move(seconds - 1)
        assert told(site.get(path)) == "hit; ttl=1"
        clock.move(1)
        assert not is_hit(site.get(path))


@pytest.mark.parametrize(
    "explicit", [("cache-control", "max-age=0"), ("cache-control", "s-maxage=x"), ("expires", "0"), ("expires", NOW)]
)
def test_4_2_2_nothing_is_guessed_beside_an_explicit_time(site: Site, explicit: tuple[str, str]) -> None:
    site.headers = [explicit, ("last-modified", DAYS_AGO)]
    site.get()
    assert not is_hit(site.get())


def test_4_2_2_without_one_it_is_a_tenth_of_the_time_since_it_was_modified(site: Site, clock: Clock) -> None:
    site.headers = [("last-modified", DAYS_AGO)]  # ten days
    site.get()
    clock.move(86_400 - 10)
    assert is_hit(site.get())
    clock.move(20)
    assert not is_hit(site.get())


def test_4_2_3_age_counts_from_when_the_request_began(edge: Edge, storage: Storage, clock: Clock) -> None:
    site = Site(edge, storage, [*MINUTE, ("age", "10")], lease=60)
    site.act = lambda seen: clock.move(20)
    assert is_stored(site.get())
    answer = site.get()
    assert (told(answer), answer.headers.get("age")) == ("hit; ttl=30", "30")


def test_4_2_3_an_old_date_is_an_age(site: Site) -> None:
    site.headers = [*MINUTE, ("date", "Fri, 15 Jan 2027 07:59:20 GMT"), ("age", "10")]
    site.get()
    assert site.get().headers.get("age") == "40"


@pytest.mark.parametrize("client_demand", ["ignore", "revalidate", "bypass"])
def test_4_2_4_nothing_stale_is_sent_that_nobody_permits(edge: Edge, storage: Storage, clock: Clock, client_demand: str) -> None:
    site = Site(edge, storage, TAGGED, client_demand=client_demand)
    site.get()
    clock.move(60)
    site.status = 503
    assert (site.get().status, site.head().status) == (503, 503)

    def fail(seen: Seen) -> None:
        raise ZeroDivisionError

    site.act = fail
    with pytest.raises(ZeroDivisionError):
        site.get()


# §4.3 Validation


def test_4_3_1_both_validators_are_sent(site: Site, clock: Clock) -> None:
    site.headers = [*TAGGED, ("last-modified", DAYS_AGO)]
    site.get()
    clock.move(100)
    site.get(if_none_match='"mine"', if_modified_since=BEFORE)
    assert header(site.seen[-1], "if-none-match") == '"one"'
    assert header(site.seen[-1], "if-modified-since") == DAYS_AGO


@pytest.mark.parametrize(("name", "value"), [("if_match", '"other"'), ("if_unmodified_since", "Fri, 15 Jan 2016 08:00:00 GMT")])
def test_4_3_2_conditions_for_the_app_alone_are_not_evaluated(site: Site, name: str, value: str) -> None:
    site.headers = [*TAGGED, ("last-modified", DAYS_AGO)]
    site.get()
    answer = site.get(**{name: value})
    assert (answer.status, answer.body, is_hit(answer)) == (200, b"1", True)


CONDITIONS = [
    ("if-match", '"other"'),
    ("if-none-match", '"one"'),
    ("if-modified-since", NOW),
    ("if-unmodified-since", BEFORE),
    ("if-range", '"one"'),
]


@pytest.mark.parametrize(("name", "value"), CONDITIONS)
def test_4_3_2_where_nothing_is_stored_conditions_are_the_apps(site: Site, name: str, value: str) -> None:
    answer = site.call(headers=[(name, value), ("range", "bytes=0-0")])
    assert (answer.status, answer.body) == (200, b"1")
    assert header(site.seen[-1], name) == value
    assert header(site.seen[-1], "range") == "bytes=0-0"


@pytest.mark.parametrize(("name", "value"), CONDITIONS)
def test_4_3_2_and_so_they_are_of_methods_that_what_is_stored_cannot_answer(site: Site, name: str, value: str) -> None:
    site.headers = list(TAGGED)
    site.get()
    assert site.call("PUT", headers=[(name, value)]).status == 200
    assert header(site.seen[-1], name) == value


@pytest.mark.parametrize("headers", [[], [("date", DAYS_AGO)]])
def test_4_3_2_without_last_modified_the_date_counts_or_when_it_came(site: Site, headers: Lines) -> None:
    site.headers = [("cache-control", "max-age=10000000"), *headers]
    site.get()
    since = {True: [(DAYS_AGO, 304), ("Tue, 05 Jan 2027 07:59:59 GMT", 200)], False: [(SOON, 304), (NOW, 200)]}[bool(headers)]
    for value, status in since:
        answer = site.get(if_modified_since=value)
        assert (answer.status, is_hit(answer)) == (status, True)


def test_4_3_2_a_304_about_another_tag_than_the_clients_makes_a_200(site: Site, clock: Clock) -> None:
    site.headers = list(TAGGED)
    site.get()
    clock.move(100)
    site.status, site.headers = 304, [*TAGGED, ("x-new", "1")]
    answer = site.get(if_none_match='"mine"')
    assert (answer.status, answer.body, answer.headers.get("x-new")) == (200, b"1", "1")


def test_4_3_2_the_tag_of_a_part_is_not_sent_for_more_than_it_has(site: Site, clock: Clock) -> None:
    site.status, site.headers, site.body = 206, [*TAGGED, ("content-range", "bytes 0-4/10")], b"01234"
    assert is_stored(site.get(range="bytes=0-4"))
    clock.move(100)
    for asked in ({}, {"range": "bytes=3-6"}):
        site.get(**asked, if_none_match='"mine"')
        assert header(site.seen[-1], "if-none-match") == '"mine"'


@pytest.mark.parametrize("status", [200, 404, 410])
def test_4_3_3_a_full_response_answers_the_request(site: Site, clock: Clock, status: int) -> None:
    site.headers = list(TAGGED)
    site.get()
    clock.move(100)
    site.status, site.headers = status, [*MINUTE, ("etag", '"two"')]
    answer = site.get(if_none_match='"one"')
    assert (answer.status, answer.body) == (status, b"2")


@pytest.mark.parametrize("tag", ['"one"', 'W/"one"'])
def test_4_3_4_a_304_of_the_same_tag_updates_what_is_stored(site: Site, clock: Clock, tag: str) -> None:
    site.headers = [*MINUTE, ("etag", tag)]
    site.get()
    clock.move(100)
    site.status, site.headers = 304, [*MINUTE, ("etag", tag), ("x-new", "1")]
    assert told(site.get()) == "fwd=stale; fwd-status=304; stored"
    answer = site.get()
    assert (answer.body, answer.headers.get("x-new"), told(answer)) == (b"1", "1", "hit; ttl=60")


def test_4_3_5_a_head_that_shows_something_else_ends_what_is_stored(site: Site, clock: Clock) -> None:
    for changed in ([("etag", '"two"')], [("etag", '"one"'), ("content-length", "9")], [("last-modified", DAYS_AGO)]):
        site.status, site.headers = 200, list(TAGGED)
        site.get("/page")
        assert is_hit(site.head("/page"))
        clock.move(100)
        site.act = lambda seen, changed=changed: (200, [*MINUTE, ("content-type", "text/plain"), *changed], [])  # type: ignore[misc]
        assert not is_hit(site.head("/page"))
        site.act = lambda seen: None
        assert told(site.get("/page")) == "fwd=uri-miss; stored"
        site.purge(url="http://example.org/page")


@pytest.mark.parametrize("status", [200, 304])
def test_4_3_5_a_head_that_shows_the_same_renews_what_is_stored(site: Site, clock: Clock, status: int) -> None:
    site.headers = list(TAGGED)
    site.get()
    clock.move(100)
    site.status = status
    site.headers.append(("x-new", "1"))
    site.head()
    answer = site.get()
    assert (answer.body, told(answer), answer.headers.get("x-new"), site.runs) == (b"1", "hit; ttl=60", "1", 2)


@pytest.mark.parametrize("tag", ['"two"', 'W/"two"'])
def test_4_3_4_a_304_with_another_tag_updates_nothing(site: Site, clock: Clock, tag: str) -> None:
    site.headers = list(TAGGED)
    site.get()
    clock.move(100)
    site.status, site.headers = 304, [*MINUTE, ("etag", tag), ("x-new", "1")]
    answer = site.get()
    assert (answer.status, answer.body, "x-new" in answer.headers) == (200, b"1", False)
    site.status, site.headers = 200, [*MINUTE, ("etag", '"two"')]
    answer = site.get()
    assert (answer.body, told(answer)) == (b"3", "fwd=uri-miss; stored")


# §4.4 Invalidation


def test_4_4_what_an_unsafe_request_has_changed_is_not_used_again(site: Site) -> None:
    for place, method in enumerate(("POST", "PUT", "DELETE")):
        site.get(f"/{place}")
        assert is_hit(site.get(f"/{place}"))
        site.call(method, f"/{place}")
        assert not is_hit(site.get(f"/{place}"))


def test_4_4_nobody_forgets_what_is_of_another_origin(site: Site) -> None:
    site.call("GET", "/a", host="example.net")
    site.headers, site.status = [("location", "http://example.net/a"), ("content-location", "http://example.net/a")], 201
    site.call("POST", "/a")
    assert is_hit(site.call("GET", "/a", host="example.net"))
