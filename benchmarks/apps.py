"""What runs in the servers: four small apps, and the stacks around them whose cost is measured.

A server builds one by `application()` from two environment variables, and the stack on Redis reads `REDIS_URL`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from redis_middleware import ASGIMiddleware, Flow, Health, Layer, RateLimit, Request, WSGIMiddleware, proceed
from redis_middleware.ops import Get

APP, STACK = "BENCHMARK_APP", "BENCHMARK_STACK"
"""The environment variables that say what to build: a key of `APPS` and one of `STACKS`."""

STACKS: dict[str, str] = {
    "bare": "the app alone",
    "toy": "the edge, the stack and three layers that only let the request pass",
    "memory": "health route, rate limit with two limits, and a layer that reads one key, on MemoryStorage",
    "redis": "the same three layers on RedisStorage",
}

BODY = b'{"hello":"world"}'


class Pass:
    """Lets every request pass, so that what remains is the cost of the edge and the stack."""

    eager: ClassVar[bool] = True
    kinds: ClassVar[frozenset[str]] = frozenset({"http"})

    def __call__(self, request: Request, /) -> Flow:
        return (yield from proceed())


class Lookup(Pass):
    """Reads one key for each request, as a session or a cache does, and lets the request pass."""

    def __call__(self, request: Request, /) -> Flow:
        yield from Get(f"lookup:{request.headers.get('idempotency-key')}")
        return (yield from proceed())


def application() -> Any:
    """The app that the environment asks for: what uvicorn and gunicorn call."""
    return APPS[os.environ[APP]](os.environ[STACK])


def options(stack: str) -> dict[str, Any]:
    """The arguments of an edge."""
    if stack == "toy":
        return {"layers": [Pass(), Pass(), Pass()], "storage": "memory://"}
    layers: list[Layer] = [Health(), RateLimit("1000000/day; 1000000/hour"), Lookup()]
    return {"layers": layers, "storage": os.environ["REDIS_URL"] if stack == "redis" else "memory://"}


def asgi(stack: str) -> Any:
    """An ASGI app without a framework."""
    head = {"type": "http.response.start", "status": 200, "headers": _headers()}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await send(head)
            await send({"type": "http.response.body", "body": BODY})

    return app if stack == "bare" else ASGIMiddleware(app, **options(stack))


def fastapi(stack: str) -> Any:
    """A FastAPI app, wrapped as its users do it."""
    from fastapi import FastAPI

    app = FastAPI()

    @app.get("/")
    async def index() -> dict[str, str]:
        return {"hello": "world"}

    if stack != "bare":
        app.add_middleware(ASGIMiddleware, **options(stack))
    return app


def wsgi(stack: str) -> Any:
    """A WSGI app without a framework."""
    lines = [(name.decode(), value.decode()) for name, value in _headers()]

    def app(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
        start_response("200 OK", list(lines))
        return [BODY]

    return app if stack == "bare" else WSGIMiddleware(app, **options(stack))


def flask(stack: str) -> Any:
    """A Flask app."""
    from flask import Flask

    app = Flask(__name__)

    @app.get("/")
    def index() -> dict[str, str]:
        return {"hello": "world"}

    return app if stack == "bare" else WSGIMiddleware(app, **options(stack))


def _headers() -> list[tuple[bytes, bytes]]:
    return [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))]


APPS: Mapping[str, Callable[[str], Any]] = {"asgi": asgi, "fastapi": fastapi, "wsgi": wsgi, "flask": flask}
