"""An entry: a stored response, framed in bytes.

What is read is only believed if its version and its checksum are right; anything else is a miss. A body of more than a few
KiB stands beside its head under a key of its own, so that an answer that has no body does not move it.
"""

from __future__ import annotations

from zlib import crc32

import msgspec

INLINE = 4096
"""Bytes of a body that travels with its head: about what a packet or three carry anyway."""

VERSION = b"\x01"

MADE = '"rm-'
"""How an entity tag begins that was made here: the app does not know it."""


class Entry(msgspec.Struct, array_like=True, frozen=True):
    """A stored response. Times are microseconds of the storage's clock; `age` is how old it was when it was `received`."""

    status: int
    lines: list[tuple[str, str]]
    began: int
    """When the request that fetched it began: what was purged since is not in it."""
    received: int
    age: float
    lifetime: float
    size: int
    body: bytes | None
    """The body; None if it stands beside."""
    mark: bytes
    """The body that belongs to this head is framed with the same."""
    tags: tuple[str, ...] = ()
    shared: bool = False
    """Whether it may answer requests with credentials."""
    part: tuple[int, int] | None = None
    """The bytes of the whole that it has, if it is only a part: the first, and how many the whole has."""
    took: float = 0.0
    """Seconds that the app took to make it."""

    def header(self, name: str) -> str | None:
        """The value of a stored field, None without it."""
        return next((value.strip() for known, value in self.lines if known.lower() == name), None)

    @property
    def can_be_validated(self) -> bool:
        """Whether the app can say if what is stored is still right: by a validator of its own. Parts are fetched again."""
        if self.part is not None:
            return False
        return self.header("last-modified") is not None or not (self.header("etag") or MADE).startswith(MADE)


_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(Entry).decode


def encode(entry: Entry) -> bytes:
    """An entry without what stands beside it."""
    return framed(_pack(entry))


def decode(raw: bytes) -> Entry | None:
    """The entry that was encoded; None for anything else."""
    packed = unframed(raw)
    try:
        return None if packed is None else _unpack(packed)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def framed(packed: bytes, mark: bytes = b"") -> bytes:
    """Bytes with a version and a checksum in front."""
    return VERSION + crc32(packed, crc32(mark)).to_bytes(4, "big") + packed


def unframed(raw: bytes, mark: bytes = b"") -> bytes | None:
    """The bytes that were framed; None if they are others, or of another version."""
    packed = raw[5:]
    ours = raw[:1] == VERSION and raw[1:5] == crc32(packed, crc32(mark)).to_bytes(4, "big")
    return packed if ours else None
