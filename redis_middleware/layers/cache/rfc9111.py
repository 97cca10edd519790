"""What RFC 9111 says of one response: whether it may be stored, how long it is fresh, and what has to happen before it is used.

Values in, a verdict out: nothing here knows a request of ours, a storage or a clock. Times are seconds since the epoch.
Beside each rule stands its section.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus

from ...http import Headers
from . import fields, structured
from .fields import Directives

HEURISTIC = frozenset({200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501})
"""Statuses that may be fresh without saying so (RFC 9110 §15.1)."""

UNDERSTOOD = frozenset(status.value for status in HTTPStatus if status >= 200) - {206, 304}
"""Statuses whose meaning for a cache is known here; parts and 304s are dealt with before one asks (§3)."""

HEURISTIC_SHARE, HEURISTIC_MOST = 0.1, 86_400
"""A tenth of the time since it was last modified, as §4.2.2 suggests, but a day at most."""

HOP_BY_HOP = frozenset(
    {
        "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
        "proxy-authenticate", "proxy-authentication-info", "proxy-authorization",
    }
)  # fmt: skip
"""Fields that are never stored (§3.1; RFC 9110 §7.6.1)."""

DESCRIBES_THE_BODY = frozenset({"content-encoding", "content-length", "content-range", "etag"})
"""Fields that a 304 does not update, as they belong to the body that is stored (§3.2). Its `ETag` is the same anyway (§4.3.4)."""


@dataclass(frozen=True, slots=True)
class Control:
    """What a response says about caching."""

    directives: Directives
    targeted: bool = False
    """Whether it is said in place of `Cache-Control` and `Expires` (RFC 9213 §2.2)."""

    @classmethod
    def of(cls, headers: Headers) -> Control:
        """`CDN-Cache-Control` if it is there and valid, else `Cache-Control`."""
        return _control(tuple(headers.getall("cdn-cache-control")), tuple(headers.getall("cache-control")))

    def says(self, name: str) -> bool:
        """Whether a directive is there without naming fields: for the whole response."""
        return name in self.directives and not fields.named(self.directives, name)

    def permits(self, name: str) -> bool:
        """Whether a directive that permits something is there as it has to be: one that is wrong permits nothing."""
        argument = self.directives.get(name, "")
        return fields.delta(argument or "") is not None if name == "s-maxage" else argument is None

    def seconds(self, name: str) -> int | None:
        return fields.seconds(self.directives, name)

    @property
    def unstorable_fields(self) -> frozenset[str]:
        """The fields that are for one client alone (§5.2.2.7)."""
        return fields.named(self.directives, "private")

    @property
    def unvalidated_fields(self) -> frozenset[str]:
        """The fields that may not be used again without asking (§5.2.2.4)."""
        return fields.named(self.directives, "no-cache")

    @property
    def validates_always(self) -> bool:
        return self.says("no-cache")  # §5.2.2.4

    @property
    def forbids_stale(self) -> bool:
        """Whether it may not be used stale, whatever happens (§4.2.4)."""
        prohibits = ("must-revalidate", "proxy-revalidate", "s-maxage")  # §5.2.2.10: s-maxage means proxy-revalidate, too
        return self.validates_always or any(name in self.directives for name in prohibits)


@lru_cache(1024)  # most responses of an app say the same
def _control(targeted: tuple[str, ...], lines: tuple[str, ...]) -> Control:
    if targeted and (found := structured.directives(list(targeted))):
        return Control(found, targeted=True)
    return Control(fields.directives(lines))


def refusal(method: str, status: int, headers: Headers, control: Control, *, authorized: bool, now: float) -> str | None:
    """Why a response may not be stored by a shared cache, in a word; None if it may (§3)."""
    if method not in ("GET", "HEAD"):
        return "method"
    if not 200 <= status < 600 or status == 304:
        return "status"  # RFC 9110 §15: others are invalid
    if "must-understand" in control.directives and status not in UNDERSTOOD:
        return "must-understand"  # §5.2.2.3
    if "no-store" in control.directives and not control.permits("must-understand"):
        return "no-store"  # §5.2.2.5, §5.2.2.3
    if control.says("private"):
        return "private"  # §5.2.2.7
    if authorized and not any(control.permits(name) for name in ("public", "must-revalidate", "s-maxage")):
        return "authorization"  # §3.5
    if "*" in vary(headers):
        return "vary"  # §4.1: it would never match
    if lifetime(status, headers, control, now) is None and not has_validator(headers):
        return "freshness"
    if not (is_explicit(headers, control) or control.permits("public") or status in HEURISTIC):
        return "status"
    return None


def is_explicit(headers: Headers, control: Control) -> bool:
    """Whether a response says how long it is fresh (§4.2.1)."""
    if "s-maxage" in control.directives or "max-age" in control.directives:
        return True
    return not control.targeted and "expires" in headers


def lifetime(status: int, headers: Headers, control: Control, received: float) -> float | None:
    """For how many seconds a response is fresh from when it was made (§4.2.1); None if nobody says, nor can tell."""
    for name in ("s-maxage", "max-age"):
        if (said := control.seconds(name)) is not None:
            return said
    if not control.targeted and "expires" in headers:
        lines = headers.getall("expires")
        expires = fields.date(lines[0], received) if len(lines) == 1 else None
        return 0 if expires is None else max(expires - made(headers, received), 0)  # §5.3
    modified = fields.date(headers.get("last-modified", ""), received)
    if modified is None or not (status in HEURISTIC or control.permits("public")):
        return None
    return min(max(made(headers, received) - modified, 0) * HEURISTIC_SHARE, HEURISTIC_MOST)


def made(headers: Headers, received: float) -> float:
    """When a response was made: its `Date`, or else when it came (RFC 9110 §6.6.1)."""
    said = fields.date(headers.get("date", ""), received)
    return received if said is None else said


def initial_age(headers: Headers, asked: float, received: float) -> float:
    """How old a response was when it came, in seconds (§4.2.3)."""
    apparent = max(0.0, received - made(headers, received))
    return max(apparent, fields.age(headers.getall("age")) + (received - asked))


def has_validator(headers: Headers) -> bool:
    return "etag" in headers or "last-modified" in headers


def vary(headers: Headers) -> tuple[str, ...]:
    """The request's fields that a response was selected by, in lower case and order; `*` for what nobody can know (§4.1)."""
    names = {name.lower() for line in headers.getall("vary") for name in fields.members(line)}
    return tuple(sorted({name if fields.is_token(name) else "*" for name in names}))


def storable(headers: Headers, control: Control) -> list[tuple[str, str]]:
    """The fields of a response that may be stored (§3.1)."""
    listed = {name.lower() for line in headers.getall("connection") for name in fields.members(line)}
    left_out = HOP_BY_HOP | (listed - fields.GOVERNING) | control.unstorable_fields  # RFC 9110 §7.6.1: they may not be listed
    return [(name, value) for name, value in headers if name.lower() not in left_out]


def updated(stored: Headers, fresh: Headers) -> list[tuple[str, str]]:
    """The stored fields with those of a 304 in their places (§3.2)."""
    new = [line for line in storable(fresh, Control.of(fresh)) if line[0].lower() not in DESCRIBES_THE_BODY]
    names = {name.lower() for name, _ in new}
    return [line for line in stored if line[0].lower() not in names] + new


def is_about(fresh: Headers, stored: Headers) -> bool:
    """Whether a 304, or the head of a response, is about what is stored: by the validators that it has (§4.3.4, §4.3.5)."""
    if "etag" in fresh:
        tag, known = fresh.get("etag", "").strip(), stored.get("etag", "").strip()
        return known == tag if not tag.startswith("W/") else known.removeprefix("W/") == tag.removeprefix("W/")
    return "last-modified" not in fresh or fresh.get("last-modified") == stored.get("last-modified")


@dataclass(frozen=True, slots=True)
class Demand:
    """What a request says about caching (§5.2.1)."""

    max_age: int | None = None
    min_fresh: int = 0
    max_stale: int = 0
    no_cache: bool = False
    no_store: bool = False
    only_if_cached: bool = False

    @classmethod
    def of(cls, headers: Headers) -> Demand:
        lines = headers.getall("cache-control")
        if not lines:
            return cls(no_cache="no-cache" in headers.get("pragma", "").lower())  # §5.4
        found = fields.directives(lines)
        stale = fields.MOST_SECONDS if found.get("max-stale", "") is None else fields.seconds(found, "max-stale") or 0
        return cls(
            fields.seconds(found, "max-age"),
            fields.seconds(found, "min-fresh") or 0,
            stale,
            "no-cache" in found,
            "no-store" in found,
            "only-if-cached" in found,
        )
