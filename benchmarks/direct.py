"""The edges called directly, with no server: what a request costs in the package alone, in microseconds.

The bare app is called in the same way, and its time is what an edge's is compared with.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from io import BytesIO
from typing import Any

from . import apps

Series = dict[str, dict[str, list[float]]]
"""For each edge and each stack: the microseconds of CPU a request, of each round."""

STACKS = ("bare", "toy", "memory")

SCOPE = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.3"},
    "http_version": "1.1",
    "server": ("127.0.0.1", 8000),
    "client": ("127.0.0.1", 50000),
    "scheme": "http",
    "root_path": "",
    "headers": [
        (b"host", b"localhost"),
        (b"user-agent", b"benchmark"),
        (b"accept", b"*/*"),
        (b"accept-encoding", b"gzip, deflate"),
    ],
    "state": {},
    "method": "GET",
    "path": "/",
    "raw_path": b"/",
    "query_string": b"",
}

ENVIRON = {
    "wsgi.errors": None,
    "wsgi.version": (1, 0),
    "wsgi.multithread": True,
    "wsgi.multiprocess": False,
    "wsgi.run_once": False,
    "wsgi.input_terminated": True,
    "wsgi.url_scheme": "http",
    "wsgi.input": BytesIO(),
    "SERVER_SOFTWARE": "benchmark",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "SERVER_NAME": "127.0.0.1",
    "SERVER_PORT": "8000",
    "REMOTE_ADDR": "127.0.0.1",
    "REMOTE_PORT": "50000",
    "REQUEST_METHOD": "GET",
    "SCRIPT_NAME": "",
    "PATH_INFO": "/",
    "RAW_URI": "/",
    "QUERY_STRING": "",
    "HTTP_HOST": "localhost",
    "HTTP_USER_AGENT": "benchmark",
    "HTTP_ACCEPT": "*/*",
    "HTTP_ACCEPT_ENCODING": "gzip, deflate",
}


def asgi_call(stack: str) -> Callable[[], None]:
    """A function that sends one request through the ASGI app with this stack around it."""
    app = apps.asgi(stack)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: object) -> None:
        return

    def call() -> None:
        try:
            app(SCOPE.copy(), receive, send).send(None)
        except StopIteration:
            return
        raise RuntimeError("the app waited for something: nothing here should")

    return call


def wsgi_call(stack: str) -> Callable[[], None]:
    """A function that sends one request through the WSGI app with this stack around it."""
    app = apps.wsgi(stack)

    def start_response(status: str, headers: object, exc_info: object = None) -> None:
        return

    def call() -> None:
        pieces = app(ENVIRON.copy(), start_response)
        for _ in pieces:
            continue
        if hasattr(pieces, "close"):
            pieces.close()

    return call


EDGES = {"ASGIMiddleware": asgi_call, "WSGIMiddleware": wsgi_call}


def measure(requests: int, rounds: int) -> Series:
    """Time each edge with each stack, in turn, for so many rounds of so many requests."""
    calls = {(edge, stack): make(stack) for edge, make in EDGES.items() for stack in STACKS}
    series: Series = {edge: {stack: [] for stack in STACKS} for edge in EDGES}
    for _ in range(rounds):
        for (edge, stack), call in calls.items():
            series[edge][stack].append(_microseconds(call, requests))
    return series


def _microseconds(call: Callable[[], None], requests: int) -> float:
    began = time.process_time()
    for _ in range(requests):
        call()
    return (time.process_time() - began) / requests * 1e6
