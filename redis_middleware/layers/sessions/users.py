"""What is done to all sessions of a user: they are in one slot, with their index, so each of these is one atomic step.

An index cleans itself: whoever reads it takes out what is no longer there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from ...ops import Script, Table
from .record import LUA, Found, Records, digest_of


@dataclass(frozen=True, slots=True)
class UserSession:
    """One session of a user, as `Sessions.list` shows it. `id` is what `Sessions.revoke` takes; times are UTC.

    `last_seen` is exact to a tenth of the idle timeout.
    """

    id: str
    device: str
    created: datetime
    last_seen: datetime
    expires: datetime


@dataclass(slots=True)
class Listed:
    """One session of a user: the rest of its id, microseconds, and the device, sealed."""

    digest: str
    created: int
    seen: int
    ends: int
    device: bytes
    salt: str


@dataclass(slots=True)
class List(Script[list[Listed]]):
    """The sessions of a user, the last seen first. One key, the index; args: the timeouts."""

    lua: ClassVar[str] = (
        LUA
        + """
local reply = {}
for i, m in ipairs(listed(keys[1])) do
  local own = redis.call('HMGET', m.key, 'd', 'e')
  reply[i] = {digest(m.key), text(m.created), text(m.seen), text(m.ends), own[1] or '', own[2] or ''}
end
return reply
"""
    )

    def apply(self, table: Table, now: int, /) -> list[Listed]:
        return _ordered([_listed(found) for found in Records(table, now, self.args).sessions(self.keys[0])])

    def parse(self, reply: Any, /) -> list[Listed]:
        return _ordered([Listed(name.decode(), int(c), int(s), int(e), d, salt.decode()) for name, c, s, e, d, salt in reply])


@dataclass(slots=True)
class Revoked:
    """When it was, and when those were to end that were revoked."""

    now: int
    ends: tuple[int, ...]


@dataclass(slots=True)
class Revoke(Script[Revoked]):
    """End the sessions of a user, all but the one with the digest `args[2]`. One key, the index."""

    lua: ClassVar[str] = (
        LUA
        + """
local reply = {text(now)}
for _, m in ipairs(listed(keys[1])) do
  if digest(m.key) ~= args[3] then
    drop(m)
    reply[#reply + 1] = text(m.ends)
  end
end
return reply
"""
    )

    def apply(self, table: Table, now: int, /) -> Revoked:
        records = Records(table, now, self.args)
        ends = []
        for found in records.sessions(self.keys[0]):
            if digest_of(found.key) != self.args[2]:
                records.drop(found)
                ends.append(found.ends)
        return Revoked(now, tuple(sorted(ends)))

    def parse(self, reply: Any, /) -> Revoked:
        now, *ends = [int(number) for number in reply]
        return Revoked(now, tuple(sorted(ends)))


def _listed(found: Found) -> Listed:
    fields = found.fields
    device, salt = fields.get("d", b""), fields.get("e", b"").decode()
    return Listed(digest_of(found.key), found.created, found.seen, found.ends, device, salt)


def _ordered(listed: list[Listed]) -> list[Listed]:
    return sorted(listed, key=lambda one: (-one.seen, one.digest))
