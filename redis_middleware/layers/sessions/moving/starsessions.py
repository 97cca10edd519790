"""starsessions 2: `starsessions.<id>`, in JSON."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from .options import check_cookie
from .records import mapping

INSTEAD = "Give starsessions a serializer that writes JSON and still reads pickle, for as long as sessions last (`lifetime`)."

METADATA = "__metadata__"
"""Where starsessions keeps when a session was created and how long it lasts."""

_is_id = re.compile(r"[0-9a-f]{32}").fullmatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Starsessions:
    """Reads the sessions of starsessions 2 with its `RedisStore`.

    `cookie` is `cookie_name` of its middleware, and `prefix` that of its store. A prefix that is a function needs a reader
    of its own. Raises `ConfigurationError` for what is no cookie's name.
    """

    cookie: str = "session"
    prefix: str = "starsessions."

    def __post_init__(self) -> None:
        check_cookie(self.cookie)

    def key(self, value: str) -> str | None:
        """`starsessions.<id>`, for an id as starsessions makes it: 128 bits in hexadecimal."""
        return self.prefix + value if _is_id(value) else None

    def decode(self, raw: bytes) -> dict[str, Any]:
        """The session's contents. Raises `Unreadable`."""
        contents = mapping(raw, instead=INSTEAD)
        contents.pop(METADATA, None)
        return contents
