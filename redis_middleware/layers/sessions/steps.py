"""What is done to one record: each of these is one atomic step, in Lua and in Python.

The first two args of each are the idle and the absolute timeout in microseconds (0 for none). Changes come last. What it takes
to move a session to the slot of a user is in `login`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar

from ...ops import Script, Table
from .record import CHAIN, LUA, Fields, Found, Records, beside, digest_of, id_of, key_of, neighbour, without


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
    """The changes were made, and the id was kept: another request had renewed it a moment ago."""


@dataclass(slots=True)
class Stored:
    """A record as it was read: when that was, when it ends, whether it may be written, its id, and its fields.

    `since` is when the id that was asked for became an alias of it; None if it is its own.
    """

    now: int
    ends: int
    kept: bool
    since: int | None
    id: str
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


CORRUPT = Stored(0, 0, False, None, "", {})
"""Something is there, and it is no record."""


class Reads(Script[Stored | None]):
    """A step that answers with the record."""

    __slots__ = ()

    def parse(self, reply: Any, /) -> Stored | None:
        if not reply:
            return None if reply is None else CORRUPT
        now, ends, kept, since, identity, *fields = reply
        try:
            named = {name.decode(): value for name, value in zip(fields[::2], fields[1::2], strict=True)}
        except UnicodeDecodeError:
            return CORRUPT
        return Stored(int(now), int(ends), kept == 1, int(since) if since else None, identity.decode(), named)


class Writes(Script[Written]):
    """A step that answers with what came of it."""

    __slots__ = ()

    def parse(self, reply: Any, /) -> Written:
        code, now, before, after, *evicted = [int(number) for number in reply]
        return Written(Code(code), now, before, after, tuple(evicted))


READ = (
    LUA
    + """
local function read(m)
  local reply = {text(now), text(m.ends), m.kept and 1 or 0, m.since and text(m.since) or '', tag(m.key) .. digest(m.key)}
  for _, part in ipairs(redis.call('HGETALL', m.key)) do reply[#reply + 1] = part end
  return reply
end
"""
)


def read(found: Found, now: int) -> Stored:
    """What `READ` answers, of a table."""
    return Stored(now, found.ends, found.kept, found.since, id_of(found.key), dict(found.fields))


@dataclass(slots=True)
class Load(Reads):
    """The record of a key; None if there is none, or it has ended. It changes nothing."""

    safe: ClassVar[bool] = True
    lua: ClassVar[str] = (
        READ
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
        return read(found, now)


@dataclass(slots=True)
class Create(Writes):
    """A new record. Args: timeouts, most bytes, most sessions of the user (0: any number), `evict` or `refuse`, the digest of
    the user or nothing, changes.
    """

    lua: ClassVar[str] = (
        LUA
        + """
local most, allowed, full, user = tonumber(args[3]), tonumber(args[4]), args[5], args[6]
local m, corrupt = alive(keys[1])
if m or corrupt then return {0, text(now), 0, 0} end
redis.call('HSET', keys[1], 's', text(now))
redis.call('UNLINK', keys[1])
local size, why = growth(keys[1], 0, 7, most)
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
redis.call('HSET', keys[1], 'c', text(now), 'r', text(now))
write(keys[1], size, 7)
reply[4] = text(keep(keys[1]))
return reply
"""
    )

    def apply(self, table: Table, now: int, /) -> Written:
        records = Records(table, now, self.args)
        key, (most, allowed, full, user, *changes) = self.keys[0], self.args[2:]
        if records.alive(key) != (None, False):
            return Written(Code.GONE, now)
        size, why = records.growth({}, 0, changes, int(most))
        if why:
            return Written(Code(why), now)
        fields = {"c": b"%d" % now, "r": b"%d" % now}
        evicted: list[int] = []
        table.delete(key)
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
class Commit(Writes):
    """Make changes to a record that is there, and let it live on. Args: timeouts, most bytes, changes."""

    lua: ClassVar[str] = (
        LUA
        + """
local m = alive(keys[1])
if not m or not m.kept then return {0, text(now), 0, 0} end
local size, why = growth(m.key, m.size, 4, tonumber(args[3]))
if not size then return {why, text(now), 0, 0} end
write(m.key, size, 4)
known(m)
return {1, text(now), text(m.ends), text(keep(m.key))}
"""
    )

    def apply(self, table: Table, now: int, /) -> Written:
        records = Records(table, now, self.args)
        found, _ = records.alive(self.keys[0])
        if found is None or not found.kept:
            return Written(Code.GONE, now)
        most, *changes = self.args[2:]
        size, why = records.growth(found.fields, found.size, changes, int(most))
        if why:
            return Written(Code(why), now)
        ends = records.keep(found.key, records.write(records.known(found), size, changes))
        return Written(Code.DONE, now, found.ends, ends)


@dataclass(slots=True)
class Rotate(Writes):
    """Make changes to a record, and give it another digest under the same tag. Keys: the old, the new.

    Args: timeouts, most bytes, grace in microseconds, `rotate` or `renew`, the age of an id that is due for renewal, 1 if
    the session counts as created now, changes. Rotated, the old id reads what was there before, for the grace. Renewed, it
    serves as the new one does: as long as nobody uses that, and for the grace from then on.
    """

    lua: ClassVar[str] = (
        LUA
        + """
local m = alive(keys[1])
if not m or not m.kept then return {0, text(now), 0, 0} end
local size, why = growth(m.key, m.size, 8, tonumber(args[3]))
if not size then return {why, text(now), 0, 0} end
local grace, renew = tonumber(args[4]), args[5] == 'renew'
local age, due = now - (m.since or m.issued), m.since and grace or tonumber(args[6])
if renew and age < due then
  write(m.key, size, 8)
  return {2, text(now), text(m.ends), text(keep(m.key))}
end
redis.call('HSET', m.key, 's', text(now))
known(m)
if m.user then redis.call('ZREM', index(m), digest(m.key)) end
local before = tag(m.key) .. digest(m.key)
if renew or grace == 0 then redis.call('RENAME', m.key, keys[2]) else redis.call('COPY', m.key, keys[2], 'REPLACE') end
if grace > 0 and renew then
  redis.call('HSET', m.key, 't', digest(keys[2]), 'r', text(now), 'g', text(m.ends))
  if m.before then redis.call('HSET', m.key, 'p', m.before) end
  redis.call('PEXPIRE', m.key, math.ceil((m.ends - now) / 1000))
elseif grace > 0 then
  redis.call('HSET', m.key, 'g', text(now + grace), 'n', tag(m.key) .. digest(keys[2]))
  redis.call('PEXPIRE', m.key, math.ceil(grace / 1000))
end
redis.call('HSET', keys[2], 'r', text(now), 'p', before)
if renew and grace > 0 then redis.call('HSET', keys[2], 'a', args[4]) else redis.call('HDEL', keys[2], 'a') end
if args[7] == '1' then redis.call('HSET', keys[2], 'c', text(now)) end
write(keys[2], size, 8)
return {1, text(now), text(m.ends), text(keep(keys[2]))}
"""
    )

    def apply(self, table: Table, now: int, /) -> Written:
        records = Records(table, now, self.args)
        (old, new), (most, grace, how, age, afresh, *changes) = self.keys, self.args[2:]
        found, _ = records.alive(old)
        if found is None or not found.kept:
            return Written(Code.GONE, now)
        size, why = records.growth(found.fields, found.size, changes, int(most))
        if why:
            return Written(Code(why), now)
        renew = how == "renew"
        since, due = (found.issued, int(age)) if found.since is None else (found.since, int(grace))
        if renew and now - since < due:
            ends = records.keep(found.key, records.write(found.fields, size, changes))
            return Written(Code.KEPT, now, found.ends, ends)
        kept = records.known(found) | {"s": b"%d" % now}
        records.list_under(found, None)
        table.delete(found.key)
        if int(grace) > 0 and renew:
            alias = {"t": digest_of(new).encode(), "r": b"%d" % now, "g": b"%d" % found.ends}
            alias |= {"p": kept["p"]} if "p" in kept else {}
            table.set(found.key, alias, (found.ends - now) / 1_000_000)
        elif int(grace) > 0:
            after = {"g": b"%d" % (now + int(grace)), "n": id_of(new).encode()}
            table.set(found.key, kept | after, int(grace) / 1_000_000)
        fields = without(kept, "a") | {"r": b"%d" % now, "p": id_of(found.key).encode()}
        fields |= {"a": str(grace).encode()} if int(grace) > 0 and renew else {}
        fields |= {"c": b"%d" % now} if int(afresh) else {}
        ends = records.keep(new, records.write(fields, size, changes))
        return Written(Code.DONE, now, found.ends, ends)


@dataclass(slots=True)
class Touch(Writes):
    """Let a record live on, if a tenth of its idle timeout has passed since it was last seen."""

    lua: ClassVar[str] = (
        LUA
        + """
local m = alive(keys[1])
if not m or not m.kept then return {0, text(now), 0, 0} end
if now - m.seen < m.idle / 10 then return {2, text(now), text(m.ends), text(m.ends)} end
redis.call('HSET', m.key, 's', text(now))
known(m)
return {1, text(now), text(m.ends), text(keep(m.key))}
"""
    )

    def apply(self, table: Table, now: int, /) -> Written:
        records = Records(table, now, self.args)
        found, _ = records.alive(self.keys[0])
        if found is None or not found.kept:
            return Written(Code.GONE, now)
        if now - found.seen < found.idle / 10:
            return Written(Code.KEPT, now, found.ends, found.ends)
        ends = records.keep(found.key, records.known(found) | {"s": b"%d" % now})
        return Written(Code.DONE, now, found.ends, ends)


@dataclass(slots=True)
class Ended:
    """What an end has ended: when it was, and when the session was to end (0: there was none); and in which other slots it is
    known by ids that it had before or got after.
    """

    now: int
    ends: int
    elsewhere: tuple[str, ...]


@dataclass(slots=True)
class End(Script[Ended]):
    """End a session under whichever of its ids in this slot. Args: timeouts, and for how long an id can be read after it got
    another, in microseconds.
    """

    lua: ClassVar[str] = (
        LUA
        + """
local key, ends, elsewhere = keys[1], 0, {}
for _ = 1, <chain> do
  local m = alive(key)
  if not m then break end
  local before = drop(m)
  if before and now - m.issued <= tonumber(args[3]) then elsewhere[#elsewhere + 1] = before end
  if m.after and not neighbour(m.key, m.after) then elsewhere[#elsewhere + 1] = m.after end
  if not m.retired then ends = m.ends end
  key = neighbour(m.key, m.after)
  if not key then break end
end
redis.call('UNLINK', keys[1])
return {text(now), text(ends), unpack(elsewhere)}
""".replace("<chain>", str(CHAIN))
    )

    def apply(self, table: Table, now: int, /) -> Ended:
        records = Records(table, now, self.args)
        key: str | None = self.keys[0]
        ends, elsewhere = 0, []
        for _ in range(CHAIN):
            assert key is not None
            found, _corrupt = records.alive(key)
            if found is None:
                break
            before = records.drop(found)
            elsewhere += [before] if before and now - found.issued <= int(self.args[2]) else []
            elsewhere += [found.after] if found.after and neighbour(found.key, found.after) is None else []
            if not found.retired:
                ends = found.ends
            key = neighbour(found.key, found.after)
            if key is None:
                break
        table.delete(self.keys[0])
        return Ended(now, ends, tuple(elsewhere))

    def parse(self, reply: Any, /) -> Ended:
        now, ends, *elsewhere = reply
        return Ended(int(now), int(ends), tuple([one.decode() for one in elsewhere]))


def ends_of(ids: tuple[str, ...], args: tuple[int, int, int]) -> list[End]:
    """The steps that end sessions, by their ids."""
    return [End((key_of(one),), args) for one in ids]
