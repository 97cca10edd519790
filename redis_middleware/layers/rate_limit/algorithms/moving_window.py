"""A log of every hit of the last window: exact at every moment, for the price of remembering them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import ClassVar

from ....ops import Keep, Table
from .algorithm import Algorithm


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
