"""Parts of a body: what is stored when only a range was asked for, and what is made of it (RFC 9111 §3.3, §3.4)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_middleware.http import Headers
from redis_middleware.layers.cache.conditions import Part
from redis_middleware.layers.cache.entry import Entry
from redis_middleware.layers.cache.parts import joined, sent
from redis_middleware.storage import Storage

from ...edges import Edge, Seen
from .site import Site, header, told

MINUTE = [("cache-control", "max-age=60")]

WHOLE = bytes(range(48, 58)) * 2000  # longer than what travels with its head

TAG = '"v1"'


class Film(Site):
    """An app that knows ranges, of the one form `bytes=a-b`."""

    def __init__(self, edge: Edge, storage: Storage, **options: Any) -> None:
        super().__init__(edge, storage, **options)
        self.tag: str | None = TAG
        self.whole = WHOLE
        self.act = self._film

    def _film(self, seen: Seen) -> Any:
        lines = [*MINUTE, ("content-type", "video/mp4"), *([("etag", self.tag)] if self.tag else [])]
        asked = header(seen, "range")
        if asked is None:
            return 200, [*lines, ("content-length", str(len(self.whole)))], [self.whole]
        first, last = (int(number) for number in asked.removeprefix("bytes=").split("-"))
        piece = self.whole[first : last + 1]
        lines += [("content-range", f"bytes {first}-{last}/{len(self.whole)}"), ("content-length", str(len(piece)))]
        return 206, lines, [piece]

    def range(self, first: int, last: int, **headers: str) -> tuple[int, str | None, bool]:
        """Status, `Content-Range`, and whether the bytes are right."""
        answer = self.get(range=f"bytes={first}-{last}", **headers)
        return answer.status, answer.headers.get("content-range"), answer.body == self.whole[first : last + 1]


@pytest.fixture
def film(edge: Edge, storage: Storage) -> Film:
    return Film(edge, storage)


def right(first: int, last: int) -> tuple[int, str, bool]:
    return 206, f"bytes {first}-{last}/{len(WHOLE)}", True


@pytest.mark.parametrize(("first", "last"), [(0, 99), (100, 9999), (19000, 19999)])
def test_a_part_is_stored_and_answers_for_itself_and_what_is_in_it(film: Film, first: int, last: int) -> None:
    assert film.range(first, last) == right(first, last)
    assert film.range(first, last) == right(first, last)
    assert film.range(first + 10, last - 10) == right(first + 10, last - 10)
    assert film.runs == 1


def test_a_range_that_counts_from_the_end_is_found_in_it(film: Film) -> None:
    film.range(19000, 19999)
    answer = film.get(range="bytes=-5")
    assert (answer.status, answer.body, film.runs) == (206, b"56789", 1)
    answer = film.get(range="bytes=19990-")
    assert (answer.status, answer.body, film.runs) == (206, WHOLE[19990:], 1)


def test_it_does_not_answer_for_the_rest(film: Film) -> None:
    film.range(100, 199)
    assert film.range(0, 150) == right(0, 150)
    assert film.runs == 2
    answer = film.get()
    assert (answer.status, answer.body, told(answer)) == (200, WHOLE, "fwd=partial; stored")
    assert film.head().headers.get("content-length") == str(len(WHOLE))
    assert film.runs == 3  # the whole answers for all


def test_head_is_not_answered_from_a_part(film: Film) -> None:
    film.range(0, 99)
    assert told(film.head(range="bytes=0-99")).startswith("fwd=partial")


def test_parts_of_the_same_body_that_touch_become_one(film: Film) -> None:
    film.range(0, 99)
    film.range(100, 9999)
    assert film.range(50, 5000) == right(50, 5000)
    assert film.runs == 2


def test_all_parts_together_are_the_whole(film: Film) -> None:
    for first in range(0, 20000, 5000):
        film.range(first, first + 4999)
    answer = film.get()
    assert (answer.status, answer.body, film.runs) == (200, WHOLE, 4)
    assert answer.headers.get("content-range") is None


@pytest.mark.parametrize("tag", [None, 'W/"v1"'])
def test_without_a_strong_validator_nothing_is_put_together(film: Film, tag: str | None) -> None:
    film.tag = tag
    film.range(0, 99)
    film.range(100, 199)
    assert film.range(100, 199) == right(100, 199)
    assert film.runs == 2
    film.range(50, 150)
    assert film.runs == 3


def test_nor_with_what_has_changed(film: Film) -> None:
    film.range(0, 99)
    film.tag, film.whole = '"v2"', WHOLE[::-1]
    film.range(100, 199)
    assert film.range(50, 150)[2]
    assert film.runs == 3


def test_if_range_has_to_hold(film: Film) -> None:
    film.range(0, 99)
    assert film.range(0, 99, if_range=TAG) == right(0, 99)
    assert film.runs == 1
    film.range(0, 99, if_range='"v0"')
    assert film.runs == 2


def test_no_more_is_put_together_than_may_be_stored(edge: Edge, storage: Storage) -> None:
    film = Film(edge, storage, max_body_bytes=6000)
    film.range(0, 4999)
    film.range(5000, 9999)
    assert film.range(5000, 9999) == right(5000, 9999)
    assert film.runs == 2
    film.range(0, 4999)
    assert film.runs == 3


@pytest.mark.parametrize(
    "line", ["bytes 0-4/*", "bytes */10", "bytes 5-4/10", "bytes 0-10/10", "items 0-4/10", "bytes 0-4/10, bytes 5-9/10", "x", ""]
)
def test_what_does_not_say_what_it_has_is_not_stored(site_of: Any, line: str) -> None:
    site = site_of([*MINUTE, ("content-range", line)], 206, b"01234")
    assert told(site.get(range="bytes=0-4")) == "fwd=uri-miss; detail=partial"


def test_nor_is_a_part_of_another_length_than_it_says(site_of: Any) -> None:
    site = site_of([*MINUTE, ("content-range", "bytes 4-9/10")], 206, b"01234")
    site.get(range="bytes=-5")
    site.get(range="bytes=-5")
    assert site.runs == 2


@pytest.fixture
def site_of(edge: Edge, storage: Storage) -> Any:
    def make(headers: Any, status: int, body: bytes) -> Site:
        site = Site(edge, storage, headers)
        site.status, site.body = status, body
        return site

    return make


# Bare


def test_several_lines_say_nothing() -> None:
    assert sent(Headers([("content-range", "bytes 0-4/10"), ("content-range", "bytes 0-4/10")])) is None
    assert sent(Headers([("content-range", "Bytes 0-4/10")])) == Part(0, 5, 10)


@given(st.binary(min_size=2, max_size=20), st.data())
def test_what_is_put_together_is_the_body(whole: bytes, data: Any) -> None:
    def some() -> tuple[int, int]:
        first = data.draw(st.integers(0, len(whole) - 1))
        return first, data.draw(st.integers(first + 1, len(whole)))

    (one, end), (other, last) = some(), some()
    lines = [("etag", TAG)]
    stored = Entry(206, lines, 1, 1, 0, 60, end - one, None, b"", part=(one, len(whole)))
    found = joined(stored, whole[one:end], Part(other, last, len(whole)), whole[other:last], Headers(lines))
    assert (found is not None) is (other <= end and one <= last)
    if found is not None:
        part, body = found
        assert (part.start, part.end) == (min(one, other), max(end, last))
        assert body == whole[part.start : part.end]
