"""The apps that the real servers serve in the tests. Which storage they use is said by the environment."""

# mypy: disable-error-code="import-untyped"
# (Django ships no types.)

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

from fastapi import FastAPI, WebSocket
from fastapi.responses import StreamingResponse
from flask import Flask, Response, request

from redis_middleware import ASGIMiddleware, Health, RateLimit, RedisStorage, WSGIMiddleware
from tests.toys import Reader, Writer

storage = RedisStorage(os.environ["REDIS_URL"], prefix=os.environ["PREFIX"], timeout=5)
layers = [Health(), RateLimit(os.environ.get("LIMIT", "5/minute")), Reader("a"), Writer()]

flask_app = Flask(__name__)


@flask_app.get("/")
def flask_front() -> str:
    return "hello"


@flask_app.post("/echo")
def flask_echo() -> Response:
    return Response(request.get_data(), mimetype="text/plain")


@flask_app.get("/stream")
def flask_stream() -> Response:
    def pieces() -> Iterator[bytes]:
        for number in range(3):
            yield b"%d\n" % number

    return Response(pieces(), mimetype="text/plain")


flask_app.wsgi_app = WSGIMiddleware(flask_app.wsgi_app, layers=layers, storage=storage)  # type: ignore[method-assign]

fastapi_app = FastAPI()


@fastapi_app.get("/")
async def fastapi_front() -> str:
    return "hello"


@fastapi_app.get("/stream")
async def fastapi_stream() -> StreamingResponse:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(3):
            yield b"%d\n" % number

    return StreamingResponse(pieces(), media_type="text/plain")


@fastapi_app.websocket("/ws")
async def fastapi_websocket(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text("hello")
    await websocket.close()


fastapi_app.add_middleware(ASGIMiddleware, layers=layers, storage=storage)


def django_app() -> Any:
    """Made on demand: Django has one configuration for a process."""
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpRequest, HttpResponse
    from django.urls import path

    def front(request: HttpRequest) -> HttpResponse:
        return HttpResponse("hello", content_type="text/plain")

    settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=(path("", front),), MIDDLEWARE=[])
    return WSGIMiddleware(get_wsgi_application(), layers=layers, storage=storage)
