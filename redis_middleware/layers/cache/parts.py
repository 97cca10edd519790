"""Parts: what is stored of a body of which only one range was asked for (RFC 9110 §15.3.7, RFC 9111 §3.3 and §3.4)."""

from __future__ import annotations

import re

from ...http import Headers, Request
from .conditions import UNSATISFIABLE, Part, part
from .entry import MADE, Entry

_range = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15})").fullmatch


def sent(headers: Headers) -> Part | None:
    """The part of a body that a 206 says it has; None if that is not said, or several (RFC 9110 §14.4)."""
    lines = headers.getall("content-range")
    match = _range(lines[0].strip().lower()) if len(lines) == 1 else None
    if match is None:
        return None
    first, last, whole = (int(number) for number in match.groups())
    return Part(first, last + 1, whole) if first <= last < whole else None


def asked(request: Request, entry: Entry) -> Part | None:
    """The part of the whole that a request asks for, if a stored part has all of it: GET alone knows ranges (RFC 9110 §14.2)."""
    if entry.part is None or request.method != "GET":
        return None
    start, whole = entry.part
    wanted = part(request.headers, Headers.received(entry.lines), whole, entry.received / 1_000_000)
    if wanted is None or wanted is UNSATISFIABLE:
        return None
    return wanted if start <= wanted.start and wanted.end <= start + entry.size else None


def joined(stored: Entry, body: bytes, more: Part, piece: bytes, headers: Headers) -> tuple[Part, bytes] | None:
    """What is stored and what has come, in one piece; None unless they are of the same body and touch.

    Of the same body means: the same strong validator (RFC 9110 §15.3.7.3).
    """
    tag = headers.get("etag", "").strip()
    if stored.part is None or not tag.startswith('"') or tag.startswith(MADE):
        return None
    start, whole = stored.part
    end = start + stored.size
    if stored.header("etag") != tag or whole != more.whole or more.start > end or start > more.end:
        return None
    before, after = body[: max(more.start - start, 0)], body[max(more.end - start, 0) :] if more.end < end else b""
    return Part(min(start, more.start), max(end, more.end), whole), before + piece + after
