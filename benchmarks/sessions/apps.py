"""What runs in the servers: one small app in each framework, with the sessions of one library, or none.

In the environment of a peer `redis_middleware` is not installed, so everything is imported where it is used.
"""

# mypy: disable-error-code="import-untyped,import-not-found"
# (Django ships no types, and the peers are not here.)

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

from ..choice import OURS, chosen

SECRET = "a secret of more than thirty-two bytes, for benchmarks"

CONTENTS: Mapping[str, Any] = {
    "user": "4711",
    "csrf": "mXzJr7pVq2kTn5wLcYd8sHf3bGa6uEo1iRv9tKx4y0Q",
    "locale": "de-AT",
    "cart": [{"item": f"A-{number}", "pieces": 2, "cents": 1999} for number in range(5)],
    "n": 0,
}
"""What is in a session after the login: a few hundred bytes, as sessions have."""

LINGER = 0.4
"""Seconds that the slow request takes."""

_numbers = count(1)


def _nothing(session: Any) -> None:
    """Not even a look."""


def _login(session: Any) -> None:
    session.update(CONTENTS)


def _read(session: Any) -> None:
    assert session["user"] == CONTENTS["user"]


def _write(session: Any) -> None:
    session["seen"] = next(_numbers)  # never the same: what did not change might not be stored


def _both(session: Any) -> None:
    session["n"] = session["n"] + 1


def _increment(session: Any) -> None:
    session.increment("n")


def _add(session: Any) -> None:
    session[f"key {next(_numbers)}"] = True


def _logout(session: Any) -> None:
    getattr(session, "flush", session.clear)()  # Django's clear() keeps the session


def _show(session: Any) -> dict[str, Any]:
    keys = [key for key in session.keys() if key.startswith("key ")]  # noqa: SIM118  # not every session can be iterated
    return {"user": session.get("user"), "n": session.get("n"), "keys": len(keys)}


SLOW = "slow"

ACTS: Mapping[str, Callable[[Any], Any]] = {
    "untouched": _nothing,
    "login": _login,
    "read": _read,
    "write": _write,
    "both": _both,
    "increment": _increment,
    "add": _add,
    "logout": _logout,
    "show": _show,
    SLOW: _write,
}
"""What a path does to the session. The slow one looks at it, and lingers before it writes."""


def application() -> Any:
    """The app that the environment asks for: what uvicorn and gunicorn call."""
    return chosen(FRAMEWORKS)


def flask(sessions: str, url: str) -> Any:
    """A Flask app."""
    from flask import Flask, Response, session

    app = Flask(__name__)

    @app.get("/<name>")
    def act(name: str) -> Response:
        if name == SLOW:
            _read(session)
            time.sleep(LINGER)
        return Response(_body(ACTS[name](session)), mimetype="application/json")

    if sessions == OURS:
        from redis_middleware import Sessions, WSGIMiddleware
        from redis_middleware.contrib.flask import SessionInterface

        app.session_interface = SessionInterface()
        app.wsgi_app = WSGIMiddleware(app.wsgi_app, layers=[Sessions(SECRET)], storage=url)  # type: ignore[method-assign]
    elif sessions in ("flask-session", "flask-session, no refresh"):
        from flask_session import Session
        from redis import Redis

        app.config.update(SESSION_TYPE="redis", SESSION_REDIS=Redis.from_url(url))
        app.config["SESSION_REFRESH_EACH_REQUEST"] = sessions == "flask-session"
        Session(app)
    return app


DJANGO_ENGINES = {"cache": "django.contrib.sessions.backends.cache", "engine": "redis_middleware.contrib.django.sessions"}
DJANGO_MIDDLEWARE = {
    "cache": "django.contrib.sessions.middleware.SessionMiddleware",
    "engine": "redis_middleware.contrib.django.sessions.SessionMiddleware",
}


def django(sessions: str, url: str) -> Any:
    """A Django project: with an engine its views find the session in the request, and at our edge in the environ."""
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpResponse
    from django.urls import path

    engine = DJANGO_ENGINES.get(sessions)

    def act(request: Any, name: str) -> HttpResponse:
        session = request.session if engine else request.environ.get("redis_middleware.session")
        if name == SLOW:
            _read(session)
            time.sleep(LINGER)
        body = _body(ACTS[name](session))
        return HttpResponse(body, content_type="application/json", headers={"Content-Length": str(len(body))})

    chosen = {"SESSION_ENGINE": engine, "MIDDLEWARE": [DJANGO_MIDDLEWARE[sessions]]} if engine else {"MIDDLEWARE": []}
    settings.configure(
        ALLOWED_HOSTS=["127.0.0.1", "localhost"],
        CACHES={"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": url}},
        REDIS_MIDDLEWARE={"storage": url},
        ROOT_URLCONF=(path("<name>", act),),
        SECRET_KEY=SECRET,
        **chosen,
    )
    app = get_wsgi_application()
    if sessions != OURS:
        return app
    from redis_middleware import Sessions, WSGIMiddleware

    return WSGIMiddleware(app, layers=[Sessions(SECRET)], storage=url)


def starlette(sessions: str, url: str) -> Any:
    """A Starlette app. With starsessions a view loads the session if it needs it, which costs nothing where it does not."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    async def act(request: Request) -> Response:
        name = request.path_params["name"]
        if sessions == "starsessions" and name != "untouched":
            await load_session(request)
        session = None if name == "untouched" else request.session
        if name == SLOW:
            _read(session)
            await asyncio.sleep(LINGER)
        return Response(_body(ACTS[name](session)), media_type="application/json")

    app = Starlette(routes=[Route("/{name}", act)])
    if sessions == OURS:
        from redis_middleware import ASGIMiddleware, Sessions

        app.add_middleware(ASGIMiddleware, layers=[Sessions(SECRET)], storage=url)
    elif sessions == "starsessions":
        from redis.asyncio import Redis
        from starsessions import SessionMiddleware, load_session
        from starsessions.stores.redis import RedisStore

        store = RedisStore(connection=Redis.from_url(url))
        app.add_middleware(SessionMiddleware, store=store, lifetime=3600, cookie_https_only=False)
    return app


FRAMEWORKS: Mapping[str, Callable[[str, str], Any]] = {"flask": flask, "django": django, "starlette": starlette}


def _body(made: Any) -> bytes:
    return json.dumps(made).encode()
