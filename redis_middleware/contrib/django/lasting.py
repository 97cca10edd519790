"""How long a session lasts: what `set_expiry` was given, as what a record knows.

| `set_expiry` | Django keeps | the record | the cookie |
|---|---|---|---|
| None | nothing | the layer's idle timeout | as the layer's |
| seconds | the number | an idle timeout of its own | outlives the browser |
| 0 | 0 | the layer's idle timeout | ends with the browser |
| a date, or how long until then | the date, as text | ends then, however much it is used | outlives the browser |
"""

from __future__ import annotations

import time
from datetime import datetime

from ...layers.sessions import Session
from ...layers.sessions.codec import encode

EXPIRY = "_session_expiry"
"""Where Django keeps it, among the contents."""

LONGEST = 1e9
"""Seconds: above that, an idle timeout is taken for a mistake."""

LAST = 10**16 - 1
"""The last microsecond that a record can name; it is in the year 2286."""


def last_as_set(session: Session) -> None:
    """Make it last as long as was set, if that has changed. Times are by this computer's clock."""
    contents, state = session._contents(), session.state
    expiry = contents.get(EXPIRY)
    if (encode(expiry) if EXPIRY in contents else None) == state.saved.get(EXPIRY):
        return
    ends = _end(expiry)
    idle = ends - time.time() if ends is not None else expiry
    session.idle_timeout = min(idle, LONGEST) if idle is not None and idle > 0 else None
    session.persistent = None if expiry is None else expiry != 0
    state.settings["x"] = "" if ends is None else str(min(max(round(ends * 1_000_000), 1), LAST))


def _end(expiry: str | float | None) -> float | None:
    """When it is to end, in seconds since 1970, if it is to end at a certain time; a negative number is a time long ago."""
    if isinstance(expiry, str):
        return datetime.fromisoformat(expiry).timestamp()
    return 0 if expiry is not None and expiry < 0 else None
