"""From a record's bytes to a session's contents.

Rules:

* A record says by its first byte what it is: `{` is JSON, 80-8F and DE-DF are a map in MessagePack, 78 is zlib and 1F 8B is
  gzip. Nothing is tried out. A pickle is none of these: 80 is also the empty map, but a pickle goes on.
* A record is at most `MOST_BYTES` long, before and after it is decompressed.
* What is returned is what a session can hold: its keys are text, and nothing in it is nested deeper than `MOST_LEVELS`.
"""

from __future__ import annotations

import json
import zlib
from typing import Any

import msgspec

from .reader import Unreadable

MOST_BYTES = 1 << 20

MOST_LEVELS = 64
"""How many containers may stand in one another, the session itself among them: as many as a session can store."""

_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS  # the header says which


def mapping(raw: bytes, *, instead: str) -> dict[str, Any]:
    """A record in JSON or MessagePack as a dict.

    JSON is read as Python writes it, with NaN. Raises `Unreadable` for everything else; for pickle it says `instead`: what
    is to be done in the old library so that there are no pickles left.
    """
    if _is_pickle(raw):
        raise Unreadable(
            f"the record is a pickle, and is not read: to unpickle lets whoever can write to Redis run code. {instead}"
        )
    if len(raw) > MOST_BYTES:
        raise Unreadable(f"expected a record of at most {MOST_BYTES} bytes, got {len(raw)}")
    try:
        contents: dict[str, Any] = json.loads(raw.decode()) if raw.startswith(b"{") else _msgpack.decode(raw)
        _check(contents)
    except RecursionError as exc:
        raise Unreadable(f"expected a record of at most {MOST_LEVELS} levels, got one that is nested far deeper") from exc
    except (msgspec.DecodeError, ValueError) as exc:
        raise Unreadable(f"expected a mapping in JSON or MessagePack, got {len(raw)} bytes: {exc}") from exc
    return contents


def inflated(raw: bytes) -> bytes:
    """A record decompressed, if it is in zlib's or gzip's format; else as it is.

    Raises `Unreadable` for more than `MOST_BYTES`, and for what was cut short or damaged.
    """
    if not raw.startswith((b"\x78", b"\x1f\x8b")):
        return raw
    inflater = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        whole = inflater.decompress(raw, MOST_BYTES + 1)
    except zlib.error as exc:
        raise Unreadable(f"the record is compressed and damaged: {exc}") from exc
    if len(whole) > MOST_BYTES:
        raise Unreadable(f"expected a record of at most {MOST_BYTES} bytes, got one that is compressed and larger")
    if not inflater.eof or inflater.unused_data:
        raise Unreadable("the record is compressed and does not end where it should")
    return whole


def _check(value: object, levels: int = MOST_LEVELS) -> None:
    """Raises `ValueError` for what a session cannot store."""
    if isinstance(value, str):
        value.encode()  # refuses lone surrogates
    elif isinstance(value, dict | list):
        if levels == 0:
            raise ValueError(f"it is nested deeper than {MOST_LEVELS} levels")
        if isinstance(value, dict):
            for key in value:
                if not isinstance(key, str | bytes | int | float | None):
                    raise ValueError(f"it has a key of type {type(key).__name__}")
                _check(key)
        for item in value.values() if isinstance(value, dict) else value:
            _check(item, levels - 1)


def _is_pickle(raw: bytes) -> bool:
    """Protocols 2 and up say so; a dict in protocol 0 or 1 begins and ends like nothing else that is read here."""
    raw = raw.removeprefix(b"!")  # cachelib's mark
    if raw.startswith(b"\x80"):
        return len(raw) > 1 and 2 <= raw[1] < 16
    return raw.startswith((b"(", b"}", b"c")) and raw.endswith(b".")


def _refuse(code: int, _: memoryview) -> Any:
    raise ValueError(f"extension type {code} is not known")


_msgpack = msgspec.msgpack.Decoder(dict[str, Any], ext_hook=_refuse)
