"""Sessions of the engine that was there before, `db` for one, are taken over: who comes with an old key stays logged in.

The contents become a new session of ours, under a new key. The old one stays for as long as requests that are under way may
need it, so that none of them finds nobody logged in; a logout deletes it.
"""

# mypy: disable-error-code="import-untyped"
# (Django ships no types.)

from __future__ import annotations

import logging
from typing import Any

from ...layers.sessions import Session
from ...layers.sessions.moving.django_database import is_session_key
from .driving import Steps
from .lasting import EXPIRY
from .settings import configured

logger = logging.getLogger("redis_middleware")

LATER = "_redis_middleware_expiry"
"""Where an old session that was taken over keeps how long it was to last."""


def named_by(key: str | None) -> Any:
    """The old session that a key may name; None if it is not the key of one, or there are no old ones."""
    if key is None or not is_session_key(key):
        return None
    store = configured().old
    return None if store is None else store(key)


def take_over(session: Session, old: Any) -> Steps[bool]:
    """Fill a new session with what was in an old one. False if that is nothing, or cannot be stored."""
    contents: dict[str, Any] = yield lambda: dict(old.items())
    if LATER in contents:
        expiry = contents.pop(LATER)
        contents.pop(EXPIRY, None)
        contents |= {} if expiry is None else {EXPIRY: expiry}
    try:
        session.update(contents)
    except (TypeError, ValueError) as exc:
        logger.error("a session of %s cannot be taken over: %s", type(old).__module__, exc)
        session.state.revert()
        session._fill({})
        return False
    return bool(contents)


def let_go(old: Any) -> Steps[None]:
    """Let an old session end in a moment. Raises Django's `UpdateError` if somebody has ended it already."""

    def shorten() -> None:
        old.setdefault(LATER, old.get(EXPIRY))
        old.set_expiry(configured().grace)
        old.save()

    yield shorten
