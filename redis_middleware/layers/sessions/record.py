"""A record: one session at rest, and what every script about it has to know; in Lua and, meaning the same, in Python.

A record is a hash. Fields of one letter are its own; each key of the session has a field `.key` with its value, and `+key`
with what was added to it by `increment`, so that two requests that write different keys, or add to one, never meet.

| field | what it is |
|---|---|
| c, s, r | when the session was created, last seen, and got this id: microseconds |
| v, z | how often it was written; bytes of its contents |
| i, k | an idle timeout of its own in microseconds; 1 or 0 if its cookie outlives the browser or not |
| x | ends then at the latest, however much it is used: microseconds |
| u, d | the digest of its user; the device, sealed like a value |
| e | what its sealed values are bound to, beside the tag |
| p, n | the id that it had before; the id that it got after |
| l | claimed: a login is moving it, until then it can only be read |
| g | retired: it has another id, and until then it can be read under this one |
| t | an alias, in place of all others but r, g and p: since r it goes by that digest; until g this id still serves |
| a | its client may not know of its new id yet: for how long the alias is to serve when it does, in microseconds |

Rules:

1. A record lives until its idle and absolute timeouts, by the server's clock. The expiry of its key only has it collected.
2. What is not there is never written to: a commit cannot bring back what was ended. One that can only be read is not written.
3. Changes come as triples of a code, a name and a value: `.` sets a key, `-` removes it, `+` adds to it, and `m` sets a field
   of the record's own (to "" removes it).
4. Keys are `s:{tag}:digest`; a user's index is `s:{tag}:u` and the digest of the user, in the same slot: a sorted set of
   digests by the time at which they expire. Scripts name keys in their own slot that are not among their arguments.
5. The first command that writes is one that a server without memory refuses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ...ops import Arg, Table
from .tokens import DIGEST, TAG

EXACT = 2**53
"""Above this, Lua does not have whole numbers exactly."""

DIGITS = 16
"""The longest number that a record has."""

FOREVER = 2**62

COUNTER = 20
"""Bytes that a counter is taken to need."""

CHAIN = 9
"""How many ids of one session are followed: more than one gets within the time that they are kept."""

LUA = """
local idle, absolute = tonumber(args[1]), tonumber(args[2])
local function text(number) return string.format('%.0f', number) end
local function number(raw)
  if raw and #raw <= <digits> and string.match(raw, '^%d+$') then return tonumber(raw) end
end
local function digest(key) return string.sub(key, -<digest>) end
local function beside(key, name) return string.sub(key, 1, -<digest> - 1) .. name end
local function tag(key) return string.sub(key, -<digest> - 2 - <tag>, -<digest> - 3) end
local function index(m) return beside(m.key, 'u' .. m.user) end

-- The key of an id if it is in the slot of another one.
local function neighbour(key, id)
  if id and string.sub(id, 1, <tag>) == tag(key) then return beside(key, string.sub(id, <tag> + 1)) end
end

-- The record of a key if it is alive, else nil and whether something else is there. It may go by a new digest.
local function alive(key, depth)
  local v = redis.pcall('HMGET', key, 'c', 's', 'r', 'i', 'u', 'g', 't', 'p', 'n', 'z', 'l', 'a', 'x')
  if v.err then
    if string.find(v.err, 'WRONGTYPE', 1, true) then return nil, true end
    error(v.err)
  end
  local till = math.huge
  if v[6] then till = number(v[6]) end
  if v[7] then
    depth = (depth or 0) + 1
    if not till or till <= now or depth > <chain> then return nil, false end
    local m = alive(beside(key, v[7]), depth)
    if m then m.since = number(v[3]) or 0 end
    return m, false
  end
  local m = {key = key, created = number(v[1]), seen = number(v[2]), issued = number(v[3])}
  m.idle, m.size, m.pending = idle, 0, number(v[12])
  if v[4] then m.idle = number(v[4]) end
  if v[10] then m.size = number(v[10]) end
  m.user, m.retired, m.before, m.after = v[5], v[6], v[8], v[9]
  if not (m.created and m.seen and m.issued and m.idle and m.size and till) then
    return nil, redis.call('EXISTS', key) == 1
  end
  m.kept = not m.retired and (number(v[11]) or 0) <= now
  m.ends = math.min(math.min(m.seen, now) + m.idle, till)
  if absolute > 0 then m.ends = math.min(m.ends, m.created + absolute) end
  if v[13] then m.ends = math.min(m.ends, number(v[13]) or 0) end
  if m.ends <= now then return nil, false end
  return m, false
end

-- The bytes of a record when the changes from args[at] on are made; or nil and why they cannot be made.
local function growth(key, before, at, most)
  local size = before
  for i = at, #args, 3 do
    local code, name = args[i], args[i + 1]
    if code == '+' then
      local sum = tonumber(redis.call('HGET', key, '+' .. name) or 0)
      if redis.call('HEXISTS', key, '+' .. name) == 0 then size = size + #name + <counter> end
      if not sum or math.abs(sum + args[i + 2]) > 9007199254740992 then return nil, -2 end
    elseif code ~= 'm' then
      local old = redis.call('HSTRLEN', key, '.' .. name)
      if old > 0 then size = size - old - #name end
      size = size - redis.call('HEXISTS', key, '+' .. name) * (#name + <counter>)
      if code == '.' then size = size + #name + #args[i + 2] end
    end
  end
  if size > most and size > before then return nil, -1 end
  return size
end

-- Make the changes from args[at] on.
local function write(key, size, at)
  redis.call('HSET', key, 's', text(now), 'z', text(size))
  redis.call('HINCRBY', key, 'v', 1)
  for i = at, #args, 3 do
    local code, name, value = args[i], args[i + 1], args[i + 2]
    if code == '+' then
      redis.call('HINCRBY', key, '+' .. name, value)
    elseif code == 'm' then
      if value == '' then redis.call('HDEL', key, name) else redis.call('HSET', key, name, value) end
    else
      if code == '.' then redis.call('HSET', key, '.' .. name, value) else redis.call('HDEL', key, '.' .. name) end
      redis.call('HDEL', key, '+' .. name)
    end
  end
end

-- Let a record that has just been used be collected when it ends, and its user's index know. When that is.
local function keep(key)
  local m = alive(key)
  if not m then
    redis.call('UNLINK', key)
    return now
  end
  local ttl = math.ceil((m.ends - now) / 1000)
  redis.call('PEXPIRE', key, ttl)
  if m.user then
    redis.call('ZADD', index(m), text(m.ends), digest(key))
    if redis.call('PTTL', index(m)) < ttl then redis.call('PEXPIRE', index(m), ttl) end
  end
  return m.ends
end

-- The client uses its new id, so it knows it: the alias may go.
local function known(m)
  local alias = m.pending and not m.since and neighbour(m.key, m.before)
  if not alias then return end
  redis.call('HDEL', m.key, 'a')
  if redis.call('EXISTS', alias) == 1 then
    redis.call('HSET', alias, 'g', text(now + m.pending))
    redis.call('PEXPIRE', alias, math.ceil(m.pending / 1000))
  end
end

-- End a record under the id that it has and those that it had before; the last of these if that is in another slot.
local function drop(m)
  local key, before = m.key, m.before
  if m.user then redis.call('ZREM', index(m), digest(key)) end
  for _ = 1, <chain> do
    redis.call('UNLINK', key)
    key = neighbour(m.key, before)
    if not key then return before end
    before = redis.call('HGET', key, 'p')
  end
end

-- The records of an index that are alive. It forgets the others.
local function listed(list)
  local found = {}
  for _, name in ipairs(redis.call('ZRANGE', list, 0, -1)) do
    local m = alive(string.sub(list, 1, -<digest> - 2) .. name)
    if m and digest(m.key) == name and m.user == digest(list) then found[#found + 1] = m else redis.call('ZREM', list, name) end
  end
  return found
end
"""
for _word, _number_of in (("digest", DIGEST), ("tag", TAG), ("digits", DIGITS), ("counter", COUNTER), ("chain", CHAIN)):
    LUA = LUA.replace(f"<{_word}>", str(_number_of))

Fields = dict[str, bytes]
Change = tuple[str, str, Arg]


@dataclass(slots=True)
class Found:
    """A record that is alive. `kept` is false if it can only be read; `since` is when the id asked for became an alias."""

    key: str
    fields: Fields
    created: int
    seen: int
    issued: int
    idle: int
    ends: int
    kept: bool
    since: int | None = None

    @property
    def user(self) -> str | None:
        return _text(self.fields.get("u"))

    @property
    def before(self) -> str | None:
        return _text(self.fields.get("p"))

    @property
    def after(self) -> str | None:
        return _text(self.fields.get("n"))

    @property
    def retired(self) -> bool:
        return "g" in self.fields

    @property
    def size(self) -> int:
        return _number(self.fields.get("z", b"0")) or 0


class Records:
    """The functions of `LUA` for a table, at one time and with the timeouts that are the first two args of every script."""

    def __init__(self, table: Table, now: int, args: Sequence[Arg]) -> None:
        self.table = table
        self.now = now
        self.idle, self.absolute = int(args[0]), int(args[1])

    def alive(self, key: str, depth: int = 0) -> tuple[Found | None, bool]:
        """The record of a key if it is alive, else None and whether something else is there. It may go by a new digest."""
        fields = self.table.get(key)
        if not isinstance(fields, dict):
            return None, fields is not None
        if "t" in fields:
            till, depth = _number(fields["g"]) if "g" in fields else FOREVER, depth + 1
            if till is None or till <= self.now or depth > CHAIN:
                return None, False
            found, _ = self.alive(beside(key, fields["t"].decode()), depth)
            if found is not None:
                found.since = _number(fields.get("r", b"")) or 0
            return found, False
        return self.found(key, fields)

    def found(self, key: str, fields: Fields) -> tuple[Found | None, bool]:
        """What these fields are, likewise."""
        created, seen, issued = (_number(fields.get(name)) for name in "csr")
        idle = _number(fields["i"]) if "i" in fields else self.idle
        till = _number(fields["g"]) if "g" in fields else FOREVER
        size = _number(fields.get("z", b"0"))
        if created is None or seen is None or issued is None or idle is None or till is None or size is None:
            return None, True
        kept = "g" not in fields and (_number(fields.get("l")) or 0) <= self.now
        ends = min(min(seen, self.now) + idle, till)
        if self.absolute > 0:
            ends = min(ends, created + self.absolute)
        if "x" in fields:
            ends = min(ends, _number(fields["x"]) or 0)
        return (Found(key, fields, created, seen, issued, idle, ends, kept), False) if ends > self.now else (None, False)

    def growth(self, fields: Fields, before: int, changes: Sequence[Arg], most: int) -> tuple[int, int]:
        """The size of a record when the changes are made and 0; or -1 or -2 for why they cannot be made."""
        size = before
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
        return (0, -1) if size > most and size > before else (size, 0)

    def write(self, fields: Fields, size: int, changes: Sequence[Arg]) -> Fields:
        """The fields with the changes made."""
        version = int(fields.get("v", b"0")) + 1
        fields = fields | {"s": b"%d" % self.now, "z": b"%d" % size, "v": b"%d" % version}
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
        return fields

    def keep(self, key: str, fields: Fields) -> int:
        """Store a record that has just been used until it ends, and let its user's index know. When that is."""
        found, _ = self.found(key, fields)
        if found is None:
            self.table.delete(key)
            return self.now
        self.table.set(key, fields, (found.ends - self.now) / 1_000_000)
        self.list_under(found, found.ends)
        return found.ends

    def known(self, found: Found) -> Fields:
        """The client uses its new id, so it knows it: the alias may go. The fields without that question."""
        pending = _number(found.fields.get("a"))
        alias = None if pending is None or found.since is not None else neighbour(found.key, found.before)
        if pending is None or alias is None:
            return found.fields
        fields = self.table.get(alias)
        if fields is not None:
            self.table.set(alias, fields | {"g": b"%d" % (self.now + pending)}, pending / 1_000_000)
        return without(found.fields, "a")

    def drop(self, found: Found) -> str | None:
        """End a record under the id that it has and those that it had before; the last of these if that is in another slot."""
        key: str | None = found.key
        before = found.before
        self.list_under(found, None)
        for _ in range(CHAIN):
            assert key is not None
            self.table.delete(key)
            key = neighbour(found.key, before)
            if key is None:
                return before
            before = _text((self.table.get(key) or {}).get("p"))
        return None

    def list_under(self, found: Found, ends: int | None) -> None:
        """Put a record into the index of its user, or take it out."""
        if found.user is not None:
            key = beside(found.key, "u" + found.user)
            entries = without(self.listed(key), digest_of(found.key))
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


def id_of(key: str) -> str:
    """The id of the session of a record, by its key."""
    return key[-DIGEST - 2 - TAG : -DIGEST - 2] + digest_of(key)


def index_of(user: str) -> str:
    """The key of the index of a user, by the digest of the user."""
    return f"s:{{{user[:TAG]}}}:u{user}"


def beside(key: str, name: str) -> str:
    """Another key in the slot of a record."""
    return key[:-DIGEST] + name


def neighbour(key: str, identity: str | None) -> str | None:
    """The key of an id if it is in the slot of another one."""
    return beside(key, identity[TAG:]) if identity and id_of(key)[:TAG] == identity[:TAG] else None


def digest_of(key: str) -> str:
    return key[-DIGEST:]


def flat(changes: Iterable[Change]) -> tuple[Arg, ...]:
    """Changes as the args of a script."""
    return tuple([part for change in changes for part in change])


def without(fields: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in names}


def _each(args: Sequence[Arg]) -> Iterator[tuple[str, str, Any]]:
    for code, name, value in zip(args[::3], args[1::3], args[2::3], strict=True):
        yield str(code), str(name), value


def _number(raw: bytes | None) -> int | None:
    return int(raw) if raw is not None and raw.isdigit() and len(raw) <= DIGITS else None


def _text(raw: bytes | None) -> str | None:
    return None if raw is None else raw.decode()


def _bytes(value: Arg) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()
