"""The same login in three apps, which real servers serve in the tests: in Flask, in FastAPI and without a framework."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import PlainTextResponse

from redis_middleware import ASGIMiddleware, Sessions, WSGIMiddleware

from .apps import storage

SECRET = "a secret of more than thirty-two bytes, for tests"


def answer(session: Any, path: str) -> str:
    """What each app does: `/login/ada`, `/logout`, `/count`, and anything else tells who is there."""
    _, _, name = path.partition("/login/")
    if name:
        session["user"] = name
        session.bind(name)
    elif path == "/logout":
        session.clear()
    elif path == "/count":
        session.increment("n")
    return f"{session.get('user')} {session.get('n', 0)}"


def flask_app() -> Any:
    from flask import Flask, request, session

    from redis_middleware.contrib.flask import SessionInterface

    app = Flask(__name__)
    app.session_interface = SessionInterface()
    app.wsgi_app = WSGIMiddleware(app.wsgi_app, layers=[Sessions(SECRET)], storage=storage())  # type: ignore[method-assign]

    @app.get("/<path:path>")
    def view(path: str) -> str:
        return answer(session, request.path)

    return app


def fastapi_app() -> Any:
    app = FastAPI()
    app.add_middleware(ASGIMiddleware, layers=[Sessions(SECRET)], storage=storage())

    @app.get("/{path:path}")
    async def view(request: Request, path: str) -> PlainTextResponse:
        return PlainTextResponse(answer(request.session, request.url.path))

    @app.websocket("/{path:path}")
    async def socket(websocket: WebSocket, path: str) -> None:
        said = answer(websocket.session, websocket.url.path)
        await websocket.accept()
        await websocket.send_text(said)
        await websocket.close()

    return app


def plain_app() -> Any:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        said = answer(environ["redis_middleware.session"], environ["PATH_INFO"])
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [said.encode()]

    return WSGIMiddleware(app, layers=[Sessions(SECRET)], storage=storage())
