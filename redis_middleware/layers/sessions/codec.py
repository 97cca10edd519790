"""What a session stores, as bytes and back: msgpack, and never pickle.

Rules:

* A value comes back equal and of its type. What JSON would turn into something else (a tuple, a set, a time, a `Decimal`) is
  written under a msgpack extension code of its own. A subclass comes back as the nearest type listed in `STORABLE`.
* What cannot come back is refused when it is written, and the error says where in the value it stands.
* A value has one encoding, and `decode` takes nothing else. So whatever is read can be written, and comes out unchanged:
  a session that nobody touched has the bytes it had.
* Nobody can break the reader. Whatever the bytes are, it returns a value or raises `Undecodable`; bytes never run code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime
from decimal import Decimal
from reprlib import repr as shortened
from types import NoneType
from typing import Any
from uuid import UUID

from markupsafe import Markup
from msgspec import Raw
from msgspec.msgpack import Decoder, Encoder, Ext

MOST_LEVELS = 64
"""How many containers may stand in one another: more than data has, and far from where Python or msgspec give up."""

STORABLE = "None, bool, int, float, str, bytes, list, dict, tuple, set, frozenset, datetime, date, UUID, Decimal and Markup"
"""What can be stored, as error messages say it."""

Path = tuple[object, ...]  # the indexes and keys that lead to a value; `...` for an item of a set, which has none

_INT, _TUPLE, _SET, _FROZENSET, _DATETIME, _DATE, _UUID, _DECIMAL, _MARKUP = range(1, 10)  # at rest: never renumber them
_STRANGE = "what is stored is not what this version of redis_middleware writes: it was cut or changed"
_SCALARS = frozenset({NoneType, bool, int, float, str, bytes})
_pack = Encoder().encode


class Undecodable(ValueError):
    """Bytes at rest that are not what was written: cut, changed, forged, or written by a newer version of this package."""


def encode(value: object) -> bytes:
    """The bytes of a value, and always the same ones: dicts are written in their order, sets sorted.

    Stores what `STORABLE` lists, nested in any way. The keys of a dict are str, int, float, bool, None or bytes. A time zone
    is stored as its offset, without its name. Subclasses that `json.dumps` takes too are stored as what they extend: a
    `defaultdict` as a dict, a named tuple as a tuple, an `IntEnum` as an int.

    Raises `TypeError` for anything else, and `ValueError` for a value that contains itself or has more than `MOST_LEVELS`
    containers in one another, for text with lone surrogates, for a dict with two keys that would be stored as one or with a
    key beyond 64 bits, and for a time whose offset has parts of a second.
    """
    raw = _packed(value, MOST_LEVELS)
    return _pack(_storable(value, ())) if raw is None else raw


def decode(raw: bytes) -> Any:
    """The value that `encode` made these bytes of. Raises `Undecodable` for bytes that it did not make."""
    try:
        value = _unpack(raw)
        genuine = encode(value) == raw
    except Undecodable:
        raise
    except (ValueError, TypeError, ArithmeticError, RecursionError) as exc:
        raise Undecodable(_STRANGE) from exc
    if not genuine:
        raise Undecodable(_STRANGE)
    return value


def _packed(value: object, levels: int) -> bytes | None:
    """The fast way, which is enough for most sessions: the bytes of a value if msgpack knows all of it by itself."""
    try:
        return _pack(value) if type(value) in _SCALARS or _is_plain(value, levels) else None
    except (OverflowError, UnicodeEncodeError):  # an int beyond 64 bits, or lone surrogates
        return None


def _is_plain(value: Any, levels: int) -> bool:
    items: Iterable[Any] = value
    if not levels:
        return False
    if type(value) is dict:
        items = value.values()
        for key in value:
            if type(key) not in _SCALARS:
                return False
    elif type(value) is not list:
        return False
    for item in items:  # a generator in all() takes half as long again
        if type(item) in _SCALARS:
            continue
        if not _is_plain(item, levels - 1):
            return False
    return True


def _storable(value: Any, path: Path) -> object:
    """The careful way: the same value in what msgpack knows, with the rest put into extensions."""
    if path and (raw := _packed(value, MOST_LEVELS - len(path))) is not None:
        return Raw(raw)
    for kind in type(value).__mro__:
        if kind in _writers:
            return _writers[kind](value, path)
    raise TypeError(
        f"cannot store a value of type {type(value).__qualname__}{_at(path)}: a session holds {STORABLE}; "
        "store an id, or a dict of the fields"
    )


def _at(path: Path) -> str:
    steps = ["[…]" if step is ... else f"[{shortened(step)}]" for step in path]
    return " at " + "".join(steps) if steps else ""


def _as_it_is(value: object, _: Path) -> object:
    return value


def _int(value: int, _: Path) -> object:
    number = int.__int__(value)
    if -(2**63) <= number < 2**64:
        return number
    return Ext(_INT, number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True))


def _float(value: float, _: Path) -> object:
    return float.__float__(value)


def _bytes(value: bytes, _: Path) -> object:
    return b"".join((value,))


def _str(value: str, path: Path) -> object:
    _utf8(value, path)
    return str.__str__(value)


def _utf8(value: str, path: Path) -> bytes:
    try:
        return str.encode(value)
    except UnicodeEncodeError as exc:
        raise ValueError(f"cannot store text with lone surrogates{_at(path)}: it is not Unicode; store it as bytes") from exc


def _list(value: list[object], path: Path) -> object:
    return _items(value, path)


def _items(values: Iterable[object], path: Path) -> list[object]:
    _check_levels(path)
    return [_storable(item, (*path, index)) for index, item in enumerate(values)]


def _dict(value: dict[object, object], path: Path) -> object:
    _check_levels(path)
    stored = {_key(key, path): _storable(item, (*path, key)) for key, item in value.items()}
    if len(stored) != len(value):
        raise ValueError(f"cannot store a dict{_at(path)} of which two keys would be stored as one: rename one of them")
    return stored


def _key(key: object, path: Path) -> object:
    for kind in type(key).__mro__:
        if kind in _SCALARS:
            stored = _writers[kind](key, (*path, key))
            if isinstance(stored, Ext):
                raise ValueError(f"cannot store a dict{_at(path)} with a key beyond 64 bits: make it a str")
            return stored
    raise TypeError(
        f"cannot store a dict{_at(path)} with a key of type {type(key).__qualname__}: "
        "keys are str, int, float, bool, None or bytes"
    )


def _set(code: int) -> Callable[[Any, Path], object]:
    def write(value: Iterable[object], path: Path) -> object:
        _check_levels(path)
        items = sorted([_pack(_storable(item, (*path, ...))) for item in value])
        return Ext(code, _pack([Raw(item) for item in items]))

    return write


def _datetime(value: datetime, path: Path) -> object:
    offset = value.utcoffset()
    if offset is not None and offset.microseconds:  # CPython's fromisoformat takes +00:00:00.5 for UTC
        raise ValueError(f"cannot store a time{_at(path)} with an offset of {offset}: offsets are whole seconds")
    return Ext(_DATETIME, (datetime.isoformat(value) + "~" * value.fold).encode())


def _check_levels(path: Path) -> None:
    if len(path) >= MOST_LEVELS:
        raise ValueError(
            f"cannot store a value that contains itself or is nested deeper than {MOST_LEVELS} levels{_at(path[:3])}…: "
            "store less of it, or an id"
        )


_writers: dict[type, Callable[[Any, Path], object]] = {
    NoneType: _as_it_is,
    bool: _as_it_is,
    int: _int,
    float: _float,
    str: _str,
    bytes: _bytes,
    list: _list,
    dict: _dict,
    tuple: lambda value, path: Ext(_TUPLE, _pack(_items(value, path))),
    set: _set(_SET),
    frozenset: _set(_FROZENSET),
    datetime: _datetime,
    date: lambda value, _: Ext(_DATE, date.isoformat(value).encode()),
    UUID: lambda value, _: Ext(_UUID, value.bytes),
    Decimal: lambda value, _: Ext(_DECIMAL, Decimal.__str__(value).upper().encode()),  # a context may ask for lower case
    Markup: lambda value, path: Ext(_MARKUP, _utf8(value, path)),
}


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.rstrip("~")).replace(fold=text.count("~"))


_readers: dict[int, Callable[[memoryview], object]] = {
    _INT: lambda data: int.from_bytes(data, "big", signed=True),
    _TUPLE: lambda data: tuple(_unpack(data)),
    _SET: lambda data: set(_unpack(data)),
    _FROZENSET: lambda data: frozenset(_unpack(data)),
    _DATETIME: lambda data: _moment(str(data, "ascii")),
    _DATE: lambda data: date.fromisoformat(str(data, "ascii")),
    _UUID: lambda data: UUID(bytes=bytes(data)),
    _DECIMAL: lambda data: Decimal(str(data, "ascii")),
    _MARKUP: lambda data: Markup(str(data, "utf-8")),  # noqa: S704  it was one when it was written
}


def _read(code: int, data: memoryview) -> object:
    reader = _readers.get(code)
    if reader is None:
        raise Undecodable(f"what is stored has the unknown type {code}: a newer version of redis_middleware may have written it")
    return reader(data)


_unpack: Callable[[bytes | memoryview], Any] = Decoder(ext_hook=_read).decode
