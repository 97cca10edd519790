"""What a session can store, how it looks at rest, and that nothing at rest can break the reader."""

from __future__ import annotations

import dataclasses
import decimal
import enum
import struct
import tracemalloc
from collections import Counter, OrderedDict, defaultdict, namedtuple
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from django.utils.safestring import SafeString  # type: ignore[import-untyped]  # it ships no types
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup
from msgspec import msgpack

from redis_middleware.layers.sessions.codec import MOST_LEVELS, STORABLE, Undecodable, decode, encode

WIDE = 2**256
DAY = 24 * 3600
OFFSETS = st.integers(1 - DAY, DAY - 1).map(lambda seconds: timedelta(seconds=seconds))
ZONES = st.none() | st.just(UTC) | st.builds(timezone, OFFSETS)
KEYS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(), st.text(max_size=8), st.binary(max_size=8)
)
HASHABLE_LEAVES = st.one_of(
    KEYS,
    st.integers(-WIDE, WIDE),
    st.datetimes(timezones=ZONES) | st.datetimes().map(lambda moment: moment.replace(fold=1)),
    st.dates(),
    st.uuids(),
    st.decimals().filter(lambda number: not number.is_snan()),  # a signalling NaN has no hash
    st.text(max_size=8).map(Markup),
)
HASHABLE = st.recursive(
    HASHABLE_LEAVES, lambda inner: st.frozensets(inner, max_size=4) | st.lists(inner, max_size=4).map(tuple), max_leaves=8
)
VALUES = st.recursive(
    HASHABLE | st.just(Decimal("sNaN")),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(KEYS, inner, max_size=4),
        st.sets(HASHABLE, max_size=4),
    ),
    max_leaves=16,
)


def anatomy(value: Any) -> object:
    """All that a value is made of, with types, offsets and NaNs, in something that `==` compares."""
    kind = type(value)
    if isinstance(value, float):
        return kind, struct.pack("d", value)
    if isinstance(value, datetime):
        return kind, value.replace(tzinfo=None), value.utcoffset(), value.fold
    if isinstance(value, Decimal):
        return kind, value.as_tuple()
    if isinstance(value, (list, tuple)):
        return kind, [anatomy(item) for item in value]
    if isinstance(value, dict):
        return kind, [(anatomy(key), anatomy(item)) for key, item in value.items()]
    if isinstance(value, (set, frozenset)):
        return kind, sorted([repr(anatomy(item)) for item in value])
    return kind, value


def nested(levels: int, wrap: Callable[[Any], Any]) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = wrap(value)
    return value


def reason(exc: type[Exception], value: object) -> str:
    with pytest.raises(exc) as raised:
        encode(value)
    return str(raised.value)


AT_REST = [
    (None, "c0"),
    (True, "c3"),
    (7, "07"),
    (2**64 - 1, "cfffffffffffffffff"),
    (-(2**63), "d38000000000000000"),
    (0.5, "cb3fe0000000000000"),
    ("é", "a2c3a9"),
    (b"\x00", "c40100"),
    ([1, "a"], "9201a161"),
    ({"b": 1, "a": None}, "82a16201a161c0"),
    (2**64, "c70901010000000000000000"),
    (-(2**63) - 1, "c70901ff7fffffffffffffff"),
    ((1, 2), "c70302920102"),
    ({3, 1}, "c70303920103"),
    (frozenset({"b", "a"}), "c7050492a161a162"),
    (datetime(2024, 2, 29, 12, 30), "c71305" + b"2024-02-29T12:30:00".hex()),
    (datetime(2024, 2, 29, 12, 30, 0, 5, UTC), "c72005" + b"2024-02-29T12:30:00.000005+00:00".hex()),
    (datetime(2024, 10, 27, 2, 30, fold=1), "c71405" + b"2024-10-27T02:30:00~".hex()),
    (date(2024, 2, 29), "c70a06" + b"2024-02-29".hex()),
    (UUID(int=1), "d807" + "00" * 15 + "01"),
    (Decimal("1E+9"), "d608" + b"1E+9".hex()),
    (Markup("<b>"), "c70309" + b"<b>".hex()),
]


@pytest.mark.parametrize(("value", "raw"), AT_REST)
def test_what_was_written_once_can_be_read_for_ever(value: Any, raw: str) -> None:
    assert encode(value).hex() == raw
    assert anatomy(decode(bytes.fromhex(raw))) == anatomy(value)


@given(VALUES)
def test_a_value_comes_back_as_it_was(value: Any) -> None:
    assert anatomy(decode(encode(value))) == anatomy(value)


@given(VALUES)
def test_a_value_that_was_read_is_written_as_it_was(value: Any) -> None:
    raw = encode(value)
    assert encode(decode(raw)) == raw


def test_the_order_of_a_set_does_not_matter_and_that_of_a_dict_does() -> None:
    one, other = {0, 8}, {8, 0}
    assert list(one) != list(other)  # 8 slots: the two numbers meet in one, and the first stays there
    assert encode(one) == encode(other)
    assert encode(frozenset(one)) == encode(frozenset(other))
    assert list(decode(encode({"b": 1, "a": 2}))) == ["b", "a"]
    assert list(decode(encode({"b": (), "a": 2}))) == ["b", "a"]


class Changing(tzinfo):
    """A zone in an hour that comes twice: first two hours ahead, then one."""

    def tzname(self, moment: datetime | None) -> None:
        return None

    def dst(self, moment: datetime | None) -> None:
        return None

    def utcoffset(self, moment: datetime | None) -> timedelta:
        return timedelta(hours=2 - (moment.fold if moment else 0))


@pytest.mark.parametrize("offset", [timedelta(microseconds=1), timedelta(hours=-1, milliseconds=500)])
def test_an_offset_has_whole_seconds(offset: timedelta) -> None:
    message = reason(ValueError, {"at": datetime(2024, 2, 29, tzinfo=timezone(offset))})
    assert f"a time at ['at'] with an offset of {offset}: offsets are whole seconds" in message


@pytest.mark.parametrize("fold", [0, 1])
def test_a_time_in_a_zone_keeps_its_instant_and_offset_but_not_the_zone(fold: int) -> None:
    moment = datetime(2024, 10, 27, 2, 30, fold=fold, tzinfo=Changing())
    back = decode(encode(moment))
    assert back.timestamp() == moment.timestamp()
    assert back.utcoffset() == timedelta(hours=2 - fold)
    assert type(back.tzinfo) is timezone


def test_no_context_changes_how_a_decimal_is_written() -> None:
    number = Decimal("1.23E+40")
    usual = encode(number)
    with decimal.localcontext(decimal.Context(prec=2, capitals=0, traps=[])):
        assert encode(number) == usual
        assert decode(usual) == number


class Colour(enum.StrEnum):
    RED = "red"


class Size(enum.IntEnum):
    BIG = 3


class Named(str, enum.Enum):  # noqa: UP042  as it was written before Python 3.11: its hash is that of its name
    RED = "red"


Point = namedtuple("Point", "x y")


class Elsewhere(str):
    """Text that is found in another place of a dict than its equals."""

    __slots__ = ()

    def __hash__(self) -> int:
        return ~super().__hash__()


class Moment(datetime):
    def isoformat(self, sep: str = " ", timespec: str = "auto") -> str:
        return super().isoformat(sep, timespec)


class Real(float):
    pass


class Raw(bytes):
    pass


class Items(list[int]):
    pass


class Fruits(set[str]):
    pass


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (Colour.RED, "red"),
        (Named.RED, "red"),
        (SafeString("<b>"), "<b>"),
        (Size.BIG, 3),
        (Real(0.5), 0.5),
        (Raw(b"a"), b"a"),
        (Items([1, 2]), [1, 2]),
        (Point(1, Size.BIG), (1, 3)),
        (Fruits({"fig"}), {"fig"}),
        (Moment(2024, 2, 29), datetime(2024, 2, 29)),
        (defaultdict(list, {"a": [1]}), {"a": [1]}),
        (OrderedDict(a=1), {"a": 1}),
        (Counter("aab"), {"a": 2, "b": 1}),
        ({Colour.RED: 1, Size.BIG: 2, Markup("x"): 3}, {"red": 1, 3: 2, "x": 3}),
    ],
)
def test_a_subclass_is_stored_as_what_it_extends(value: object, stored: object) -> None:
    assert anatomy(decode(encode(value))) == anatomy(stored)
    assert anatomy(decode(encode([value]))) == anatomy([stored])


def test_an_ordered_dict_has_its_own_order() -> None:
    value = OrderedDict(a=1, b=2)
    value.move_to_end("a")
    assert list(decode(encode(value))) == ["b", "a"]


class Thing:
    pass


class Plain(enum.Enum):
    ONE = 1


@dataclasses.dataclass
class Data:
    x: int = 1


class Struct(msgspec.Struct):
    x: int = 1


REFUSED = [
    *(Thing(), Thing, object(), Plain.ONE, Data(), Struct(), len, iter([]), 1j, range(3), bytearray(b"a"), memoryview(b"a")),
    *(timedelta(1), time(1), msgpack.Ext(2, b"\x90"), msgspec.Raw(b"\x01"), msgspec.UNSET, NotImplemented, {}.keys()),
]


@pytest.mark.parametrize("value", REFUSED, ids=lambda value: type(value).__name__)
def test_what_could_not_come_back_is_refused(value: object) -> None:
    for place in (value, [value], {"a": value}, (value,)):
        message = reason(TypeError, place)
        assert f"cannot store a value of type {type(value).__qualname__}" in message
        assert STORABLE in message


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"cart": [1, 2, 3, Thing()]}, " at ['cart'][3]:"),
        ([({"a": {1: Thing()}},)], " at [0][0]['a'][1]:"),
        ({"seen": frozenset({Thing()})}, " at ['seen'][…]:"),
        ({b"k": Thing()}, " at [b'k']:"),
        (Thing(), " of type Thing:"),
    ],
)
def test_an_error_says_where_the_value_stands(value: object, path: str) -> None:
    assert path in reason(TypeError, value)


def test_an_error_is_short_even_if_the_keys_are_long() -> None:
    assert len(reason(TypeError, {"k" * 100_000: Thing()})) < 400


@pytest.mark.parametrize("key", [None, True, 1, -1, 2**64 - 1, 1.5, "1", b"1"])
def test_a_key_keeps_its_type(key: object) -> None:
    for value in ({key: 1}, {key: (1,)}):
        assert anatomy(decode(encode(value))) == anatomy(value)


@pytest.mark.parametrize("key", [(), (1, 2), frozenset(), date(2024, 2, 29), UUID(int=1), Decimal(1), Plain.ONE, Thing()])
def test_other_keys_are_refused(key: object) -> None:
    for item in (1, (1,)):
        message = reason(TypeError, {"a": {key: item}})
        assert f"a dict at ['a'] with a key of type {type(key).__qualname__}: keys are str" in message


def test_a_number_beyond_64_bits_is_no_key() -> None:
    for key in (2**64, -(2**63) - 1):
        assert "a key beyond 64 bits" in reason(ValueError, {key: 1})


def test_no_key_is_lost() -> None:
    value = {Elsewhere("red"): 1, "red": 2}
    assert len(value) == 2
    assert "two keys would be stored as one" in reason(ValueError, value)


WRAPS: list[Callable[[Any], Any]] = [lambda v: [v], lambda v: {"a": v}, lambda v: (v,), lambda v: frozenset([v])]


@pytest.mark.parametrize("wrap", WRAPS)
@pytest.mark.parametrize("outermost", WRAPS[:3])
def test_values_nest_so_deep_and_no_deeper(wrap: Callable[[Any], Any], outermost: Callable[[Any], Any]) -> None:
    deepest = outermost(nested(MOST_LEVELS - 1, wrap))
    assert decode(encode(deepest)) == deepest
    message = reason(ValueError, outermost(nested(MOST_LEVELS, wrap)))
    assert f"nested deeper than {MOST_LEVELS} levels at [" in message
    assert len(message) < 200


def test_a_value_that_contains_itself_is_refused() -> None:
    twice: list[object] = []
    twice.extend([twice, twice])
    mapping: dict[str, object] = {}
    mapping["me"] = mapping
    through: list[object] = []
    through.append((through,))
    for value in (twice, mapping, through, {"a": twice, "b": ()}):
        assert "contains itself" in reason(ValueError, value)


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("\ud800", "surrogates:"),
        ({"a": ["ok", "\udcff"]}, "surrogates at ['a'][1]:"),
        ({"a": {"\udcff": 1}}, "surrogates at ['a']['\\udcff']:"),
        ((Markup("\ud800"),), "surrogates at [0]:"),
        ({"\udcff"}, "surrogates at […]:"),
    ],
)
def test_text_that_is_no_unicode_is_refused(value: object, path: str) -> None:
    message = reason(ValueError, value)
    assert path in message
    assert message.isprintable()


def test_a_number_beyond_64_bits_may_stand_anywhere() -> None:
    value = {"a": [1, 2**64, {"b": -(2**200)}], "c": "text"}
    assert decode(encode(value)) == value


def ext(code: int, data: bytes) -> bytes:
    return bytes(msgpack.encode(msgpack.Ext(code, data)))


FOREIGN = {
    "nothing": b"",
    "the byte that msgpack leaves out": b"\xc1",
    "two values": b"\x01\x01",
    "text that is no UTF-8": b"\xa1\xff",
    "text cut short": b"\xa5abc",
    "a number in more bytes than it needs": b"\xcc\x01",
    "a short float": b"\xca\x3f\x00\x00\x00",
    "msgpack's own time": b"\xd6\xff\x00\x00\x00\x00",
    "msgpack's own time as a key": b"\x81\xd6\xff\x00\x00\x00\x00\x01",
    "one key twice": b"\x82\x01\x01\x01\x02",
    "a list as a key": b"\x81\x90\x01",
    "a dict as a key": b"\x81\x81\x01\x02\x01",
    "a date as a key": b"\x81" + ext(6, b"2024-02-29") + b"\x01",
    "a set as a key": b"\x81" + ext(3, b"\x90") + b"\x01",
    "an unknown type": ext(10, b"x"),
    "an unknown type inside": b"\x92\x01" + ext(-2, b"x"),
    "a wide number that is not wide": ext(1, b"\x01"),
    "a wide number of no bytes": ext(1, b""),
    "a tuple of no list": ext(2, b"\x01"),
    "a tuple of a dict": ext(2, b"\x81\x01\x02"),
    "a tuple cut short": ext(2, b"\x92\x01"),
    "a set out of order": ext(3, b"\x92\x02\x01"),
    "a set with an item twice": ext(3, b"\x92\x01\x01"),
    "a set with a list in it": ext(3, b"\x91\x90"),
    "a set of text": ext(3, b"\xa1a"),
    "a frozen set with a set in it": ext(4, b"\x91" + ext(3, b"\x90")),
    "no time": ext(5, b"yesterday"),
    "a time that nobody writes so": ext(5, b"2024-02-29"),
    "a time folded twice": ext(5, b"2024-02-29T12:30:00~~"),
    "a time with an end": ext(5, b"2024-02-29T12:30:00Z"),
    "a time outside of ASCII": ext(5, "２０２４".encode()),
    "a time with half a second between it and UTC": ext(5, b"2024-02-29T12:30:00+00:00:00.500000"),
    "no date": ext(6, b"2024-02-30"),
    "a date that nobody writes so": ext(6, b"20240229"),
    "a UUID cut short": ext(7, b"\x00" * 15),
    "no number": ext(8, b"one"),
    "a number with a space": ext(8, b" 1"),
    "a number too large": ext(8, b"1E+9999999999999999999"),
    "a number in lower case": ext(8, b"1e+9"),
    "markup that is no UTF-8": ext(9, b"\xff"),
    "levels of lists": b"\x91" * (MOST_LEVELS + 1) + b"\x01",
    "thousands of levels": b"\x91" * 100_000,
    "thousands of levels of dicts": b"\x81\x01" * 100_000,
    "thousands of levels of keys": b"\x81" * 100_000,
}


@pytest.mark.parametrize("raw", FOREIGN.values(), ids=FOREIGN.keys())
def test_bytes_that_nobody_wrote_are_undecodable(raw: bytes) -> None:
    with pytest.raises(Undecodable, match="what is stored"):
        decode(raw)


@pytest.mark.parametrize("code", [2, 3, 4])
def test_no_depth_of_extensions_is_too_much(code: int) -> None:
    raw = b"\x90"
    for _ in range(5000):
        raw = ext(code, b"\x91" + raw)
    with pytest.raises(Undecodable):
        decode(raw)


@pytest.mark.parametrize(
    "raw", [b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff", b"\xc9\xff\xff\xff\xff\x02"]
)
def test_a_length_that_is_a_lie_takes_no_memory(raw: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(Undecodable):
            decode(raw + b"\x01" * 1000)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_type_of_a_newer_version_is_named() -> None:
    with pytest.raises(Undecodable, match="unknown type 10: a newer version"):
        decode(b"\x91" + ext(10, b"x"))


def test_an_error_tells_nothing_of_what_was_stored() -> None:
    with pytest.raises(Undecodable) as raised:
        decode(ext(5, b"hunter2"))
    assert "hunter2" not in str(raised.value)


def read(raw: bytes) -> None:
    """Whatever the bytes are: they are undecodable, or what `encode` makes of a value."""
    try:
        value = decode(raw)
    except Undecodable:
        return
    assert encode(value) == raw


@given(st.binary())
def test_random_bytes_raise_nothing_else(raw: bytes) -> None:
    read(raw)


EXTENSIONS = st.recursive(
    st.binary(max_size=12) | VALUES.map(encode),
    lambda inner: st.one_of(
        st.builds(ext, st.integers(-2, 11), inner),
        st.lists(inner, max_size=3).map(lambda parts: bytes([0x90 + len(parts)]) + b"".join(parts)),
        st.lists(st.tuples(inner, inner), max_size=3).map(
            lambda pairs: bytes([0x80 + len(pairs)]) + b"".join([key + item for key, item in pairs])
        ),
    ),
    max_leaves=6,
)


@given(EXTENSIONS)
def test_random_extensions_raise_nothing_else(raw: bytes) -> None:
    read(raw)


@given(st.sampled_from([5, 6, 8]), st.text("0123456789-+:.TZWE ~_NaInfs", max_size=26))
def test_random_times_and_numbers_raise_nothing_else(code: int, text: str) -> None:
    read(ext(code, text.encode()))


@given(VALUES, st.data())
def test_a_value_that_was_cut_is_undecodable(value: Any, data: st.DataObject) -> None:
    raw = encode(value)
    with pytest.raises(Undecodable):
        decode(raw[: data.draw(st.integers(0, len(raw) - 1))])


@given(VALUES, st.data())
def test_a_bit_that_was_flipped_raises_nothing_else(value: Any, data: st.DataObject) -> None:
    raw = bytearray(encode(value))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    read(bytes(raw))


def test_the_examples_are_of_every_type_that_can_be_stored() -> None:
    stored = {type(value).__name__ for value, _ in AT_REST} | {"NoneType"}
    assert {name.strip() for name in STORABLE.replace(" and", ",").replace("None", "NoneType").split(",")} == stored
    assert decode(encode(identity := uuid4())) == identity
