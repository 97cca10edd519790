"""An app behind a cache that answers what a test wants next, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from redis_middleware import ResponseCache, StorageUnavailable, run
from redis_middleware.flow import Layer
from redis_middleware.ops import Op
from redis_middleware.storage import Storage

from ...edges import Answer, Edge, Seen

REPEAT = "redis_middleware repeat"

Lines = Sequence[tuple[str, str]]


def header(seen: Seen, name: str) -> str | None:
    """What the app sees of a field of the request."""
    if "wsgi.version" in seen.native:
        key = name.upper().replace("-", "_")
        value: str | None = seen.native.get(key if key == "CONTENT_LENGTH" else "HTTP_" + key)
        return value
    lines = [value.decode("latin-1") for field, value in seen.native["headers"] if field == name.lower().encode()]
    return ", ".join(lines) if lines else None


def query(seen: Seen) -> str:
    """What the app sees of the query."""
    if "wsgi.version" in seen.native:
        return str(seen.native["QUERY_STRING"])
    return str(seen.native["query_string"].decode())


class Site:
    """The app says how often it has run, under `headers`; with `body` or `act`, something else."""

    def __init__(
        self,
        edge: Edge,
        storage: Storage,
        headers: Lines = (),
        *,
        outside: Iterable[Layer] = (),
        inside: Iterable[Layer] = (),
        cache: ResponseCache | None = None,
        **options: Any,
    ) -> None:
        self.cache = cache or ResponseCache(**options)
        self.storage = storage
        self.seen: list[Seen] = []
        self.status = 200
        self.headers = list(headers)
        self.body: bytes | Iterable[bytes] | None = None
        self.act: Callable[[Seen], object] = lambda seen: None
        self._call = edge.wrap(self._handle, [*outside, self.cache, *inside], storage)

    @property
    def runs(self) -> int:
        return len(self.seen)

    def _handle(self, seen: Seen) -> tuple[int, list[tuple[str, str]], Iterable[bytes]]:
        self.seen.append(seen)
        said = self.act(seen)
        if isinstance(said, tuple):
            return said
        body = said if isinstance(said, bytes) else str(self.runs).encode() if self.body is None else self.body
        headers = list(self.headers)
        if self.status not in (204, 304):
            headers.append(("content-type", "text/plain"))
            if isinstance(body, bytes):
                headers.append(("content-length", str(len(body))))
        if seen.method == "HEAD" or self.status in (204, 304):
            return self.status, headers, []
        return self.status, headers, [body] if isinstance(body, bytes) else body

    def call(self, method: str = "GET", path: str = "/", headers: Lines = (), host: str = "example.org") -> Answer:
        return self._call(method, path, [("host", host), *headers])

    def get(self, path: str = "/", **headers: str) -> Answer:
        """A request; underscores in names of fields are hyphens."""
        return self.call("GET", path, [(name.replace("_", "-"), value) for name, value in headers.items()])

    def head(self, path: str = "/", **headers: str) -> Answer:
        return self.call("HEAD", path, [(name.replace("_", "-"), value) for name, value in headers.items()])

    def purge(self, **what: Any) -> None:
        run(self.cache.purge(**what), self.storage)


def told(answer: Answer) -> str:
    """What the cache says it did."""
    [line] = answer.headers.getall("cache-status")
    name, _, rest = line.partition("; ")
    assert name == "redis_middleware"
    return rest


def is_hit(answer: Answer) -> bool:
    return told(answer).startswith("hit")


def is_stored(answer: Answer) -> bool:
    return told(answer).endswith("; stored")


def settle(edge: Edge) -> None:
    """Wait until what goes on in the background has ended."""
    if edge.name == "asgi":
        edge.runner.run(settled())  # type: ignore[attr-defined]
    for thread in threading.enumerate():
        if thread.name == REPEAT:
            thread.join(10)


async def settled() -> None:
    await asyncio.gather(*[task for task in asyncio.all_tasks() if task.get_name() == REPEAT])


class Watch:
    """A storage that can be out of reach for some ops, says what is asked of it, and lets a test act in between."""

    def __init__(self, inner: Storage) -> None:
        self.inner = inner
        self.down: tuple[str, ...] = ()
        self.asked: list[str] = []
        self.before: Callable[[Op[Any]], object] = lambda op: None

    def _check(self, ops: Sequence[Op[Any]]) -> None:
        for op in ops:
            self.before(op)
            self.asked.append(type(op).__name__)
            if "all" in self.down or type(op).__name__ in self.down:
                raise StorageUnavailable("switched off")

    def execute(self, ops: Sequence[Op[Any]], /) -> list[Any]:
        self._check(ops)
        return self.inner.execute(ops)

    async def aexecute(self, ops: Sequence[Op[Any]], /) -> list[Any]:
        self._check(ops)
        return await self.inner.aexecute(ops)

    def close(self) -> None:
        self.inner.close()

    async def aclose(self) -> None:
        await self.inner.aclose()
