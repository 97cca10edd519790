"""Windows that begin with the first hit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ....ops import Keep, Table
from .algorithm import Algorithm, numbers_in


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
        self.count, self.reset = numbers_in(table.get(self.key), 2)
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
