"""The client's own conditions and ranges, answered from a stored response (RFC 9110 §13 and §14)."""

from __future__ import annotations

from dataclasses import dataclass

from werkzeug.http import parse_range_header

from ...http import Headers
from . import fields
from .rfc9111 import made


def is_unmodified(asked: Headers, stored: Headers, received: float) -> bool:
    """Whether the client has what is stored already, so that 304 says all (RFC 9110 §13.2.2, §13.1.2, §13.1.3)."""
    lines = asked.getall("if-none-match")
    if lines:
        wanted = fields.tags(", ".join(lines))
        if wanted is None:
            return True
        have = stored.get("etag", "").strip()
        return bool(have) and _weak(have) in {_weak(tag) for tag in wanted}
    since = fields.date(asked.get("if-modified-since", ""), received)
    if since is None:
        return False
    modified = fields.date(stored.get("last-modified", ""), received)
    return (made(stored, received) if modified is None else modified) <= since


@dataclass(frozen=True, slots=True)
class Part:
    """The bytes from `start` to before `end` of `whole`."""

    start: int
    end: int
    whole: int

    @property
    def content_range(self) -> str:
        return f"bytes {self.start}-{self.end - 1}/{self.whole}"


UNSATISFIABLE = Part(0, 0, 0)


def part(asked: Headers, stored: Headers, size: int, received: float) -> Part | None:
    """The one range of a stored body that is asked for: None if the whole is to be sent, `UNSATISFIABLE` if there is no such.

    Several ranges, other units, and a range whose `If-Range` does not hold are ignored (RFC 9110 §14.2, §13.1.5).
    """
    line = asked.get("range")
    if line is None or not _holds(asked, stored, received):
        return None
    wanted = parse_range_header(line, make_inclusive=False)
    if wanted is None or wanted.units != "bytes" or len(wanted.ranges) != 1:
        return None
    start, end = wanted.ranges[0]
    if start < 0:
        if size == 0:
            return None  # satisfiable (§14.1.2), but nothing has no first byte to name
        start, end = max(size + start, 0), size
    end = size if end is None else min(end, size)
    return Part(start, end, size) if start < end else UNSATISFIABLE


def _holds(asked: Headers, stored: Headers, received: float) -> bool:
    """Whether `If-Range` names exactly what is stored: strongly (RFC 9110 §13.1.5)."""
    line = asked.get("if-range")
    if line is None:
        return True
    line = line.strip()
    if line.startswith(('"', "W/")):
        return line == stored.get("etag", "").strip() and not line.startswith("W/")
    modified, since = fields.date(stored.get("last-modified", ""), received), fields.date(line, received)
    # a date is strong if it is at least a second older than the response (RFC 9110 §8.8.2.2)
    return since is not None and since == modified and made(stored, received) >= since + 1


def _weak(tag: str) -> str:
    return tag[2:] if tag[:2] in ("W/", "w/") else tag
