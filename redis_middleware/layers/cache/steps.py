"""What is done to the entries of one URL: each of these is one atomic step, in Lua and in Python.

All entries of a URL are in one hash, whose key has a tag of its own; bodies that stand beside are in the same slot.

| field | what it is |
|---|---|
| v | the names of the request's fields that responses vary by, in lower case, one a line |
| x | until when there is a variant, in microseconds: then `v` means nothing any more |
| e… | a variant's entry, by the digest of these fields |
| t… | when that variant is dropped, in microseconds; |
| b… | the key of its body, if that stands beside |
| l… | who fetches that variant now: a token, and until when, in microseconds |

Rules:

1. Only who holds the lead of a variant may store it. So what is purged while a response is on its way is not stored: the
   lead went with the rest.
2. A URL has at most so many variants; the one that is dropped soonest has to go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ...ops import Keep as Shelf
from ...ops import Script, Table

LUA = """
local function text(number) return string.format('%.0f', number) end
-- Who leads, and for how many microseconds more.
local function leader(name)
  local token, till = string.match(redis.call('HGET', keys[1], 'l' .. name) or '', '^(%d+):(%d+)$')
  local left = tonumber(till or 0) - now
  if left <= 0 then return nil, 0 end
  return token, left
end
local function live(ttl)
  if redis.call('PTTL', keys[1]) < ttl then redis.call('PEXPIRE', keys[1], ttl) end
end
"""

Fields = dict[str, bytes]


@dataclass(slots=True)
class Found:
    """What is there for a variant: its entry, whether somebody fetches it, and what the responses of the URL vary by."""

    now: int
    vary: str
    entry: bytes | None
    led: bool


@dataclass(slots=True)
class Find(Script[Found]):
    """Look a variant up. One key; args: its digest."""

    safe: ClassVar[bool] = True
    lua: ClassVar[str] = (
        LUA
        + """
local v = redis.call('HMGET', keys[1], 'v', 'x', 'e' .. args[1], 't' .. args[1])
if tonumber(v[2] or 0) <= now then v[1] = false end
if tonumber(v[4] or 0) <= now then v[3] = false end
local _, left = leader(args[1])
return {text(now), v[1] or '', v[3], left > 0 and 1 or 0}
"""
    )

    def apply(self, table: Table, now: int, /) -> Found:
        fields, name = _fields(table, self.keys[0]), str(self.args[0])
        vary = fields["v"].decode() if int(fields.get("x", 0)) > now else ""
        entry = fields["e" + name] if int(fields.get("t" + name, 0)) > now else None
        return Found(now, vary, entry, _leader(fields, name, now)[1] > 0)

    def parse(self, reply: Any, /) -> Found:
        now, vary, entry, led = reply
        return Found(int(now), vary.decode(), entry, led == 1)


@dataclass(slots=True)
class Lead(Script[bool]):
    """Take the lead of a variant, or keep it. One key; args: its digest, a token, for how many microseconds, and 1 to keep it."""

    lua: ClassVar[str] = (
        LUA
        + """
local token = leader(args[1])
if (token or args[4] == '1') and token ~= args[2] then return 0 end
redis.call('HSET', keys[1], 'l' .. args[1], args[2] .. ':' .. text(now + args[3]))
live(math.ceil(args[3] / 1000))
return 1
"""
    )

    def apply(self, table: Table, now: int, /) -> bool:
        name, token, lease, kept = (str(arg) for arg in self.args)
        fields = _fields(table, self.keys[0])
        holder, _ = _leader(fields, name, now)
        if (holder or kept == "1") and holder != token:
            return False
        fields["l" + name] = f"{token}:{now + int(lease)}".encode()
        _store(table, self.keys[0], fields, now)
        return True

    def parse(self, reply: Any, /) -> bool:
        return bool(reply == 1)


@dataclass(slots=True)
class Release(Script[None]):
    """Give the lead back without having stored anything. One key; args: the digest, the token."""

    lua: ClassVar[str] = LUA + "if leader(args[1]) == args[2] then redis.call('HDEL', keys[1], 'l' .. args[1]) end"

    def apply(self, table: Table, now: int, /) -> None:
        name, token = (str(arg) for arg in self.args)
        fields = _fields(table, self.keys[0])
        if _leader(fields, name, now)[0] == token:
            del fields["l" + name]
            _store(table, self.keys[0], fields, now)

    def parse(self, reply: Any, /) -> None:
        return None


@dataclass(slots=True)
class Store(Script[bool]):
    """Store a variant, by who has the lead, and give that back. Keys: the URL's, and the body's if it stands beside.

    Args: the digest under which the lead was taken, the token, the digest under which to store, what the responses vary by,
    for how many microseconds, at most how many variants, the entry, and the body if it stands beside.
    """

    lua: ClassVar[str] = (
        LUA
        + """
local name, ttl = args[3], tonumber(args[5])
if leader(args[1]) ~= args[2] then return 0 end
redis.call('HDEL', keys[1], 'l' .. args[1])
local function drop(other)
  local body = redis.call('HGET', keys[1], 'b' .. other)
  if body then redis.call('UNLINK', body) end
  redis.call('HDEL', keys[1], 'e' .. other, 't' .. other, 'b' .. other)
end
local times = {}
local all = redis.call('HGETALL', keys[1])
local renamed = (redis.call('HGET', keys[1], 'v') or args[4]) ~= args[4]
for i = 1, #all, 2 do
  if string.sub(all[i], 1, 1) == 't' then
    local other, till = string.sub(all[i], 2), tonumber(all[i + 1])
    if other == name or renamed or till <= now then drop(other) else times[#times + 1] = {till, other} end
  elseif string.sub(all[i], 1, 1) == 'l' and not leader(string.sub(all[i], 2)) then
    redis.call('HDEL', keys[1], all[i])
  end
end
table.sort(times, function(a, b) if a[1] ~= b[1] then return a[1] < b[1] end return a[2] < b[2] end)
local last = now + ttl
for i, one in ipairs(times) do
  if i <= #times - tonumber(args[6]) + 1 then drop(one[2]) else last = math.max(last, one[1]) end
end
redis.call('HSET', keys[1], 'v', args[4], 'x', text(last), 'e' .. name, args[7], 't' .. name, text(now + ttl))
if keys[2] then
  redis.call('HSET', keys[1], 'b' .. name, keys[2])
  redis.call('SET', keys[2], args[8], 'PX', math.ceil(ttl / 1000))
end
live(math.ceil(ttl / 1000))
return 1
"""
    )

    def apply(self, table: Table, now: int, /) -> bool:
        key, *bodies = self.keys
        led, token, name, vary = (str(arg) for arg in self.args[:4])
        ttl, most, entry = int(self.args[4]), int(self.args[5]), self.args[6]
        fields = _fields(table, key)
        if _leader(fields, led, now)[0] != token:
            return False
        del fields["l" + led]
        for field in [field for field in fields if field[0] == "l" and not _leader(fields, field[1:], now)[0]]:
            del fields[field]
        renamed = fields.get("v", vary.encode()) != vary.encode()
        times = sorted([(int(till), field[1:]) for field, till in fields.items() if field[0] == "t"])
        gone = [other for till, other in times if other == name or renamed or till <= now]
        times = [one for one in times if one[1] not in gone]
        many = max(len(times) - most + 1, 0)
        for other in [*gone, *[other for _, other in times[:many]]]:
            _drop(table, fields, other)
        last = max([now + ttl, *[till for till, _ in times[many:]]])
        assert isinstance(entry, bytes)
        fields |= {"v": vary.encode(), "x": b"%d" % last, "e" + name: entry, "t" + name: b"%d" % (now + ttl)}
        if bodies:
            assert isinstance(self.args[7], bytes)
            fields["b" + name] = bodies[0].encode()
            table.set(bodies[0], self.args[7], ttl / 1_000_000, Shelf.SPARE)
        _store(table, key, fields, now)
        return True

    def parse(self, reply: Any, /) -> bool:
        return bool(reply == 1)


@dataclass(slots=True)
class Purge(Script[bool]):
    """Forget everything of a URL, and whoever is fetching it; True if there was an entry. One key."""

    lua: ClassVar[str] = """
local all, found = redis.call('HGETALL', keys[1]), 0
for i = 1, #all, 2 do
  local kind = string.sub(all[i], 1, 1)
  if kind == 't' and tonumber(all[i + 1]) > now then found = 1 end
  if kind == 'b' then redis.call('UNLINK', all[i + 1]) end
end
redis.call('UNLINK', keys[1])
return found
"""

    def apply(self, table: Table, now: int, /) -> bool:
        fields = _fields(table, self.keys[0])
        for name in [field[1:] for field in fields if field[0] == "b"]:
            table.delete(fields["b" + name].decode())
        table.delete(self.keys[0])
        return any(field[0] == "t" and int(till) > now for field, till in fields.items())

    def parse(self, reply: Any, /) -> bool:
        return bool(reply == 1)


def _fields(table: Table, key: str) -> Fields:
    return dict(table.get(key) or {})


def _leader(fields: Fields, name: str, now: int) -> tuple[str, int]:
    token, _, till = fields.get("l" + name, b"0:0").decode().partition(":")
    left = int(till) - now
    return (token, left) if left > 0 else ("", 0)


def _drop(table: Table, fields: Fields, name: str) -> None:
    if "b" + name in fields:
        table.delete(fields["b" + name].decode())
    for kind in "etb":
        fields.pop(kind + name, None)


def _store(table: Table, key: str, fields: Fields, now: int) -> None:
    """Store what is left of a hash, for as long as the last of it lasts."""
    ends = [int(value) for field, value in fields.items() if field[0] == "t"]
    ends += [int(value.partition(b":")[2]) for field, value in fields.items() if field[0] == "l"]
    if max(ends, default=0) > now:
        table.set(key, fields, (max(ends) - now) / 1_000_000, Shelf.SPARE)
    else:
        table.delete(key)
