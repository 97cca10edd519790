"""express-session with connect-redis: `sess:<id>`, in JSON.

The cookie's value is `s:<id>.<signature>`, percent-encoded. The signature is HMAC-SHA-256 of the id in base64 without padding
(cookie-signature). The record's member `cookie` is express-session's own, and says when the session ends.
"""

from __future__ import annotations

import hmac
import re
import time
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from .options import Secret, check_cookie, secrets_of
from .reader import Unreadable
from .records import mapping

INSTEAD = "Only connect-redis' own serializer, JSON, is read."

LONGEST = 3 * 82
"""Characters of the longest value that is looked at: a UUID and its signature, and all of it percent-encoded."""

_signed = re.compile(r"s:([A-Za-z0-9_-]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.([A-Za-z0-9+/]{43})").fullmatch


@dataclass(frozen=True, slots=True)
class ConnectRedis:
    """Reads the sessions of an Express app with express-session and connect-redis.

    `secret` is that of express-session, one or several; `cookie` is its `name`, and `prefix` that of connect-redis. Ids are
    express-session's own, or UUIDs, as its documentation makes them with `genid`. `clock` tells the time in seconds since 1970.

    Raises `ConfigurationError` for what is no cookie's name, and for an empty secret.
    """

    secret: Secret | Sequence[Secret] = field(repr=False)
    _: KW_ONLY
    cookie: str = "connect.sid"
    prefix: str = "sess:"
    clock: Callable[[], float] = field(default=time.time, repr=False)

    def __post_init__(self) -> None:
        check_cookie(self.cookie)
        secrets_of("secret", self.secret)

    def key(self, value: str) -> str | None:
        """`sess:<id>`, if the id was signed with one of the secrets."""
        found = _signed(unquote(value)) if len(value) <= LONGEST else None
        if found is None:
            return None
        sid, given = found[1], found[2].encode()
        right = any(hmac.compare_digest(given, signature(sid, secret)) for secret in secrets_of("secret", self.secret))
        return self.prefix + sid if right else None

    def decode(self, raw: bytes) -> dict[str, Any]:
        """The session's contents; empty if it has expired. Raises `Unreadable`."""
        contents = mapping(raw, instead=INSTEAD)
        cookie = contents.pop("cookie", None)
        if not isinstance(cookie, dict):
            raise Unreadable("expected a record of express-session, with a member 'cookie' that is an object")
        return {} if self._is_over(cookie.get("expires")) else contents

    def _is_over(self, expires: Any) -> bool:
        if expires is None or expires is False:  # lasts as long as the browser runs
            return False
        if isinstance(expires, str) and expires.startswith("+"):  # ECMAScript writes so what is after the year 9999
            return False
        try:
            moment = datetime.strptime(expires, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
        except (TypeError, ValueError) as exc:
            raise Unreadable("expected 'expires' like 2030-01-31T12:00:00.000Z in the record's 'cookie'") from exc
        return moment.timestamp() <= self.clock()


def signature(text: str, secret: bytes) -> bytes:
    """What cookie-signature puts behind a text and a dot."""
    return b64encode(hmac.digest(secret, text.encode(), "sha256")).rstrip(b"=")
