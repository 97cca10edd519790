"""What a layer sees of HTTP, the same under WSGI and ASGI: the request's view, a response, and their headers.

Header names compare without regard to case; values are text of latin-1, as both PEP 3333 and ASGI carry them
(RFC 9110 §5.5). Whatever a layer adds is checked for CR, LF and NUL, so nothing can split a response.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, KeysView, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal, Protocol, overload
from urllib.parse import quote

from .ops import Op

__all__ = ["Headers", "Lines", "Pulse", "Request", "Response"]

Lines = list[tuple[str, str]]

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch  # RFC 9110 §5.6.2
_FORBIDDEN = re.compile(r"[\r\n\0]").search  # RFC 9110 §5.5

PIECE = 1 << 16
"""Bytes that are given to a server at once: what many of them hold before they wait for the client."""

UNRESERVED = "/:@!$&'()*+,;=~"
"""What may stand in a path as it is (RFC 3986 §3.3)."""

PHRASES: Mapping[int, str] = {status.value: status.phrase for status in HTTPStatus}


class Headers:
    """Header field lines, in order. Not safe for use by several threads at once."""

    __slots__ = ("_counted", "_index", "lines")

    def __init__(self, lines: Iterable[tuple[str, str]] = ()) -> None:
        self.lines: Lines = []
        self._index: dict[str, list[str]] = {}  # the values by names in lower case, of so many lines
        self._counted = 0
        for name, value in lines:
            self.add(name, value)

    @classmethod
    def received(cls, lines: Lines) -> Headers:
        """Headers that somebody else made: taken as they are, not checked and not copied."""
        headers = cls.__new__(cls)
        headers.lines = lines
        headers._index = {}
        headers._counted = 0
        return headers

    @property
    def names(self) -> KeysView[str]:
        """The names that there are, in lower case."""
        return self._values().keys()

    def _values(self) -> dict[str, list[str]]:
        if self._counted != len(self.lines):
            index: dict[str, list[str]] = {}
            for name, value in self.lines:
                index.setdefault(name.lower(), []).append(value)
            self._index, self._counted = index, len(self.lines)
        return self._index

    @overload
    def get(self, name: str) -> str | None: ...
    @overload
    def get(self, name: str, default: str) -> str: ...
    def get(self, name: str, default: str | None = None) -> str | None:
        """The combined value of all lines of a field (RFC 9110 §5.2), or `default` if there are none."""
        values = self._values().get(name.lower())
        return ", ".join(values) if values else default

    def getall(self, name: str) -> list[str]:
        """The value of each line of a field. `Set-Cookie` must be read so (RFC 9110 §5.3)."""
        return [*self._values().get(name.lower(), ())]

    def add(self, name: str, value: str) -> None:
        """Add a line. Raises `ValueError` for what cannot stand in a header."""
        if not _TOKEN(name):
            raise ValueError(f"{name!r} is no header name")
        if _FORBIDDEN(value):
            raise ValueError(f"the value of {name} has a CR, LF or NUL in it")
        value.encode("latin-1")  # raises UnicodeEncodeError, a ValueError
        self.lines.append((name, value))
        self._counted = -1

    def set(self, name: str, value: str) -> None:
        """Replace all lines of a field by one."""
        self.remove(name)
        self.add(name, value)

    def remove(self, name: str) -> None:
        """Remove all lines of a field."""
        name = name.lower()
        if name in self._values():
            self.lines[:] = [line for line in self.lines if line[0].lower() != name]
            self._counted = -1

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._values()

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.lines)

    def __len__(self) -> int:
        return len(self.lines)

    def __eq__(self, other: object) -> bool:
        return self.lines == (other.lines if isinstance(other, Headers) else other)

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        return f"Headers({self.lines!r})"


class Native(Protocol):
    """How an edge changes what the app will see of a request."""

    def header(self, native: dict[str, Any], name: str, value: str | None, /) -> None:
        """Put one line in place of all lines of a field; None removes them."""

    def query(self, native: dict[str, Any], query: str, /) -> None:
        """Replace the query."""


class Counting(Protocol):
    """Where layers count what they do: see `counting.Ledger`."""

    def count(self, name: str, number: int = 1, /) -> None:
        """So many more of something, of which there are few."""

    def rank(self, name: str, item: str, /) -> None:
        """One more for an item, of which there may be many, in a ranking."""

    def due(self) -> tuple[Op[Any], ...]:
        """What is to be added to what all have counted, if it is time."""

    def put_back(self, ops: Iterable[Op[Any]], /) -> None:
        """Count again what could not be added."""


class Uncounted:
    """Counts nothing: for a request that no edge has made."""

    def count(self, name: str, number: int = 1, /) -> None: ...
    def rank(self, name: str, item: str, /) -> None: ...
    def put_back(self, ops: Iterable[Op[Any]], /) -> None: ...
    def due(self) -> tuple[Op[Any], ...]:
        return ()


UNCOUNTED = Uncounted()


@dataclass(frozen=True, slots=True)
class Pulse:
    """An op that is sent again every so many seconds while a request lasts, so that what the request holds does not lapse."""

    op: Op[Any]
    every: float


@dataclass(frozen=True, slots=True)
class Repeat:
    """The same request once more when its response has gone, on nobody's behalf, through `layer` and what is inside it.

    Of those with one `name` only one is under way at a time in a process. The layer finds it as `request.repeated`, with its
    `note`.
    """

    layer: object
    name: str
    note: Any


class Request:
    """One request or WebSocket handshake, as a layer sees it. Belongs to one thread or task.

    `kind` is `"http"` or `"websocket"`; `path` is below where the app is mounted (`root_path`) and decoded, `query` is
    not; `raw_path` is the whole path as the client wrote it, with where the app is mounted, as far as the server tells;
    `peer` is the address of the other end of the connection, without a port, or None where there is none (a unix socket, a
    test client). Behind a proxy it is the proxy's. `native` is the WSGI environ or ASGI scope that the app will get.

    `outbox` is a list, to append ops to whose answer nobody waits for. It is sent once before the head goes, and once when
    the body has ended; also if the app raised or the body was cut short, but not if the request was cancelled. What is
    lost is logged, and never raised. `pulses` is a list of what is sent again and again between `proceed()` and the end.
    `repeats` is a list of what is to be done once more when the response has gone; `repeated` is the repeat that this is.
    `ledger` is where layers count what they do. `unannounced` is true if the app was given bytes of a body of which no field
    has told, as HTTP/2 permits. `failed` is true when the app raised after its head had gone, and not because the client had
    `left`.
    """

    __slots__ = (
        "_edge", "_headers", "_raw_path", "_read_headers", "failed", "kind", "ledger", "left", "method", "native", "outbox",
        "path", "peer", "pulses", "query", "repeated", "repeats", "root_path", "scheme", "unannounced",
    )  # fmt: skip

    def __init__(
        self,
        method: str = "GET",
        path: str = "/",
        *,
        kind: Literal["http", "websocket"] = "http",
        query: str = "",
        scheme: str = "http",
        root_path: str = "",
        headers: Iterable[tuple[str, str]] | Callable[[], Lines] = (),
        peer: str | None = None,
        native: dict[str, Any] | None = None,
        raw_path: str | None = None,
        edge: Native | None = None,
        repeated: Repeat | None = None,
        ledger: Counting = UNCOUNTED,
    ) -> None:
        self.kind = kind
        self.method = method
        self.path = path
        self.query = query
        self.scheme = scheme
        self.root_path = root_path
        self.peer = peer
        self.native = {} if native is None else native
        self.outbox: list[Op[Any]] = []
        self.pulses: list[Pulse] = []
        self.repeats: list[Repeat] = []
        self.repeated = repeated
        self.ledger = ledger
        self.failed = False
        self.left = False
        self.unannounced = False
        self._raw_path = raw_path
        self._edge = edge
        self._headers: Headers | None = None
        self._read_headers: Callable[[], Lines] = headers if callable(headers) else lambda: Headers(headers).lines

    @property
    def headers(self) -> Headers:
        """The request's headers, read when they are first asked for."""
        if self._headers is None:
            self._headers = Headers.received(self._read_headers())
        return self._headers

    def amend(self, name: str, value: str | None) -> None:
        """Let the app see another value of a field, or none. The view's own `headers` stay what the client has sent."""
        _ = self.headers  # read before they change
        if self._edge is not None:
            self._edge.header(self.native, name.lower(), value)

    def amend_query(self, query: str) -> None:
        """Let the app see another query, and the layers inside."""
        self.query = query
        if self._edge is not None:
            self._edge.query(self.native, query)

    @property
    def raw_path(self) -> str:
        """The path as the client wrote it; where the server keeps that to itself, the decoded one encoded again."""
        mount = quote(self.root_path, safe=UNRESERVED)
        raw = quote(self.path, safe=UNRESERVED) if self._raw_path is None else self._raw_path
        return raw if mount and raw.startswith(mount) and self._raw_path is not None else mount + raw

    def __repr__(self) -> str:
        return f"Request({self.method!r}, {self.path!r}, kind={self.kind!r})"


class Response:
    """A status and headers, and either a whole body (`bytes`) or the app's own, still to come (`body` is None).

    A layer makes one to answer by itself; the edges see to `Content-Length`, to HEAD and to statuses without a body.
    Raises `ValueError` for a status or a header that cannot be sent, `TypeError` for a body that is not bytes.
    """

    __slots__ = ("_body", "headers", "status")

    def __init__(self, status: int, headers: Iterable[tuple[str, str]] = (), body: bytes = b"") -> None:
        if not 200 <= status <= 599:
            raise ValueError(f"status must be 200 to 599, got {status}")
        if not isinstance(body, bytes):
            raise TypeError(f"body must be bytes, got {type(body).__name__}")
        self.status = status
        self.headers = Headers(headers)
        self._body: bytes | None = body

    @classmethod
    def begun(cls, status: int, lines: Lines) -> Response:
        """The head of an app's response, taken as it is; its body follows."""
        response = cls.__new__(cls)
        response.status = status
        response.headers = Headers.received(lines)
        response._body = None
        return response

    @property
    def body(self) -> bytes | None:
        """The whole body of a layer's own answer; None for the app's, still to come. To replace it, return a new response."""
        return self._body

    def __repr__(self) -> str:
        return f"Response({self.status}, {self.headers.lines!r}, {'begun' if self.body is None else self.body!r})"


def unavailable() -> Response:
    """503: the storage is out of reach and a policy says `"closed"`. One second is when it is worth asking again."""
    headers = [("content-type", "text/plain; charset=utf-8"), ("cache-control", "no-store"), ("retry-after", "1")]
    return Response(503, headers, b"Service temporarily unavailable, please try again.\n")


def framed(response: Response, method: str) -> tuple[Lines, bytes]:
    """The header lines and the bytes of a whole response, with exactly one right `Content-Length` or none.

    HEAD gets the length of what GET would have sent, and nothing more (RFC 9110 §9.3.2); 204 has no length (§8.6),
    and neither 204, 205 nor 304 a body (§15.3.5, §15.3.6, §15.4.5). A body without a type is one of unknown type (§8.3),
    which is said, so that no browser guesses HTML.
    """
    body = response.body or b""
    if method == "HEAD" and not body and content_length(response.headers) is not None:
        return response.headers.lines, b""  # it knows the length of what it does not have
    lines = [(k, v) for k, v in response.headers if k.lower() not in ("content-length", "transfer-encoding")]
    if response.status in (204, 304):
        return [line for line in lines if line[0].lower() != "content-type"], b""
    if "content-type" not in response.headers:
        lines.append(("content-type", "application/octet-stream"))
    if response.status == 205:
        body = b""
    return [*lines, ("content-length", str(len(body)))], b"" if method == "HEAD" else body


def pieces(body: bytes) -> Iterator[bytes]:
    """A body in the pieces in which it is sent: no client that reads slowly makes a server hold it twice."""
    for start in range(0, len(body), PIECE):
        yield body[start : start + PIECE]


def content_length(headers: Headers) -> int | None:
    """What `Content-Length` says, or None if it says nothing or nothing that is a number (RFC 9110 §8.6)."""
    values = set(headers.getall("content-length"))
    text = values.pop().strip() if len(values) == 1 else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None
