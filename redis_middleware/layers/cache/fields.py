"""Header fields as a cache has to read them (RFC 9110 §5.6, RFC 9111 §5): strictly, and when in doubt for staleness.

A field that is wrong never makes a response fresher or more shared than the same response without it would be.
"""

from __future__ import annotations

import re
from calendar import monthrange, timegm
from collections.abc import Sequence
from time import gmtime

MOST_SECONDS = 2**31
"""What a delta of seconds that is too large to be meant means (RFC 9111 §1.2.2)."""

Directives = dict[str, str | None]
"""Directives by their names in lower case; None for one without an argument."""

GOVERNING = frozenset({"age", "cache-control", "cdn-cache-control", "date", "expires", "vary"})
"""The fields that a cache goes by itself. What is said of one of them alone is taken as said of the whole response."""

QUALIFIED = frozenset({"no-cache", "private"})
"""The directives that may name fields."""

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # RFC 9110 §5.6.2
_QUOTED = r'"((?:[^"\\]|\\.)*)"'  # §5.6.4

_MEMBER = re.compile(r'((?:[^",]|"(?:[^"\\]|\\.)*")*)(?:,|\Z)', re.DOTALL)
_is_directive = re.compile(rf"({_WORD})(?:=(?:({_WORD})|{_QUOTED}))?", re.DOTALL).fullmatch
_words = re.compile(_WORD).findall
is_token = re.compile(_WORD).fullmatch
_DAYS = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_LONG_DAYS = "(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)"
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_MONTH = f"(?P<month>{'|'.join(_MONTHS)})"
_CLOCK = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_FLAGS = re.ASCII | re.IGNORECASE  # although dates are case-sensitive, a cache is not (RFC 9111 §4.2)
_DATES = [
    re.compile(rf"{_DAYS}, (?P<day>\d\d) {_MONTH} (?P<year>\d{{4}}) {_CLOCK} GMT", _FLAGS).fullmatch,  # IMF-fixdate
    re.compile(rf"{_LONG_DAYS}, (?P<day>\d\d)-{_MONTH}-(?P<year>\d\d) {_CLOCK} GMT", _FLAGS).fullmatch,  # RFC 850
    re.compile(rf"{_DAYS} {_MONTH} (?P<day>\d\d| \d) {_CLOCK} (?P<year>\d{{4}})", _FLAGS).fullmatch,  # asctime
]


def members(line: str) -> list[str]:
    """The members of a list, without the empty ones; a comma within quotes splits nothing (RFC 9110 §5.6.1).

    If quotes do not match, every comma splits: whatever stands there is then seen.
    """
    if '"' not in line:
        parts = line.split(",")
    else:
        parts, end = [], 0
        while end < len(line):
            match = _MEMBER.match(line, end)
            if match is None:
                parts = line.split(",")
                break
            parts.append(match[1])
            end = match.end()
    return [part for part in (part.strip(" \t") for part in parts) if part]


def directives(lines: Sequence[str]) -> Directives:
    """Cache directives of all lines of a field together (RFC 9111 §5.2). One that is wrong has "" as its argument.

    Quotes end with their line, and of a member that is no directive every word counts as one: so nothing is hidden.
    """
    found: Directives = {}
    for member in [member for line in lines for member in members(line)]:
        match = _is_directive(member)
        if match is None:
            found |= {word.lower(): "" for word in _words(member)}
            continue
        name, token, quoted = match.groups()
        name, argument = name.lower(), token if quoted is None else re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)
        found[name] = _both(name, found[name], argument) if name in found else argument
    return found


def seconds(found: Directives, name: str) -> int | None:
    """A directive's seconds; None if it is absent. 0 if it is no number, or if it is there twice and says different things:
    such a response counts as stale (RFC 9111 §4.2.1).
    """
    if name not in found:
        return None
    return delta(found[name] or "") or 0


def delta(text: str) -> int | None:
    """Delta-seconds: digits and nothing else (RFC 9111 §1.2.2); None for anything else."""
    if not (text.isascii() and text.isdigit()):
        return None
    return min(int(text.lstrip("0")[:11] or 0), MOST_SECONDS)


def named(found: Directives, name: str) -> frozenset[str]:
    """The fields that a qualified directive names, as in `no-cache="set-cookie"` (RFC 9111 §5.2.2.4).

    None at all if one of them is no name, or is what the cache goes by: then the directive is about the whole response.
    """
    names = frozenset(part.lower() for part in members(found.get(name) or ""))
    return frozenset() if names & GOVERNING or not all(map(is_token, names)) else names


def date(text: str, now: float) -> int | None:
    """An HTTP date in unix seconds: IMF-fixdate, RFC 850 or asctime, and nothing looser (RFC 9110 §5.6.7); else None.

    A year of two digits that seems to be more than 50 years after `now` is in the past.
    """
    for matches in _DATES:
        match = matches(text)
        if match:
            break
    else:
        return None
    day, hour, minute, second = (int(match[name]) for name in ("day", "hour", "minute", "second"))
    year, month = int(match["year"]), _MONTHS.index(match["month"].title()) + 1
    if len(match["year"]) == 2:
        today = gmtime(now)
        year += today.tm_year - today.tm_year % 100
        if (year - 50, month, day, hour, minute, second) > today[:6]:
            year -= 100
    if not (year and 1 <= day <= monthrange(year, month)[1] and hour < 24 and minute < 60 and second <= 60):
        return None
    return timegm((year, month, day, hour, minute, second))


def age(lines: Sequence[str]) -> int:
    """What `Age` says: its first member; 0 if it is absent or no number, and so ignored (RFC 9111 §5.1)."""
    first = [*members(", ".join(lines)), ""][0]
    return delta(first) or 0


def tags(line: str) -> list[str] | None:
    """The entity tags of `If-None-Match` or `If-Match`, weak ones with their `W/`; None for `*` (RFC 9110 §13.1.2)."""
    if line.strip(" \t") == "*":
        return None
    return re.findall(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"', line)


def _both(name: str, one: str | None, other: str | None) -> str | None:
    """The argument of a directive that is there twice: the fields of both, or else "" if they say different things."""
    if one == other:
        return one
    return f"{one},{other}" if one and other and name in QUALIFIED else ""
