"""A user agent that keeps cookies, in front of an app that does with its session what it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from redis_middleware import Session, Sessions
from redis_middleware.flow import Layer
from redis_middleware.storage import Storage

from ...edges import Answer, Caller, Edge, Handler, Seen

SECRET = "a secret of more than thirty-two bytes, for tests"

Deed = Callable[[Session], object]


def session_of(seen: Seen) -> Session:
    session = seen.native["redis_middleware.session"]
    assert isinstance(session, Session)
    return session


class Site:
    """An app in its layers, and what a test wants it to do with the session next."""

    def __init__(self, edge: Edge, storage: Storage, layer: Sessions | None = None, layers: Sequence[Layer] = (), **options: Any):
        self.sessions = layer or Sessions(SECRET, **options)
        self.storage = storage
        self.deed: Deed = lambda session: None
        self.status = 200
        self.headers: list[tuple[str, str]] = []
        self.handler: Handler | None = None
        self.layers = [*layers, self.sessions]
        self.edge = edge
        self._call: Caller = edge.wrap(self._handle, self.layers, storage)

    def call(self, path: str, headers: Sequence[tuple[str, str]]) -> Answer:
        """One request; from within another one, in a thread of its own if that one holds the event loop."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self._call("GET", path, headers)
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(self._call_elsewhere, path, headers).result()

    def _call_elsewhere(self, path: str, headers: Sequence[tuple[str, str]]) -> Answer:
        edge = type(self.edge)()
        try:
            return edge.wrap(self._handle, self.layers, self.storage)("GET", path, headers)
        finally:
            edge.close()

    def _handle(self, seen: Seen) -> tuple[int, list[tuple[str, str]], list[bytes]]:
        if self.handler is not None:
            return self.handler(seen)  # type: ignore[return-value]
        said = repr(self.deed(session_of(seen))).encode()
        headers = [("content-type", "text/plain"), ("content-length", str(len(said))), *self.headers]
        return self.status, headers, [said]

    def browser(self) -> Browser:
        return Browser(self)


class Browser:
    """Sends the cookies that it was given, as long as they last."""

    def __init__(self, site: Site, cookies: dict[str, str] | None = None) -> None:
        self.site = site
        self.cookies = dict(cookies or {})
        self.last: Answer | None = None

    def does(self, deed: Deed = lambda session: None, *, status: int = 200, headers: Sequence[tuple[str, str]] = ()) -> str:
        """One request, in which the app does that with the session; what came of it, as text."""
        self.site.deed, self.site.status, self.site.headers = deed, status, list(headers)
        return self.get().body.decode()

    def get(self, path: str = "/", headers: Sequence[tuple[str, str]] = ()) -> Answer:
        sent = [("cookie", "; ".join([f"{name}={value}" for name, value in self.cookies.items()]))] if self.cookies else []
        answer = self.site.call(path, [*sent, ("user-agent", "Test/1.0"), *headers])
        for line in answer.headers.getall("set-cookie"):
            name, _, rest = line.partition("=")
            if "Max-Age=0" in rest:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = rest.partition(";")[0]
        self.last = answer
        return answer

    def twin(self) -> Browser:
        """Another request of the same browser, as if it had been sent at the same time."""
        return Browser(self.site, self.cookies)

    @property
    def set_cookies(self) -> list[str]:
        assert self.last is not None
        return self.last.headers.getall("set-cookie")
