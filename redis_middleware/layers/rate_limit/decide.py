"""The script that decides: one call for all policies of a request, of whatever algorithm; it takes from all or from none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import gcd
from typing import Any, ClassVar

from ...errors import ConfigurationError
from ...ops import Keep, Script, Table
from .algorithms import ALGORITHMS
from .algorithms.algorithm import EXACT
from .bans import Banned, BanPolicy
from .in_flight import InFlight, Leases
from .policy import Decision, Policy, State

NUMBERS = 6
"""How many numbers follow a policy's algorithm in the arguments: limit, window, cost, shadow, unit, weight."""

_ALL: tuple[type[Any], ...] = (*ALGORITHMS.values(), Leases, Banned)
_BY_CODE = {algorithm.code: algorithm for algorithm in _ALL}


@dataclass(slots=True)
class Decide(Script[Decision]):
    """Take from all policies, or from none. A key for each; args: `at`, then algorithm and NUMBERS of each.

    With `at` 0 it decides: a policy that does not fit denies the request, unless it is a shadow, and a ban counts a breach
    then. Else it settles, without a condition, what was decided at that time: costs are added, or given back if they are
    negative and still counted.
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
        + "".join(algorithm.lua for algorithm in _ALL)
        + """
local at, all, reply = tonumber(args[1]), {}, {1, now}
local since = at == 0 and now or at
for i = 1, #keys do
  local n = 7 * i - 5
  local p = {key = keys[i], use = A[args[n]], shadow = args[n + 4] == '1'}
  p.limit, p.window, p.cost = tonumber(args[n + 1]), tonumber(args[n + 2]), tonumber(args[n + 3])
  p.unit, p.weight = tonumber(args[n + 5]), tonumber(args[n + 6])
  p.use.load(p)
  p.wait, p.ban = 0, args[n] == 'b'
  if at == 0 and p.ban then p.wait = p.use.wait(p)
  elseif at == 0 and p.cost > 0 then p.wait = p.cost > p.limit and -1 or p.use.wait(p, p.cost) end
  if p.wait ~= 0 and not p.shadow then reply[1] = 0 end
  all[i] = p
end
for i, p in ipairs(all) do
  if reply[1] == 1 and p.wait == 0 and p.cost ~= 0 then
    p.use.take(p, p.cost, since)
    p.use.save(p)
  elseif reply[1] == 0 and p.ban and p.wait == 0 then
    p.use.take(p, 1)
    p.use.save(p)
    p.wait = p.use.wait(p)
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
            waits.append(_wait(policy) if at == 0 else 0)
        allowed = all([wait == 0 or policy.shadow for policy, wait in zip(policies, waits, strict=True)])
        states = []
        for policy, wait in zip(policies, waits, strict=True):
            breached = not allowed and type(policy) is Banned and wait == 0
            if breached or (allowed and wait == 0 and policy.cost != 0):
                policy.take(1 if breached else policy.cost, at or now)
                remaining, reset = policy.report()
                policy.save(table, Keep.HELD if remaining <= 0 else Keep.NORMAL)
            else:
                remaining, reset = policy.report()
            if breached:
                wait = policy.wait(0)
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
    if isinstance(policy, BanPolicy):
        return Banned.code, policy.limit, policy.window, 0, policy.duration, 1
    if isinstance(policy, InFlight):
        return Leases.code, policy.limit, policy.window, 0, 1, 1
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
    if type(policy) is Banned:
        return policy.wait(0)
    if policy.cost > policy.limit:
        return -1
    return policy.wait(policy.cost) if policy.cost > 0 else 0
