"""Requests made once more when their response has gone: what they see, and what bounds them."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from redis_middleware import ASGIMiddleware, MemoryStorage, Response, WSGIMiddleware, proceed
from redis_middleware.flow import Flow, Layer
from redis_middleware.http import Repeat, Request
from redis_middleware.repeats import MOST

from .edges import Edge, Seen, asgi_call, environ, scope, wsgi_call

REPEAT = "redis_middleware repeat"


class Again(Layer):
    """Answers by itself, and has the app asked after that."""

    def __init__(self, name: str | None = "again") -> None:
        self.name = name
        self.notes: list[Any] = []

    def __call__(self, request: Request) -> Flow:
        if request.repeated is not None and request.repeated.layer is self:
            self.notes.append(request.repeated.note)
            return (yield from proceed())
        request.repeats.append(Repeat(self, self.name or request.path, request.path))
        return Response(200, (), b"at once")


class Count(Layer):
    def __init__(self) -> None:
        self.paths: list[str] = []

    def __call__(self, request: Request) -> Flow:
        self.paths.append(request.path)
        return (yield from proceed())


def settle(edge: Edge) -> None:
    if edge.name == "asgi":
        edge.runner.run(asyncio.sleep(0.05))  # type: ignore[attr-defined]
    for thread in threading.enumerate():
        if thread.name == REPEAT:
            thread.join(10)


def test_a_repeat_enters_at_the_layer_that_asked_for_it(edge: Edge) -> None:
    again, outside, inside, seen = Again(), Count(), Count(), []

    def handler(one: Seen) -> tuple[int, list[tuple[str, str]], Iterable[bytes]]:
        seen.append(one)
        return 200, [("content-type", "text/plain")], [b"late"]

    call = edge.wrap(handler, [outside, again, inside], MemoryStorage())
    assert call("HEAD", "/menu").body == b""
    settle(edge)
    assert (outside.paths, inside.paths, again.notes) == (["/menu"], ["/menu"], ["/menu"])
    assert [(one.method, one.path) for one in seen] == [("GET", "/menu")]


def test_an_app_reads_an_empty_body_and_nobody_leaves() -> None:
    heard: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        heard.append(await receive())
        try:
            await asyncio.wait_for(receive(), 0.01)
        except TimeoutError:
            heard.append("nothing")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def main() -> None:
        edge = ASGIMiddleware(app, layers=[Again()], storage=MemoryStorage())
        await asgi_call(edge, scope())
        await asyncio.gather(*[task for task in asyncio.all_tasks() if task.get_name() == REPEAT])

    asyncio.run(main())
    assert heard == [{"type": "http.request", "body": b"", "more_body": False}, "nothing"]


def test_of_one_name_only_one_is_under_way_and_there_are_never_many() -> None:
    running, free = [], threading.Event()

    def app(environ: Any, start_response: Any) -> list[bytes]:
        running.append(environ["PATH_INFO"])
        free.wait(10)
        start_response("200 OK", [])
        return []

    edge = WSGIMiddleware(app, layers=[Again(None)], storage=MemoryStorage())
    for _ in range(2):
        for number in range(MOST + 2):
            wsgi_call(edge, environ(path=f"/{number}"))
    deadline = time.monotonic() + 10
    while len(running) < MOST and time.monotonic() < deadline:
        time.sleep(0.001)
    free.set()
    for thread in threading.enumerate():
        if thread.name == REPEAT:
            thread.join(10)
    assert sorted(running) == [f"/{number}" for number in range(MOST)]


def test_one_that_never_ends_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redis_middleware.repeats.LONGEST", 0.05)
    closed = threading.Event()

    def endless() -> Iterator[bytes]:
        try:
            while True:
                time.sleep(0.001)
                yield b"more"
        finally:
            closed.set()

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        return endless()

    wsgi_call(WSGIMiddleware(app, layers=[Again()], storage=MemoryStorage()), environ())
    assert closed.wait(10)


def test_so_is_a_task_that_never_ends(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("redis_middleware.repeats.LONGEST", 0.05)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(60)

    async def main() -> None:
        await asgi_call(ASGIMiddleware(app, layers=[Again()], storage=MemoryStorage()), scope())
        await asyncio.gather(*[task for task in asyncio.all_tasks() if task.get_name() == REPEAT])

    with caplog.at_level(logging.ERROR):
        asyncio.run(main())
    assert [record.getMessage() for record in caplog.records] == ["a repeat of GET / failed"]


def test_a_server_that_shuts_down_ends_them() -> None:
    ended: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await send({"type": "lifespan.shutdown.complete"})
            return
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async def ignore(message: Any) -> None:
        pass

    async def never() -> Any:
        await asyncio.sleep(60)

    async def main() -> None:
        edge = ASGIMiddleware(app, layers=[Again()], storage=MemoryStorage())
        await asgi_call(edge, scope())
        await asyncio.sleep(0)
        await edge({"type": "lifespan"}, never, ignore)

    asyncio.run(main())
    assert ended == ["cancelled"]


def test_what_fails_is_logged(edge: Edge, caplog: pytest.LogCaptureFixture) -> None:
    def handler(seen: Seen) -> Any:
        raise ZeroDivisionError

    call = edge.wrap(handler, [Again()], MemoryStorage())
    with caplog.at_level(logging.ERROR):
        assert call("GET", "/menu").body == b"at once"
        settle(edge)
    assert [record.getMessage() for record in caplog.records] == ["a repeat of GET /menu failed"]
