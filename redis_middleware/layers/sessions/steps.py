"""What is done to one record: each of these is one atomic step, in Lua and in Python.

The first two args of each are the idle and the absolute timeout in microseconds (0 for none). Changes come last.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar

from ...ops import Arg, Script, Table
from .record import LUA, Fields, Found, Records, beside, digest_of, tag_of


class Code(IntEnum):
    """What came of a step that writes."""

    DONE = 1
    GONE = 0
    """There is no such session any more, or it can only be read."""
    TOO_LARGE = -1
    TOO_MANY = -2
    """A counter would leave the range in which it is exact."""
    FULL = -3
    """The user has as many sessions as are allowed."""
    KEPT = 2
    """The changes were made, and the id was kept: another request had renewed it already."""


@dataclass(slots=True)
class Stored:
    """A record as it was read: its fields, when that was, and when it ends. `kept` is false if it may only be read."""

    now: int
    ends: int
    kept: bool
    fields: Fields


@dataclass(slots=True)
class Written:
    """What came of a step: a code, when it was, and when the record was to end before and ends now (0: was not there)."""

    code: Code
    now: int
    before: int = 0
    after: int = 0
    evicted: tuple[int, ...] = ()
    """When those were to end that had to make room."""


CORRUPT = Stored(0, 0, False, {})
"""Something is there, and it is no record."""


class _Reads(Script[Stored | None]):
    """A step that answers with the record."""

    __slots__ = ()

    def parse(self, reply: Any, /) -> Stored | None:
        if not reply:
            return None if reply is None else CORRUPT
        fields = {name.decode(): value for name, value in zip(reply[3::2], reply[4::2], strict=True)}
        return Stored(int(reply[0]), int(reply[1]), reply[2] == 1, fields)


class _Writes(Script[Written]):
    """A step that answers with what came of it."""

    __slots__ = ()

    def parse(self, reply: Any, /) -> Written:
        code, now, before, after, *evicted = [int(number) for number in reply]
        return Written(Code(code), now, before, after, tuple(evicted))


READ = """
local function read(m)
  local reply = redis.call('HGETALL', m.key)
  table.insert(reply, 1, m.dying and 0 or 1)
  table.insert(reply, 1, text(m.ends))
  table.insert(reply, 1, text(now))
  return reply
end
"""


@dataclass(slots=True)
class Load(_Reads):
    """The record of a key; None if there is none, or it has ended. It changes nothing."""

    safe: ClassVar[bool] = True
    lua: ClassVar[str] = (
        LUA
        + READ
        + """
local m, corrupt = alive(keys[1])
if m then return read(m) end
return corrupt and {} or nil
"""
    )

    def apply(self, table: Table, now: int, /) -> Stored | None:
        found, corrupt = Records(table, now, self.args).alive(self.keys[0])
        if found is None:
            return CORRUPT if corrupt else None
        return Stored(now, found.ends, not found.dying, dict(found.fields))


@dataclass(slots=True)
class Claim(_Reads):
    """Read a record to write it under another tag. From now on it can only be read here, for `args[2]` microseconds."""

    lua: ClassVar[str] = (
        LUA
        + READ
        + """
local m, corrupt = alive(keys[1])
if not m then return corrupt and {} or nil end
local reply = read(m)
if not m.dying then
  redis.call('HSET', m.key, 'g', text(now + args[3]))
  redis.call('PEXPIRE', m.key, math.ceil(args[3] / 1000))
  if m.user then redis.call('ZREM', index(m), digest(m.key)) end
end
return reply
"""
    )

    def apply(self, table: Table, now: int, /) -> Stored | None:
        records = Records(table, now, self.args)
        found, corrupt = records.alive(self.keys[0])
        if found is None:
            return CORRUPT if corrupt else None
        if not found.dying:
            grace = int(self.args[2])
            table.set(found.key, found.fields | {"g": b"%d" % (now + grace)}, grace / 1_000_000)
            records.list_under(found, None)
        return Stored(now, found.ends, not found.dying, dict(found.fields))


@dataclass(slots=True)
class Release(_Writes):
    """Undo a claim: the record may be written again."""

    lua: ClassVar[str] = (
        LUA
        + """
local m = alive(keys[1])
if not m or not m.dying or m.after then return {0, text(now), 0, 0} end
redis.call('HDEL', m.key, 'g')
return {1, text(now), text(m.ends), text(keep(m.key).ends)}
"""
    )

    def apply(self, table: Table, now: int, /) -> Written:
        records = Records(table, now, self.args)
        found, _ = records.alive(self.keys[0])
        if found is None or not found.dying or found.after:
            return Written(Code.GONE, now)
        fields = {name: value for name, value in found.fields.items() if name != "g"}
        return Written(Code.DONE, now, found.ends, records.keep(found.key, fields))


@dataclass(slots=True)
class Create(_Writes):
    """A new record. Args: timeouts, most bytes, most sessions of the user (0: any number), `evict` or `refuse`, the digest of
    the user or nothing, when it was created (0: now), changes.
    """

    lua: ClassVar[str] = (
        LUA
        + """
local most, allowed, full, user, created = tonumber(args[3]), tonumber(args[4]), args[5], args[6], tonumber(args[7])
local m, corrupt = alive(keys[1])
if m or corrupt then return {0, text(now), 0, 0} end
redis.call('UNLINK', keys[1])
local size, why = growth(keys[1], 0, 8, most)
if not size then return {why, text(now), 0, 0} end
local reply = {1, text(now), 0, 0}
if user ~= '' then
  local list = beside(keys[1], 'u' .. user)
  redis.call('ZREMRANGEBYSCORE', list, '-inf', text(now))
  if allowed > 0 and redis.call('ZCARD', list) >= allowed then
    local others = listed(list)
    if #others >= allowed and full == 'refuse' then return {-3, text(now), 0, 0} end
    table.sort(others, function(a, b)
      if a.created ~= b.created then return a.created < b.created end
      return a.key < b.key
    end)
    for i = 1, #others - allowed + 1 do
      drop(others[i])
      reply[#reply + 1] = text(others[i].ends)
    end
  end
  redis.call('HSET', keys[1], 'u', user)
end
redis.call('HSET', keys[1], 'c', created > 0 and args[7] or text(now), 'r', text(now))
write(keys[1], size, 8)
reply[4] = text(keep(keys[1]).ends)
return reply
"""
    )

    def apply(self, table: Table, now: int, /) -> Written:
        records = Records(table, now, self.args)
        key, (most, allowed, full, user, created, *changes) = self.keys[0], self.args[2:]
        if records.alive(key) != (None, False):
            return Written(Code.GONE, now)
        size, why = records.growth({}, 0, changes, int(most))
        if why:
            return Written(Code(why), now)
        fields = {"c": b"%d" % (int(created) or now), "r": b"%d" % now}
        evicted: list[int] = []
        if user:
            fields["u"] = str(user).encode()
            others = records.sessions(beside(key, "u" + str(user)))
            if int(allowed) > 0 and len(others) >= int(allowed):
                if full == "refuse":
                    return Written(Code.FULL, now)
                others.sort(key=lambda found: (found.created, found.key))
                for found in others[: len(others) - int(allowed) + 1]:
                    records.drop(found)
                    evicted.append(found.ends)
        ends = records.keep(key, records.write(fields, size, changes))
        return Written(Code.DONE, now, 0, ends, tuple(evicted))


@dataclass(slots=True)
class Commit(_Writes):
    """Make changes to a record that is there, and let it live on. Args: timeouts, most bytes, changes."""

    lua: ClassVar[str] = (
        LUA
        + """
local m = alive(keys[1])
if not m or m.dying then return {0, text(now), 0, 0} end
local size, why = growth(m.key, m.size, 4, tonumber(args[3]))
if not size then return {why, text(now), 0, 0} end
write(m.key, size, 4)
return {1, text(now), text(m.ends), text(keep(m.key).ends)}
"""
    )

    def apply(self, table: Table, now: int, /) -> Written:
        records = Records(table, now, self.args)
        found, _ = records.alive(self.keys[0])
        if found is None or found.dying:
            return Written(Code.GONE, now)
        return _committed(records, found, self.args[2], self.args[3:], Code.DONE)


@dataclass(slots=True)
class Rotate(_Writes):
    """Make changes to a record, and give it another digest under the same tag. Keys: the old, the new.

    Args: timeouts, most bytes, grace in microseconds, `rotate` or `renew`, the age of an id that is due for renewal, 1 if
    the session counts as created now, changes. Rotated, the old id reads what was there before, for the grace; renewed, it
    serves as the new one does.
    """

    lua: ClassVar[str] = (
        LUA
        + """
local m = alive(keys[1])
if not m or m.dying then return {0, text(now), 0, 0} end
local size, why = growth(m.key, m.size, 8, tonumber(args[3]))
if not size then return {why, text(now), 0, 0} end
local grace, renew = tonumber(args[4]), args[5] == 'renew'
if renew and (m.renewed or now - m.issued < tonumber(args[6])) then
  write(m.key, size, 8)
  return {2, text(now), text(m.ends), text(keep(m.key).ends)}
end
if m.before and string.sub(m.before, 1, 8) == tag(m.key) then redis.call('UNLINK', beside(m.key, string.sub(m.before, 9))) end
if m.user then redis.call('ZREM', index(m), digest(m.key)) end
if renew or grace == 0 then redis.call('RENAME', m.key, keys[2]) else redis.call('COPY', m.key, keys[2], 'REPLACE') end
if grace > 0 then
  redis.call('HSET', m.key, 'g', text(now + grace), renew and 't' or 'n', digest(keys[2]))
  redis.call('PEXPIRE', m.key, math.ceil(grace / 1000))
end
redis.call('HSET', keys[2], 'r', text(now), 'p', tag(m.key) .. digest(m.key))
if args[7] == '1' then redis.call('HSET', keys[2], 'c', text(now)) end
write(keys[2], size, 8)
return {1, text(now), text(m.ends), text(keep(keys[2]).ends)}
"""
    )

    def apply(self, table: Table, now: int, /) -> Written:
        records = Records(table, now, self.args)
        (old, new), (most, grace, how, age, afresh, *changes) = self.keys, self.args[2:]
        found, _ = records.alive(old)
        if found is None or found.dying:
            return Written(Code.GONE, now)
        size, why = records.growth(found.fields, found.size, changes, int(most))
        if why:
            return Written(Code(why), now)
        if how == "renew" and (found.renewed or now - found.issued < int(age)):
            return _committed(records, found, most, changes, Code.KEPT)
        records.drop(found)
        fields = found.fields | {"r": b"%d" % now, "p": (tag_of(found.key) + digest_of(found.key)).encode()}
        if int(afresh):
            fields["c"] = b"%d" % now
        if int(grace) > 0:
            left = {} if how == "renew" else found.fields
            name = "t" if how == "renew" else "n"
            left = left | {"g": b"%d" % (now + int(grace)), name: digest_of(new).encode()}
            table.set(found.key, left, int(grace) / 1_000_000)
        ends = records.keep(new, records.write(fields, size, changes))
        return Written(Code.DONE, now, found.ends, ends)


@dataclass(slots=True)
class Touch(_Writes):
    """Let a record live on, if a tenth of its idle timeout has passed since it was last seen."""

    lua: ClassVar[str] = (
        LUA
        + """
local m = alive(keys[1])
if not m or m.dying then return {0, text(now), 0, 0} end
if now - m.seen < m.idle / 10 then return {2, text(now), text(m.ends), text(m.ends)} end
redis.call('HSET', m.key, 's', text(now))
return {1, text(now), text(m.ends), text(keep(m.key).ends)}
"""
    )

    def apply(self, table: Table, now: int, /) -> Written:
        records = Records(table, now, self.args)
        found, _ = records.alive(self.keys[0])
        if found is None or found.dying:
            return Written(Code.GONE, now)
        if now - found.seen < found.idle / 10:
            return Written(Code.KEPT, now, found.ends, found.ends)
        ends = records.keep(found.key, found.fields | {"s": b"%d" % now})
        return Written(Code.DONE, now, found.ends, ends)


@dataclass(slots=True)
class Ended:
    """What an end has ended: when it was, when the session was to end (0: there was none), and the id that it had before."""

    now: int
    ends: int
    before: str | None


@dataclass(slots=True)
class End(Script[Ended]):
    """End a session under whichever of its ids, and every id that it had in this slot."""

    lua: ClassVar[str] = (
        LUA
        + """
local key, ends, before = keys[1], 0, ''
for _ = 1, 9 do
  local m = alive(key)
  if not m then break end
  drop(m)
  before = m.before or ''
  if not m.dying then ends = m.ends end
  if not (m.dying and m.after) then break end
  key = beside(key, m.after)
end
redis.call('UNLINK', keys[1])
return {text(now), text(ends), before}
"""
    )

    def apply(self, table: Table, now: int, /) -> Ended:
        records = Records(table, now, self.args)
        key, ends, before = self.keys[0], 0, None
        for _ in range(9):  # rotated so often within its grace
            found, _corrupt = records.alive(key)
            if found is None:
                break
            records.drop(found)
            before = found.before
            if not found.dying:
                ends = found.ends
            if not (found.dying and found.after):
                break
            key = beside(key, found.after)
        table.delete(self.keys[0])
        return Ended(now, ends, before)

    def parse(self, reply: Any, /) -> Ended:
        now, ends, before = reply
        return Ended(int(now), int(ends), before.decode() or None)


def _committed(records: Records, found: Found, most: Arg, changes: Any, code: Code) -> Written:
    size, why = records.growth(found.fields, found.size, changes, int(most))
    if why:
        return Written(Code(why), records.now)
    ends = records.keep(found.key, records.write(found.fields, size, changes))
    return Written(code, records.now, found.ends, ends)
