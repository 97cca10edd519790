"""`CDN-Cache-Control`: strict where `Cache-Control` is not (RFC 9213)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_middleware.layers.cache.structured import directives


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["max-age=60"], {"max-age": "60"}),
        (["max-age=60", "public"], {"max-age": "60", "public": None}),
        (['no-cache="set-cookie, x-a"'], {"no-cache": "set-cookie, x-a"}),
        (["max-age=60;a=b"], {"max-age": "60"}),  # §2.1: parameters are ignored
        (["max-age=99999999999"], {"max-age": "2147483648"}),  # RFC 9111 §1.2.2
        (["max-age=1, max-age=2"], {"max-age": "2"}),  # RFC 9651 §4.2.2: the last one of a dictionary holds
        (["max-age=60, public=?0"], {"max-age": "60"}),
    ],
)
def test_rfc9213_2_1_a_targeted_field_is_a_dictionary(lines: list[str], expected: dict[str, str | None]) -> None:
    assert directives(lines) == expected


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [""],
        ["  "],
        ["max-age=60, &&&"],
        ["Max-Age=60"],  # keys are in lower case
        ["max-age =60"],
        ["max-age= 60"],
        ["max-age=60,"],
        ['private="a'],
        ["max-age=9999999999999999"],  # more than 15 digits
        ["max-age=60; max-age=6 0"],
        ["a=\xe4"],
        ["a=€"],
        ["no-store=?0"],  # says nothing
    ],
)
def test_rfc9213_2_1_what_is_invalid_or_empty_is_as_if_it_were_not_there(lines: list[str]) -> None:
    assert directives(lines) is None


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("max-age=60.5", "max-age"),
        ('max-age="60"', "max-age"),
        ("max-age=sixty", "max-age"),
        ("max-age=(60)", "max-age"),
        ("max-age=@60", "max-age"),
        ("max-age=:aGk=:", "max-age"),
        ("private=set-cookie", "private"),
        ('private=("set-cookie")', "private"),
        ("no-cache=5", "no-cache"),
        ('public="yes"', "public"),
    ],
)
def test_rfc9213_2_1_a_value_of_the_wrong_type_is_not_consumed(line: str, name: str) -> None:
    assert directives([line]) == {name: ""}


@given(st.lists(st.text(st.sampled_from('",;=?0159ab-:*@%()\\ \t\xe4€'), max_size=30), max_size=3))
def test_no_soup_raises(lines: list[str]) -> None:
    found = directives(lines)
    assert found is None or found
