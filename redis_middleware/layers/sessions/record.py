"""A record: one session at rest, and what every script about it has to know; in Lua and, meaning the same, in Python.

A record is a hash. Fields of one letter are its own; each key of the session has a field `.key` with its value, and `+key`
with what was added to it by `increment`, so that two requests that write different keys, or add to one, never meet.

| field | what it is |
|---|---|
| c, s, r | when the session was created, last seen, and got this id: microseconds |
| v, z | how often it was written; bytes of its contents |
| i, k | an idle timeout of its own in microseconds; 1 or 0 if its cookie outlives the browser or not |
| u, d | the digest of its user; the device, sealed like a value |
| p | the id that it had before |
| g | it has another id now, and can be read under this one until then |
| t | in place of all others: it was renewed, and goes by that digest now; until `g` this id still serves |
| n | it was rotated to that digest: who ends it under the old id means the new one |

Rules:

1. A record lives until its idle and absolute timeouts, by the server's clock. The expiry of its key only has it collected.
2. What is not there is never written to: a commit cannot bring back what was ended. One that can only be read is not written.
3. Changes come as triples of a code, a name and a value: `.` sets a key, `-` removes it, `+` adds to it, and `m` sets a field
   of the record's own (to "" removes it).
4. Keys are `s:{tag}:digest`; a user's index is `s:{tag}:u` and the rest of the digest of the user, in the same slot: a sorted
   set of digests by the time at which they expire. Scripts name keys in their own slot that are not among their arguments.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ...ops import Arg, Table
from .tokens import DIGEST, TAG

EXACT = 2**53
"""Above this, Lua does not have whole numbers exactly."""

FOREVER = 2**62

COUNTER = 20
"""Bytes that a counter is taken to need."""

LUA = """
local idle, absolute = tonumber(args[1]), tonumber(args[2])
local function text(number) return string.format('%.0f', number) end
local function digest(key) return string.sub(key, -43) end
local function beside(key, name) return string.sub(key, 1, -44) .. name end
local function tag(key) return string.sub(key, -53, -46) end
local function index(m) return beside(m.key, 'u' .. m.user) end

-- The record of a key if it is alive, else nil and whether something else is there. It may go by a new digest.
local function alive(key)
  local v = redis.pcall('HMGET', key, 'c', 's', 'r', 'i', 'u', 'g', 't', 'p', 'n', 'z')
  if v.err then return nil, true end
  local till = math.huge
  if v[6] then till = tonumber(v[6]) end
  if v[7] then
    if not till or till <= now then return nil, false end
    local m = alive(beside(key, v[7]))
    if m then m.renewed = true end
    return m, false
  end
  local m = {key = key, created = tonumber(v[1]), seen = tonumber(v[2]), issued = tonumber(v[3])}
  m.idle, m.size = tonumber(v[4] or idle), tonumber(v[10] or 0)
  m.user, m.dying, m.before, m.after = v[5], v[6], v[8], v[9]
  if not (m.created and m.seen and m.issued and m.idle and m.size and till) then
    return nil, redis.call('EXISTS', key) == 1
  end
  m.ends = math.min(math.min(m.seen, now) + m.idle, till)
  if absolute > 0 then m.ends = math.min(m.ends, m.created + absolute) end
  if m.ends <= now then return nil, false end
  return m, false
end

-- How many bytes the changes from args[at] on add to a record; or nil and why they cannot be made.
local function growth(key, size, at, most)
  local i = at
  while i <= #args do
    local code, name = args[i], args[i + 1]
    if code == '+' then
      local sum = tonumber(redis.call('HGET', key, '+' .. name) or 0)
      if redis.call('HEXISTS', key, '+' .. name) == 0 then size = size + #name + 20 end
      if not sum or math.abs(sum + args[i + 2]) > 9007199254740992 then return nil, -2 end
    elseif code ~= 'm' then
      local old = redis.call('HSTRLEN', key, '.' .. name)
      if old > 0 then size = size - old - #name end
      size = size - redis.call('HEXISTS', key, '+' .. name) * (#name + 20)
      if code == '.' then size = size + #name + #args[i + 2] end
    end
    i = i + 3
  end
  if size > most then return nil, -1 end
  return size
end

-- Make the changes from args[at] on, and let the record live on. The time at which it ends now.
local function write(key, size, at)
  local i = at
  while i <= #args do
    local code, name, value = args[i], args[i + 1], args[i + 2]
    if code == '+' then
      redis.call('HINCRBY', key, '+' .. name, value)
    elseif code == 'm' then
      if value == '' then redis.call('HDEL', key, name) else redis.call('HSET', key, name, value) end
    else
      redis.call('HDEL', key, '+' .. name)
      if code == '.' then redis.call('HSET', key, '.' .. name, value) else redis.call('HDEL', key, '.' .. name) end
    end
    i = i + 3
  end
  redis.call('HSET', key, 's', text(now), 'z', text(size))
  redis.call('HINCRBY', key, 'v', 1)
end

-- Let a record that has just been used be collected when it ends, and its user's index know. The record.
local function keep(key)
  local m = alive(key)
  if not m then
    redis.call('UNLINK', key)
    return {ends = now}
  end
  local ttl = math.ceil((m.ends - now) / 1000)
  redis.call('PEXPIRE', key, ttl)
  if m.user then
    redis.call('ZADD', index(m), text(m.ends), digest(key))
    if redis.call('PTTL', index(m)) < ttl then redis.call('PEXPIRE', index(m), ttl) end
  end
  return m
end

-- End a record, and what can still be read under the id that it had before.
local function drop(m)
  redis.call('UNLINK', m.key)
  if m.before and string.sub(m.before, 1, 8) == tag(m.key) then redis.call('UNLINK', beside(m.key, string.sub(m.before, 9))) end
  if m.user then redis.call('ZREM', index(m), digest(m.key)) end
end

-- The records of an index that are alive. It forgets the others.
local function listed(list)
  local found = {}
  for _, name in ipairs(redis.call('ZRANGE', list, 0, -1)) do
    local m = alive(string.sub(list, 1, -45) .. name)
    if m and digest(m.key) == name and m.user == digest(list) then found[#found + 1] = m else redis.call('ZREM', list, name) end
  end
  return found
end
"""

Fields = dict[str, bytes]
Change = tuple[str, str, Arg]


@dataclass(slots=True)
class Found:
    """A record that is alive."""

    key: str
    fields: Fields
    created: int
    issued: int
    seen: int
    idle: int
    ends: int
    renewed: bool = False

    @property
    def user(self) -> str | None:
        return _text(self.fields.get("u"))

    @property
    def dying(self) -> bool:
        return "g" in self.fields

    @property
    def before(self) -> str | None:
        return _text(self.fields.get("p"))

    @property
    def after(self) -> str | None:
        return _text(self.fields.get("n"))

    @property
    def size(self) -> int:
        return _number(self.fields.get("z", b"0")) or 0


class Records:
    """The functions of `LUA` for a table, at one time and with the timeouts that are the first two args of every script."""

    def __init__(self, table: Table, now: int, args: Sequence[Arg]) -> None:
        self.table = table
        self.now = now
        self.idle, self.absolute = int(args[0]), int(args[1])

    def alive(self, key: str) -> tuple[Found | None, bool]:
        """The record of a key if it is alive, else None and whether something else is there. It may go by a new digest."""
        fields = self.table.get(key)
        if not isinstance(fields, dict):
            return None, fields is not None
        if "t" in fields:
            till = _number(fields.get("g"))
            if till is None or till <= self.now:
                return None, False
            found, _ = self.alive(beside(key, fields["t"].decode()))
            if found is not None:
                found.renewed = True
            return found, False
        return self.found(key, fields)

    def found(self, key: str, fields: Fields) -> tuple[Found | None, bool]:
        """What these fields are, likewise."""
        created, seen, issued = (_number(fields.get(name)) for name in "csr")
        idle = _number(fields["i"]) if "i" in fields else self.idle
        till = _number(fields["g"]) if "g" in fields else FOREVER
        if created is None or seen is None or issued is None or idle is None or till is None:
            return None, True
        ends = min(min(seen, self.now) + idle, till)
        if self.absolute > 0:
            ends = min(ends, created + self.absolute)
        return (Found(key, fields, created, issued, seen, idle, ends), False) if ends > self.now else (None, False)

    def growth(self, fields: Fields, size: int, changes: Sequence[Arg], most: int) -> tuple[int, int]:
        """The size of a record when the changes are made and 0; or -1 or -2 for why they cannot be made."""
        for code, name, value in _each(changes):
            length = len(name.encode())
            if code == "+":
                if "+" + name not in fields:
                    size += length + COUNTER
                if abs(int(fields.get("+" + name, b"0")) + int(value)) > EXACT:
                    return 0, -2
            elif code != "m":
                size -= length + len(fields["." + name]) if "." + name in fields else 0
                size -= length + COUNTER if "+" + name in fields else 0
                size += length + len(value) if code == "." else 0
        return (0, -1) if size > most else (size, 0)

    def write(self, fields: Fields, size: int, changes: Sequence[Arg]) -> Fields:
        """The fields with the changes made."""
        fields = dict(fields)
        for code, name, value in _each(changes):
            if code == "+":
                fields["+" + name] = b"%d" % (int(fields.get("+" + name, b"0")) + int(value))
            elif code == "m":
                fields[name] = _bytes(value)
                if value == "":
                    del fields[name]
            else:
                fields.pop("+" + name, None)
                fields["." + name] = _bytes(value)
                if code == "-":
                    del fields["." + name]
        version = int(fields.get("v", b"0")) + 1
        return fields | {"s": b"%d" % self.now, "z": b"%d" % size, "v": b"%d" % version}

    def keep(self, key: str, fields: Fields) -> int:
        """Store a record that has just been used until it ends, and let its user's index know. When that is."""
        found, _ = self.found(key, fields)
        if found is None:
            self.table.delete(key)
            return self.now
        self.table.set(key, fields, (found.ends - self.now) / 1_000_000)
        if found.user is not None:
            self.list_under(found, found.ends)
        return found.ends

    def drop(self, found: Found) -> None:
        """End a record, and what can still be read under the id that it had before."""
        self.table.delete(found.key)
        if found.before is not None and found.before[:TAG] == tag_of(found.key):
            self.table.delete(beside(found.key, found.before[TAG:]))
        self.list_under(found, None)

    def list_under(self, found: Found, ends: int | None) -> None:
        """Put a record into the index of its user, or take it out."""
        if found.user is not None:
            key = beside(found.key, "u" + found.user)
            entries = {k: v for k, v in self.listed(key).items() if k != digest_of(found.key)}
            if ends is not None:
                entries[digest_of(found.key)] = ends
            self.store_list(key, entries)

    def listed(self, key: str) -> dict[str, int]:
        """The index of a user: digests, and when they expire."""
        return dict(self.table.get(key) or {})

    def sessions(self, key: str) -> list[Found]:
        """The sessions of an index that are alive; it forgets the others."""
        listed = self.listed(key)
        kept = []
        for name in listed:
            found, _ = self.alive(key[: -DIGEST - 1] + name)
            if found is not None and digest_of(found.key) == name and found.user == digest_of(key):
                kept.append(found)
        self.store_list(key, {digest_of(found.key): listed[digest_of(found.key)] for found in kept})
        return kept

    def store_list(self, key: str, entries: dict[str, int]) -> None:
        last = max(entries.values(), default=0)
        if last > self.now:
            self.table.set(key, entries, (last - self.now) / 1_000_000)
        else:
            self.table.delete(key)


def key_of(identity: str) -> str:
    """The key of a record, by the id of its session."""
    return f"s:{{{identity[:TAG]}}}:{identity[TAG:]}"


def index_of(user: str) -> str:
    """The key of the index of a user, by the digest of the user."""
    return f"s:{{{user[:TAG]}}}:u{user}"


def beside(key: str, name: str) -> str:
    """Another key in the slot of a record."""
    return key[:-DIGEST] + name


def digest_of(key: str) -> str:
    return key[-DIGEST:]


def tag_of(key: str) -> str:
    return key[-DIGEST - TAG - 2 : -DIGEST - 2]


def flat(changes: Iterable[Change]) -> tuple[Arg, ...]:
    """Changes as the args of a script."""
    return tuple([part for change in changes for part in change])


def _each(args: Sequence[Arg]) -> Iterator[tuple[str, str, Any]]:
    for code, name, value in zip(args[::3], args[1::3], args[2::3], strict=True):
        yield str(code), str(name), value


def _number(raw: Any) -> int | None:
    try:
        return int(raw)
    except (TypeError, ValueError):
        return None


def _text(raw: bytes | None) -> str | None:
    return None if raw is None else raw.decode()


def _bytes(value: Arg) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()
