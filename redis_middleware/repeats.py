"""Requests that are made once more when their response has gone, on nobody's behalf: a cache renews so what it has answered with.

A repeat enters the edge at the layer that asked for it: layers outside have counted the request already. What it is answered
goes to nobody. One that an app answers without end, or a crowd of them, must not hurt the worker: see `LONGEST` and `MOST`.
What a repeat fails with is logged; whoever asked for it has to see to it that the next request asks again.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any
from weakref import WeakKeyDictionary

from .http import Repeat, Request
from .stack import ACTING, ENTRY, REPEATED

logger = logging.getLogger("redis_middleware")

LONGEST = 60.0
"""Seconds after which nobody listens to a repeat any more."""

NAME = "redis_middleware repeat"

MOST = 8
"""How many repeats are under way at once in an edge (of threads) or an event loop; further ones are not made."""


class Repeats:
    """Makes repeats through a WSGI edge, each in a thread of its own; or in that of the request, when the client has its
    answer, if the app is called by one thread alone (PEP 3333, `wsgi.multithread`). Serves all threads.
    """

    def __init__(self, edge: Callable[..., Iterable[bytes]]) -> None:
        self._edge = edge
        self._lock = threading.Lock()
        self._names: set[str] = set()

    def begin(self, request: Request) -> None:
        """Begin the repeats that a request has asked for."""
        for repeat in request.repeats:
            with self._lock:
                if repeat.name in self._names or len(self._names) >= MOST:
                    continue
                self._names.add(repeat.name)
            environ = _repeated(request, repeat) | {"REQUEST_METHOD": "GET", "wsgi.input": BytesIO()}
            environ.pop("wsgi.file_wrapper", None)
            if not environ.get("wsgi.multithread"):
                self._make(repeat.name, environ)
                continue
            thread = threading.Thread(target=self._make, args=(repeat.name, environ), name=NAME, daemon=True)
            try:
                thread.start()
            except RuntimeError as exc:  # there are too many
                logger.warning("a repeat was not made: %s", exc)
                self._ended(repeat.name)

    def _make(self, name: str, environ: dict[str, Any]) -> None:
        end = time.monotonic() + LONGEST
        try:
            pieces = self._edge(environ, _start_response)
            try:
                for _ in pieces:
                    if time.monotonic() > end:
                        break
            finally:
                if hasattr(pieces, "close"):
                    pieces.close()
        except Exception:
            logger.exception("a repeat of GET %s failed", environ.get("PATH_INFO", ""))
        finally:
            self._ended(name)

    def _ended(self, name: str) -> None:
        with self._lock:
            self._names.discard(name)


class AsyncRepeats:
    """Makes repeats through an ASGI edge, each in a task of its own in the loop of its request."""

    def __init__(self, edge: Callable[..., Any]) -> None:
        self._edge = edge
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, asyncio.Task[None]]] = WeakKeyDictionary()

    def begin(self, request: Request) -> None:
        """Begin the repeats that a request has asked for."""
        loop = asyncio.get_running_loop()
        tasks = self._loops.setdefault(loop, {})
        for repeat in request.repeats:
            if repeat.name not in tasks and len(tasks) < MOST:
                scope = _repeated(request, repeat) | {"method": "GET"}
                scope.pop("extensions", None)  # what only the server could take
                if "state" in scope:
                    scope["state"] = dict(scope["state"])
                tasks[repeat.name] = loop.create_task(self._make(repeat.name, scope, tasks), name=NAME)

    async def aclose(self) -> None:
        """End those of the running loop."""
        tasks = list(self._loops.pop(asyncio.get_running_loop(), {}).values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _make(self, name: str, scope: dict[str, Any], tasks: dict[str, asyncio.Task[None]]) -> None:
        asked = False

        async def receive() -> dict[str, Any]:
            nonlocal asked
            if asked:
                await asyncio.get_running_loop().create_future()  # nobody leaves
            asked = True
            return {"type": "http.request", "body": b"", "more_body": False}

        try:
            async with asyncio.timeout(LONGEST):
                await self._edge(scope, receive, _send)
        except Exception:
            logger.exception("a repeat of GET %s failed", scope["path"])
        finally:
            tasks.pop(name, None)


def _repeated(request: Request, repeat: Repeat) -> dict[str, Any]:
    """The environ or scope of a repeat."""
    acting = request.native.get(ACTING, ())
    inside = any(layer is repeat.layer for layer in acting)
    outer = acting[: next(place for place, layer in enumerate(acting) if layer is repeat.layer)] if inside else acting
    return {**request.native, ACTING: outer, ENTRY: repeat.layer, REPEATED: repeat}


def _start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
    return lambda piece: None


async def _send(message: dict[str, Any]) -> None:
    pass
