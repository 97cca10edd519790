"""How many sessions are active, and how many began, ended and timed out in each hour: by counters, without looking at any.

A live session is counted in exactly one *slot*, that of the time at which it will expire:

1. Created: one more in its slot, and one more created in this hour.
2. Used, so that its expiry moves to another slot: one less in the old, one more in the new.
3. Ended by logout, revocation or eviction: one less in its slot, and one more ended in this hour.
4. Timed out: nothing is done. Its slot passes into the past, with the sessions that have timed out in it.

So the sum of the slots that have not passed is what is active; it includes those that expired less than a slot ago. A slot
that has passed is added to the hour in which it began, and removed. All of this is addition, so it does not matter in which
order the workers' counts arrive, nor how late. A slot is named by the time at which it begins and not by its number: if
`idle_timeout` is changed, what was counted in slots of another width stays right to within a slot.

It is a statistic: what a worker has not yet added when it ends is lost, and a session that the storage drops for want of
memory is taken for active until its time has passed. Either is forgotten when the slot is.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import Any, ClassVar

from ...errors import StorageError
from ...ops import Script, Table

EVERY = 1.0
"""Seconds that a process waits with what it has counted."""

HOURS = 48
"""Of how many hours there are counts, the present one included."""

SECOND = 1_000_000
HOUR = 3600
DAY = 86_400

SLOT, CREATED, ENDED, TIMED_OUT = "s", "c", "e", "t"
"""What a field begins with; the time follows: of a slot in microseconds, of an hour in seconds."""

ROLLED = "rolled"
"""The field that holds the beginning of the slot in which slots were last rolled into hours."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """The sessions of all workers, as far as they have been added. Slots may mistake a timeout by a sixtieth of `idle_timeout`.

    Hours are named by the unix time in seconds at which they began, the oldest first; an hour of which there is nothing to
    tell is absent. There are the last 48 of them, the present one included.
    """

    active: int
    created: dict[int, int]
    ended: dict[int, int]
    timed_out: dict[int, int]


@dataclass(slots=True)
class Add(Script[None]):
    """Add to the counts. One key; args: the width of a slot in microseconds, then field and number of each.

    It never fails, as it leaves together with a read that must not be lost for a statistic: what cannot be counted is not.
    A key that holds something else is left alone. Once a slot, slots that have passed are rolled into hours and old hours
    dropped: there are no more fields than slots in which sessions live and hours that are shown, and a few of late counts.
    """

    # It writes, and yet may run before it is known to be needed: it counts what has happened already, in requests before
    # this one, whether or not the layer is reached by this one. So it may leave with the first reads.
    safe: ClassVar[bool] = True
    lua: ClassVar[str] = """
local key, last = keys[1], now
local edge = now - now % tonumber(args[1])
local rolled = redis.pcall('HGET', key, 'rolled')
if type(rolled) == 'table' then return end  -- an error: the key holds something else
for i = 2, #args, 2 do
  redis.pcall('HINCRBY', key, args[i], args[i + 1])
  if args[i]:sub(1, 1) == 's' then last = math.max(last, tonumber(args[i]:sub(2))) end
end
if rolled ~= string.format('%.0f', edge) then
  local oldest = (math.floor(now / 3600000000) - 47) * 3600
  local all = redis.pcall('HGETALL', key)
  for i = 1, #all, 2 do
    local kind, began = all[i]:match('^([scet])(%d+)$')
    began = tonumber(began)
    if kind == 's' and began < edge then
      local hour = math.floor(began / 3600000000) * 3600
      if hour >= oldest then redis.pcall('HINCRBY', key, string.format('t%.0f', hour), all[i + 1]) end
      redis.pcall('HDEL', key, all[i])
    elseif kind and kind ~= 's' and began < oldest then
      redis.pcall('HDEL', key, all[i])
    end
  end
  redis.pcall('HSET', key, 'rolled', string.format('%.0f', edge))
end
local ttl, left = math.ceil((last - now) / 1000) + 259200000, redis.pcall('PTTL', key)
if type(left) == 'number' and left < ttl then redis.pcall('PEXPIRE', key, string.format('%.0f', ttl)) end
"""

    def apply(self, table: Table, now: int, /) -> None:
        stored = table.get(self.keys[0])
        if not isinstance(stored, dict | None):
            return
        counts = Counter(stored)
        for field, number in self.pairs().items():
            counts[field] += number
        edge = now - now % int(self.args[0])
        if counts[ROLLED] != edge:
            counts = _roll(counts, edge, now)
        last = max([int(field[1:]) for field in counts if field[0] == SLOT], default=now)
        with suppress(StorageError):  # it does not fit into memory
            # Until the last slot has long passed, and no hour is shown any more: then it means the same as no key.
            table.set(self.keys[0], dict(counts), max(last - now, 0) / SECOND + 3 * DAY)

    def parse(self, reply: Any, /) -> None:
        return None

    def pairs(self) -> dict[str, int]:
        """What it adds to which field."""
        return {str(field): int(number) for field, number in zip(self.args[1::2], self.args[2::2], strict=True)}


@dataclass(slots=True)
class Read(Script[Statistics]):
    """What was counted. One key; args: the width of a slot in microseconds."""

    safe: ClassVar[bool] = True
    lua: ClassVar[str] = "return {now, redis.call('HGETALL', keys[1])}"

    def apply(self, table: Table, now: int, /) -> Statistics:
        counts = table.get(self.keys[0]) or {}
        if not isinstance(counts, dict):
            raise StorageError(f"WRONGTYPE the key holds a {type(counts).__name__}, not counts")
        return _statistics(counts, now, int(self.args[0]))

    def parse(self, reply: Any, /) -> Statistics:
        now, parts = reply
        counts = {field.decode(): int(number) for field, number in zip(parts[::2], parts[1::2], strict=True)}
        return _statistics(counts, now, int(self.args[0]))


class Tally:
    """What this process has counted and not yet added. Few fields, however many sessions; serves all threads and tasks.

    `key` is where it is added, and `width` that of a slot (see `width_of`). Times are integer microseconds since the epoch;
    `clock` counts seconds and need not know the date.
    """

    def __init__(self, key: str, width: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._key = key
        self._width = width
        self._clock = clock
        self._lock = Lock()
        self._counts: Counter[str] = Counter()
        self._since = clock()  # when the oldest of them was counted

    def created(self, expires: int, now: int) -> None:
        """A session was created, and expires then."""
        self._count({self._slot(expires): 1, f"{CREATED}{_hour(now)}": 1})

    def moved(self, before: int, after: int) -> None:
        """A session that would have expired at `before` now expires at `after`. Most uses stay in a slot and cost nothing."""
        old, new = self._slot(before), self._slot(after)
        if old != new:
            self._count({old: -1, new: 1})

    def ended(self, expires: int, now: int, number: int = 1) -> None:
        """So many sessions, which would have expired then, were ended before it: by logout, revocation or eviction."""
        self._count({self._slot(expires): -number, f"{ENDED}{_hour(now)}": number})

    def due(self) -> tuple[Add, ...]:
        """What is to be added now, if the oldest of it has waited for long enough: one op or none."""
        if not self._counts or self._clock() - self._since < EVERY:
            return ()
        return self.take()

    def take(self) -> tuple[Add, ...]:
        """What is to be added, however young: one op or none. Whoever takes it sends it, or puts it back."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
        pairs = [part for pair in counts.items() if pair[1] for part in pair]
        return (Add((self._key,), (self._width, *pairs)),) if pairs else ()

    def put_back(self, op: Add) -> None:
        """Count again what an op was to add whose batch failed; it waits anew.

        If the batch had been executed all the same, as one that timed out may have been, it is counted twice.
        """
        self._count(op.pairs())

    def _count(self, numbers: Mapping[str, int]) -> None:
        with self._lock:
            if not self._counts:
                self._since = self._clock()
            for field, number in numbers.items():
                self._counts[field] += number

    def _slot(self, expires: int) -> str:
        return f"{SLOT}{expires - expires % self._width}"


def width_of(idle_timeout: float) -> int:
    """How wide slots are, in microseconds: a sixtieth of the idle timeout, at least a second and at most an hour."""
    return min(max(round(idle_timeout * SECOND / 60), SECOND), HOUR * SECOND)


def _hour(at: int) -> int:
    """The hour of a time in microseconds, by the second at which it began."""
    return at // (HOUR * SECOND) * HOUR


def _oldest(now: int) -> int:
    """The first hour that is shown."""
    return _hour(now) - (HOURS - 1) * HOUR


def _roll(counts: Counter[str], edge: int, now: int) -> Counter[str]:
    """The same counts with passed slots in hours, without old hours."""
    kept: Counter[str] = Counter({ROLLED: edge})
    for field, number in counts.items():
        if field == ROLLED:
            continue
        kind, began = field[0], int(field[1:])
        if kind == SLOT and began < edge:
            kind, began = TIMED_OUT, _hour(began)
        if kind == SLOT or began >= _oldest(now):
            kept[f"{kind}{began}"] += number
    return kept


def _statistics(counts: Mapping[str, int], now: int, width: int) -> Statistics:
    """What the counts say at this time, however long ago they were rolled."""
    rolled = _roll(Counter(counts), now - now % width, now)
    active = sum([number for field, number in rolled.items() if field[0] == SLOT])
    return Statistics(max(active, 0), *[_by_hour(rolled, kind) for kind in (CREATED, ENDED, TIMED_OUT)])


def _by_hour(counts: Mapping[str, int], kind: str) -> dict[int, int]:
    return dict(sorted([(int(field[1:]), number) for field, number in counts.items() if field[0] == kind and number > 0]))
