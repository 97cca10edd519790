"""Django's `db` and `cached_db` engines: a row for each session, its contents signed.

`session_data` is `payload:timestamp:signature`: the payload in base64url, and compressed by zlib if it begins with a dot. The
timestamp says when it was written. The signature is HMAC-SHA-256 over what stands before it (`django.core.signing`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from hashlib import sha256
from typing import Any

from itsdangerous import BadData, Signer, base64_decode

from .options import Secret, check_cookie, secrets_of
from .reader import Unreadable
from .records import inflated, mapping

SALT = "django.contrib.sessions.SessionStore"

INSTEAD = (
    "Give Django a SESSION_SERIALIZER that writes JSON and still reads pickle, and set SESSION_SAVE_EVERY_REQUEST, for as long "
    "as sessions last (SESSION_COOKIE_AGE)."
)

_session_key = re.compile(r"[a-z0-9]{32}").fullmatch


def is_session_key(value: str) -> bool:
    """Whether a cookie's value has the shape of Django's session keys."""
    return _session_key(value) is not None


@dataclass(frozen=True, slots=True)
class DjangoDatabase:
    """Decodes `session_data` of Django's session table. Django itself need not be there.

    `secret_key` is the app's `SECRET_KEY`, `secret_key_fallbacks` is `SECRET_KEY_FALLBACKS`, and `cookie` is
    `SESSION_COOKIE_NAME`. A record is in no Redis, so this is not for `import_from`: `key` says which row it is, and whoever
    fetches it has to look at its `expire_date`, as nothing in `session_data` says when it ends.

    Raises `ConfigurationError` for what is no cookie's name, and for an empty secret.
    """

    secret_key: Secret = field(repr=False)
    _: KW_ONLY
    secret_key_fallbacks: Sequence[Secret] = field(default=(), repr=False)
    cookie: str = "sessionid"

    def __post_init__(self) -> None:
        check_cookie(self.cookie)
        secrets_of("secret_key", self.secret_key, self.secret_key_fallbacks)

    def key(self, value: str) -> str | None:
        """The `session_key` of the row: the value itself if it has the right shape."""
        return value if is_session_key(value) else None

    def decode(self, raw: bytes) -> dict[str, Any]:
        """The contents in a `session_data`, given as bytes. Raises `Unreadable`, also for a signature that is not right."""
        secrets = secrets_of("secret_key", self.secret_key, self.secret_key_fallbacks)
        signer = Signer(secrets[::-1], salt=SALT, sep=":", key_derivation="django-concat", digest_method=sha256)  # salted_hmac
        try:
            payload = signer.unsign(raw).rpartition(b":")[0]
            packed = base64_decode(payload.removeprefix(b"."))
        except BadData as exc:
            raise Unreadable(
                "the signature is not right: give the SECRET_KEY that Django had, and its SECRET_KEY_FALLBACKS"
            ) from exc
        return mapping(inflated(packed) if payload.startswith(b".") else packed, instead=INSTEAD)
