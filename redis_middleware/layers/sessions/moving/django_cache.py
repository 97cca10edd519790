"""Django's `cache` and `cached_db` engines: `<prefix>:<version>:django.contrib.sessions.<engine><session key>`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ....errors import ConfigurationError
from .django_database import is_session_key
from .options import check_cookie
from .records import inflated, mapping

INSTEAD = (
    "Give the cache a serializer that writes JSON and still reads pickle (OPTIONS['SERIALIZER'] of django-redis, "
    "OPTIONS['serializer'] of Django's RedisCache), and set SESSION_SAVE_EVERY_REQUEST, for as long as sessions last "
    "(SESSION_COOKIE_AGE). One that does not read pickle, like django-redis' JSONSerializer, would log out everybody at once."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DjangoCache:
    """Reads the sessions of Django's engines `cache` and `cached_db`, in the Redis of django-redis or of Django's `RedisCache`.

    `cookie` is `SESSION_COOKIE_NAME`, `key_prefix` and `version` are `KEY_PREFIX` and `VERSION` of the cache, and `engine` is
    the last word of `SESSION_ENGINE`. A cache with a `KEY_FUNCTION` of its own needs a reader of its own.

    Records are JSON or MessagePack, as they are or compressed by zlib or gzip (django-redis' `ZlibCompressor` and
    `GzipCompressor`). Both caches pickle by default, and what they pickled is refused. With `cached_db` the session's row stays
    in the database. Raises `ConfigurationError` for what is no cookie's name, and another `engine`.
    """

    cookie: str = "sessionid"
    key_prefix: str = ""
    version: int = 1
    engine: Literal["cache", "cached_db"] = "cache"

    def __post_init__(self) -> None:
        check_cookie(self.cookie)
        if self.engine not in ("cache", "cached_db"):
            raise ConfigurationError(f"engine must be 'cache' or 'cached_db', got {self.engine!r}")

    def key(self, value: str) -> str | None:
        """The key that Django's default key function makes of a session key."""
        if not is_session_key(value):
            return None
        return f"{self.key_prefix}:{self.version}:django.contrib.sessions.{self.engine}{value}"

    def decode(self, raw: bytes) -> dict[str, Any]:
        """The session's contents. Raises `Unreadable`, also for other compressors than zlib and gzip."""
        return mapping(inflated(raw), instead=INSTEAD)
