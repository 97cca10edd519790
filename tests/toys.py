"""Small layers that the scenarios are made of."""

from __future__ import annotations

from typing import Any, ClassVar

from redis_middleware import Request, Response, StorageError, body, proceed
from redis_middleware.flow import Flow
from redis_middleware.ops import Delete, Get, Set

HTTP = frozenset({"http"})


class Reader:
    """Reads a key before the app."""

    eager: ClassVar[bool] = True
    kinds: ClassVar[frozenset[str]] = HTTP

    def __init__(self, key: str) -> None:
        self.key = key

    def __call__(self, request: Request, /) -> Flow:
        value = yield from Get(self.key)
        response = yield from proceed()
        response.headers.add(f"x-{self.key}", (value or b"none").decode())
        return response


class Writer:
    """Writes a key through the outbox, before the head goes."""

    eager: ClassVar[bool] = True
    kinds: ClassVar[frozenset[str]] = HTTP

    def __call__(self, request: Request, /) -> Flow:
        response = yield from proceed()
        request.outbox.append(Set("written", b"yes", ttl=60))
        return response


class Keeper:
    """Answers from the storage, or keeps the body of what the app answered: a cache without rules."""

    eager: ClassVar[bool] = True
    kinds: ClassVar[frozenset[str]] = HTTP

    def __init__(self, limit: int = 1000) -> None:
        self.limit = limit
        self.bodies: list[bytes | None] = []

    def __call__(self, request: Request, /) -> Flow:
        kept = yield from Get("kept:" + request.path)
        if kept is not None:
            return Response(200, [("x-kept", "yes")], kept)
        response = yield from proceed()
        whole = yield from body(self.limit)
        self.bodies.append(whole)
        if whole is not None:
            request.outbox.append(Set("kept:" + request.path, whole, ttl=60))
        return response


class Lock:
    """Holds a key while the app runs."""

    eager: ClassVar[bool] = True
    kinds: ClassVar[frozenset[str]] = frozenset({"http", "websocket"})

    def __init__(self) -> None:
        self.released = 0

    def __call__(self, request: Request, /) -> Flow:
        yield from Set("lock", b"held", ttl=60)
        try:
            return (yield from proceed())
        finally:
            yield from Delete("lock")
            self.released += 1


class Rescue:
    """Answers for an app that raised."""

    eager: ClassVar[bool] = True
    kinds: ClassVar[frozenset[str]] = frozenset({"http", "websocket"})

    def __call__(self, request: Request, /) -> Flow:
        try:
            return (yield from proceed())
        except ZeroDivisionError:
            return Response(500, [("x-rescued", "yes")], b"rescued")


class Gate:
    """Answers everything by itself."""

    eager: ClassVar[bool] = True
    kinds: ClassVar[frozenset[str]] = frozenset({"http", "websocket"})

    def __init__(self, response: Any) -> None:
        self.response = response

    def __call__(self, request: Request, /) -> Flow:
        return self.response()  # type: ignore[no-any-return]
        yield ()


class Open:
    """Reads a key, and goes on without it if the storage fails."""

    eager: ClassVar[bool] = True
    kinds: ClassVar[frozenset[str]] = HTTP

    def __call__(self, request: Request, /) -> Flow:
        try:
            yield from Get("a")
            known = "read"
        except StorageError:
            known = "lost"
        response = yield from proceed()
        response.headers.add("x-storage", known)
        return response
