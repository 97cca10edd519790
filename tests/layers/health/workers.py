"""Apps whose answers say which worker gave them, for the tests of what all workers count together."""

from __future__ import annotations

import os
from typing import Any

from redis_middleware import ASGIMiddleware, Health, RateLimit, WSGIMiddleware

LIMIT = 40
LAYERS = [Health(), RateLimit(f"{LIMIT}/hour", key=lambda request: "all")]


def wsgi_app() -> Any:
    def plain(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("content-type", "text/plain"), ("content-length", "5")])
        return [b"hello"]

    layered = WSGIMiddleware(plain, layers=LAYERS)

    def app(environ: Any, start_response: Any) -> Any:
        """It says which worker it is."""
        return layered(
            environ, lambda status, lines, *rest: start_response(status, [*lines, ("x-worker", str(os.getpid()))], *rest)
        )

    return app


def asgi_app() -> Any:
    async def plain(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
            await send({"type": "http.response.body", "body": b"hello"})

    layered = ASGIMiddleware(plain, layers=LAYERS)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def named(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-worker", str(os.getpid()).encode())]
            await send(message)

        await layered(scope, receive, named)

    return app
