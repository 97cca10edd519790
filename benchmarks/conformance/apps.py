"""What runs in the server: a transparent app, which asks the suite's origin, behind our edge with the layers under test.

It stands for an app in the same process: what the origin says is what the app says. If the origin goes away, the app raises,
before its head or in its body. A server calls `asgi()` or `wsgi()`, and they read the environment.
"""

from __future__ import annotations

import ast
import importlib
import os
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import aclosing, closing
from typing import Any

from redis_middleware import ASGIMiddleware, Layer, WSGIMiddleware

from .origin import Head, Part, Piece, areceived, received, request

ORIGIN, LAYERS, STORAGE = "CONFORMANCE_ORIGIN", "CONFORMANCE_LAYERS", "CONFORMANCE_STORAGE"
"""The environment variables: the origin's port, the layers (one a line, as `layers` wants them), the URL of the storage."""

NOT_CONDITIONAL = 999
"""The status by which the origin says that a request should have been conditional; only failing tests see it."""


def asgi() -> Any:
    """The ASGI app: for uvicorn."""
    from uvicorn.protocols.http import httptools_impl

    # uvicorn has no line for a status above 599, and would cut the connection instead of telling the suite what is wrong
    httptools_impl.STATUS_LINE[NOT_CONDITIONAL] = b"HTTP/1.1 999 304 Not Generated\r\n"
    return ASGIMiddleware(_asgi, layers=_layers(), storage=os.environ[STORAGE])


def wsgi() -> Any:
    """The WSGI app: for gunicorn."""
    return WSGIMiddleware(_wsgi, layers=_layers(), storage=os.environ[STORAGE])


def layers(spec: str) -> list[Layer]:
    """What `MODULE:FACTORY` or `MODULE:FACTORY(arguments)` makes: a layer or a list of layers; arguments are literals.

    Raises `ValueError` if it reads otherwise, and what the import or the factory raises.
    """
    module, _, call = spec.partition(":")
    try:
        expression = ast.parse(call, mode="eval").body
        arguments = expression if isinstance(expression, ast.Call) else ast.Call(expression, [], [])
        if not isinstance(arguments.func, ast.Name):
            raise ValueError(call)
        positional = [ast.literal_eval(value) for value in arguments.args]
        named = {keyword.arg or "": ast.literal_eval(keyword.value) for keyword in arguments.keywords}
    except (SyntaxError, ValueError) as exc:
        raise ValueError(f"expected MODULE:FACTORY or MODULE:FACTORY(literals), got {spec!r}") from exc
    made = getattr(importlib.import_module(module), arguments.func.id)(*positional, **named)
    return made if isinstance(made, list) else [made]


def _layers() -> list[Layer]:
    return [layer for spec in os.environ[LAYERS].splitlines() for layer in layers(spec)]


async def _asgi(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    sent = request(scope["method"], scope["raw_path"] + query, scope["headers"], body)
    async with aclosing(areceived(_port(), sent, scope["method"])) as parts:
        async for part in parts:
            if isinstance(part, Piece):
                await send({"type": "http.response.body", "body": part.data, "more_body": part.more})
            elif not part.interim:
                await send({"type": "http.response.start", "status": part.status, "headers": part.end_to_end})
            elif part.status == 103 and "http.response.early_hint" in scope.get("extensions", {}):
                links = [value for name, value in part.lines if name.lower() == b"link"]
                await send({"type": "http.response.early_hint", "links": links})


def _wsgi(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    method = environ["REQUEST_METHOD"]
    sent = request(method, environ["RAW_URI"].encode("latin-1"), _lines(environ), environ["wsgi.input"].read())
    parts = received(_port(), sent, method)
    head = next(parts)
    assert isinstance(head, Head)
    while head.interim:
        if head.status == 103 and "wsgi.early_hints" in environ:
            environ["wsgi.early_hints"](_decoded(head.lines))
        head = next(parts)
        assert isinstance(head, Head)
    start_response(f"{head.status} {head.reason.decode('latin-1')}", _decoded(head.end_to_end))
    return _data(parts)


def _data(parts: Generator[Part, None, None]) -> Iterator[bytes]:
    with closing(parts):
        for part in parts:
            assert isinstance(part, Piece)
            yield part.data


def _lines(environ: dict[str, Any]) -> Iterator[tuple[bytes, bytes]]:
    """The request's lines, as far as WSGI lets them through: one of each name, in capitals."""
    for key, value in environ.items():
        name = key.removeprefix("HTTP_") if key.startswith("HTTP_") else key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else ""
        if name and value:
            yield name.replace("_", "-").title().encode("latin-1"), value.encode("latin-1")


def _decoded(lines: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in lines]


def _port() -> int:
    return int(os.environ[ORIGIN])
