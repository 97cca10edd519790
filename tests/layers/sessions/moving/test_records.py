"""Bytes to contents: what is read, and what is bounded."""

from __future__ import annotations

import gzip
import json
import lzma
import math
import zlib
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
import pytest

from redis_middleware.layers.sessions.moving import Unreadable
from redis_middleware.layers.sessions.moving.records import MOST_BYTES, MOST_LEVELS, inflated, mapping


def nested(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


def test_json_is_read_as_python_writes_it() -> None:
    read = mapping(json.dumps({"ü": math.nan, "n": 2**100, "e": "😀"}).encode(), instead="")
    assert math.isnan(read.pop("ü"))
    assert read == {"n": 2**100, "e": "😀"}


def test_messagepack_keeps_times_and_bytes() -> None:
    contents = {"when": datetime(2024, 5, 1, tzinfo=UTC), "raw": b"\0", "of": {1: [None]}}
    assert mapping(msgspec.msgpack.encode(contents), instead="") == contents


@pytest.mark.parametrize("contents", [{}, {str(n): n for n in range(16)}, {str(n): n for n in range(1 << 16)}])
def test_each_size_of_map_in_messagepack_is_known(contents: dict[str, int]) -> None:
    assert mapping(msgspec.msgpack.encode(contents), instead="") == contents


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "expected a mapping in JSON or MessagePack, got 0 bytes"),
        (b"{", "expected a mapping"),
        (b"[1]", "expected a mapping"),
        (b"\x91\x01", "Expected `object`, got `array`"),
        (b"\x81\x01\x01", "Expected `str`, got `int`"),
        (b"\x81\xa1a\xd4\x05\x00", "extension type 5 is not known"),
        (b"\x81\xa1a\x81\x90\x01", "a key of type tuple"),
        (b'{"a":"\\ud800"}', "surrogates"),
        (nested(MOST_LEVELS + 1), "deeper than 64 levels"),
        (nested(100_000), "nested far deeper"),
        (b'{"a":"' + b"a" * MOST_BYTES + b'"}', "at most 1048576 bytes, got 1048584"),
    ],
    ids=range(11),
)
def test_the_error_says_why(raw: bytes, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        mapping(raw, instead="")


def test_as_many_levels_as_a_session_stores_are_read() -> None:
    mapping(nested(MOST_LEVELS), instead="")


@pytest.mark.parametrize("compress", [zlib.compress, gzip.compress])
@pytest.mark.parametrize("size", [0, 1, MOST_BYTES])
def test_zlib_and_gzip_are_inflated(compress: Callable[[bytes], bytes], size: int) -> None:
    assert inflated(compress(b"a" * size)) == b"a" * size


@pytest.mark.parametrize("raw", [b"", b'{"a":1}', b"\x80", lzma.compress(b"a")])
def test_anything_else_stays_as_it_is(raw: bytes) -> None:
    assert inflated(raw) == raw


def bomb() -> bytes:
    deflater = zlib.compressobj(9)
    return b"".join([deflater.compress(bytes(1 << 20)) for _ in range(64)]) + deflater.flush()


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (bomb(), "compressed and larger"),
        (zlib.compress(bytes(MOST_BYTES + 1)), "compressed and larger"),
        (zlib.compress(b"a")[:-1], "does not end where it should"),
        (zlib.compress(b"a") + b"a", "does not end where it should"),
        (gzip.compress(b"a")[:4], "does not end where it should"),
        (zlib.compress(b"a")[:-1] + b"x", "damaged"),
        (b"x", "does not end"),
        (b"xx", "damaged"),
    ],
    ids=range(8),
)
def test_bombs_and_damage_are_unreadable(raw: bytes, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        inflated(raw)
