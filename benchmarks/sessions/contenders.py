"""Who is compared: a library's sessions in a framework on a server; and what is done to a session."""

from __future__ import annotations

from collections.abc import Mapping

from ..choice import OURS
from ..contenders import Contender
from ..peers import Peer
from ..servers import GUNICORN, UVICORN

FLASK_SESSION = Peer(
    "Flask-Session", ("Flask-Session", "redis[hiredis]", "gunicorn"), ("flask-session", "flask", "werkzeug", "redis", "gunicorn")
)
STARSESSIONS = Peer(
    "starsessions",
    ("starsessions[redis]", "redis[hiredis]", "uvicorn[standard]"),
    ("starsessions", "starlette", "redis", "uvicorn"),
)

CONTENDERS = (
    Contender("flask", "redis_middleware, Flask", "flask", OURS, GUNICORN),
    Contender("flask-session", "Flask-Session", "flask", "flask-session", GUNICORN, FLASK_SESSION),
    Contender(
        "flask-session-lazy", "Flask-Session, not refreshing", "flask", "flask-session, no refresh", GUNICORN, FLASK_SESSION
    ),
    Contender("django", "redis_middleware, Django at our edge", "django", OURS, GUNICORN),
    Contender("django-engine", "redis_middleware, Django with our engine", "django", "engine", GUNICORN),
    Contender("django-cache", "Django, its cache engine", "django", "cache", GUNICORN),
    Contender("starlette", "redis_middleware, Starlette", "starlette", OURS, UVICORN),
    Contender("starsessions", "starsessions, Starlette", "starlette", "starsessions", UVICORN, STARSESSIONS),
)

CASES: Mapping[str, str] = {
    "no cookie": "untouched",
    "untouched": "untouched",
    "read": "read",
    "written": "write",
    "read and written": "both",
}
"""What a request does to the session, and the path that does it. All but the first have a session's cookie."""

NO_COOKIE = "no cookie"

BUDGET: Mapping[str, int] = {"no cookie": 0, "untouched": 1, "read": 1, "written": 2, "read and written": 2}
"""How many trips ours may take."""
