"""Bodies that come in pieces: they pass as they come, and are stored on the way if they are short enough."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from redis_middleware import ASGIMiddleware, MemoryStorage, ResponseCache, WSGIMiddleware
from redis_middleware.storage import Storage

from ...conftest import Clock
from ...edges import Answer, Edge, Seen, asgi_call, environ, scope, wsgi_call
from .site import Site, is_hit, is_stored, told

MINUTE = [("cache-control", "max-age=60")]
HOST = [("host", "example.org")]


def pieces(size: int, count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield b"x" * (size // count)


@pytest.mark.parametrize("kind", ["text/plain", "text/event-stream"])
def test_the_head_of_an_endless_stream_passes_at_once_wsgi(storage: Storage, kind: str) -> None:
    made: list[int] = []
    heads: list[Any] = []

    def start_response(status: str, headers: Any) -> Any:
        heads.append(headers)
        return heads.append

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [*MINUTE, ("content-type", kind)])
        while True:
            made.append(1)
            yield b"x" * 1000

    wrapped = WSGIMiddleware(app, layers=[ResponseCache(max_body_bytes=10_000)], storage=storage)
    for _ in range(2):
        heads.clear()
        made.clear()
        begun: Any = wrapped(environ(headers=HOST), start_response)
        assert heads
        assert len(made) == 1
        for count, _piece in enumerate(begun, 1):
            assert len(made) == count
            if count == 20:
                break
        begun.close()
        assert not [value for name, value in heads[0] if name == "cache-status" and value.startswith("redis_middleware; hit")]


@pytest.mark.parametrize("kind", ["text/plain", "text/event-stream"])
def test_the_head_of_an_endless_stream_passes_at_once_asgi(storage: Storage, loop: asyncio.Runner, kind: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"cache-control", b"max-age=60"), (b"content-type", kind.encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        while True:
            await send({"type": "http.response.body", "body": b"x" * 1000, "more_body": True})

    async def main() -> None:
        wrapped = ASGIMiddleware(app, layers=[ResponseCache(max_body_bytes=10_000)], storage=storage)
        for _ in range(2):
            got: list[Any] = []

            async def send(message: Any, got: list[Any] = got) -> None:
                got.append(message)
                if len(got) == 20:
                    raise OSError("the client has left")

            await asyncio.gather(wrapped(scope(headers=HOST), None, send), return_exceptions=True)  # type: ignore[arg-type]
            assert [message["type"] for message in got[:2]] == ["http.response.start", "http.response.body"]
            assert b"redis_middleware; hit" not in dict(got[0]["headers"])[b"cache-status"]
        await storage.aclose()

    loop.run(main())


def test_nobody_waits_for_the_end_of_events(edge: Edge, storage: Storage) -> None:
    site = Site(edge, storage)
    site.act = lambda seen: (200, [*MINUTE, ("content-type", "text/event-stream; charset=utf-8")], iter([b"data: 1\n\n"]))
    assert told(site.get()) == "fwd=uri-miss; detail=stream"
    assert not is_hit(site.get())


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("count", [1, 7])
def test_as_much_as_is_allowed_is_stored_and_no_more(edge: Edge, storage: Storage, announced: bool, count: int) -> None:
    site = Site(edge, storage, max_body_bytes=70_000)
    for size in (7, 70_000, 70_007):

        def act(seen: Seen, size: int = size) -> Any:
            length = [("content-length", str(size))] if announced else []
            return 200, [*MINUTE, ("content-type", "text/plain"), *length], pieces(size, count)

        site.act = act
        assert len(site.get(f"/{size}").body) == size // count * count
        again = site.get(f"/{size}")
        assert is_hit(again) is (size <= 70_000)
        assert len(again.body) == size
        if is_hit(again):
            assert again.headers.getall("content-length") == [str(size)]
    if announced:
        assert told(site.get("/70007")) == "fwd=uri-miss; detail=size"


def test_who_has_the_last_byte_finds_it_stored_wsgi(storage: Storage) -> None:
    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [*MINUTE, ("content-type", "text/plain"), ("content-length", "6")])
        yield b"one"
        yield b"two"

    wrapped = WSGIMiddleware(app, layers=[ResponseCache()], storage=storage)
    begun: Any = wrapped(environ(headers=HOST), lambda status, headers: lambda piece: None)
    assert [next(begun), next(begun)] == [b"one", b"two"]
    assert is_hit(wsgi_call(wrapped, environ(headers=HOST)))
    begun.close()


def test_who_has_the_last_byte_finds_it_stored_asgi(storage: Storage, loop: asyncio.Runner) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"cache-control", b"max-age=60"), (b"content-length", b"6")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await send({"type": "http.response.body", "body": b"two", "more_body": True})
        await send({"type": "http.response.body"})

    async def main() -> None:
        wrapped = ASGIMiddleware(app, layers=[ResponseCache()], storage=storage)
        answers: list[Answer] = []

        async def send(message: Any) -> None:
            if message.get("body") == b"two":
                answers.append(await asgi_call(wrapped, scope(headers=HOST)))

        await wrapped(scope(headers=HOST), None, send)  # type: ignore[arg-type]
        assert [is_hit(answer) for answer in answers] == [True]
        await storage.aclose()

    loop.run(main())


def test_an_empty_body_is_one(edge: Edge, storage: Storage) -> None:
    site = Site(edge, storage, MINUTE)
    site.body = b""
    assert is_stored(site.get())
    answer = site.get()
    assert (is_hit(answer), answer.body, answer.headers.getall("content-length")) == (True, b"", ["0"])


def test_memory_stays_within_its_bounds(edge: Edge, clock: Clock) -> None:
    storage = MemoryStorage(max_bytes=1 << 20, clock=clock)
    site = Site(edge, storage, [*MINUTE, ("vary", "accept-language")])
    site.body = b"x" * 100_000
    for place in range(100):
        clock.move(0.01)
        site.get(f"/{place % 50}", accept_language=f"l{place % 3}")
        assert storage.used_bytes <= 1 << 20
        assert is_hit(site.get(f"/{place % 50}", accept_language=f"l{place % 3}"))


def test_what_is_larger_than_the_whole_memory_is_not_stored(edge: Edge, clock: Clock) -> None:
    storage = MemoryStorage(max_bytes=50_000, clock=clock)
    site = Site(edge, storage, MINUTE)
    site.body = b"x" * 100_000
    assert [len(site.get().body) for _ in range(3)] == [100_000] * 3
    assert storage.used_bytes <= 50_000


def test_a_stored_body_is_sent_in_pieces(edge: Edge, storage: Storage) -> None:
    site = Site(edge, storage, MINUTE)
    site.body = bytes(range(256)) * 1000
    site.get()
    answer = site.get()
    assert is_hit(answer)
    assert (answer.body, [len(piece) for piece in answer.pieces if piece]) == (site.body, [65536] * 3 + [59392])
