"""How requests are counted: four algorithms, the Lua and the Python of each side by side, and the script that asks them all.

Rules:

* One script decides all policies of a request, of whatever algorithm, and takes from all of them or from none.
* Windows are half-open: what began at `s` and lasts `w` covers `s <= now < s + w`.
* Times are integer microseconds of the storage's clock, and all arithmetic is on integers below 2^53, which Lua has
  exactly. Every state carries its own times; the expiry of its key only has it collected.
* A clock that stepped back locks nobody out for longer than one window: times that lie ahead are brought back to now.

An algorithm is five functions over a policy `p`: `load` its state, how long to `wait` until a cost fits (0: it fits now),
`take` a cost (a negative one gives back), `save`, and `report` what remains and when all of it is back. In Lua `p` is a
table, in Python the object.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import gcd
from typing import Any, ClassVar

from ...errors import ConfigurationError
from ...ops import Keep, Script, Table
from .policy import Decision, Policy, State

NUMBERS = 6
"""How many numbers follow a policy's algorithm in the arguments: limit, window, cost, shadow, unit, weight."""

EXACT = 2**53
"""Integers up to this are exact in Lua, whose numbers are doubles."""


@dataclass(slots=True)
class Algorithm:
    """One policy of one subject while a script runs. `unit` and `weight` are the algorithm's own, see `Limit`."""

    code: ClassVar[str]
    lua: ClassVar[str]

    key: str
    now: int
    limit: int
    window: int
    cost: int
    shadow: int
    unit: int
    weight: int


@dataclass(slots=True)
class FixedWindow(Algorithm):
    """Count in windows that begin with the first hit. The state is `count:reset`."""

    code: ClassVar[str] = "f"
    lua: ClassVar[str] = """
A.f = {
  load = function(p)
    local count, reset = string.match(redis.call('GET', p.key) or '', '^(%d+):(%d+)$')
    p.count, p.reset = tonumber(count or 0), tonumber(reset or 0)
    if p.reset <= now then p.count, p.reset = 0, now + p.window end
    p.reset = math.min(p.reset, now + p.window)
  end,
  wait = function(p, cost)
    return p.count + cost <= p.limit and 0 or p.reset - now
  end,
  take = function(p, cost, at)
    if cost > 0 or at >= p.reset - p.window then p.count = math.max(p.count + cost, 0) end
  end,
  save = function(p)
    redis.call('SET', p.key, string.format('%.0f:%.0f', p.count, p.reset), 'PX', math.ceil((p.reset - now) / 1000))
  end,
  report = function(p)
    return p.limit - p.count, p.count > 0 and p.reset - now or 0
  end,
}
"""
    count: int = 0
    reset: int = 0

    def load(self, table: Table) -> None:
        self.count, self.reset = _numbers(table.get(self.key), 2)
        if self.reset <= self.now:
            self.count, self.reset = 0, self.now + self.window
        self.reset = min(self.reset, self.now + self.window)

    def wait(self, cost: int) -> int:
        return 0 if self.count + cost <= self.limit else self.reset - self.now

    def take(self, cost: int, at: int) -> None:
        if cost > 0 or at >= self.reset - self.window:
            self.count = max(self.count + cost, 0)

    def save(self, table: Table, keep: Keep) -> None:
        table.set(self.key, b"%d:%d" % (self.count, self.reset), (self.reset - self.now) / 1_000_000, keep)

    def report(self) -> tuple[int, int]:
        return self.limit - self.count, self.reset - self.now if self.count > 0 else 0


@dataclass(slots=True)
class MovingWindow(Algorithm):
    """Remember every hit of the last window. The state is a log of when, and how much had been taken by then in all.

    In Redis a sorted set: scores are times, members `total:cost` with the total padded so that they sort by it.
    """

    code: ClassVar[str] = "m"
    lua: ClassVar[str] = """
local function entry(key, rank)
  local found = redis.call('ZRANGE', key, rank, rank, 'WITHSCORES')
  local total, cost = string.match(found[1] or '', '^(%d+):(%d+)$')
  return tonumber(total), tonumber(cost), tonumber(found[2])
end
A.m = {
  load = function(p)
    for _, ahead in ipairs(redis.call('ZRANGEBYSCORE', p.key, string.format('(%.0f', now), '+inf')) do
      redis.call('ZADD', p.key, string.format('%.0f', now), ahead)
      redis.call('PEXPIRE', p.key, math.ceil(p.window / 1000))
    end
    redis.call('ZREMRANGEBYSCORE', p.key, '-inf', string.format('%.0f', now - p.window))
    local first, cost = entry(p.key, 0)
    p.base = first and first - cost or 0
    p.total, p.last_cost, p.last = entry(p.key, -1)
    p.total = p.total or p.base
  end,
  wait = function(p, cost)
    if p.total - p.base + cost <= p.limit then return 0 end
    local low, high = 0, redis.call('ZCARD', p.key) - 1
    while low < high do
      local middle = math.floor((low + high) / 2)
      if entry(p.key, middle) >= p.total + cost - p.limit then high = middle else low = middle + 1 end
    end
    local _, _, time = entry(p.key, low)
    return time + p.window - now
  end,
  take = function(p, cost, at)
    if cost >= 0 then
      p.total = p.total + cost
      redis.call('ZADD', p.key, string.format('%.0f', now), string.format('%016.0f:%.0f', p.total, cost))
      p.last = now
      return
    end
    local target = math.max(p.total + cost, p.base)
    while p.last and p.total > target and at > now - p.window do
      local total, own, time = entry(p.key, -1)
      redis.call('ZREMRANGEBYRANK', p.key, -1, -1)
      p.total = math.max(total - own, target)
      if p.total > total - own then
        redis.call('ZADD', p.key, string.format('%.0f', time), string.format('%016.0f:%.0f', p.total, p.total - (total - own)))
      end
      p.last = select(3, entry(p.key, -1))
    end
  end,
  save = function(p)
    redis.call('PEXPIRE', p.key, math.ceil(p.window / 1000))
  end,
  report = function(p)
    local used = p.total - p.base
    return p.limit - used, used > 0 and p.last + p.window - now or 0
  end,
}
"""
    base: int = 0
    times: tuple[int, ...] = ()
    totals: tuple[int, ...] = ()

    @property
    def total(self) -> int:
        return self.totals[-1] if self.totals else self.base

    def load(self, table: Table) -> None:
        value = table.get(self.key)
        if value is None:
            return
        base, times, totals = value
        past = bisect_right(times, self.now - self.window)
        self.base = totals[past - 1] if past else base
        self.times, self.totals = tuple(times[past:]), tuple(totals[past:])
        ahead = bool(self.times) and self.times[-1] > self.now
        if ahead:
            self.times = tuple([min(time, self.now) for time in self.times])
        if not self.times:
            self.base = 0
        if past or ahead:
            self.save(table, None)

    def wait(self, cost: int) -> int:
        if self.total - self.base + cost <= self.limit:
            return 0
        freeing = bisect_left(self.totals, self.total + cost - self.limit)
        return self.times[min(freeing, len(self.times) - 1)] + self.window - self.now

    def take(self, cost: int, at: int) -> None:
        if cost >= 0:
            self.times, self.totals = (*self.times, self.now), (*self.totals, self.total + cost)
        elif at > self.now - self.window:
            target = max(self.total + cost, self.base)
            kept = bisect_left(self.totals, target)
            if target == self.base:
                self.times, self.totals = (), ()
            else:
                self.times, self.totals = self.times[: kept + 1], (*self.totals[:kept], target)

    def save(self, table: Table, keep: Keep | None) -> None:
        if self.times:
            table.set(self.key, (self.base, self.times, self.totals), self.window / 1_000_000, keep)
        else:
            table.delete(self.key)

    def report(self) -> tuple[int, int]:
        used = self.total - self.base
        return self.limit - used, self.times[-1] + self.window - self.now if used > 0 else 0


@dataclass(slots=True)
class SlidingWindowCounter(Algorithm):
    """Count in windows of the calendar, and weigh the one before by how much of it a window that ends now still covers.

    The state is `index:current:previous`. The weight is rounded up to whole requests, and time to `unit` microseconds (1,
    unless the limit is so large that the product would not be exact), so it never admits more than the definition.
    """

    code: ClassVar[str] = "s"
    lua: ClassVar[str] = """
A.s = {
  load = function(p)
    p.index = div(now, p.window)
    p.ends = (p.index + 1) * p.window
    local index, current, previous = string.match(redis.call('GET', p.key) or '', '^(%d+):(%d+):(%d+)$')
    index = math.min(tonumber(index or 0), p.index)
    p.current = index == p.index and tonumber(current) or 0
    p.previous = index == p.index and tonumber(previous) or index == p.index - 1 and tonumber(current) or 0
    p.units = p.window / p.unit
    p.used = p.current + ceil(p.previous * ceil(p.ends - now, p.unit), p.units)
  end,
  wait = function(p, cost)
    if p.used + cost <= p.limit then return 0 end
    local free = p.limit - cost - p.current
    if free >= 0 then return p.ends - div(free * p.units, p.previous) * p.unit - now end
    return p.ends + p.window - math.min(div((p.limit - cost) * p.units, p.current), p.units) * p.unit - now
  end,
  take = function(p, cost, at)
    local index = cost > 0 and p.index or div(at, p.window)
    if index == p.index then p.current = math.max(p.current + cost, 0)
    elseif index == p.index - 1 then p.previous = math.max(p.previous + cost, 0) end
    p.used = p.current + ceil(p.previous * ceil(p.ends - now, p.unit), p.units)
  end,
  save = function(p)
    local state = string.format('%.0f:%.0f:%.0f', p.index, p.current, p.previous)
    redis.call('SET', p.key, state, 'PX', math.ceil((p.ends + p.window - now) / 1000))
  end,
  report = function(p)
    local reset = p.current > 0 and p.ends + p.window - now or p.previous > 0 and p.ends - now or 0
    return p.limit - p.used, reset
  end,
}
"""
    index: int = 0
    current: int = 0
    previous: int = 0

    @property
    def ends(self) -> int:
        return (self.index + 1) * self.window

    @property
    def units(self) -> int:
        return self.window // self.unit

    @property
    def used(self) -> int:
        covered = -(-(self.ends - self.now) // self.unit)
        return self.current - (-self.previous * covered // self.units)

    def load(self, table: Table) -> None:
        self.index = self.now // self.window
        index, current, previous = _numbers(table.get(self.key), 3)
        index = min(index, self.index)
        if index == self.index:
            self.current, self.previous = current, previous
        elif index == self.index - 1:
            self.previous = current

    def wait(self, cost: int) -> int:
        if self.used + cost <= self.limit:
            return 0
        free = self.limit - cost - self.current
        if free >= 0:
            return self.ends - free * self.units // self.previous * self.unit - self.now
        covered = min((self.limit - cost) * self.units // self.current, self.units)
        return self.ends + self.window - covered * self.unit - self.now

    def take(self, cost: int, at: int) -> None:
        index = self.index if cost > 0 else at // self.window
        if index == self.index:
            self.current = max(self.current + cost, 0)
        elif index == self.index - 1:
            self.previous = max(self.previous + cost, 0)

    def save(self, table: Table, keep: Keep) -> None:
        ttl = (self.ends + self.window - self.now) / 1_000_000
        table.set(self.key, b"%d:%d:%d" % (self.index, self.current, self.previous), ttl, keep)

    def report(self) -> tuple[int, int]:
        last = self.ends + self.window if self.current > 0 else self.ends if self.previous > 0 else self.now
        return self.limit - self.used, last - self.now


@dataclass(slots=True)
class GCRA(Algorithm):
    """A bucket that `limit` (the burst) fills and that leaks evenly. The state is `debt:time:unit:weight`.

    Debt is counted in parts of a request, so that all of it is whole numbers: a request is `weight` parts, and `unit` parts
    leak away in a microsecond. After a change of the limit, debt leaks as it was meant to until it is next looked at, and
    is then counted in the new parts, rounded up to whole requests.
    """

    code: ClassVar[str] = "g"
    lua: ClassVar[str] = """
A.g = {
  load = function(p)
    local debt, time, unit, weight = string.match(redis.call('GET', p.key) or '', '^(%d+):(%d+):(%d+):(%d+)$')
    unit, weight = tonumber(unit or p.unit), tonumber(weight or p.weight)
    p.debt = math.max(tonumber(debt or 0) - math.max(now - tonumber(time or 0), 0) * unit, 0)
    if weight ~= p.weight or unit ~= p.unit then p.debt = math.min(ceil(p.debt, weight), p.limit) * p.weight end
  end,
  wait = function(p, cost)
    return math.max(ceil(p.debt + (cost - p.limit) * p.weight, p.unit), 0)
  end,
  take = function(p, cost)
    p.debt = math.max(p.debt + cost * p.weight, 0)
  end,
  save = function(p)
    local ttl = math.max(math.ceil(ceil(p.debt, p.unit) / 1000), 1)
    redis.call('SET', p.key, string.format('%.0f:%.0f:%.0f:%.0f', p.debt, now, p.unit, p.weight), 'PX', ttl)
  end,
  report = function(p)
    return p.limit - ceil(p.debt, p.weight), ceil(p.debt, p.unit)
  end,
}
"""
    debt: int = 0

    def load(self, table: Table) -> None:
        value = table.get(self.key)
        if value is None:
            return
        debt, time, unit, weight = _numbers(value, 4)
        self.debt = max(debt - max(self.now - time, 0) * unit, 0)
        if (unit, weight) != (self.unit, self.weight):
            self.debt = min(-(-self.debt // weight), self.limit) * self.weight

    def wait(self, cost: int) -> int:
        return max(-(-(self.debt + (cost - self.limit) * self.weight) // self.unit), 0)

    def take(self, cost: int, at: int) -> None:
        self.debt = max(self.debt + cost * self.weight, 0)

    def save(self, table: Table, keep: Keep) -> None:
        ttl = max(-(-self.debt // self.unit), 1) / 1_000_000
        table.set(self.key, b"%d:%d:%d:%d" % (self.debt, self.now, self.unit, self.weight), ttl, keep)

    def report(self) -> tuple[int, int]:
        return self.limit - (-(-self.debt // self.weight)), -(-self.debt // self.unit)


ALGORITHMS: Mapping[str, type[Any]] = {
    "fixed-window": FixedWindow,
    "moving-window": MovingWindow,
    "sliding-window-counter": SlidingWindowCounter,
    "gcra": GCRA,
}
"""By their names; all but the last are those of the `limits` package."""

_BY_CODE = {algorithm.code: algorithm for algorithm in ALGORITHMS.values()}


@dataclass(slots=True)
class Decide(Script[Decision]):
    """Take from all policies, or from none. A key for each; args: `at`, then algorithm and NUMBERS of each.

    With `at` 0 it decides: a policy that does not fit denies the request, unless it is a shadow. Else it settles, without
    a condition, what was decided at that time: costs are added, or given back if they are negative and still counted.
    """

    lua: ClassVar[str] = (
        """
local function div(a, b)
  local q = math.floor(a / b)
  if q * b > a then return q - 1 elseif (q + 1) * b <= a then return q + 1 end
  return q
end
local function ceil(a, b) return -div(-a, b) end
local A = {}
"""
        + "".join(algorithm.lua for algorithm in ALGORITHMS.values())
        + """
local at, all, reply = tonumber(args[1]), {}, {1, now}
local since = at == 0 and now or at
for i = 1, #keys do
  local n = 7 * i - 5
  local p = {key = keys[i], use = A[args[n]], shadow = args[n + 4] == '1'}
  p.limit, p.window, p.cost = tonumber(args[n + 1]), tonumber(args[n + 2]), tonumber(args[n + 3])
  p.unit, p.weight = tonumber(args[n + 5]), tonumber(args[n + 6])
  p.use.load(p)
  p.wait = 0
  if at == 0 and p.cost > 0 then p.wait = p.cost > p.limit and -1 or p.use.wait(p, p.cost) end
  if p.wait ~= 0 and not p.shadow then reply[1] = 0 end
  all[i] = p
end
for i, p in ipairs(all) do
  if reply[1] == 1 and p.wait == 0 and p.cost ~= 0 then
    p.use.take(p, p.cost, since)
    p.use.save(p)
  end
  local remaining, reset = p.use.report(p)
  reply[i + 2] = {p.wait, math.max(remaining, 0), reset}
end
return reply
"""
    )

    def apply(self, table: Table, now: int, /) -> Decision:
        at = int(self.args[0])
        policies = [_policy(key, now, self.args, i) for i, key in enumerate(self.keys)]
        waits = []
        for policy in policies:
            policy.load(table)
            waits.append(_wait(policy) if at == 0 and policy.cost > 0 else 0)
        allowed = all([wait == 0 or policy.shadow for policy, wait in zip(policies, waits, strict=True)])
        states = []
        for policy, wait in zip(policies, waits, strict=True):
            if allowed and wait == 0 and policy.cost != 0:
                policy.take(policy.cost, at or now)
                policy.save(table, Keep.HELD if policy.report()[0] <= 0 else Keep.NORMAL)
            remaining, reset = policy.report()
            states.append(State(wait == 0, max(remaining, 0), reset, None if wait < 0 else wait))
        return Decision(allowed, tuple(states), now)

    def parse(self, reply: Any, /) -> Decision:
        allowed, now, *policies = reply
        states = [State(wait == 0, remaining, reset, None if wait < 0 else wait) for wait, remaining, reset in policies]
        return Decision(allowed == 1, tuple(states), now, remote=True)


@lru_cache(maxsize=1024)
def numbers(policy: Policy) -> tuple[str, int, int, int, int, int]:
    """What of a policy never changes, as the script takes it: code, limit, window, shadow, unit and weight.

    Raises `ConfigurationError` for a limit that cannot be counted exactly.
    """
    code, limit, window = ALGORITHMS[policy.algorithm].code, policy.limit, policy.window
    unit, weight = 1, 1
    if policy.algorithm == "gcra":
        limit, parts = policy.burst or policy.limit, gcd(policy.limit, window)
        unit, weight = policy.limit // parts, window // parts
        if limit * weight > EXACT:
            raise ConfigurationError(
                f"{policy.name}: {policy.limit} in {window // 1_000_000} s is too odd a rate for gcra, round it"
            )
    elif policy.algorithm == "sliding-window-counter":
        while policy.limit * (window // unit) > EXACT:
            unit *= 10
    return code, limit, window, int(policy.shadow), unit, weight


def _policy(key: str, now: int, args: Sequence[Any], place: int) -> Any:
    start = 1 + place * (NUMBERS + 1)
    return _BY_CODE[args[start]](key, now, *args[start + 1 : start + 1 + NUMBERS])


def _wait(policy: Any) -> int:
    return -1 if policy.cost > policy.limit else policy.wait(policy.cost)


def _numbers(value: bytes | None, count: int) -> list[int]:
    return [int(number) for number in value.split(b":")] if value is not None else [0] * count
