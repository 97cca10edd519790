"""The load: an HTTP/1.1 client on asyncio's transports, as light as it can be, so that the server is what is measured.

Each connection is kept alive and has one request under way at a time. An answer of another status than the expected one
ends the measurement.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import repeat

from redis_middleware.cli.processes import HOST

FIELDS = {"Host": "localhost", "User-Agent": "benchmark", "Accept": "*/*", "Accept-Encoding": "gzip, deflate"}
"""What every request says."""


def get(path: str = "/", cookie: str = "", **fields: str) -> bytes:
    """The bytes of a GET request. More `fields` are said beside the usual ones, or in their place."""
    said = FIELDS | ({"Cookie": cookie} if cookie else {}) | fields
    lines = (f"{name}: {value}\r\n" for name, value in said.items())
    return f"GET {path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode()


REQUEST = get()

_content_length = re.compile(rb"\r\ncontent-length: *(\d+)\r", re.IGNORECASE).search


@dataclass(frozen=True, slots=True)
class Answers:
    """What a client saw: how long it all took, and the latency of each answer, the shortest first; all in seconds."""

    seconds: float
    latencies: list[float]

    def percentile(self, share: float) -> float:
        """The latency that this share of the answers (0 to 1) did not exceed."""
        return self.latencies[min(int(len(self.latencies) * share), len(self.latencies) - 1)]


class Client:
    """Some connections to one server. Belongs to one task."""

    def __init__(self) -> None:
        self.connections: list[_Connection] = []
        self._requests: Iterator[bytes] = repeat(REQUEST)
        self.status = b"200"
        self._unsent = 0
        self._unanswered = 0
        self._latencies: list[float] = []
        self._ended: asyncio.Future[None] | None = None

    async def run(self, requests: int, request: bytes | Iterator[bytes] = REQUEST, status: int = 200) -> Answers:
        """Send a request so many times over all connections, or so many requests, and wait for the answers.

        Raises `RuntimeError` if one has another status.
        """
        self._requests = repeat(request) if isinstance(request, bytes) else request
        self.status = str(status).encode()
        self._unsent = self._unanswered = requests
        self._latencies = []
        self._ended = asyncio.get_running_loop().create_future()
        began = time.perf_counter()
        for connection in self.connections:
            self.send_on(connection)
        await self._ended
        return Answers(time.perf_counter() - began, sorted(self._latencies))

    def send_on(self, connection: _Connection) -> None:
        """Send one more request, if there is one."""
        if self._unsent:
            self._unsent -= 1
            connection.send(next(self._requests))

    def answered(self, connection: _Connection, latency: float) -> None:
        """An answer has come: send the next request, or tell who waits for the last answer."""
        self._latencies.append(latency)
        self._unanswered -= 1
        if self._unanswered:
            self.send_on(connection)
        elif self._ended is not None:
            self._ended.set_result(None)

    def failed(self, message: str) -> None:
        """An answer will not come, or is none."""
        if self._ended is not None and not self._ended.done():
            self._ended.set_exception(RuntimeError(message))


def _length(received: bytes, head: int) -> int | None:
    """The length of the body, if the head that ends there says it."""
    found = _content_length(received, 0, head + 2)
    return None if found is None else int(found[1])


class _Connection(asyncio.Protocol):
    def __init__(self, client: Client) -> None:
        self._client = client
        self._received = b""
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._client.connections.append(self)

    def send(self, request: bytes) -> None:
        self._sent = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head = self._received.find(b"\r\n\r\n")
        if head < 0:
            return
        status = self._client.status
        length = 0 if status == b"304" else _length(self._received, head)  # of a 304 it would be the page's (RFC 9110 §8.6)
        if length is None or not self._received.startswith(b"HTTP/1.1 " + status):
            self._client.failed(f"expected {status.decode()} with a Content-Length, got {self._received!r}")
        elif len(self._received) == head + 4 + length:
            self._received = b""
            self._client.answered(self, time.perf_counter() - self._sent)

    def connection_lost(self, exc: Exception | None) -> None:
        self._client.failed(f"the server closed a connection ({exc!r}) after {self._received!r}")


@asynccontextmanager
async def client(port: int, concurrency: int) -> AsyncIterator[Client]:
    """A client with so many connections to a port of this machine, closed when the block ends."""
    made = Client()
    try:
        for _ in range(concurrency):
            await asyncio.get_running_loop().create_connection(lambda: _Connection(made), HOST, port)
        yield made
    finally:
        for connection in made.connections:
            connection.transport.close()
        await asyncio.sleep(0)  # they are closed in the loop's next turn, and a server that ends waits for that
