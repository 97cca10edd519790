"""Who is compared: a library's response cache in a framework on a server; and what is asked for when traffic is counted."""

from __future__ import annotations

from collections.abc import Mapping

from ..choice import OURS
from ..contenders import Contender
from ..peers import Peer
from ..servers import GUNICORN, UVICORN

HISHEL = Peer(
    "hishel", ("hishel[async,redis]>=2", "redis[hiredis]", "starlette", "uvicorn[standard]"),
    ("hishel", "starlette", "redis", "uvicorn"),
)  # fmt: skip
FASTAPI_CACHE = Peer(
    "fastapi-cache2",  # it imports jinja2, and does not say so
    ("fastapi-cache2[redis]", "redis[hiredis]", "jinja2", "uvicorn[standard]"),
    ("fastapi-cache2", "fastapi", "starlette", "redis", "uvicorn"),
)  # fmt: skip
CASHEWS = Peer(
    "cashews", ("cashews[redis]", "redis[hiredis]", "fastapi", "uvicorn[standard]"),
    ("cashews", "fastapi", "starlette", "redis", "uvicorn"),
)  # fmt: skip
FLASK_CACHING = Peer(
    "Flask-Caching", ("Flask-Caching", "redis[hiredis]", "gunicorn"),
    ("flask-caching", "flask", "werkzeug", "redis", "gunicorn"),
)  # fmt: skip

CONTENDERS = (
    Contender("starlette", "redis_middleware, Starlette", "starlette", OURS, UVICORN),
    Contender("hishel", "hishel on Redis, Starlette", "starlette", "hishel, redis", UVICORN, HISHEL),
    Contender("hishel-sqlite", "hishel on SQLite, Starlette", "starlette", "hishel, sqlite", UVICORN, HISHEL),
    Contender("cashews-starlette", "cashews, Starlette", "starlette", "cashews", UVICORN, CASHEWS),
    Contender("fastapi", "redis_middleware, FastAPI", "fastapi", OURS, UVICORN),
    Contender("fastapi-cache2", "fastapi-cache2", "fastapi", "fastapi-cache2", UVICORN, FASTAPI_CACHE),
    Contender("cashews", "cashews, FastAPI", "fastapi", "cashews", UVICORN, CASHEWS),
    Contender("flask", "redis_middleware, Flask", "flask", OURS, GUNICORN),
    Contender("flask-caching", "Flask-Caching", "flask", "flask-caching", GUNICORN, FLASK_CACHING),
    Contender("django", "redis_middleware, Django", "django", OURS, GUNICORN),
    Contender("django-cache", "Django, its cache middleware", "django", "django", GUNICORN),
)

HIT, MISS, CONDITIONAL, VARYING = "hit", "miss", "not modified", "hit of a page that varies"

BUDGET: Mapping[str, int] = {HIT: 1, MISS: 3, CONDITIONAL: 1, VARYING: 1}
"""How many trips ours may take."""
