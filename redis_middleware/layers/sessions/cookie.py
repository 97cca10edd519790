"""The session's cookie: found in a request, set and expired in a response (RFC 6265bis).

What browsers would refuse is refused when it is configured. A cookie is expired with the attributes that it was set with,
as only these name it.
"""

from __future__ import annotations

import re
from typing import Literal

from werkzeug.http import dump_cookie

from ...errors import ConfigurationError
from ...http import Request

Secure = bool | Literal["auto"]
SameSite = Literal["lax", "strict", "none"]

LIMIT = 8
"""How many sessions one request may name: a client may send as many cookies as it likes."""

MOST = 64
"""How many values of one cookie have their signatures checked."""

MOST_AGE = 400 * 86_400
"""Seconds that browsers keep a cookie at most (RFC 6265bis §5.5)."""

_is_token = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_is_domain = re.compile(r"\.?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?").fullmatch
_is_path = re.compile(r"/[!-:<-~]*").fullmatch


class Cookie:
    """A cookie with its attributes. Always `HttpOnly`: no script in a page has any business with a session's id.

    `secure="auto"` sets `Secure` where the request came by https. Raises `ConfigurationError` for what is no name, domain
    or path, and for combinations that a browser would ignore.
    """

    def __init__(
        self, name: str, shape: str, *, secure: Secure, samesite: SameSite, domain: str | None, path: str, partitioned: bool
    ) -> None:
        if not isinstance(name, str) or not _is_token(name):
            raise ConfigurationError(f"cookie must be a name without spaces or separators, got {name!r}")
        if samesite not in ("lax", "strict", "none"):
            raise ConfigurationError(f"samesite must be 'lax', 'strict' or 'none', got {samesite!r}")
        if secure not in (True, False, "auto"):
            raise ConfigurationError(f"secure must be True, False or 'auto', got {secure!r}")
        if domain is not None and not _is_domain(domain):
            raise ConfigurationError(f"domain must be a host name such as 'example.org', got {domain!r}")
        if not _is_path(path):
            raise ConfigurationError(f"path must begin with a slash and have no ';' or space in it, got {path!r}")
        host, prefixed = name.lower().startswith("__host-"), name.lower().startswith(("__host-", "__secure-"))
        for wanting, wants in ((prefixed, name), (samesite == "none", "samesite='none'"), (partitioned, "partitioned=True")):
            if wanting and secure is not True:
                raise ConfigurationError(f"{wants} needs secure=True: browsers refuse such a cookie without Secure")
        if host and (domain is not None or path != "/"):
            raise ConfigurationError(f"{name} needs path='/' and no domain: that is what __Host- promises")
        self.name = name
        self._secure = secure
        self._samesite = samesite
        self._domain = domain
        self._path = path
        self._partitioned = partitioned
        try:
            self.expire("https")
        except ValueError as exc:
            raise ConfigurationError(f"domain must be a host name such as 'example.org', got {domain!r}: {exc}") from exc
        self._found = re.compile(rf'(?:^|;)[ \t]*{re.escape(name)}="?({shape})"?[ \t]*(?=;|$)', re.ASCII).finditer

    def values(self, request: Request) -> list[str]:
        """What the request carries under this name and in the right shape, the browser's own order, without repetition.

        There may be several: of another path or domain, and from a time when these were configured otherwise.
        """
        lines = request.headers.getall("cookie")
        header = lines[0] if len(lines) == 1 else "; ".join(lines)  # RFC 9113 §8.2.3
        if self.name not in header:
            return []
        found = [match[1] for match, _ in zip(self._found(header), range(MOST), strict=False)]
        return list(dict.fromkeys(found)) if len(found) > 1 else found

    def set(self, value: str, max_age: float | None, scheme: str) -> str:
        """The value of `Set-Cookie`. It lasts `max_age` seconds, or as long as the browser runs if that is None."""
        age = None if max_age is None else max(min(int(max_age), MOST_AGE), 1)
        return self._dumped(value, age, scheme)

    def expire(self, scheme: str) -> str:
        """The value of a `Set-Cookie` that removes it."""
        return self._dumped("", 0, scheme)

    def _dumped(self, value: str, max_age: int | None, scheme: str) -> str:
        return dump_cookie(
            self.name,
            value,
            max_age=max_age,
            path=self._path,
            domain=self._domain,
            secure=scheme in ("https", "wss") if self._secure == "auto" else self._secure,
            httponly=True,
            samesite=self._samesite.capitalize(),
            partitioned=self._partitioned,
        )
