"""What a client gets of a stored response."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_middleware import Request, Response
from redis_middleware.http import Headers, framed
from redis_middleware.layers.cache.answer import age, answer, left, wants_body
from redis_middleware.layers.cache.entry import Entry

SECOND = 1_000_000
RECEIVED = 1_800_000_000 * SECOND
BODY = b"0123456789"
LINES = [
    ("content-type", "text/plain"),
    ("Content-Length", "10"),
    ("ETag", '"a"'),
    ("cache-control", "max-age=60"),
    ("age", "5"),
    ("x-a", "1"),
    ("x-a", "2"),
]


def entry(**changes: Any) -> Entry:
    fields: dict[str, Any] = {
        "status": 200, "lines": LINES, "began": RECEIVED, "received": RECEIVED, "age": 5.0, "lifetime": 60.0, "size": 10,
        "body": BODY, "mark": b"",
    }  # fmt: skip
    return Entry(**fields | changes)


def got(
    asked: Sequence[tuple[str, str]] = (), *, method: str = "GET", body: bytes = BODY, hidden: Any = (), **changes: Any
) -> Response:
    request = Request(method, "/", headers=asked)
    return answer(request, entry(**changes), body, RECEIVED + 7 * SECOND, "hit", frozenset(hidden))


def test_all_of_it_with_its_age_and_what_the_cache_did() -> None:
    response = got()
    assert (response.status, response.body) == (200, BODY)
    assert response.headers.getall("age") == ["12"]  # RFC 9111 §5.1: in place of the one that it came with
    assert response.headers.getall("cache-status") == ["redis_middleware; hit"]  # RFC 9211 §2
    assert response.headers.getall("x-a") == ["1", "2"]


def test_rfc9111_4_2_3_age_and_what_is_left() -> None:
    assert age(entry(), RECEIVED + SECOND // 2) == 5.5
    assert age(entry(), RECEIVED - SECOND) == 5  # a clock that went back makes nothing younger
    assert left(entry(), RECEIVED + 5 * SECOND) == 50
    assert left(entry(), RECEIVED + 55 * SECOND) == 0  # §4.2: fresh is what has more lifetime than age


def test_rfc9110_15_4_5_a_304_says_what_a_200_would_but_nothing_of_a_body() -> None:
    lines = [*LINES, ("content-language", "de"), ("content-location", "/a"), ("vary", "accept"), ("expires", "0"), ("date", "x")]
    response = got([("if-none-match", '"a"')], lines=lines)
    assert (response.status, response.body) == (304, b"")
    names = [name.lower() for name, _ in response.headers]
    assert names == [
        "etag", "cache-control", "x-a", "x-a", "content-location", "vary", "expires", "date", "age", "cache-status",
    ]  # fmt: skip


@pytest.mark.parametrize("status", [203, 301, 404, 410])
def test_rfc9110_13_2_1_conditions_are_about_a_200(status: int) -> None:
    asked = [("if-none-match", "*"), ("range", "bytes=0-1")]
    assert wants_body(Request("GET", "/", headers=asked), entry(status=status))
    response = got(asked, status=status)
    assert (response.status, response.body) == (status, BODY)


def test_a_body_is_only_wanted_where_it_is_sent() -> None:
    assert wants_body(Request("GET", "/"), entry())
    assert wants_body(Request("GET", "/", headers=[("range", "bytes=0-1")]), entry())
    assert not wants_body(Request("HEAD", "/"), entry())
    assert not wants_body(Request("GET", "/", headers=[("if-none-match", '"a"')]), entry())


@pytest.mark.parametrize("stored", [LINES, [("etag", '"a"')]], ids=["with-length", "without"])
def test_rfc9110_9_3_2_head_has_the_fields_of_get(stored: list[tuple[str, str]]) -> None:
    response = got(method="HEAD", body=b"", lines=stored)
    assert (response.status, response.body) == (200, b"")
    assert response.headers.getall("content-length") == ["10"]
    assert got([("if-none-match", '"a"')], method="HEAD").status == 304
    assert got([("range", "bytes=0-1")], method="HEAD").status == 200  # §14.2: ranges are for GET


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_rfc9110_8_6_a_204_has_no_length(method: str) -> None:
    response = got(method=method, status=204, size=0, body=b"", lines=[("x-a", "1")])
    assert "content-length" not in Headers(framed(response, method)[0])


def test_rfc9110_15_3_7_a_part() -> None:
    response = got([("range", "bytes=2-4")])
    assert (response.status, response.body) == (206, b"234")
    assert response.headers.getall("content-range") == ["bytes 2-4/10"]
    lines = Headers(framed(response, "GET")[0])
    assert lines.getall("content-length") == ["3"]
    assert lines.getall("etag") == ['"a"']
    assert lines.getall("cache-control") == ["max-age=60"]


def test_rfc9110_15_5_17_no_such_part() -> None:
    response = got([("range", "bytes=10-")])
    assert (response.status, response.body) == (416, b"")
    assert response.headers.getall("content-range") == ["bytes */10"]


def test_rfc9110_13_2_2_a_condition_comes_before_a_range() -> None:
    assert got([("range", "bytes=2-4"), ("if-none-match", '"a"')]).status == 304
    assert got([("range", "bytes=2-4"), ("if-none-match", '"b"')]).status == 206
    assert got([("range", "bytes=2-4"), ("if-range", '"b"')]).status == 200


def test_rfc9111_5_2_2_4_fields_that_have_to_be_validated_are_not_shown() -> None:
    assert "x-a" not in got(hidden={"x-a"}).headers
    assert "x-a" not in got([("if-none-match", '"a"')], hidden={"x-a"}).headers


def test_lines_that_the_app_made_are_not_checked_again() -> None:
    odd = [("etag", '"a"'), ("x y", "€\n")]
    assert [got(asked, lines=odd).status for asked in ([], [("if-none-match", '"a"')], [("range", "bytes=0-0")])] == [
        200,
        304,
        206,
    ]


CONDITIONS = st.sampled_from(["if-none-match", "if-modified-since", "if-range", "range", "if-match", "if-unmodified-since"])
VALUES = st.one_of(st.sampled_from(['"a"', "*", "bytes=0-", "bytes=-3", "bytes=99-"]), st.text(st.characters(max_codepoint=255)))


@given(st.lists(st.tuples(CONDITIONS, VALUES), max_size=4), st.sampled_from(["GET", "HEAD"]), st.sampled_from([200, 204, 404]))
def test_no_soup_raises_and_one_length_is_said(asked: list[tuple[str, str]], method: str, status: int) -> None:
    request = Request(method, "/", headers=lambda: asked)
    size = 0 if status == 204 else 10
    stored = entry(status=status, size=size, lines=LINES if size else [])
    response = answer(request, stored, BODY[:size], RECEIVED, "hit")
    lines, body = framed(response, method)
    lengths = Headers.received(lines).getall("content-length")
    assert len(lengths) == (0 if response.status in (204, 304) else 1)
    if method == "GET" and lengths:
        assert int(lengths[0]) == len(body)
    assert wants_body(request, stored) or not body
