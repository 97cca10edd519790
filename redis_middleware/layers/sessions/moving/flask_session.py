"""Flask-Session: `session:<id>`, in MessagePack or JSON since 0.7, and in pickle before."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from itsdangerous import BadSignature, Signer

from ....errors import ConfigurationError
from .options import Secret, check_cookie, secrets_of
from .records import mapping

INSTEAD = (
    "Run Flask-Session 0.7 or 0.8 for as long as sessions last (PERMANENT_SESSION_LIFETIME): it reads pickle and writes "
    "MessagePack, or JSON (SESSION_SERIALIZATION_FORMAT='json'). "
    "With SESSION_TYPE='cachelib', give its RedisCache a serializer that writes JSON and still reads pickle."
)

_is_url_safe = re.compile(r"[A-Za-z0-9_-]+").fullmatch
_is_uuid = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch  # ids before 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class FlaskSession:
    """Reads the sessions of Flask-Session with `SESSION_TYPE="redis"`, or with cachelib if that wrote JSON.

    `cookie` is `SESSION_COOKIE_NAME`, `key_prefix` is `SESSION_KEY_PREFIX`, and `sid_length` is `SESSION_ID_LENGTH`, in bytes.
    `secret_key` is the app's `SECRET_KEY` if `SESSION_USE_SIGNER` was on, and else None: a cookie without a signature is
    then as good as the id in it, just as it was for Flask-Session.

    What Flask-Session wrote as text (a naive datetime, and in JSON all datetimes and bytes) stays text, as it did there.
    Raises `ConfigurationError` for what is no cookie's name, an empty secret, and an `sid_length` not from 8 to 128.
    """

    cookie: str = "session"
    key_prefix: str = "session:"
    secret_key: Secret | None = field(default=None, repr=False)
    sid_length: int = 32

    def __post_init__(self) -> None:
        check_cookie(self.cookie)
        if self.secret_key is not None:
            secrets_of("secret_key", self.secret_key)
        if not isinstance(self.sid_length, int) or not 8 <= self.sid_length <= 128:
            raise ConfigurationError(f"sid_length must be 8 to 128 bytes, got {self.sid_length!r}")

    def key(self, value: str) -> str | None:
        """`session:<id>`, for an id as Flask-Session makes it: a UUID before 0.6, and random bytes in base64url since."""
        sid = value if self.secret_key is None else value.rpartition(".")[0]
        if not (_is_uuid(sid) or (len(sid) == -(-self.sid_length * 4 // 3) and _is_url_safe(sid))):
            return None
        return self.key_prefix + sid if self._is_signed(value) else None

    def decode(self, raw: bytes) -> dict[str, Any]:
        """The session's contents, Flask's `_permanent` among them. Raises `Unreadable`."""
        return mapping(raw, instead=INSTEAD)

    def _is_signed(self, value: str) -> bool:
        if self.secret_key is None:
            return True
        signer = Signer(self.secret_key, salt="flask-session", key_derivation="hmac")
        try:
            signer.unsign(value.encode("ascii"))
        except (BadSignature, UnicodeEncodeError):
            return False
        return True
