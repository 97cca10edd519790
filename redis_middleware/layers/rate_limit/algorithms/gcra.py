"""The generic cell rate algorithm: a bucket that leaks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ....ops import Keep, Table
from .algorithm import Algorithm, numbers_in


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
        debt, time, unit, weight = numbers_in(value, 4)
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
