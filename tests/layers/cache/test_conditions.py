"""The client's conditions and ranges (RFC 9110 §13, §14), answered from what is stored."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_middleware.http import Headers
from redis_middleware.layers.cache.conditions import UNSATISFIABLE, Part, is_unmodified, part

RECEIVED = 1_800_000_000.25
AT = "Fri, 15 Jan 2027 08:00:00 GMT"
BEFORE = "Fri, 15 Jan 2027 07:59:59 GMT"
AFTER = "Fri, 15 Jan 2027 08:00:01 GMT"
SOUP = st.text(st.sampled_from('",;= \t\\-=*/0123456789bytesWGMT\xe4'), max_size=40)


def unmodified(asked: list[tuple[str, str]], stored: list[tuple[str, str]]) -> bool:
    return is_unmodified(Headers(asked), Headers(stored), RECEIVED)


# §13.1.2 If-None-Match


@pytest.mark.parametrize(
    ("wanted", "etag", "expected"),
    [
        ('"a"', '"a"', True),
        ('"b"', '"a"', False),
        ('"A"', '"a"', False),
        ('"b", "a"', '"a"', True),
        ('W/"a"', '"a"', True),  # the weak comparison
        ('"a"', 'W/"a"', True),
        ('W/"a"', 'W/"a"', True),
        ('"\xe4"', '"\xe4"', True),  # obs-text
        ('"a,b"', '"a,b"', True),
        ('"a"', '"a,b"', False),
        ("*", '"a"', True),
        ("a", '"a"', False),
        ('"a', '"a"', False),
        ("", '"a"', False),
    ],
)
def test_13_1_2_if_none_match(wanted: str, etag: str, expected: bool) -> None:
    assert unmodified([("if-none-match", wanted)], [("etag", etag)]) is expected


def test_13_1_2_several_lines_are_one_list() -> None:
    assert unmodified([("if-none-match", '"b"'), ("If-None-Match", '"a"')], [("etag", '"a"')])


def test_13_1_2_a_star_matches_whatever_is_stored() -> None:
    assert unmodified([("if-none-match", "*")], [])
    assert not unmodified([("if-none-match", '"a"')], [])


# §13.1.3 If-Modified-Since, RFC 9111 §4.3.2


@pytest.mark.parametrize(
    ("since", "stored", "expected"),
    [
        (AT, [("last-modified", AT)], True),
        (AFTER, [("last-modified", AT)], True),
        (BEFORE, [("last-modified", AT)], False),
        ("Friday, 15-Jan-27 08:00:00 GMT", [("last-modified", AT)], True),
        (AT, [("date", AT)], True),  # RFC 9111 §4.3.2: without Last-Modified, Date
        (BEFORE, [("date", AT)], False),
        (AFTER, [], True),  # and without Date, when it came
        (AT, [], False),
        ("x", [("last-modified", AT)], False),  # no date: ignored
        (f"{AT}, {AT}", [("last-modified", AT)], False),
        ("", [("last-modified", AT)], False),
    ],
)
def test_13_1_3_if_modified_since(since: str, stored: list[tuple[str, str]], expected: bool) -> None:
    assert unmodified([("if-modified-since", since)], stored) is expected


def test_13_1_3_is_not_looked_at_beside_if_none_match() -> None:  # §13.2.2
    stored = [("etag", '"a"'), ("last-modified", AT)]
    assert not unmodified([("if-none-match", '"b"'), ("if-modified-since", AFTER)], stored)
    assert not unmodified([("if-none-match", "x"), ("if-modified-since", AFTER)], stored)
    assert unmodified([("if-none-match", '"a"'), ("if-modified-since", BEFORE)], stored)


@pytest.mark.parametrize("name", ["if-match", "if-unmodified-since"])
def test_rfc9111_4_3_2_conditions_for_the_app_alone_are_not_looked_at(name: str) -> None:
    assert not unmodified([(name, '"a"')], [("etag", '"a"')])


# §14.2 Range


def asked(line: str, size: int = 10) -> Part | None:
    return part(Headers([("range", line)]), Headers([("etag", '"a"')]), size, RECEIVED)


@pytest.mark.parametrize(
    ("line", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-9", 0, 10),
        ("bytes=2-5", 2, 6),
        ("bytes=2-", 2, 10),
        ("bytes=9-", 9, 10),
        ("bytes=-1", 9, 10),
        ("bytes=-10", 0, 10),
        ("bytes=-99", 0, 10),  # §14.1.2: more than there is means all of it
        ("bytes=5-99", 5, 10),
        (f"bytes=5-{10**30}", 5, 10),
        (f"bytes=-{10**30}", 0, 10),
        ("Bytes=0-0", 0, 1),  # §14.1: names of units have no case
        ("bytes= 0-0 ", 0, 1),
    ],
)
def test_14_1_2_one_range(line: str, start: int, end: int) -> None:
    assert asked(line) == Part(start, end, 10)


@pytest.mark.parametrize("line", ["bytes=10-", "bytes=10-20", f"bytes={10**30}-"])
def test_14_1_2_beyond_the_end_is_unsatisfiable(line: str) -> None:
    assert asked(line) is UNSATISFIABLE


@pytest.mark.parametrize(
    "line",
    [
        "bytes=0-0,2-3",  # several: the whole is always right (§14.2)
        "bytes=0-0, -1",
        "items=0-5",  # other units
        "bytes=5-2",  # invalid
        "bytes=-0",
        "bytes=--5",
        "bytes=+1-2",
        "bytes=a-b",
        "bytes=-",
        "bytes=",
        "bytes",
        "=0-5",
        "",
        "bytes=1_0-",
        "bytes=²-",
        "bytes=0-" + "9" * 5000,
    ],
)
def test_14_2_other_ranges_are_ignored(line: str) -> None:
    assert asked(line) is None


def test_14_2_several_lines_are_ignored() -> None:
    assert part(Headers([("range", "bytes=0-1"), ("range", "bytes=2-3")]), Headers(), 10, RECEIVED) is None


def test_14_2_of_nothing() -> None:
    assert asked("bytes=0-", 0) is UNSATISFIABLE
    assert asked("bytes=-5", 0) is None  # satisfiable, but there is no first byte: all of it, which is nothing


def test_14_4_content_range() -> None:
    assert Part(2, 6, 10).content_range == "bytes 2-5/10"


# §13.1.5 If-Range


@pytest.mark.parametrize(
    ("validator", "stored", "holds"),
    [
        ('"a"', [("etag", '"a"')], True),
        ('"b"', [("etag", '"a"')], False),
        ('W/"a"', [("etag", 'W/"a"')], False),  # only the strong comparison
        ('W/"a"', [("etag", '"a"')], False),
        ('"a"', [("etag", 'W/"a"')], False),
        ('"a", "b"', [("etag", '"a"')], False),
        ('"a"', [], False),
        (BEFORE, [("last-modified", BEFORE), ("date", AT)], True),  # §8.8.2.2: a second older than the response is strong
        (AT, [("last-modified", AT), ("date", AT)], False),
        (AT, [("last-modified", AT)], False),  # it came a quarter of a second later
        (BEFORE, [("last-modified", BEFORE)], True),
        (AFTER, [("last-modified", BEFORE), ("date", AT)], False),  # it has to be the same, not later
        (BEFORE, [("date", AT)], False),
        ("x", [("etag", "x"), ("last-modified", "x")], False),
        ("", [], False),
        ("*", [("etag", '"a"')], False),
    ],
)
def test_13_1_5_a_part_only_of_exactly_what_is_stored(validator: str, stored: list[tuple[str, str]], holds: bool) -> None:
    wanted = part(Headers([("range", "bytes=0-4"), ("if-range", validator)]), Headers(stored), 10, RECEIVED)
    assert wanted == (Part(0, 5, 10) if holds else None)


def test_13_1_5_if_range_alone_is_ignored() -> None:
    assert part(Headers([("if-range", '"a"')]), Headers([("etag", '"a"')]), 10, RECEIVED) is None


@given(SOUP, SOUP, st.integers(0, 20))
def test_no_soup_raises_and_a_part_is_of_what_there_is(line: str, other: str, size: int) -> None:
    for text in (line, "bytes=" + line):
        wanted = part(Headers.received([("range", text)]), Headers.received([]), size, RECEIVED)
        assert wanted is None or wanted is UNSATISFIABLE or 0 <= wanted.start < wanted.end <= wanted.whole == size
    stored = Headers.received([("etag", other), ("last-modified", other)])
    is_unmodified(Headers.received([("if-none-match", line)]), stored, RECEIVED)
    is_unmodified(Headers.received([("if-modified-since", line)]), stored, RECEIVED)
    part(Headers.received([("range", "bytes=0-"), ("if-range", line)]), stored, size, RECEIVED)
