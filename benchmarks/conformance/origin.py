"""One request to the suite's origin server, passed on as it came; and the response as the origin sends it.

`reply` parses without I/O: it yields how much it wants to read (`LINE`, or a number of bytes, of which it takes fewer, too)
and gets the bytes sent; and it yields what it has read: heads, then pieces. `areceived` and `received` drive it. A library
would refuse what the suite sends on purpose (`Transfer-Encoding: AAAA`), or hide the names' case and the reason phrase.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Generator, Iterable
from dataclasses import dataclass

LINE = 0
SOME = 64 << 10

Lines = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Head:
    """A status line and the header lines: their order, case and number are the origin's."""

    status: int
    reason: bytes
    lines: Lines

    @property
    def interim(self) -> bool:
        """Whether another head follows (RFC 9110 §15.2)."""
        return 100 <= self.status < 200

    def value(self, name: bytes) -> bytes | None:
        """The value of the first line of that name (in lower case)."""
        return next((value for key, value in self.lines if key.lower() == name), None)

    @property
    def end_to_end(self) -> Lines:
        """The lines without those that the origin's server added for its own connection. The suite's own stay."""
        own = {(b"connection", b"close"), (b"transfer-encoding", b"chunked")}
        return [(name, value) for name, value in self.lines if (name.lower(), value.lower()) not in own]


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of the body, maybe empty; and whether more follow."""

    data: bytes
    more: bool


Part = Head | Piece
Reply = Generator[int | Part, bytes, None]


def request(method: str, target: bytes, lines: Iterable[tuple[bytes, bytes]], body: bytes) -> bytes:
    """The bytes of a request: all lines in their order; only what concerns the connection is our own.

    A chunked body has lost its chunks in the server already, so its length is announced instead.
    """
    kept = [(name, value) for name, value in lines if name.lower() not in (b"connection", b"keep-alive", b"transfer-encoding")]
    if body and not any(name.lower() == b"content-length" for name, _ in kept):
        kept.append((b"Content-Length", b"%d" % len(body)))
    kept.append((b"Connection", b"close"))
    head = b"".join(b"%b: %b\r\n" % line for line in kept)
    return b"%b %b HTTP/1.1\r\n%b\r\n%b" % (method.encode("latin-1"), target, head, body)


def reply(method: str) -> Reply:
    """Parse a response (RFC 9112 §6.3): interim heads, the head, then pieces. Raises `EOFError` if it is cut short."""
    head = yield from _head()
    while head.interim:
        yield head
        head = yield from _head()
    yield head
    length = head.value(b"content-length")
    if method == "HEAD" or head.status in (204, 304):
        yield Piece(b"", more=False)
    elif (head.value(b"transfer-encoding") or b"").lower() == b"chunked":
        yield from _chunks()
    elif length is not None and head.value(b"transfer-encoding") is None:
        yield from _pieces(int(length), more=False)
    else:
        while data := (yield SOME):
            yield Piece(data, more=True)
        yield Piece(b"", more=False)


def _head() -> Generator[int | Part, bytes, Head]:
    status_line = yield from _line()
    _, status, reason = (status_line + b"  ").split(b" ", 2)
    lines = []
    while line := (yield from _line()):
        name, _, value = line.partition(b":")
        lines.append((name, value.strip(b" \t")))
    return Head(int(status), reason.strip(), lines)


def _line() -> Generator[int | Part, bytes, bytes]:
    line = yield LINE
    if not line.endswith(b"\n"):
        raise EOFError(f"the origin closed the connection after {line!r}")
    return line.rstrip(b"\r\n")


def _pieces(length: int, *, more: bool) -> Reply:
    """So many bytes of the body, in pieces; `more` says whether some follow after them."""
    if length == 0:
        yield Piece(b"", more=more)
    while length:
        data = yield min(length, SOME)
        if not data:
            raise EOFError(f"the origin closed the connection with {length} bytes to come")
        length -= len(data)
        yield Piece(data, more=more or length > 0)


def _chunks() -> Reply:
    while size := int((yield from _line()).partition(b";")[0], 16):
        yield from _pieces(size, more=True)
        yield from _line()
    while (yield from _line()):
        pass  # trailers: neither WSGI nor uvicorn has a place for them
    yield Piece(b"", more=False)


async def areceived(port: int, sent: bytes, method: str) -> AsyncGenerator[Part, None]:
    """Send a request and yield the parts of the response, by asyncio."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent)
        parsing = reply(method)
        wanted = next(parsing, None)
        while wanted is not None:
            if isinstance(wanted, int):
                read = await (reader.readline() if wanted == LINE else reader.read(wanted))
                wanted = _resumed(parsing, read)
            else:
                yield wanted
                wanted = next(parsing, None)
    finally:
        writer.close()


def received(port: int, sent: bytes, method: str) -> Generator[Part, None, None]:
    """The same by a blocking socket."""
    with socket.create_connection(("127.0.0.1", port)) as connection, connection.makefile("rb") as file:
        connection.sendall(sent)
        parsing = reply(method)
        wanted = next(parsing, None)
        while wanted is not None:
            if isinstance(wanted, int):
                wanted = _resumed(parsing, file.readline() if wanted == LINE else file.read1(wanted))
            else:
                yield wanted
                wanted = next(parsing, None)


def _resumed(parsing: Reply, read: bytes) -> int | Part | None:
    try:
        return parsing.send(read)
    except StopIteration:
        return None
