"""Entries: what is read back is what was written, or nothing."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from redis_middleware.layers.cache.entry import VERSION, Entry, decode, encode, framed, unframed

LATIN = st.text(st.characters(max_codepoint=255))
TIMES = st.integers(0, 2**53)
ENTRIES = st.builds(
    Entry,
    status=st.integers(200, 599),
    lines=st.lists(st.tuples(LATIN, LATIN)),
    began=TIMES,
    received=TIMES,
    age=st.floats(0, 2**31),
    lifetime=st.floats(0, 2**31),
    size=st.integers(0, 2**40),
    body=st.one_of(st.none(), st.binary()),
    mark=st.binary(max_size=8),
    tags=st.lists(LATIN).map(tuple),
    shared=st.booleans(),
)


@given(ENTRIES)
def test_what_was_encoded_is_decoded(entry: Entry) -> None:
    assert decode(encode(entry)) == entry


@given(st.binary(max_size=200))
@example(b"")
@example(VERSION)
@example(framed(b""))
@example(framed(b"\xc0"))
@example(framed(b"\x91" * 100_000))  # nested deeper than any stack
@example(framed(b"\xdd\xff\xff\xff\xff"))  # an array of 4 billion
@example(framed(b"\x9c\xcd\x00\xc8\x90" + b"\x00" * 10))
def test_other_bytes_are_none_and_never_an_exception(raw: bytes) -> None:
    assert decode(raw) is None
    assert decode(framed(raw)) is None  # nor with a checksum that is right


@given(ENTRIES, st.data())
def test_one_wrong_bit_makes_it_none(entry: Entry, data: st.DataObject) -> None:
    raw = bytearray(encode(entry))
    place = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[place // 8] ^= 1 << place % 8
    assert decode(bytes(raw)) is None


@given(ENTRIES, st.data())
def test_an_entry_cut_short_is_none(entry: Entry, data: st.DataObject) -> None:
    raw = encode(entry)
    assert decode(raw[: data.draw(st.integers(0, len(raw) - 1))]) is None


def test_another_version_is_none() -> None:
    assert unframed(framed(b"body")) == b"body"
    assert unframed(b"\x02" + framed(b"body")[1:]) is None


@pytest.mark.parametrize("mark", [b"", b"11111112", b"1111111"])
def test_a_body_belongs_to_the_head_with_its_mark(mark: bytes) -> None:
    assert unframed(framed(b"body", b"11111111"), b"11111111") == b"body"
    assert unframed(framed(b"body", b"11111111"), mark) is None
