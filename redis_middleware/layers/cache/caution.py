"""What a cache that many people share does not store by default, although RFC 9111 would let it: what is likely to be one
person's, or to be wrong in a minute. `conformance=True` turns this off.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...http import Headers, Request
from . import rfc9111
from .rfc9111 import Control

SESSION = "redis_middleware.session"

NEVER = frozenset({400, 413, 429, 431})
"""Answers to what one client did wrong."""

BY_WHOM = frozenset({"cookie", "user-agent"})
"""What nobody means to vary by who wants a response to be shared."""


@dataclass(frozen=True, slots=True)
class Caution:
    """`private_headers` are the request's fields that make a response somebody's; `vary` those that may be varied by."""

    private_headers: tuple[str, ...] = ("authorization", "cookie")
    vary: frozenset[str] = frozenset()

    def has_credentials(self, headers: Headers) -> bool:
        """Whether a request says who asks."""
        return any(name in headers for name in self.private_headers)

    def is_shared(self, control: Control) -> bool:
        """Whether a response says that it is for everybody, whoever has asked for it."""
        return control.permits("public") or control.permits("s-maxage")

    def refusal(self, request: Request, status: int, headers: Headers, control: Control) -> str | None:
        """Why a response is not stored, in a word; None if it may be."""
        if "set-cookie" in headers:
            return "set-cookie"
        if getattr(request.native.get(SESSION), "accessed", False):
            return "session"
        if self.has_credentials(request.headers) and not self.is_shared(control):
            return "credentials"
        if status in NEVER or status >= 500 or (status >= 400 and not rfc9111.is_explicit(headers, control)):
            return "status"
        by = {*rfc9111.vary(headers)} & BY_WHOM - self.vary
        return f"vary-{min(by)}" if by else None
