"""A shop in all layers, for a browser to look at. Its storage is said by `REDIS_URL`, else memory; a token by `TOKEN`."""

from __future__ import annotations

import os
from typing import Any

from redis_middleware import ASGIMiddleware, Health, RateLimit, ResponseCache, Sessions, WSGIMiddleware
from redis_middleware.layers.health import Thresholds

TOKEN = os.environ.get("TOKEN")
CALM = Thresholds(latency=5)  # a machine that is busy with tests is slow, and that is not what they are about
LAYERS = [
    Health(token=TOKEN, allow=() if TOKEN else ("127.0.0.0/8", "::1/128"), thresholds=CALM),
    RateLimit("100/minute"),
    ResponseCache(),
    Sessions("0123456789abcdef0123456789abcdef", secure=False),
]


def _answer(path: str, session: Any) -> list[tuple[str, str]]:
    if path == "/login":
        session["user"] = "ada"
        return [("content-type", "text/plain")]
    return [("content-type", "text/plain"), ("cache-control", "max-age=60")]


def _wsgi(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [*_answer(environ["PATH_INFO"], environ["redis_middleware.session"]), ("content-length", "5")])
    return [b"hello"]


async def _asgi(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    fields = [(name.encode(), value.encode()) for name, value in _answer(scope["path"], scope["session"])]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": b"hello"})


wsgi_app = WSGIMiddleware(_wsgi, layers=LAYERS)
asgi_app = ASGIMiddleware(_asgi, layers=LAYERS)
