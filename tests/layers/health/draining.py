"""Apps that hold a request until they are told to go on, for the tests of draining."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from redis_middleware import ASGIMiddleware, Health, MemoryStorage, WSGIMiddleware

DELAY = 2.0
"""Seconds for which a test can look at the draining process."""

begun, go = threading.Event(), threading.Event()
health = Health(drain_on_sigterm=True, drain_delay=DELAY)


def _answer(path: str) -> bytes:
    if path == "/go":
        go.set()
    return b"1" if begun.is_set() else b"0"


def _wsgi(environ: Any, start_response: Any) -> list[bytes]:
    if environ["PATH_INFO"] == "/slow":
        begun.set()
        go.wait(20)
    body = _answer(environ["PATH_INFO"])
    start_response("200 OK", [("content-type", "text/plain"), ("content-length", str(len(body)))])
    return [body]


async def _asgi(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/slow":
        begun.set()
        while not go.is_set():
            await asyncio.sleep(0.01)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": _answer(scope["path"])})


wsgi_app = WSGIMiddleware(_wsgi, layers=[health], storage=MemoryStorage())
asgi_app = ASGIMiddleware(_asgi, layers=[health], storage=MemoryStorage())
