"""Asking an app from within its own process, as an action does that fills a cache: an effect, and what answers it.

A WSGI app is called in threads, an ASGI app in the running event loop; where there is none, in one of its own between the
startup and the shutdown of the app's lifespan.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any
from urllib.parse import unquote, urlsplit

from werkzeug.test import EnvironBuilder, run_wsgi_app

from .http import Headers
from .storage import Storage

Lines = Sequence[tuple[str, str]]

LONGEST = 60.0
"""Seconds after which an answer counts as one that does not end."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of one GET request: the head and the first bytes of the body, or what the app raised."""

    url: str
    status: int = 0
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """Effect of an action: a GET request of an app for each URL, so many at once; the answers come in the same order.

    `native` goes into each environ or scope. At most `most` bytes of each body are kept. `progress` is called with how many
    have been answered, in whatever thread that was.
    """

    app: Any
    urls: Sequence[str]
    headers: Lines = ()
    native: dict[str, Any] = field(default_factory=dict)
    at_once: int = 4
    most: int = 0
    progress: Callable[[int], object] = lambda done: None


def ask(app: Any, urls: Sequence[str], **options: Any) -> Generator[Ask, list[Asked], list[Asked]]:
    """Ask an app; see `Ask`."""
    return (yield Ask(app, urls, **options))


def answered(effect: Ask, storage: Storage) -> list[Asked]:
    """Ask from a thread."""
    if _is_asgi(effect.app):
        return asyncio.run(_within_lifespan(effect, storage))
    count = _Count(effect)

    def one(url: str) -> Asked:
        asked = _wsgi(effect, url)
        count.more()
        return asked

    with ThreadPoolExecutor(effect.at_once) as pool:
        return list(pool.map(one, effect.urls))


async def aanswered(effect: Ask) -> list[Asked]:
    """Ask in an event loop."""
    asgi, count, left = _is_asgi(effect.app), _Count(effect), iter(enumerate(effect.urls))
    found: dict[int, Asked] = {}

    async def work() -> None:
        for place, url in left:
            found[place] = await (_asgi(effect, url) if asgi else asyncio.to_thread(_wsgi, effect, url))
            count.more()

    await asyncio.gather(*[work() for _ in range(effect.at_once)])
    return [found[place] for place in range(len(found))]


class _Count:
    """Tells how many there are."""

    def __init__(self, effect: Ask) -> None:
        self._tell = effect.progress
        self._lock = threading.Lock()
        self._done = 0

    def more(self) -> None:
        with self._lock:
            self._done += 1
            self._tell(self._done)


def _is_asgi(app: Any) -> bool:
    return inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(getattr(app, "__call__", None))  # noqa: B004


def _wsgi(effect: Ask, url: str) -> Asked:
    parts = urlsplit(url)
    try:
        environ = EnvironBuilder(
            path=parts.path or "/",
            base_url=f"{parts.scheme}://{parts.netloc}",
            query_string=parts.query,
            headers=list(effect.headers),
            environ_base={"REMOTE_ADDR": "127.0.0.1", **effect.native},
        ).get_environ()
        pieces, status, headers = run_wsgi_app(effect.app, environ)
        body = _first(pieces, effect.most)
    except Exception as exc:
        return Asked(url, error=exc)
    return Asked(url, int(status[:3]), Headers(headers), body)


def _first(pieces: Any, most: int) -> bytes:
    """The first bytes of a body, all of which is read."""
    kept = bytearray()
    end = monotonic() + LONGEST
    try:
        for piece in pieces:
            if monotonic() > end:
                raise TimeoutError(f"the answer has not ended after {LONGEST:.0f} seconds")
            kept += piece[: most - len(kept)] if len(kept) < most else b""
    finally:
        if hasattr(pieces, "close"):
            pieces.close()
    return bytes(kept)


async def _asgi(effect: Ask, url: str) -> Asked:
    parts = urlsplit(url)
    lines = [("host", parts.netloc.rpartition("@")[2]), *effect.headers]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": parts.scheme,
        "path": unquote(parts.path or "/"),
        "raw_path": (parts.path or "/").encode(),
        "root_path": "",
        "query_string": parts.query.encode(),
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in lines],
        "client": ("127.0.0.1", 0),
        "server": (parts.hostname, parts.port),
        **effect.native,
    }
    if "state" in scope:
        scope["state"] = dict(scope["state"])
    head: dict[str, Any] = {}
    kept = bytearray()
    messages = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> dict[str, Any]:
        message = next(messages, None)
        return message if message is not None else await asyncio.get_running_loop().create_future()

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            head.update(message)
        elif message["type"] == "http.response.body" and len(kept) < effect.most:
            kept.extend(message.get("body", b"")[: effect.most - len(kept)])

    try:
        async with asyncio.timeout(LONGEST):
            await effect.app(scope, receive, send)
        headers = Headers([(name.decode("latin-1"), value.decode("latin-1")) for name, value in head["headers"]])
        return Asked(url, head["status"], headers, bytes(kept))
    except Exception as exc:
        return Asked(url, error=exc)


async def _within_lifespan(effect: Ask, storage: Storage) -> list[Asked]:
    """Ask between the startup and the shutdown of an app that nobody has started (ASGI, "Lifespan Protocol")."""
    to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    from_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    state: dict[str, Any] = {}
    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": state}
    app = asyncio.ensure_future(effect.app(scope, to_app.get, from_app.put))

    async def tell(what: str) -> None:
        await to_app.put({"type": f"lifespan.{what}"})
        said = asyncio.ensure_future(from_app.get())
        await asyncio.wait([app, said], return_when=asyncio.FIRST_COMPLETED)
        if said.done() and said.result()["type"] == f"lifespan.{what}.failed":
            raise RuntimeError(f"the app failed at its {what}: {said.result().get('message', '')}")
        said.cancel()

    try:
        await tell("startup")
        with_state = {**effect.native, "state": state} if state else effect.native
        return await aanswered(replace(effect, native=with_state))
    finally:
        if not app.done():
            await tell("shutdown")
        app.cancel()
        await asyncio.gather(app, return_exceptions=True)  # an app without a lifespan raises
        await storage.aclose()
