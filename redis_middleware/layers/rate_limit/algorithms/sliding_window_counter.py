"""Two counters that come close to a log, for the price of two numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ....ops import Keep, Table
from .algorithm import Algorithm, numbers_in


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
        index, current, previous = numbers_in(table.get(self.key), 3)
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
