"""What a client gets of a stored response: all of it, a part, only its head, or the word that it has it already."""

from __future__ import annotations

from ...http import Headers, Request, Response
from . import parts
from .conditions import UNSATISFIABLE, is_unmodified, part
from .entry import Entry

CACHE = "redis_middleware"
"""How this cache calls itself in `Cache-Status` (RFC 9211 §2)."""

UNSENT_BY_304 = frozenset({"content-encoding", "content-language", "content-length", "content-range", "content-type"})
"""What describes a body is not said where there is none (RFC 9110 §15.4.5)."""


def age(entry: Entry, now: int) -> float:
    """How old an entry is, in seconds (RFC 9111 §4.2.3)."""
    return entry.age + max(now - entry.received, 0) / 1_000_000


def left(entry: Entry, now: int) -> float:
    """For how many seconds it is fresh yet; not more than 0 if it is stale (RFC 9111 §4.2)."""
    return entry.lifetime - age(entry, now)


def wants_body(request: Request, entry: Entry) -> bool:
    """Whether the answer to this request has bytes of the body in it."""
    return request.method != "HEAD" and not _is_unmodified(request, entry)


def answer(request: Request, entry: Entry, body: bytes, now: int, status: str, hidden: frozenset[str] = frozenset()) -> Response:
    """The answer to a request from an entry and its body (which is not looked at if `wants_body` is false).

    `status` is what `Cache-Status` says; `hidden` are fields that may not be shown without asking the app.
    """
    unsent = hidden | {"age"}
    lines = [line for line in entry.lines if line[0].lower() not in unsent]
    own = [("age", str(int(age(entry, now)))), ("cache-status", f"{CACHE}; {status}")]
    if _is_unmodified(request, entry):
        return _made(304, [*[line for line in lines if line[0].lower() not in UNSENT_BY_304], *own], b"")
    if request.method == "HEAD":
        length = [] if entry.status == 204 else [("content-length", str(entry.size))]  # RFC 9110 §8.6
        return _made(entry.status, [*[line for line in lines if line[0].lower() != "content-length"], *own, *length], b"")
    if (own_part := parts.asked(request, entry)) is not None and entry.part is not None:
        start = own_part.start - entry.part[0]
        piece = body[start : start + own_part.end - own_part.start]
        return _made(206, [*lines, ("content-range", own_part.content_range), *own], piece)
    wanted = None
    if entry.status == 200 and "range" in request.headers:
        wanted = part(request.headers, Headers.received(entry.lines), entry.size, _seconds(entry))
    if wanted is UNSATISFIABLE:
        return Response(416, [("content-range", f"bytes */{entry.size}"), *own])
    if wanted is not None:
        return _made(206, [*lines, ("content-range", wanted.content_range), *own], body[wanted.start : wanted.end])
    return _made(entry.status, [*lines, *own], body)


def _is_unmodified(request: Request, entry: Entry) -> bool:
    """Whether 304 is the answer. Conditions are about what would be a 200 (RFC 9110 §13.2.1)."""
    if entry.status != 200 or not ("if-none-match" in request.headers or "if-modified-since" in request.headers):
        return False
    return is_unmodified(request.headers, Headers.received(entry.lines), _seconds(entry))


def _made(status: int, lines: list[tuple[str, str]], body: bytes) -> Response:
    """A response of lines that an app has made: they are not checked again."""
    response = Response(status, (), body)
    response.headers = Headers.received(lines)
    return response


def _seconds(entry: Entry) -> float:
    return entry.received / 1_000_000
