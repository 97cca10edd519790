"""Header fields as the cache reads them: the grammar, and what is made of what breaks it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_middleware.layers.cache.fields import MOST_SECONDS, age, date, delta, directives, members, named, seconds, tags

NOW = 1_800_000_000.25  # Fri, 15 Jan 2027 08:00:00 GMT
SOUP = st.text(st.sampled_from('",;= \t\\-=*/0123456789abnoprstuvxy-WGMT:\xe4'), max_size=60)


# Lists and quoted strings (RFC 9110 §5.6)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a, b", ["a", "b"]),
        ("", []),
        (" , a ,\t, b,", ["a", "b"]),  # §5.6.1.2: a recipient takes empty members and ignores them
        ('a="x, y", b', ['a="x, y"', "b"]),  # §5.6.4
        (r'a="x\", y", b', [r'a="x\", y"', "b"]),
        ('a="x, b', ['a="x', "b"]),  # no end of the quotes: every comma splits
        ('"", a', ['""', "a"]),
    ],
)
def test_lists_have_members(line: str, expected: list[str]) -> None:
    assert members(line) == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["max-age=60"], {"max-age": "60"}),
        (["MAX-AGE=60, Public"], {"max-age": "60", "public": None}),  # RFC 9111 §5.2: names have no case
        (["max-age=60", "public"], {"max-age": "60", "public": None}),  # RFC 9110 §5.3: several lines are one list
        (['max-age="60"'], {"max-age": "60"}),  # RFC 9111 §5.2: both forms of an argument
        ([r'private="\x-a"'], {"private": "x-a"}),
        (['extension="max-age=3600, no-store", max-age=1'], {"extension": "max-age=3600, no-store", "max-age": "1"}),
        (['private="a", private="b"'], {"private": "a,b"}),
        (["no-store, no-store"], {"no-store": None}),
        ([], {}),
    ],
)
def test_directives_have_arguments(lines: list[str], expected: dict[str, str | None]) -> None:
    assert directives(lines) == expected


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("max-age =60", "max-age"),
        ("max-age= 60", "max-age"),
        ("max-age=", "max-age"),
        ('max-age="60', "max-age"),
        ('max-age="60" x', "max-age"),
        ("max-age=60, max-age=10", "max-age"),  # RFC 9111 §4.2.1: stale, as the two contradict each other
        ("max-age=60, max-age", "max-age"),
        ("public; max-age=60", "public"),
        ("no-store; private", "no-store"),
        ("no-store max-age=60", "no-store"),
        ('"no-store"', "no-store"),
        ('x="a, no-store', "no-store"),
        ('private, private="a"', "private"),
        ('private, private="a", private="b"', "private"),
        ('private="", private="a"', "private"),
    ],
)
def test_a_wrong_directive_is_there_without_a_believable_argument(line: str, name: str) -> None:
    assert not directives([line])[name]
    assert not seconds(directives([line]), name)
    assert named(directives([line]), name) == frozenset()


def test_quotes_hide_nothing_of_another_line() -> None:
    assert "no-store" in directives(['a="', 'no-store, b="'])


# RFC 9111 §1.2.2: delta-seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("60", 60),
        ("0060", 60),
        ("0" * 30 + "60", 60),
        (str(2**31 - 1), 2**31 - 1),
        (str(2**31), MOST_SECONDS),
        ("9" * 5000, MOST_SECONDS),  # §1.2.2: as 2^31 (and no error, though int() would raise one)
        ("", None),
        ("-1", None),
        ("+1", None),
        ("1.0", None),
        ("1e3", None),
        ("1_000", None),
        (" 1", None),
        ("'60'", None),
        ("60a", None),
        ("²", None),
        ("٣", None),
    ],
)
def test_rfc9111_1_2_2_seconds_are_digits_and_nothing_else(text: str, expected: int | None) -> None:
    assert delta(text) == expected


def test_rfc9111_4_2_1_seconds_that_are_no_number_are_none_left() -> None:
    assert seconds(directives(["max-age=-5"]), "max-age") == 0
    assert seconds(directives(["max-age=0.5"]), "max-age") == 0
    assert seconds(directives(["max-age"]), "max-age") == 0
    assert seconds(directives(["public"]), "max-age") is None


# RFC 9111 §5.2.2.4, §5.2.2.7: qualified directives


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('private="Set-Cookie, X-A"', {"set-cookie", "x-a"}),
        ("private=x-a", {"x-a"}),  # the token form, which nobody should send, is understood
        ("private", set()),
        ('private="set-cookie x-a"', set()),  # no names: it is about the whole response
        ('private="a:b"', set()),
        ('private=","', set()),
        ('private="x-a, Vary"', set()),  # nor can the cache do without what it goes by
        ('private="cache-control"', set()),
        ("max-age=60", set()),
    ],
)
def test_rfc9111_5_2_2_7_a_directive_may_name_fields(line: str, expected: set[str]) -> None:
    assert named(directives([line]), "private") == expected


# RFC 9110 §5.6.7, RFC 9111 §4.2: dates

SIXTH_OF_NOVEMBER = 784_111_777


@pytest.mark.parametrize(
    "text",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",  # IMF-fixdate
        "Sunday, 06-Nov-94 08:49:37 GMT",  # RFC 850
        "Sun Nov  6 08:49:37 1994",  # asctime
        "Sun Nov 06 08:49:37 1994",
        "sUN, 06 nOV 1994 08:49:37 gmt",  # RFC 9111 §4.2: a cache should match without regard to case
        "SUNDAY, 06-NOV-94 08:49:37 GMT",
        "SUN NOV  6 08:49:37 1994",
    ],
)
def test_rfc9110_5_6_7_a_date_has_one_of_three_forms(text: str) -> None:
    assert date(text, NOW) == SIXTH_OF_NOVEMBER


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "-1",
        "784111777",
        "Sun, 06 Nov 1994 08:49:37 UTC",  # RFC 9111 §4.2: another zone than GMT is invalid
        "Sun, 06 Nov 1994 08:49:37 +0000",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun 06 Nov 1994 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun, 06-Nov-1994 08:49:37 GMT",
        "Sun, 06  Nov  1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 8:49:37 GMT",
        "Sun, 06 Nov 1994 08.49.37 GMT",
        "Sunday, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 November 1994 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Mon, 29 Feb 2027 08:49:37 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        " Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT\n",
        "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, ٠٦ Nov 1994 08:49:37 GMT",
    ],
)
def test_rfc9110_5_6_7_nothing_looser_is_a_date(text: str) -> None:
    assert date(text, NOW) is None


@pytest.mark.parametrize(
    ("text", "same_as"),
    [
        ("Friday, 15-Jan-27 08:00:00 GMT", "Fri, 15 Jan 2027 08:00:00 GMT"),
        ("Friday, 15-Jan-77 08:00:00 GMT", "Fri, 15 Jan 2077 08:00:00 GMT"),  # 50 years from now to the second
        ("Friday, 15-Jan-77 08:00:01 GMT", "Sat, 15 Jan 1977 08:00:01 GMT"),  # more than 50
        ("Sunday, 31-Dec-99 23:59:60 GMT", "Sat, 01 Jan 2000 00:00:00 GMT"),  # and a leap second
        ("Saturday, 01-Jan-00 00:00:00 GMT", "Sat, 01 Jan 2000 00:00:00 GMT"),
    ],
)
def test_rfc9110_5_6_7_a_year_of_two_digits_is_at_most_50_years_ahead(text: str, same_as: str) -> None:
    assert date(text, NOW) == date(same_as, NOW) is not None


# RFC 9111 §5.1: Age


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], 0),
        (["7200"], 7200),
        (["7200, 0"], 7200),  # the first member is used, the others are discarded
        (["0, 7200"], 0),
        (["7200", "0"], 7200),
        ([", 7200"], 7200),
        (["9" * 30], MOST_SECONDS),
        (["abc"], 0),  # what is invalid is ignored
        (["-7200"], 0),
        (["7200.0"], 0),
        (["abc, 7200"], 0),
        ([""], 0),
    ],
)
def test_rfc9111_5_1_age_is_its_first_member(lines: list[str], expected: int) -> None:
    assert age(lines) == expected


# RFC 9110 §13.1.2, §8.8.3: entity tags


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('"a"', ['"a"']),
        ('"a", W/"b" , "c"', ['"a"', 'W/"b"', '"c"']),
        ('"a,b"', ['"a,b"']),
        ('""', ['""']),
        ('"\xe4"', ['"\xe4"']),  # obs-text may stand in a tag
        ("*", None),
        (" * ", None),
        ('*, "a"', ['"a"']),
        ("a", []),
        ('"a b"', []),
        ('"a', []),
        ("", []),
    ],
)
def test_rfc9110_13_1_2_entity_tags_are_quoted(line: str, expected: list[str] | None) -> None:
    assert tags(line) == expected


@given(st.lists(SOUP, max_size=3), SOUP)
def test_no_soup_raises(lines: list[str], text: str) -> None:
    found = directives(lines)
    assert all(0 <= (seconds(found, name) or 0) <= MOST_SECONDS for name in found)
    assert all(part and "," not in part for name in found for part in named(found, name))
    assert 0 <= age(lines) <= MOST_SECONDS
    for line in lines:
        date(line, NOW)
        tags(line)


@given(st.lists(SOUP, max_size=3), st.sampled_from(["no-store", "private", "no-cache", "must-revalidate"]), st.integers(0, 3))
def test_a_directive_on_a_line_of_its_own_is_always_seen(lines: list[str], name: str, place: int) -> None:
    lines.insert(place, name)
    found = directives(lines)
    assert name in found
    assert not found[name]
