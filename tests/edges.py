"""One way to call an app through either edge, with checkers on both sides, so that a scenario is written once.

An app is written as a `Handler`: a function from what it sees of the request to status, headers and pieces of body.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from wsgiref.validate import validator

from redis_middleware import ASGIMiddleware, WSGIMiddleware
from redis_middleware.flow import Layer
from redis_middleware.http import Headers
from redis_middleware.storage import Storage

Handler = Callable[["Seen"], tuple[int, list[tuple[str, str]], Iterable[bytes]]]


@dataclass
class Seen:
    """What the app sees of a request."""

    method: str
    path: str
    native: Any


@dataclass
class Answer:
    """What the client gets."""

    status: int
    headers: Headers
    pieces: list[bytes] = field(default_factory=list)

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)


class Edge(Protocol):
    """An edge around a handler."""

    name: str

    def wrap(self, handler: Handler, layers: Sequence[Layer], storage: Storage | str | None) -> Caller: ...
    def flush(self) -> None:
        """Add what was counted by now."""

    def close(self) -> None: ...


class Caller(Protocol):
    def __call__(
        self, method: str = "GET", path: str = "/", headers: Sequence[tuple[str, str]] = (), peer: str = "192.0.2.1"
    ) -> Answer: ...


def hello(seen: Seen) -> tuple[int, list[tuple[str, str]], list[bytes]]:
    """The simplest app, in one piece that announces its length."""
    return 200, [("content-type", "text/plain"), ("content-length", "5")], [b"" if seen.method == "HEAD" else b"hello"]


class WSGI:
    """The WSGI edge, with wsgiref's validator inside and outside."""

    name = "wsgi"

    def __init__(self) -> None:
        self.made: list[WSGIMiddleware] = []

    def wrap(self, handler: Handler, layers: Sequence[Layer], storage: Storage | str | None) -> Caller:
        made = WSGIMiddleware(validator(wsgi_app(handler)), layers=layers, storage=storage)
        self.made.append(made)
        app = validator(made)

        def call(
            method: str = "GET", path: str = "/", headers: Sequence[tuple[str, str]] = (), peer: str = "192.0.2.1"
        ) -> Answer:
            return wsgi_call(app, environ(method, path, headers, peer))

        return call

    def flush(self) -> None:
        for made in self.made:
            made.heart.flush()

    def close(self) -> None:
        self.made.clear()


class ASGI:
    """The ASGI edge, with a checker of the order and shape of messages outside."""

    name = "asgi"

    def __init__(self) -> None:
        self.runner = asyncio.Runner()
        self.made: list[ASGIMiddleware] = []

    def wrap(self, handler: Handler, layers: Sequence[Layer], storage: Storage | str | None) -> Caller:
        app = ASGIMiddleware(asgi_app(handler), layers=layers, storage=storage)
        self.made.append(app)

        def call(
            method: str = "GET", path: str = "/", headers: Sequence[tuple[str, str]] = (), peer: str = "192.0.2.1"
        ) -> Answer:
            return self.runner.run(asgi_call(app, scope(method, path, headers, peer)))

        return call

    def flush(self) -> None:
        for made in self.made:
            self.runner.run(made.heart.flush())

    def close(self) -> None:
        while self.made:
            self.runner.run(self.made.pop().storage.aclose())
        self.runner.close()


EDGES = [WSGI, ASGI]


def environ(
    method: str = "GET", path: str = "/", headers: Sequence[tuple[str, str]] = (), peer: str = "192.0.2.1"
) -> dict[str, Any]:
    """A complete WSGI environ."""
    path, _, query = path.partition("?")
    made = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "example.org",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": peer,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    return made | {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers}


def scope(
    method: str = "GET", path: str = "/", headers: Sequence[tuple[str, str]] = (), peer: str = "192.0.2.1"
) -> dict[str, Any]:
    """A complete ASGI http scope."""
    path, _, query = path.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers],
        "client": (peer, 4711),
        "server": ("example.org", 80),
        "extensions": {},
    }


def wsgi_app(handler: Handler) -> Any:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        seen = Seen(environ["REQUEST_METHOD"], environ["PATH_INFO"], environ)
        status, headers, pieces = handler(seen)
        start_response(f"{status} Whatever", headers)
        return pieces

    return app


def asgi_app(handler: Handler) -> Any:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        status, headers, pieces = handler(Seen(scope["method"], scope["path"], scope))
        encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        await send({"type": "http.response.start", "status": status, "headers": encoded})
        if isinstance(pieces, list):
            await send({"type": "http.response.body", "body": b"".join(pieces)})
            return
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})

    return app


def wsgi_call(app: Any, environ: dict[str, Any]) -> Answer:
    """Call as a server does: iterate, then close."""
    heads: list[tuple[str, list[tuple[str, str]]]] = []
    pieces: list[bytes] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
        if heads and (exc_info is None or pieces):
            raise exc_info[1] if exc_info else AssertionError("a second head")
        heads[:] = [(status, headers)]
        return pieces.append

    iterable = app(environ, start_response)
    try:
        for piece in iterable:
            assert heads, "a piece before the head"
            pieces.append(piece)
    finally:
        if hasattr(iterable, "close"):
            iterable.close()
    [(status, headers)] = heads
    return Answer(int(status[:3]), Headers.received(headers), pieces)


async def asgi_call(app: Any, scope: dict[str, Any], body: bytes = b"") -> Answer:
    """Call as a server does, and check that what comes is one head and one body."""
    messages: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        check_order(messages, message)
        messages.append(message)

    try:
        await app(scope, receive, send)
    except Exception as exc:
        exc.add_note(f"messages so far: {messages}")
        raise
    assert messages, "no response"
    assert not messages[-1].get("more_body"), "the body did not end"
    head, *rest = messages
    lines = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in head["headers"]]
    return Answer(head["status"], Headers.received(lines), [message.get("body", b"") for message in rest])


def check_order(before: Sequence[dict[str, Any]], message: dict[str, Any]) -> None:
    """The rules of the ASGI specification for `http.response.*`."""
    kind = message["type"]
    if kind == "http.response.start":
        assert not before, "a second head"
        for name, value in message["headers"]:
            assert type(name) is bytes
            assert type(value) is bytes
            assert name == name.lower()
    elif kind == "http.response.body":
        assert before, "a body before the head"
        assert len(before) == 1 or before[-1].get("more_body"), "a piece after the end"
        assert type(message.get("body", b"")) is bytes
