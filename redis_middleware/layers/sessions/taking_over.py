"""Sessions that another library has stored are taken over: their contents become a new session of ours.

The old record stays for as long as requests that are under way may need it, so that none of them finds nobody logged in; a
logout deletes it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from werkzeug.http import parse_cookie

from ...errors import StorageError, StorageUnavailable
from ...flow import Action
from ...http import Headers
from ...ops import Foreign, Get
from .codec import encode
from .keeper import LARGE, Keeper
from .mapping import Session
from .moving import Reader, Unreadable

logger = logging.getLogger("redis_middleware")

MOST = 4
"""How many records of other libraries one request may name."""

Left = list[tuple[Reader, str]]


def left_by_others(readers: Sequence[Reader], headers: Headers) -> Left:
    """The records of other libraries that a request names, and who reads them."""
    cookies = parse_cookie("; ".join(headers.getall("cookie")))
    named = [(reader, reader.key(value)) for reader in readers for value in cookies.getlist(reader.cookie)[:MOST]]
    return [(reader, key) for reader, key in named if key is not None][:MOST]


def take_over(session: Session, left: Left, keeper: Keeper) -> Action[None]:
    """Fill the session with the first of these records that can be read, to be committed as a new one."""
    for result, (reader, key) in zip((yield from _read(left)), left, strict=True):
        if isinstance(result, StorageUnavailable):
            session.state.trouble = result
            return
        if isinstance(result, StorageError):  # it is no text: not what the reader's library stores
            logger.error("a session of another library cannot be read by %r: %s", reader, result)
        elif result is not None and _taken(session, reader, key, result, keeper):
            return


def _read(left: Left) -> Action[list[bytes | StorageError | None]]:
    """The records, each by itself: one that is of another type is no trouble of the others."""
    found: list[bytes | StorageError | None] = []
    for _, key in left:
        try:
            found.append((yield from Get(Foreign(key))))
        except StorageError as exc:
            found.append(exc)
    return found


def _taken(session: Session, reader: Reader, key: str, raw: bytes, keeper: Keeper) -> bool:
    most = keeper.terms.max_bytes
    try:
        contents = reader.decode(raw)
        if sum(len(name.encode()) + len(encode(value)) for name, value in contents.items()) > most:
            raise Unreadable(LARGE.format(most))
    except (Unreadable, TypeError, ValueError) as exc:
        keeper.counts["corrupt"] += 1
        logger.error("a session of another library cannot be taken over by %r: %s", reader, exc)
        return False
    session.update(contents)
    session.state.taken, session.state.accessed = (key,), False
    return True
