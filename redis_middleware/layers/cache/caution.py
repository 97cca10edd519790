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

PRIVATE_HEADERS = (
    "authorization", "cookie", "proxy-authorization", "x-api-key", "x-auth-token", "x-forwarded-user", "x-remote-user",
    "remote-user", "x-forwarded-email", "x-goog-iap-jwt-assertion", "x-amzn-oidc-data", "cf-access-jwt-assertion",
)  # fmt: skip
"""Fields by which a request says who asks: of HTTP, of APIs, and of proxies that have let somebody in."""

IDENTITY = ("REMOTE_USER", "AUTH_TYPE", "SSL_CLIENT_S_DN", "SSL_CLIENT_CERT")
"""What servers put into an environ for somebody whom they have let in themselves."""

BY_WHOM = frozenset({"cookie", "user-agent"})
"""What nobody means to vary by who wants a response to be shared."""


@dataclass(frozen=True, slots=True)
class Caution:
    """`private_headers` are the request's fields that make a response somebody's; `vary` those that may be varied by."""

    private_headers: frozenset[str] = frozenset(PRIVATE_HEADERS)
    vary: frozenset[str] = frozenset()

    def has_credentials(self, request: Request) -> bool:
        """Whether a request says who asks, by its fields or by what something outside of the cache has found out."""
        if self.private_headers & request.headers.names:
            return True
        native = request.native
        if any(native.get(name) for name in IDENTITY) or getattr(native.get("user"), "is_authenticated", False):
            return True
        tls = native.get("extensions", {}).get("tls", {})
        return bool(tls.get("client_cert_name") or tls.get("client_cert_chain"))

    def is_shared(self, control: Control) -> bool:
        """Whether a response says that it is for everybody, whoever has asked for it."""
        return control.permits("public") or control.permits("s-maxage")

    def refusal(self, request: Request, status: int, headers: Headers, control: Control) -> str | None:
        """Why a response is not stored, in a word; None if it may be."""
        if "set-cookie" in headers:
            return "set-cookie"
        if getattr(request.native.get(SESSION), "accessed", False):
            return "session"
        if self.has_credentials(request) and not self.is_shared(control):
            return "credentials"
        if status in NEVER or status >= 500 or (status >= 400 and not rfc9111.is_explicit(headers, control)):
            return "status"
        by = {*rfc9111.vary(headers)} & BY_WHOM - self.vary
        return f"vary-{min(by)}" if by else None
