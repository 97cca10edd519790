"""How many requests of a subject may run at once: each holds a lease while it lasts.

A lease is taken by the same script as the limits, renewed while its request lasts, and given back when the response has
ended, however it ended. If a worker is killed, its leases lapse.
"""

from __future__ import annotations

from dataclasses import dataclass
from secrets import randbits
from typing import ClassVar

from ...errors import ConfigurationError
from ...ops import Keep, Table
from .algorithms.algorithm import Algorithm
from .policy import Guard


@dataclass(frozen=True, slots=True)
class InFlight(Guard):
    """`limit` requests at once, each with a lease of `window` microseconds."""


def policy_of(most: int, lease: float) -> InFlight:
    """The policy of `max_in_flight`; it is named `in-flight`. Raises `ConfigurationError` for numbers out of range."""
    if not lease >= 1:
        raise ConfigurationError(f"lease must be at least 1 second, got {lease!r}")
    return InFlight("in-flight", most, round(lease * 1_000_000))


def token() -> int:
    """A name for a lease that nobody else has: an integer that Lua has exactly."""
    return randbits(52) + 1


@dataclass(slots=True)
class Leases(Algorithm):
    """Who holds a lease, and until when. `weight` is the lease's token. What is taken for an earlier time renews a lease that
    is held, and no other: a renewal that comes late must not take back what was given back.

    In Redis a sorted set: scores are times, members tokens.
    """

    code: ClassVar[str] = "l"
    lua: ClassVar[str] = """
A.l = {
  load = function(p)
    local ends = string.format('%.0f', now + p.window)
    for _, ahead in ipairs(redis.call('ZRANGEBYSCORE', p.key, '(' .. ends, '+inf')) do redis.call('ZADD', p.key, ends, ahead) end
    redis.call('ZREMRANGEBYSCORE', p.key, '-inf', string.format('%.0f', now))
    p.count = redis.call('ZCARD', p.key)
  end,
  wait = function(p, cost) return p.count + cost <= p.limit and 0 or -1 end,
  take = function(p, cost, at)
    local token, ends = string.format('%.0f', p.weight), string.format('%.0f', now + p.window)
    if cost <= 0 then redis.call('ZREM', p.key, token)
    elseif at < now then redis.call('ZADD', p.key, 'XX', ends, token)
    else redis.call('ZADD', p.key, ends, token) end
    p.count = redis.call('ZCARD', p.key)
  end,
  save = function(p) redis.call('PEXPIRE', p.key, math.ceil(p.window / 1000)) end,
  report = function(p) return p.limit - p.count, 0 end,
}
"""
    held: tuple[tuple[int, int], ...] = ()  # tokens and when they lapse

    def load(self, table: Table) -> None:
        stored = tuple((token, ends) for token, ends in table.get(self.key) or ())
        latest = self.now + self.window
        self.held = tuple((token, min(ends, latest)) for token, ends in stored if ends > self.now)
        if self.held != stored:
            self.save(table, None)

    def wait(self, cost: int) -> int:
        return 0 if len(self.held) + cost <= self.limit else -1

    def take(self, cost: int, at: int) -> None:
        others = tuple(lease for lease in self.held if lease[0] != self.weight)
        if cost <= 0:
            self.held = others
        elif at >= self.now or len(others) < len(self.held):
            self.held = (*others, (self.weight, self.now + self.window))

    def save(self, table: Table, keep: Keep | None) -> None:
        if self.held:
            table.set(self.key, self.held, self.window / 1_000_000, keep)
        else:
            table.delete(self.key)

    def report(self) -> tuple[int, int]:
        return self.limit - len(self.held), 0
