"""What clients might send and what Redis might hold, near to what readers expect; and what they may make of it."""

from __future__ import annotations

import json
import string
import zlib
from typing import Any

import msgspec
from hypothesis import strategies as st

from redis_middleware.layers.sessions.codec import decode, encode
from redis_middleware.layers.sessions.moving import Reader, Unreadable

ids = st.one_of(
    st.uuids().map(str),
    st.text("0123456789abcdef", min_size=32, max_size=32),
    st.text(string.ascii_letters + string.digits + "-_", min_size=30, max_size=44),
)
near = st.builds(lambda head, sid, tail: head + sid + tail, st.sampled_from(["", "s:", "s%3A", " "]), ids, st.text(max_size=3))
signed = st.builds("{}.{}".format, near, st.text(string.ascii_letters + string.digits + "-_+/=%\0", max_size=44))
values = st.one_of(st.text(), st.text(st.characters()), near, signed, st.text("%0123456789abcdefs:.-_", max_size=90))

json_like = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=8,
)
documents = st.dictionaries(
    st.one_of(st.text(), st.sampled_from(["cookie", "__metadata__", "_permanent"])), json_like, max_size=4
)
express = st.builds(
    lambda contents, expires: contents | {"cookie": {"expires": expires}},
    documents,
    st.one_of(json_like, st.datetimes().map(str)),
)
plain = st.one_of(
    st.binary(),
    st.one_of(documents, express).map(json.dumps).map(str.encode),
    st.builds(
        lambda head, tail: head + tail, st.sampled_from([b"\x80", b"\x81\xa1a", b"\xde\x00\x01", b"{", b"\x80\x04"]), st.binary()
    ),
    documents.filter(lambda one: min(_numbers(one)) >= -(2**63) and max(_numbers(one)) < 2**64).map(msgspec.msgpack.encode),
)
records = st.one_of(plain, plain.map(zlib.compress), plain.map(lambda raw: zlib.compress(raw)[:-1]))


def _numbers(value: Any) -> list[int]:
    if isinstance(value, dict):
        return [0, *(number for item in value.values() for number in _numbers(item))]
    if isinstance(value, list):
        return [0, *(number for item in value for number in _numbers(item))]
    return [value if isinstance(value, int) else 0]


def check_contents(reader: Reader, raw: bytes) -> None:
    """A record is contents that a session can store, or `Unreadable`."""
    try:
        contents = reader.decode(raw)
    except Unreadable:
        return
    for key, value in contents.items():
        assert isinstance(key, str)
        key.encode()
        stored = encode(value)
        assert encode(decode(stored)) == stored
