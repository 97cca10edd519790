"""The apps whose limited views real servers serve in the tests, made on demand."""

# mypy: disable-error-code="import-untyped"
# (Django ships no types.)

from __future__ import annotations

import os
from typing import Any

from fastapi import Depends, FastAPI, WebSocket

from redis_middleware import ASGIMiddleware, Health, RedisStorage, WSGIMiddleware


def storage() -> RedisStorage:
    return RedisStorage(os.environ["REDIS_URL"], prefix=os.environ["PREFIX"], timeout=5)


def flask_app() -> Any:
    from flask import Flask

    from redis_middleware.contrib.flask import limit

    app = Flask(__name__)

    @app.get("/")
    def front() -> str:
        return "hello"

    @app.get("/limited")
    @limit("1/hour")
    def limited() -> str:
        return "hello"

    @app.get("/alimited")
    @limit("1/hour")
    async def alimited() -> str:
        return "hello"

    return WSGIMiddleware(app, layers=[Health()], storage=storage())


def _configure_django() -> None:
    from django.conf import settings
    from django.http import HttpRequest, HttpResponse
    from django.urls import path

    from redis_middleware.contrib.django import limit

    def front(request: HttpRequest) -> HttpResponse:
        return HttpResponse("hello")

    @limit("1/hour")
    def limited(request: HttpRequest) -> HttpResponse:
        return HttpResponse("hello")

    @limit("1/hour")
    async def alimited(request: HttpRequest) -> HttpResponse:
        return HttpResponse("hello")

    views = (path("", front), path("limited", limited), path("alimited", alimited))
    settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=views, MIDDLEWARE=[])


def django_wsgi_app() -> Any:
    from django.core.wsgi import get_wsgi_application

    _configure_django()
    return WSGIMiddleware(get_wsgi_application(), layers=[Health()], storage=storage())


def django_asgi_app() -> Any:
    from django.core.asgi import get_asgi_application

    _configure_django()
    return ASGIMiddleware(get_asgi_application(), layers=[Health()], storage=storage())


def fastapi_app() -> Any:
    from redis_middleware.contrib.starlette import ViewLimits, limit

    app = FastAPI()
    app.add_middleware(ASGIMiddleware, layers=[Health(), ViewLimits()], storage=storage())

    @app.get("/")
    async def front() -> str:
        return "hello"

    @app.get("/limited", dependencies=[Depends(limit("1/hour"))])
    def limited() -> str:
        return "hello"

    @app.get("/alimited", dependencies=[Depends(limit("1/hour"))])
    async def alimited() -> str:
        return "hello"

    @app.websocket("/ws", dependencies=[Depends(limit("1/hour"))])
    async def websocket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("hello")
        await websocket.close()

    return app
