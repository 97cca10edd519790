"""What is done to the entries of one URL: each of these is one atomic step, in Lua and in Python.

All entries of a URL are in one hash, whose key has a tag of its own; bodies that stand beside are in the same slot.

| field | what it is |
|---|---|
| v | the names of the request's fields that responses vary by, in lower case, one a line |
| x | until when there is a variant: then `v` means nothing any more |
| p | when all of it was made stale |
| e… | a variant's entry, by the digest of these fields |
| t… | when that variant is dropped |
| b… | the key of its body, if that stands beside |
| l… | who fetches that variant now: a token, and until when |
| n… | until when nobody is to wait for that variant, as what came last could not be stored |
| r… | until when nobody is to renew that variant, as that has failed |

Times are microseconds. Rules:

1. Only who has taken the lead of a variant may store it, and only the last one who has. So what is purged while a response is
   on its way is not stored: the lead went with the rest.
2. A lead lapses, and then another one may take it. If nobody has, who had it may still store, for a while.
3. A URL has at most so many variants; the one that is dropped soonest has to go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ...ops import Keep as Shelf
from ...ops import Script, Table

GRACE = 60_000_000
"""Microseconds after its lapse in which a lead still serves to store."""

LUA = f"""
local GRACE = {GRACE}
""" + """
local function text(number) return string.format('%.0f', number) end
-- Who has taken the lead last, and for how many microseconds more it is theirs.
local function leader(name)
  local token, till = string.match(redis.call('HGET', keys[1], 'l' .. name) or '', '^(%d+):(%d+)$')
  local left = tonumber(till or 0) - now
  if left <= -GRACE then return nil, 0 end
  return token, left
end
local function live(ttl)
  ttl = math.ceil(ttl / 1000)
  if redis.call('PTTL', keys[1]) < ttl then redis.call('PEXPIRE', keys[1], ttl) end
end
"""  # fmt: skip

Fields = dict[str, bytes]


@dataclass(slots=True)
class Found:
    """What is there for a variant: its entry, whether somebody fetches it, and what the responses of the URL vary by."""

    now: int
    vary: str
    entry: bytes | None
    led: bool
    refused: bool = False
    """Whether what came last could not be stored."""
    failed: bool = False
    """Whether renewing it has failed."""
    softly: int = 0
    """When it was made stale."""


@dataclass(slots=True)
class Find(Script[Found]):
    """Look a variant up. One key; args: its digest."""

    safe: ClassVar[bool] = True
    lua: ClassVar[str] = """
local n = args[1]
local v = redis.call('HMGET', keys[1], 'v', 'x', 'e' .. n, 't' .. n, 'l' .. n, 'n' .. n, 'r' .. n, 'p')
local function ahead(till) return tonumber(till or 0) > now end
local led = ahead(string.match(v[5] or '', ':(%d+)$'))
local said = (led and 1 or 0) + (ahead(v[6]) and 2 or 0) + (ahead(v[7]) and 4 or 0)
return {string.format('%.0f', now), ahead(v[2]) and v[1] or '', ahead(v[4]) and v[3], said, ahead(v[2]) and v[8] or '0'}
"""

    def apply(self, table: Table, now: int, /) -> Found:
        fields, name = _fields(table, self.keys[0]), str(self.args[0])

        def ahead(field: str) -> bool:
            return int(fields.get(field, 0)) > now

        led = int(fields.get("l" + name, b":0").partition(b":")[2]) > now
        vary = fields["v"].decode() if ahead("x") else ""
        entry = fields["e" + name] if ahead("t" + name) else None
        return Found(now, vary, entry, led, ahead("n" + name), ahead("r" + name), int(fields.get("p", 0)) if ahead("x") else 0)

    def parse(self, reply: Any, /) -> Found:
        now, vary, entry, said, softly = reply
        return Found(int(now), vary.decode(), entry, bool(said & 1), bool(said & 2), bool(said & 4), int(softly))


@dataclass(slots=True)
class Lead(Script[bool]):
    """Take the lead of a variant, or keep it. One key; args: its digest, a token, for how many microseconds, and 1 to keep it."""

    lua: ClassVar[str] = (
        LUA
        + """
local token, left = leader(args[1])
if args[4] == '1' and token ~= args[2] or left > 0 and token ~= args[2] then return 0 end
redis.call('HSET', keys[1], 'l' .. args[1], args[2] .. ':' .. text(now + args[3]))
live(args[3] + GRACE)
return 1
"""
    )

    def apply(self, table: Table, now: int, /) -> bool:
        name, token, lease, kept = (str(arg) for arg in self.args)
        fields = _fields(table, self.keys[0])
        holder, left = _leader(fields, name, now)
        if (kept == "1" or left > 0) and holder != token:
            return False
        fields["l" + name] = f"{token}:{now + int(lease)}".encode()
        _store(table, self.keys[0], fields, now)
        return True

    def parse(self, reply: Any, /) -> bool:
        return bool(reply == 1)


@dataclass(slots=True)
class Release(Script[None]):
    """Give the lead back without having stored anything. One key; args: the digest, the token, and for how many microseconds
    nobody is to wait for this variant, or to renew it.
    """

    lua: ClassVar[str] = (
        LUA
        + """
if leader(args[1]) ~= args[2] then return end
local function note(kind, time)
  if tonumber(time) > 0 then redis.call('HSET', keys[1], kind .. args[1], text(now + time)) live(tonumber(time)) end
end
note('n', args[3])
note('r', args[4])
redis.call('HDEL', keys[1], 'l' .. args[1])
"""
    )

    def apply(self, table: Table, now: int, /) -> None:
        name, token, *times = (str(arg) for arg in self.args)
        fields = _fields(table, self.keys[0])
        if _leader(fields, name, now)[0] != token:
            return
        for kind, time in zip("nr", times, strict=True):
            if int(time):
                fields[kind + name] = b"%d" % (now + int(time))
        del fields["l" + name]
        _store(table, self.keys[0], fields, now)

    def parse(self, reply: Any, /) -> None:
        return None


@dataclass(slots=True)
class Store(Script[bool]):
    """Store a variant, by who has the lead, and give that back. Keys: the URL's, and the body's if it stands beside.

    Args: the digest under which the lead was taken, the token, the digest under which to store, what the responses vary by,
    for how many microseconds, at most how many variants, the entry, and the body if it stands beside: without it, the one that
    is there goes on living.
    """

    lua: ClassVar[str] = (
        LUA
        + """
local name, ttl = args[3], tonumber(args[5])
if leader(args[1]) ~= args[2] then return 0 end
if keys[2] and not args[8] and redis.call('EXISTS', keys[2]) == 0 then return 0 end
local was = redis.call('HMGET', keys[1], 'v', 'x')
local varies = was[1]
redis.call('HSET', keys[1], 'v', args[4])
redis.call('HDEL', keys[1], 'l' .. args[1])
if tonumber(was[2] or 0) <= now then redis.call('HDEL', keys[1], 'p') end
local function drop(other)
  local body = redis.call('HGET', keys[1], 'b' .. other)
  if body and body ~= keys[2] then redis.call('UNLINK', body) end
  redis.call('HDEL', keys[1], 'e' .. other, 't' .. other, 'b' .. other)
end
local times, renamed = {}, (varies or args[4]) ~= args[4]
for _, field in ipairs(redis.call('HKEYS', keys[1])) do
  local kind, other = string.sub(field, 1, 1), string.sub(field, 2)
  if kind == 't' then
    local till = tonumber(redis.call('HGET', keys[1], field))
    if other == name or renamed or till <= now then drop(other) else times[#times + 1] = {till, other} end
  elseif kind == 'l' and not leader(other) then
    redis.call('HDEL', keys[1], field)
  elseif (kind == 'n' or kind == 'r') and (other == name or tonumber(redis.call('HGET', keys[1], field)) <= now) then
    redis.call('HDEL', keys[1], field)
  end
end
table.sort(times, function(a, b) if a[1] ~= b[1] then return a[1] < b[1] end return a[2] < b[2] end)
local last = now + ttl
for i, one in ipairs(times) do
  if i <= #times - tonumber(args[6]) + 1 then drop(one[2]) else last = math.max(last, one[1]) end
end
redis.call('HSET', keys[1], 'x', text(last), 'e' .. name, args[7], 't' .. name, text(now + ttl))
if keys[2] then
  redis.call('HSET', keys[1], 'b' .. name, keys[2])
  if args[8] then redis.call('SET', keys[2], args[8]) end
  redis.call('PEXPIRE', keys[2], math.ceil(ttl / 1000))
end
live(ttl)
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
        body = None
        if bodies:
            body = self.args[7] if len(self.args) > 7 else table.get(bodies[0])
            if body is None:
                return False
        del fields["l" + led]
        if int(fields.get("x", 0)) <= now:
            fields.pop("p", None)
        for field in [field for field in fields if field[0] == "l" and not _leader(fields, field[1:], now)[0]]:
            del fields[field]
        for field in [field for field in fields if field[0] in "nr" and (field[1:] == name or int(fields[field]) <= now)]:
            del fields[field]
        renamed = fields.get("v", vary.encode()) != vary.encode()
        times = sorted([(int(till), field[1:]) for field, till in fields.items() if field[0] == "t"])
        gone = [other for till, other in times if other == name or renamed or till <= now]
        times = [one for one in times if one[1] not in gone]
        many = max(len(times) - most + 1, 0)
        for other in [*gone, *[other for _, other in times[:many]]]:
            _drop(table, fields, other, bodies)
        last = max([now + ttl, *[till for till, _ in times[many:]]])
        assert isinstance(entry, bytes)
        fields |= {"v": vary.encode(), "x": b"%d" % last, "e" + name: entry, "t" + name: b"%d" % (now + ttl)}
        if bodies:
            assert isinstance(body, bytes)
            fields["b" + name] = bodies[0].encode()
            table.set(bodies[0], body, ttl / 1_000_000, Shelf.SPARE)
        _store(table, key, fields, now)
        return True

    def parse(self, reply: Any, /) -> bool:
        return bool(reply == 1)


@dataclass(slots=True)
class Purge(Script[bool]):
    """Forget everything of a URL, and whoever is fetching it; True if there was an entry. One key."""

    lua: ClassVar[str] = """
local found = 0
for _, field in ipairs(redis.call('HKEYS', keys[1])) do
  local kind = string.sub(field, 1, 1)
  if kind == 't' and tonumber(redis.call('HGET', keys[1], field)) > now then found = 1 end
  if kind == 'b' then redis.call('UNLINK', redis.call('HGET', keys[1], field)) end
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


@dataclass(slots=True)
class Soften(Script[None]):
    """Make everything of a URL stale now, and do not let be stored what is on its way. One key."""

    lua: ClassVar[str] = """
for _, field in ipairs(redis.call('HKEYS', keys[1])) do
  if string.sub(field, 1, 1) == 'l' then redis.call('HDEL', keys[1], field) end
end
local x = tonumber(redis.call('HGET', keys[1], 'x') or 0)
if x > now then redis.call('HSET', keys[1], 'p', string.format('%.0f', now)) end
"""

    def apply(self, table: Table, now: int, /) -> None:
        fields = _fields(table, self.keys[0])
        if fields:
            fields = {field: value for field, value in fields.items() if field[0] != "l"}
            if int(fields.get("x", 0)) > now:
                fields["p"] = b"%d" % now
            _store(table, self.keys[0], fields, now)

    def parse(self, reply: Any, /) -> None:
        return None


def _fields(table: Table, key: str) -> Fields:
    return dict(table.get(key) or {})


def _leader(fields: Fields, name: str, now: int) -> tuple[str, int]:
    token, _, till = fields.get("l" + name, b"0:0").decode().partition(":")
    left = int(till) - now
    return (token, left) if left > -GRACE else ("", 0)


def _drop(table: Table, fields: Fields, name: str, kept: list[str]) -> None:
    body = fields.get("b" + name, b"").decode()
    if body and body not in kept:
        table.delete(body)
    for kind in "etb":
        fields.pop(kind + name, None)


def _store(table: Table, key: str, fields: Fields, now: int) -> None:
    """Store what is left of a hash, for as long as the last of it lasts."""
    ends = [int(value) for field, value in fields.items() if field[0] in "tnr"]
    ends += [int(value.partition(b":")[2]) + GRACE for field, value in fields.items() if field[0] == "l"]
    if max(ends, default=0) > now:
        table.set(key, fields, (max(ends) - now) / 1_000_000, Shelf.SPARE)
    else:
        table.delete(key)
