"""Who sees more than the status, and who may start what writes.

Rules:

* A bearer token (RFC 6750 §2.1) is compared in constant time, and opens everything.
* An address in `allow` opens the same to who really sits there. It is the peer's, of no header's making; and as a proxy on
  the same machine makes the whole world look like `127.0.0.1`, a request that carries any trace of a proxy is nobody's
  neighbour: only the token helps there. A proxy that leaves no trace cannot be told from a neighbour: then `allow=()`.
* A browser can be made to ask in its user's name. What comes from loopback therefore names an address or `localhost` as
  its Host (a site whose name was rebound to 127.0.0.1 cannot); and what writes must come from no other origin, by
  `Sec-Fetch-Site` and `Origin`, and carry a header that no form and no script of another origin can send unasked.
"""

from __future__ import annotations

from collections.abc import Iterable
from hmac import compare_digest
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Literal
from urllib.parse import urlsplit

from ...errors import ConfigurationError
from ...http import Request

PROXIED = frozenset(
    {
        "forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port", "x-forwarded-server",
        "x-real-ip", "x-client-ip", "x-cluster-client-ip", "x-original-forwarded-for", "x-envoy-external-address",
        "cf-connecting-ip", "true-client-ip", "fastly-client-ip", "fly-client-ip", "x-azure-clientip", "x-appengine-user-ip",
    }
)  # fmt: skip
"""Fields that only who passes a request on has a reason to send."""

UNASKED = "x-redis-middleware"
"""A field that a browser sends to another origin only after asking it (Fetch §4.8), which is never granted here."""

Grant = Literal["token", "address"]


class Access:
    """Who is let in, by address and token. Never changes, so it serves all threads and tasks.

    Raises `ConfigurationError` for what is no network and for a token that no header can carry.
    """

    def __init__(self, allow: str | Iterable[str], token: str | None) -> None:
        try:
            self._networks = [ip_network(text) for text in ([allow] if isinstance(allow, str) else allow)]
        except ValueError as exc:
            raise ConfigurationError(f"allow takes addresses and networks like '10.0.0.0/8': {exc}") from exc
        if token is not None and not (token and token.isascii() and token.isprintable() and " " not in token):
            raise ConfigurationError("token must be a text of visible ASCII characters; make one with secrets.token_urlsafe()")
        self._token = token

    @property
    def challenge(self) -> bool:
        """Whether there is a token that would help."""
        return self._token is not None

    def granted(self, request: Request) -> Grant | None:
        """By what a request sees the details; None if it does not."""
        if self._has_token(request):
            return "token"
        return "address" if self._is_near(request) else None

    def may_start(self, request: Request) -> bool:
        """Whether a request may start what writes: it sees the details, and no other origin has sent it."""
        grant = self.granted(request)
        if grant is None or _is_cross_site(request):
            return False
        return grant == "token" or UNASKED in request.headers

    def _has_token(self, request: Request) -> bool:
        scheme, _, given = (request.headers.get("authorization") or "").partition(" ")
        if self._token is None or scheme.lower() != "bearer":
            return False
        return compare_digest(given.strip().encode("utf-8", "replace"), self._token.encode())

    def _is_near(self, request: Request) -> bool:
        address = _address(request.peer)
        if address is None or not any(_within(address, network) for network in self._networks):
            return False
        headers = request.headers
        if any(name.lower() in PROXIED for name, _ in headers):
            return False
        return not address.is_loopback or _is_address(headers.get("host"))


def _within(address: IPv4Address | IPv6Address, network: IPv4Network | IPv6Network) -> bool:
    return address.version == network.version and address in network


def _address(text: str | None) -> IPv4Address | IPv6Address | None:
    """The address of a peer, without a zone; IPv4 inside IPv6 is IPv4 (RFC 4291 §2.5.5.2)."""
    try:
        address = ip_address((text or "").partition("%")[0])
    except ValueError:
        return None
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


def _is_address(host: str | None) -> bool:
    """Whether a Host names no site: an address, `localhost`, or nothing."""
    if not host:
        return True
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return name == "localhost" or _address(name) is not None


def _is_cross_site(request: Request) -> bool:
    """Whether a browser says that another origin is behind a request; one that says `null` will not say which."""
    headers = request.headers
    told, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if told is not None:  # by the browser, which knows; a proxy may have changed the Host
        return told not in ("none", "same-origin")
    if origin is None:
        return False
    try:
        return urlsplit(origin).netloc.lower() != (headers.get("host") or "").lower()
    except ValueError:
        return True
