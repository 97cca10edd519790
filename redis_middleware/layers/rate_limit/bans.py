"""Bans: who breaks a limit again and again is shut out for a while.

A ban is decided by the same script as the limits, and looks like one more algorithm to it: `wait` says how long somebody is
still banned; what it counts are breaches, and it counts them when the others deny.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ...errors import ConfigurationError
from ...ops import Keep, Table
from .algorithms.algorithm import Algorithm, numbers_in
from .limit import When
from .policy import Guard


@dataclass(frozen=True, slots=True)
class Ban:
    """Shut a subject out for `duration` seconds after `after` breaches within `within` seconds, as fail2ban does.

    A breach is a request that a limit denied; and, if `when(request, response)` is given, one whose response it is true for,
    be it denied or not. Breaches while somebody is banned do not count: the ban ends when it was to end.

    Raises `ConfigurationError` for numbers that are not positive.
    """

    after: int = 3
    within: float = 60
    duration: float = 600
    when: When | None = None

    def __post_init__(self) -> None:
        for name in ("after", "within", "duration"):
            if not getattr(self, name) > 0:
                raise ConfigurationError(f"Ban: {name} must be positive, got {getattr(self, name)!r}")


@dataclass(frozen=True, slots=True)
class BanPolicy(Guard):
    """A ban as one more policy of a decision: `limit` breaches in `window`, then `duration` microseconds."""

    duration: int = 0


def policy_of(ban: Ban) -> BanPolicy:
    """The policy of a ban; it is named `ban`."""
    return BanPolicy("ban", ban.after, round(ban.within * 1_000_000), duration=round(ban.duration * 1_000_000))


@dataclass(slots=True)
class Banned(Algorithm):
    """Count breaches in windows that begin with the first. The state is `count:reset:until`; `unit` is the duration."""

    code: ClassVar[str] = "b"
    lua: ClassVar[str] = """
A.b = {
  load = function(p)
    local count, reset, till = string.match(redis.call('GET', p.key) or '', '^(%d+):(%d+):(%d+)$')
    p.count, p.reset, p.till = tonumber(count or 0), tonumber(reset or 0), tonumber(till or 0)
    if p.reset <= now then p.count, p.reset = 0, now + p.window end
    p.reset = math.min(p.reset, now + p.window)
    p.till = math.min(p.till, now + p.unit)
  end,
  wait = function(p) return math.max(p.till - now, 0) end,
  take = function(p, breaches)
    if p.till > now then return end
    p.count = math.max(p.count + breaches, 0)
    if p.count >= p.limit then p.till, p.count = now + p.unit, 0 end
  end,
  save = function(p)
    local ttl = math.ceil((math.max(p.reset, p.till) - now) / 1000)
    redis.call('SET', p.key, string.format('%.0f:%.0f:%.0f', p.count, p.reset, p.till), 'PX', ttl)
  end,
  report = function(p)
    if p.till > now then return 0, p.till - now end
    return p.limit - p.count, p.count > 0 and p.reset - now or 0
  end,
}
"""
    count: int = 0
    reset: int = 0
    till: int = 0

    def load(self, table: Table) -> None:
        self.count, self.reset, self.till = numbers_in(table.get(self.key), 3)
        if self.reset <= self.now:
            self.count, self.reset = 0, self.now + self.window
        self.reset = min(self.reset, self.now + self.window)
        self.till = min(self.till, self.now + self.unit)

    def wait(self, cost: int) -> int:
        return max(self.till - self.now, 0)

    def take(self, breaches: int, at: int) -> None:
        if self.till > self.now:
            return
        self.count = max(self.count + breaches, 0)
        if self.count >= self.limit:
            self.till, self.count = self.now + self.unit, 0

    def save(self, table: Table, keep: Keep) -> None:
        ttl = (max(self.reset, self.till) - self.now) / 1_000_000
        table.set(self.key, b"%d:%d:%d" % (self.count, self.reset, self.till), ttl, keep)

    def report(self) -> tuple[int, int]:
        if self.till > self.now:
            return 0, self.till - self.now
        return self.limit - self.count, self.reset - self.now if self.count > 0 else 0
