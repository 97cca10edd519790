"""RFC 9110 §13 to §15 as a cache has to follow them: conditions and ranges of what is stored. Names begin with their section."""

from __future__ import annotations

import pytest

from redis_middleware.storage import Storage

from ...edges import Edge
from .site import Lines, Site, is_hit

MINUTE = [("cache-control", "max-age=60")]
WHEN, BEFORE, AFTER = (f"Fri, 15 Jan 2027 07:{minute}:00 GMT" for minute in ("30", "29", "31"))
TAGGED = [*MINUTE, ("etag", '"one"')]
DATED = [*MINUTE, ("last-modified", WHEN)]
SIZES = pytest.mark.parametrize("size", [10, 10_000])
"""Of bodies: of one that stands with its head in the storage, and of one that stands beside."""


@pytest.fixture
def site(edge: Edge, storage: Storage) -> Site:
    return Site(edge, storage, TAGGED)


def stored(site: Site, headers: Lines, size: int = 10) -> Site:
    """The site, with a body of digits that is stored."""
    site.headers, site.body = list(headers), b"0123456789" * (size // 10)
    site.get()
    return site


# §13 Conditions


@pytest.mark.parametrize("status", [203, 301, 404, 410])
def test_13_2_1_conditions_are_not_looked_at_where_the_answer_is_no_200(site: Site, status: int) -> None:
    site.status = status
    stored(site, [*TAGGED, ("last-modified", WHEN)])
    answer = site.get(if_none_match='"one"', if_modified_since=AFTER, range="bytes=0-0")
    assert (answer.status, answer.body, is_hit(answer)) == (status, b"0123456789", True)


@pytest.mark.parametrize(
    ("etag", "asked", "status"),
    [
        ('"one"', '"one"', 304),
        ('"one"', 'W/"one"', 304),
        ('W/"one"', '"one"', 304),
        ('W/"one"', 'W/"one"', 304),
        ('"one"', '"two", W/"three" ,"one"', 304),
        ('"one"', "*", 304),
        ('"one"', '"two"', 200),
        ('"one"', '"ONE"', 200),
        ('"one"', "one", 200),
    ],
)
def test_13_1_2_if_none_match_compares_weakly(site: Site, etag: str, asked: str, status: int) -> None:
    stored(site, [*MINUTE, ("etag", etag)])
    for method in ("GET", "HEAD"):
        answer = site.call(method, headers=[("if-none-match", asked)])
        assert (answer.status, is_hit(answer)) == (status, True)


@pytest.mark.parametrize(
    ("asked", "status"),
    [(WHEN, 304), (AFTER, 304), (BEFORE, 200), ("yesterday", 200), (f"{WHEN}, {WHEN}", 200), ("1800000000", 200)],
)
def test_13_1_3_if_modified_since_is_a_date_or_ignored(site: Site, asked: str, status: int) -> None:
    stored(site, DATED)
    assert site.get(if_modified_since=asked).status == status
    assert site.runs == 1


def test_13_1_3_if_modified_since_is_ignored_beside_if_none_match(site: Site) -> None:
    stored(site, [*TAGGED, ("last-modified", WHEN)])
    assert site.get(if_none_match='"two"', if_modified_since=AFTER).status == 200
    assert site.get(if_none_match='"one"', if_modified_since=BEFORE).status == 304


@pytest.mark.parametrize(
    ("headers", "asked", "status"),
    [
        (TAGGED, '"one"', 206),
        (TAGGED, '"two"', 200),
        (TAGGED, 'W/"one"', 200),
        ([*MINUTE, ("etag", 'W/"one"')], 'W/"one"', 200),
        (DATED, WHEN, 206),
        (DATED, AFTER, 200),
        ([*DATED, ("date", WHEN)], WHEN, 200),  # of the same second: it may have changed since
        (DATED, "yesterday", 200),
    ],
)
def test_13_1_5_if_range_holds_if_it_names_exactly_what_is_stored(site: Site, headers: Lines, asked: str, status: int) -> None:
    stored(site, [("cache-control", "max-age=6000"), *headers[1:]])
    assert site.get(range="bytes=2-4", if_range=asked).status == status
    assert site.runs == 1


def test_13_1_5_if_range_alone_is_ignored(site: Site) -> None:
    stored(site, TAGGED)
    assert site.get(if_range='"two"').status == 200
    assert is_hit(site.get(if_range='"one"'))


def test_13_2_2_if_none_match_comes_before_a_range(site: Site) -> None:
    stored(site, TAGGED)
    assert site.get(if_none_match='"one"', range="bytes=0-0").status == 304
    assert site.get(if_none_match='"two"', range="bytes=0-0").status == 206


# §14 Ranges


@SIZES
def test_14_1_2_a_range_ends_where_the_body_does(site: Site, size: int) -> None:
    stored(site, TAGGED, size)
    for asked, body, first in (("0-0", b"0", 0), (f"{size - 2}-{size * 9}", b"89", size - 2), ("-2", b"89", size - 2)):
        answer = site.get(range=f"bytes={asked}")
        said = f"bytes {first}-{first + len(body) - 1}/{size}"
        assert (answer.status, answer.body, answer.headers.get("content-range")) == (206, body, said)
    answer = site.get(range=f"bytes=-{size * 9}")
    assert (answer.status, len(answer.body)) == (206, size)
    assert site.runs == 1


@pytest.mark.parametrize("asked", ["bytes=5-2", "bytes=a-b", "bytes=", "bytes=-", "lines=0-0", "0-0", "bytes=0-0,2-3"])
def test_14_2_what_is_no_range_of_bytes_is_ignored(site: Site, asked: str) -> None:
    stored(site, TAGGED)
    answer = site.get(range=asked)
    assert (answer.status, answer.body, is_hit(answer)) == (200, b"0123456789", True)


def test_14_2_ranges_are_for_get_alone(site: Site) -> None:
    stored(site, TAGGED)
    answer = site.head(range="bytes=0-0")
    assert (answer.status, answer.headers.get("content-length"), "content-range" in answer.headers) == (200, "10", False)


# §15 Statuses that come of it


@SIZES
def test_15_3_7_a_206_has_its_range_and_the_fields_that_a_200_would_have(site: Site, size: int) -> None:
    said = [("date", WHEN), ("expires", AFTER), ("content-location", "/x"), ("vary", "accept")]
    stored(site, [("cache-control", "max-age=6000"), ("etag", '"one"'), *said], size)
    answer = site.get(range="bytes=0-0")
    assert (answer.status, answer.headers.getall("content-range")) == (206, [f"bytes 0-0/{size}"])
    assert answer.headers.getall("content-length") == ["1"]
    for name, value in site.headers:
        assert answer.headers.getall(name) == [value]


def test_15_4_5_a_304_has_the_fields_that_a_200_would_have_and_none_of_a_body(site: Site) -> None:
    said = [("date", WHEN), ("expires", AFTER), ("content-location", "/x"), ("vary", "accept")]
    stored(site, [("cache-control", "max-age=6000"), ("etag", '"one"'), *said, ("content-language", "de")])
    answer = site.get(if_none_match='"one"')
    assert (answer.status, answer.body) == (304, b"")
    for name, value in site.headers[:-1]:
        assert answer.headers.getall(name) == [value]
    assert not [name for name in ("content-language", "content-type", "content-length") if name in answer.headers]


@SIZES
def test_15_5_17_a_range_beyond_the_end_is_416_with_the_size(site: Site, size: int) -> None:
    stored(site, TAGGED, size)
    answer = site.get(range=f"bytes={size}-")
    assert (answer.status, answer.body, answer.headers.get("content-range")) == (416, b"", f"bytes */{size}")
    assert site.runs == 1
