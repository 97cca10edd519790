"""A login moves a session into the slot of its user, which no single step can do on a Cluster.

So it takes three: the record is *claimed*, which makes it one that can only be read until the claim lapses; it is created anew
with what was in it then; and it is *retired*. Whatever fails in between, the session is still there under the id that the
client has. If it was ended in between, the new one ends, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ...ops import Table
from .record import LUA, Records, without
from .steps import CORRUPT, READ, Code, Reads, Stored, Writes, Written, read


@dataclass(slots=True)
class Claim(Reads):
    """Read a record to move it, and let nobody write it for `args[2]` microseconds."""

    lua: ClassVar[str] = (
        READ
        + """
local m, corrupt = alive(keys[1])
if not m then return corrupt and {} or nil end
local reply = read(m)
if m.kept then redis.call('HSET', m.key, 'l', text(now + args[3])) end
return reply
"""
    )

    def apply(self, table: Table, now: int, /) -> Stored | None:
        found, corrupt = Records(table, now, self.args).alive(self.keys[0])
        if found is None:
            return CORRUPT if corrupt else None
        if found.kept:
            fields = found.fields | {"l": b"%d" % (now + int(self.args[2]))}
            table.set(found.key, fields, (found.ends - now) / 1_000_000)
        return read(found, now)


@dataclass(slots=True)
class Release(Writes):
    """Undo a claim: the record may be written again."""

    lua: ClassVar[str] = (
        LUA
        + """
local m = alive(keys[1])
if not m or m.retired then return {0, text(now), 0, 0} end
redis.call('HDEL', m.key, 'l')
return {1, text(now), text(m.ends), text(m.ends)}
"""
    )

    def apply(self, table: Table, now: int, /) -> Written:
        found, _ = Records(table, now, self.args).alive(self.keys[0])
        if found is None or found.retired:
            return Written(Code.GONE, now)
        table.set(found.key, without(found.fields, "l"), (found.ends - now) / 1_000_000)
        return Written(Code.DONE, now, found.ends, found.ends)


@dataclass(slots=True)
class Retire(Writes):
    """The session has another id now. Under this one it can be read for the grace. Args: timeouts, grace, the new id."""

    lua: ClassVar[str] = (
        LUA
        + """
local m = alive(keys[1])
if not m or m.retired then return {0, text(now), 0, 0} end
local grace = tonumber(args[3])
if grace == 0 then
  drop(m)
else
  redis.call('HSET', m.key, 'g', text(now + grace), 'n', args[4])
  redis.call('HDEL', m.key, 'l')
  redis.call('PEXPIRE', m.key, math.ceil(grace / 1000))
  if m.user then redis.call('ZREM', index(m), digest(m.key)) end
end
return {1, text(now), text(m.ends), 0}
"""
    )

    def apply(self, table: Table, now: int, /) -> Written:
        records = Records(table, now, self.args)
        found, _ = records.alive(self.keys[0])
        if found is None or found.retired:
            return Written(Code.GONE, now)
        grace = int(self.args[2])
        if grace == 0:
            records.drop(found)
        else:
            left = {"g": b"%d" % (now + grace), "n": str(self.args[3]).encode()}
            table.set(found.key, without(found.fields, "l") | left, grace / 1_000_000)
            records.list_under(found, None)
        return Written(Code.DONE, now, found.ends, 0)
