"""How requests are counted: each algorithm is one Script, its Lua and its Python side by side.

Rules:

* One script decides all policies of a request, and takes from all of them or from none.
* Windows are half-open: a window that began at `s` and lasts `w` covers `s <= now < s + w`.
* Times are integer microseconds of the storage's clock. Every state carries its own, and the expiry of its key only has
  it collected; so a key that expired early or late makes no difference.
* A clock that stepped back cannot lock anybody out for longer than one window: a reset that lies further ahead is
  brought back to that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ...ops import Keep, Script, Table


@dataclass(slots=True)
class Decision:
    """What a script decided: whether the request is allowed, and the state of each policy after it."""

    allowed: bool
    counts: tuple[int, ...]
    waits: tuple[int, ...]
    """Microseconds until each policy's window ends."""


@dataclass(slots=True)
class FixedWindow(Script[Decision]):
    """Count in windows that begin with the first hit. A key for each policy; args: cost, then limit and window of each.

    The state is `count:reset`: what was counted, and the time at which the window ends.
    """

    lua: ClassVar[str] = """
local cost, denied = tonumber(args[1]), false
local counts, resets, reply = {}, {}, {}
for i = 1, #keys do
  local limit, window = tonumber(args[2 * i]), tonumber(args[2 * i + 1])
  local count, reset = string.match(redis.call('GET', keys[i]) or '', '^(%d+):(%d+)$')
  count, reset = tonumber(count or 0), tonumber(reset or 0)
  if reset <= now then count, reset = 0, now + window end
  counts[i], resets[i] = count, math.min(reset, now + window)
  denied = denied or count + cost > limit
end
reply[1] = denied and 0 or 1
for i = 1, #keys do
  if not denied then
    counts[i] = counts[i] + cost
    local state = string.format('%.0f:%.0f', counts[i], resets[i])
    redis.call('SET', keys[i], state, 'PX', math.ceil((resets[i] - now) / 1000))
  end
  reply[2 * i], reply[2 * i + 1] = counts[i], resets[i] - now
end
return reply
"""

    def apply(self, table: Table, now: int, /) -> Decision:
        numbers = [int(arg) for arg in self.args]
        cost, limits, windows = numbers[0], numbers[1::2], numbers[2::2]
        states = [_state(table.get(key), now, window) for key, window in zip(self.keys, windows, strict=True)]
        allowed = all([state[0] + cost <= limit for state, limit in zip(states, limits, strict=True)])
        if allowed:
            states = [(count + cost, reset) for count, reset in states]
            for key, (count, reset), limit in zip(self.keys, states, limits, strict=True):
                keep = Keep.HELD if count >= limit else Keep.NORMAL  # who has nothing left is kept when memory runs short
                table.set(key, b"%d:%d" % (count, reset), (reset - now) / 1_000_000, keep)
        return Decision(allowed, tuple([count for count, _ in states]), tuple([reset - now for _, reset in states]))

    def parse(self, reply: Any, /) -> Decision:
        allowed, *states = reply
        return Decision(allowed == 1, tuple(states[::2]), tuple(states[1::2]))


def _state(value: bytes | None, now: int, window: int) -> tuple[int, int]:
    """Count and reset of a window; those of a new one if it has ended."""
    if value is not None:
        count, _, reset = value.partition(b":")
        if int(reset) > now:
            return int(count), min(int(reset), now + window)
    return 0, now + window
