"""Purges by tag and by prefix: a mark with the time says that what was fetched before it is not to be used any more.

So a purge costs the same however many responses it is about, and holds on every worker with its next request. A response that
was on its way meanwhile is not used either: an entry knows when its request began.

Tags share `TAG_KEYS` keys: a purge of one is now and then a purge of another one's, too, and marks have a bound. Prefixes are
together under one key, which every look-up reads; when there are too many of them, the oldest become one purge of everything
that is older than they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from ...ops import Get, Keep, Script, Table
from .key import digest

TAG_KEYS = 16_384
"""Under how many keys the marks of all tags are: at most some 5 MB in memory."""

MOST = 200
"""How many prefixes are kept apart."""

KEPT = 30 * 86_400
"""Seconds that marks are kept, and so entries at most."""


@dataclass(frozen=True, slots=True)
class Purged:
    """When something was purged: for good, or as stale; 0 for never. Microseconds."""

    hard: int = 0
    soft: int = 0

    def later(self, other: Purged) -> Purged:
        return Purged(max(self.hard, other.hard), max(self.soft, other.soft))


def tag_key(tag: str, namespace: str = "") -> str:
    """Where the mark of a tag is."""
    return f"c:tag:{int(digest(namespace, tag)[:8], 16) % TAG_KEYS}"


def prefixes_key(namespace: str = "") -> str:
    """Where the prefixes are."""
    return f"c:purged:{digest(namespace)}" if namespace else "c:purged"


def marks_of(tags: Iterable[str], namespace: str = "") -> list[Get]:
    """What has to be read to know what was purged: the prefixes, and these tags."""
    return [Get(prefixes_key(namespace)), *[Get(tag_key(tag, namespace)) for tag in tags]]


def purged(marks: Iterable[bytes | None], url: str) -> Purged:
    """What the answers to `marks_of` say about a URL."""
    prefixes, *tags = marks
    last = Purged()
    for raw in tags:
        if raw:
            hard, _, soft = raw.partition(b":")
            last = last.later(Purged(int(hard), int(soft or 0)))
    for line in (prefixes or b"").split(b"\n"):
        if line:
            hard, soft, prefix = line.split(b" ", 2)
            if url.startswith(prefix.decode()):
                last = last.later(Purged(int(hard), int(soft)))
    return last


@dataclass(slots=True)
class MarkTag(Script[None]):
    """Mark a tag as purged now. One key; args: `hard` or `soft`, seconds to keep it."""

    lua: ClassVar[str] = """
local hard, soft = string.match(redis.call('GET', keys[1]) or '', '^(%d+):(%d+)$')
local t = string.format('%.0f', now)
if args[1] == 'hard' then hard = t else soft = t end
redis.call('SET', keys[1], (hard or '0') .. ':' .. (soft or '0'), 'EX', args[2])
"""

    def apply(self, table: Table, now: int, /) -> None:
        hard, _, soft = (table.get(self.keys[0]) or b"0:0").partition(b":")
        at = b"%d" % now
        hard, soft = (at, soft) if self.args[0] == "hard" else (hard, at)
        table.set(self.keys[0], hard + b":" + soft, int(self.args[1]), Keep.HELD)

    def parse(self, reply: Any, /) -> None:
        return None


@dataclass(slots=True)
class MarkPrefix(Script[None]):
    """Mark a prefix of URLs as purged now. One key; args: `hard` or `soft`, seconds to keep it, how many to keep, the prefix."""

    lua: ClassVar[str] = """
local t, lines, count = string.format('%.0f', now), {}, 0
local mine = args[1] == 'hard' and {t, '0'} or {'0', t}
local function later(one, other) return tonumber(one) > tonumber(other) and one or other end
for hard, soft, prefix in string.gmatch(redis.call('GET', keys[1]) or '', '(%d+) (%d+) ([^\\n]*)\\n') do
  if prefix == args[4] then
    mine = {later(mine[1], hard), later(mine[2], soft)}
  else
    lines[#lines + 1] = {hard, soft, prefix}
  end
end
lines[#lines + 1] = {mine[1], mine[2], args[4]}
while #lines > tonumber(args[3]) do
  local one, other = table.remove(lines, 1), table.remove(lines, 1)
  table.insert(lines, 1, {later(one[1], other[1]), later(one[2], other[2]), ''})
end
local text = ''
for _, line in ipairs(lines) do text = text .. line[1] .. ' ' .. line[2] .. ' ' .. line[3] .. '\\n' end
redis.call('SET', keys[1], text, 'EX', args[2])
"""

    def apply(self, table: Table, now: int, /) -> None:
        how, kept, most, wanted = str(self.args[0]), int(self.args[1]), int(self.args[2]), str(self.args[3])
        hard, soft = (now, 0) if how == "hard" else (0, now)
        lines: list[tuple[int, int, str]] = []
        for line in (table.get(self.keys[0]) or b"").decode().split("\n")[:-1]:
            one, other, prefix = line.split(" ", 2)
            if prefix == wanted:
                hard, soft = max(hard, int(one)), max(soft, int(other))
            else:
                lines.append((int(one), int(other), prefix))
        lines.append((hard, soft, wanted))
        while len(lines) > most:
            lines[:2] = [(max(lines[0][0], lines[1][0]), max(lines[0][1], lines[1][1]), "")]
        text = "".join([f"{one} {other} {prefix}\n" for one, other, prefix in lines])
        table.set(self.keys[0], text.encode(), kept, Keep.HELD)

    def parse(self, reply: Any, /) -> None:
        return None
