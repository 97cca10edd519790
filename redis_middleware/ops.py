"""Ops: values that ask a storage for something.

An op does nothing by itself. A flow asks for it with `value = yield from Get("key")`; the storage gives it its meaning:
`MemoryStorage` (and any storage that keeps a `Table`) by calling `op.apply(table, now)`, `RedisStorage` by encoding it.
Both mean the same, and the tests replay the same traces against both to hold that.

A `Script` is one atomic step of your own, said twice: in Lua for Redis, in Python for a table.

Keys are text without the storage's prefix; values are bytes; a `ttl` is in seconds, rounded up to whole milliseconds
(`None` keeps the key for ever); `now` is an integer of microseconds since the epoch. A key is gone at the moment at which
its ttl is over. Ops hold no state of their own: one may be used again, by any thread or task.

Begin your keys with a word of your own; the layers of this package begin theirs with one letter and a colon. Put a digest
into a key where a client could choose the text: it bounds the length, and hides what is secret.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from math import ceil
from typing import Any, ClassVar, Generic, Protocol, TypeVar, cast, overload

from .errors import StorageError

__all__ = [
    "MAX_TTL", "Arg", "Delete", "Foreign", "Get", "Inspect", "Inspection", "Keep", "Key", "Node", "Op", "Script", "Set",
    "SetIfAbsent", "Table", "Touch", "Unavailable", "gather", "milliseconds", "perform",
]  # fmt: skip

T = TypeVar("T")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")

Arg = str | bytes | int
"""What a Script may pass to Lua; there it arrives as a string."""

MAX_TTL = 2**53 / 1000
"""Seconds. Milliseconds above 2^53 are not exact in Lua."""


class Foreign(str):
    """A key that another program named: taken as it is, without the storage's prefix."""

    __slots__ = ()


class Key(str):
    """A key in a command of `Inspect`: the storage puts its prefix in front of it."""

    __slots__ = ()


class Keep(IntEnum):
    """What goes first when memory runs short (Redis follows its own `maxmemory-policy` instead).

    `SPARE` goes first, as it can be made again: a cache entry. Then `NORMAL`. `HELD` goes last, as somebody is being held
    back by it, and must not be able to push it out: a spent limit, a lock.
    """

    SPARE = 0
    NORMAL = 1
    HELD = 2


class Table(Protocol):
    """Keys with values and expiry: what `apply` works on, and all that a storage of your own has to offer.

    A value is what the Redis type of the same key would hold: `bytes` for a string; else a tuple, list or dict (with text
    as keys) of bytes, text, numbers and more of these, so that msgpack can carry it. Whoever gets one treats a tuple and a
    list alike, and changes a copy. All ops but Scripts store bytes.
    """

    def get(self, key: str, /) -> Any | None:
        """The value, or None if the key is absent or expired."""

    def set(self, key: str, value: Any, ttl: float | None, keep: Keep | None = None, /) -> None:
        """Store `value` for `ttl` seconds from now, always more than 0; it replaces value and expiry.

        `keep` None leaves it as it was, which is `Keep.NORMAL` for a new key. A table that never runs short ignores it.
        """

    def delete(self, key: str, /) -> bool:
        """Remove the key; True if it was there."""


class Op(Generic[T]):
    """A value that asks the storage for something, and is answered with a `T`.

    `value = yield from op` inside a flow gives the answer, or raises `StorageError` there. Without the `yield from`,
    nothing is asked.

    `safe` says that the op changes nothing (as RFC 9110 §9.2.1 says it of methods), so that it may be executed before it
    is known to be needed: with the first ops of the layers outside, in one trip. Of the ops here only `Get` is; a Script
    of yours may say so. So ask for a `Get` first, and alone.
    """

    __slots__ = ()

    safe: ClassVar[bool] = False

    def __iter__(self) -> Generator[tuple[Op[T]], Sequence[T], T]:
        return (yield (self,))[0]

    def apply(self, table: Table, now: int, /) -> T:
        """Do it on a table, and return the answer. The caller sees to it that nobody else uses the table meanwhile.

        May raise anything: a storage calls `perform`, which makes a `StorageError` of it.
        """
        raise NotImplementedError(f"{type(self).__name__} has no apply(table, now)")


@dataclass(slots=True)
class Get(Op[bytes | None]):
    """The value of a key, or None if there is none."""

    safe: ClassVar[bool] = True
    key: str

    def apply(self, table: Table, now: int, /) -> bytes | None:
        value = table.get(self.key)
        if value is None or type(value) is bytes:
            return value
        raise StorageError(f"WRONGTYPE the key holds a {type(value).__name__}, not bytes")


@dataclass(slots=True)
class Set(Op[None]):
    """Store `value` for `ttl` seconds, whatever was there. `keep` says what may go first when memory runs short."""

    key: str
    value: bytes
    ttl: float | None
    keep: Keep = Keep.NORMAL

    def __post_init__(self) -> None:
        _check(self.value, self.ttl)

    def apply(self, table: Table, now: int, /) -> None:
        table.set(self.key, self.value, self.ttl, self.keep)


@dataclass(slots=True)
class SetIfAbsent(Op[bool]):
    """Store `value` for `ttl` seconds if the key is absent; True if it was. A lock is one of these."""

    key: str
    value: bytes
    ttl: float | None
    keep: Keep = Keep.NORMAL

    def __post_init__(self) -> None:
        _check(self.value, self.ttl)

    def apply(self, table: Table, now: int, /) -> bool:
        if table.get(self.key) is not None:
            return False
        table.set(self.key, self.value, self.ttl, self.keep)
        return True


@dataclass(slots=True)
class Delete(Op[bool]):
    """Remove a key; True if it was there."""

    key: str

    def apply(self, table: Table, now: int, /) -> bool:
        return table.delete(self.key)


@dataclass(slots=True)
class Touch(Op[bool]):
    """Let a key live for `ttl` seconds from now; True if it was there."""

    key: str
    ttl: float

    def __post_init__(self) -> None:
        if self.ttl is None:
            raise ValueError("Touch needs a ttl: to keep a key for ever, Set it with ttl=None")
        _check(b"", self.ttl)

    def apply(self, table: Table, now: int, /) -> bool:
        value = table.get(self.key)
        if value is None:
            return False
        table.set(self.key, value, self.ttl)
        return True


@dataclass(slots=True)
class Script(Op[T]):
    """One atomic step of your own, said twice and meaning the same: `lua` for Redis, `apply` for a table.

    Subclass it, and give instances the `keys` it touches and the `args` it needs:

    * `lua` is the body of `function(keys, args, now)`; `now` is the server's own time in integer microseconds.
      On a Cluster all keys of one script must share a hash tag (`"{42}:a"`, `"{42}:b"`).
    * `apply(table, now)` does the same in Python, with `self.keys` and `self.args`.
    * `parse(reply)` makes the answer from what Lua returned (integers, bytes, None, lists of these); by default the reply.

    A script that fails halfway has done what it did until then, as in Redis. Keep times in the value itself, and use the
    expiry of keys only to have them collected: then both sides agree to the microsecond. An absent key and one whose time
    has passed must mean the same.
    """

    lua: ClassVar[str]
    keys: tuple[str, ...]
    args: tuple[Arg, ...] = ()

    def parse(self, reply: Any, /) -> T:
        """The answer, made from the reply of Lua."""
        return cast(T, reply)


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Stands where a reply is missing, and says why in a word or two: never a name, an address or a key."""

    reason: str
    """The first word of what the server answered (`NOPERM`), or what became of the connection (`timeout`)."""


@dataclass(frozen=True, slots=True)
class Node:
    """What one server said: a reply or an `Unavailable` for each command; or one `Unavailable`, if it said nothing at all."""

    replies: tuple[Any, ...] | Unavailable
    seconds: float
    """How long that took."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a storage knows of itself without asking anybody, and what its servers said: none for one that has no server."""

    facts: Mapping[str, Any]
    """`kind` is what it is: `"memory"`, `"redis"`. The rest is its own, and may hold what is not to be shown to everybody."""
    nodes: tuple[Node, ...] = ()


@dataclass(slots=True)
class Inspect(Op[Inspection]):
    """Ask a storage how it is: its own facts, and the replies of its servers to `commands`, in one trip.

    A command is a tuple of texts; a `Key` among them gets the storage's prefix. All that a batch inspects is answered within
    the least `budget` of it, in seconds, and not over the connections of the other ops: that these are all busy is no outage.
    It never raises for a command that was refused, nor for a server that is lost: an `Unavailable` stands in its place.

    `everywhere` asks each primary of a Cluster; else the one goes that has the keys. A storage without servers gives its
    facts alone; a `Table` has them if it has a method `facts()` that returns a mapping.
    """

    commands: tuple[tuple[str, ...], ...]
    budget: float = 0.8
    everywhere: bool = False

    def apply(self, table: Table, now: int, /) -> Inspection:
        facts = getattr(table, "facts", None)
        return Inspection({} if facts is None else facts())


@overload
def gather(a: Op[T1], /) -> Generator[Any, Any, tuple[T1]]: ...
@overload
def gather(a: Op[T1], b: Op[T2], /) -> Generator[Any, Any, tuple[T1, T2]]: ...
@overload
def gather(a: Op[T1], b: Op[T2], c: Op[T3], /) -> Generator[Any, Any, tuple[T1, T2, T3]]: ...
@overload
def gather(*ops: Op[Any]) -> Generator[Any, Any, tuple[Any, ...]]: ...
def gather(*ops: Op[Any]) -> Generator[Any, Any, tuple[Any, ...]]:
    """Several ops in one batch: `a, b = yield from gather(Get("a"), Get("b"))`.

    If one fails, its error is raised; the others were executed all the same.
    """
    return tuple((yield ops)) if ops else ()


def perform(op: Op[Any], table: Table, now: int) -> Any:
    """What a storage with a table does for each op: its answer, or the `StorageError` that is its result."""
    try:
        return op.apply(table, now)
    except StorageError as exc:
        return exc
    except Exception as exc:  # a Script that fails in Lua is one failed op too
        error = StorageError(f"{type(op).__name__} failed: {exc!r}")
        error.__cause__ = exc
        return error


def milliseconds(ttl: float) -> int:
    """A ttl in the whole milliseconds that every storage counts in, rounded up."""
    return ceil(ttl * 1000)


def _check(value: bytes, ttl: float | None) -> None:
    if type(value) is not bytes:
        raise TypeError(f"a value must be bytes, got {type(value).__name__}")
    if ttl is not None and not 0 < ttl <= MAX_TTL:
        raise ValueError(f"ttl must be more than 0 and at most {MAX_TTL:.0f} seconds, got {ttl!r}")
