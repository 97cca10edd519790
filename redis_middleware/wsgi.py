"""The WSGI edge (PEP 3333): pumps the stack in the thread of the request.

Where PEP 3333 leaves the moment open, this edge takes the one that streams best:

* The head is settled when the app has produced its first piece, or has called `write()`: until then the app may still
  replace it by `start_response(…, exc_info)`. PEP 3333 lets no server send it earlier.
* If no layer waits for the body, the app's own iterable goes to the server with nothing around it but that first piece;
  a `wsgi.file_wrapper` goes as it is, so that the server can use sendfile.
* A layer that answers early leaves the request's body unread. To read it here would let a slow client hold the thread;
  the servers drop it or close the connection (the tests hold that against each of them).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import quote

from .collector import Collector
from .counting import Ledger
from .flow import Body, Done, Layer, Next, Peek
from .heart import Heart
from .http import PHRASES, UNCOUNTED, UNRESERVED, Counting, Lines, Request, Response, framed, pieces
from .pump import pump
from .repeats import Repeats
from .stack import ACTING, REPEATED, STORAGE, Drive, Stack, checked
from .storage import Storage, storage_from
from .storage.measured import measured

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], object]]
App = Callable[[Environ, StartResponse], Iterable[bytes]]


LATER = ("HTTP/2", "HTTP/3")
"""Protocols in which a request may have a body without a field that tells of it."""


class WSGIMiddleware:
    """Wraps a WSGI app in layers, outermost first: `app.wsgi_app = WSGIMiddleware(app.wsgi_app, layers=[Health()])`.

    `storage` is a Storage, a URL (see `storage_from_url`), or None for the URL in `REDIS_URL` and else memory. Serves any
    number of threads. A layer that acts on a request already, because it was installed twice, acts once.

    Raises `ConfigurationError` for what is no layer or no storage.
    """

    def __init__(self, app: App, *, layers: Iterable[Layer], storage: Storage | str | None = None) -> None:
        self.app = app
        self.storage = storage_from(storage)
        self.layers = checked(layers)
        self._stack = Stack(self.layers)
        self.ledger = Ledger()
        self.measured = measured(self.storage, self.ledger)
        self.heart = Heart(self.storage, self.ledger)
        self.repeats = Repeats(self)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        stack = self._stack.entered(environ)
        if not stack.layers:
            environ.setdefault(STORAGE, self.storage)
            return self.app(environ, start_response)
        environ[STORAGE] = self.storage
        environ[ACTING] = environ.get(ACTING, ()) + stack.layers
        request = request_from(environ, self.ledger)
        if environ.get("SERVER_PROTOCOL", "").startswith(LATER):
            environ["wsgi.input"] = Watched(environ["wsgi.input"], request)
        return _Exchange(self, request, start_response, stack(request)).begin()


class Watched:
    """An input stream (PEP 3333, "Input and Error Streams") that notes in a request whether anything was read of it."""

    def __init__(self, stream: Any, request: Request) -> None:
        self._stream = stream
        self._request = request

    def read(self, *size: int) -> bytes:
        """Read so many bytes."""
        return self._noted(self._stream.read(*size))

    def readline(self, *size: int) -> bytes:
        """Read a line."""
        return self._noted(self._stream.readline(*size))

    def readlines(self, *hint: int) -> list[bytes]:
        """Read all lines."""
        lines: list[bytes] = self._stream.readlines(*hint)
        self._noted(b"".join(lines))
        return lines

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def _noted(self, data: bytes) -> bytes:
        self._request.unannounced = self._request.unannounced or bool(data)
        return data


class _Environ:
    """How an environ is changed."""

    def header(self, native: Environ, name: str, value: str | None, /) -> None:
        key = "HTTP_" + name.upper().replace("-", "_")
        if value is None:
            native.pop(key, None)
        else:
            native[key] = value

    def query(self, native: Environ, query: str, /) -> None:
        native["QUERY_STRING"] = query
        for name in ("RAW_URI", "REQUEST_URI"):
            if name in native:
                native[name] = native[name].partition("?")[0] + (f"?{query}" if query else "")


_ENVIRON = _Environ()


def request_from(environ: Environ, ledger: Counting = UNCOUNTED) -> Request:
    """The request's view of an environ; what layers count goes to the ledger."""
    return Request(
        environ["REQUEST_METHOD"],
        _decoded(environ.get("PATH_INFO", "")),
        query=environ.get("QUERY_STRING", ""),
        scheme=environ.get("wsgi.url_scheme", "http"),
        root_path=_decoded(environ.get("SCRIPT_NAME", "")),
        headers=lambda: _header_lines(environ),
        peer=environ.get("REMOTE_ADDR") or None,
        native=environ,
        raw_path=_raw_path(environ),
        edge=_ENVIRON,
        repeated=environ.get(REPEATED),
        ledger=ledger,
    )


def _decoded(path: str) -> str:
    """A path as the text that it is: PEP 3333 has its bytes, each as a character of latin-1."""
    return path if path.isascii() else path.encode("latin-1").decode("utf-8", "replace")


def _raw_path(environ: Environ) -> str:
    """The path as it was sent, by what gunicorn (RAW_URI) and uWSGI and werkzeug (REQUEST_URI) tell of it; else its bytes,
    encoded again.
    """
    target: str = environ.get("RAW_URI") or environ.get("REQUEST_URI") or ""
    if target.startswith("/"):
        return target.partition("?")[0]
    return quote((environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")).encode("latin-1"), safe=UNRESERVED)


def _header_lines(environ: Environ) -> Lines:
    lines = [(key[5:].replace("_", "-").lower(), value) for key, value in environ.items() if key.startswith("HTTP_")]
    for key, name in (("CONTENT_TYPE", "content-type"), ("CONTENT_LENGTH", "content-length")):
        if environ.get(key):
            lines.append((name, environ[key]))
    return lines


class _Exchange:
    """One request: calls the app, and is the iterable that the server gets. A class, as `close()` must always work."""

    __slots__ = (
        "_beating", "_collector", "_drive", "_edge", "_first", "_head", "_iterable", "_iterator", "_replaced",
        "_request", "_server_start", "_server_write",
    )  # fmt: skip

    def __init__(self, edge: WSGIMiddleware, request: Request, start_response: StartResponse, drive: Drive) -> None:
        self._edge = edge
        self._request = request
        self._server_start = start_response
        self._drive = drive
        self._head: tuple[str, Lines] | None = None  # what the app told start_response
        self._server_write: Callable[[bytes], object] | None = None  # set when the head has gone to the server
        self._collector: Collector | None = None  # set while a layer waits for the body
        self._iterable: Iterable[bytes] = ()
        self._iterator: Iterator[bytes] = iter(())
        self._first: bytes | None = None
        self._replaced = False
        self._beating = False

    def begin(self) -> Iterable[bytes]:
        """Go through the stack and the app until there is something to give to the server."""
        try:
            effect = self._pump()
            if type(effect) is Next:
                return self._run_app()
            self._send_head(effect)
            return self
        except BaseException:
            self._part()
            self._close_app()
            raise

    def _pump(self, value: Any = None, error: Exception | None = None) -> Any:
        return pump(self._drive, self._edge.measured, value, error)

    def _run_app(self) -> Iterable[bytes]:
        if self._request.pulses:
            self._beating = True
            self._edge.heart.add(self._request)
        try:
            self._iterable = self._edge.app(self._request.native, self._start_response)
            if self._replaced:  # while the app was writing
                self._close_app()
                return self
            if self._is_file():
                return self._send_file()
            self._iterator = iter(self._iterable)
            self._first = self._first_piece()
            if self._head is None:
                raise RuntimeError("the app returned without calling start_response")
        except Exception as exc:
            if self._server_write is not None:
                self._end(None, exc)
                raise
            answer = self._pump(error=exc)  # raises it again unless a layer answers
            self._close_app()
            self._send_head(answer)
            return self
        if self._server_write is None:
            self._settle(self._first)
        elif self._first is not None:
            self._feed(self._first)
        return self

    def _first_piece(self) -> bytes | None:
        """The first piece that is not empty: only that makes a server send the head (PEP 3333, "The start_response()")."""
        for piece in self._iterator:
            if piece:
                return piece
        return None

    def _send_file(self) -> Iterable[bytes]:
        """Give the server its own file wrapper, unless a layer wants what is in it."""
        self._settle(None, more=True)
        if self._replaced:
            return self
        if self._collector is None:  # nobody here hears of it again
            self._part()
            return self._iterable
        self._iterator = iter(self._iterable)
        return self

    def _is_file(self) -> bool:
        wrapper = self._request.native.get("wsgi.file_wrapper")
        return isinstance(wrapper, type) and isinstance(self._iterable, wrapper) and self._server_write is None

    def _start_response(self, status: str, headers: Lines, exc_info: Any = None) -> Callable[[bytes], object]:
        """What the app gets as start_response (PEP 3333, "The start_response() Callable")."""
        try:
            if self._server_write is not None:
                if exc_info is None:
                    raise AssertionError("start_response called again without exc_info")
                return self._server_start(status, headers, exc_info)  # the server raises it if the head has left
            if self._head is not None and exc_info is None:
                raise AssertionError("start_response called again without exc_info")
            self._head = (status, list(headers))
            return self._write
        finally:
            exc_info = None  # no reference cycle through the traceback

    def _write(self, piece: bytes) -> None:
        """What the app gets to write with: the head goes with the first piece."""
        if self._server_write is None:
            self._settle(piece, more=True)
        else:
            self._feed(piece)
        if not self._replaced and self._server_write is not None:
            self._server_write(piece)

    def _settle(self, first: bytes | None, more: bool = False) -> None:
        """Let the app's head pass the stack, and give it to the server. `first` is the first piece of the body, if any."""
        assert self._head is not None
        status, lines = self._head
        response = Response.begun(int(status[:3]), lines)
        effect = self._pump(response)
        if isinstance(effect, Done) and effect.value is None:
            effect = Done(response)  # a layer failed before, and this is the app's page about it
        if type(effect) is Peek:
            effect = self._pump(self._peek(response, first, more))
        self._send_head(effect)
        if self._replaced:
            self._close_app()
        elif self._collector is not None and first is not None:
            self._feed(first)

    def _peek(self, response: Response, first: bytes | None, more: bool) -> bytes | None:
        collector = Collector(len(first or b""), response.headers, empty=self._bodiless(response))
        last = collector.feed(first or b"") or (first is None and not more)
        return collector.whole() if last else None

    def _bodiless(self, response: Response) -> bool:
        return self._request.method == "HEAD" or response.status in (204, 304)

    def _send_head(self, effect: Response | Done) -> None:
        """Give the server the head that the stack has settled; and the body with it, if it is a layer's own answer."""
        response: Response = effect.value if isinstance(effect, Done) else effect
        lines = response.headers.lines
        if response.body is not None:
            lines, body = framed(response, self._request.method)
            self._first = None
            self._iterator = pieces(body)
            self._replaced = True
        try:
            self._server_write = self._server_start(self._status_line(response), lines)
        except Exception as exc:
            if effect is response:
                self._pump(error=exc)
            raise
        if effect is response and type(effect := self._pump()) is Body:
            self._collector = Collector(effect.limit, response.headers, empty=self._bodiless(response))

    def _status_line(self, response: Response) -> str:
        """The app's own words, as long as the status is the app's."""
        if self._head is not None and self._head[0].startswith(str(response.status)):
            return self._head[0]
        return f"{response.status} {PHRASES.get(response.status, 'Unknown')}"

    def _feed(self, piece: bytes) -> None:
        if self._collector is not None and self._collector.feed(piece):
            self._end(self._collector.whole())

    def _end(self, whole: bytes | None, error: Exception | None = None) -> None:
        """The body has ended: tell the stack, once."""
        if self._collector is not None:
            self._collector = None
            try:
                self._pump(whole, error)
            except Exception as exc:
                if exc is not error:
                    raise

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._first is not None:
            piece, self._first = self._first, None
            return piece
        try:
            piece = next(self._iterator)
        except StopIteration:
            self._end(self._collector.whole() if self._collector else None)
            raise
        except Exception as exc:
            self._end(None, exc)
            raise
        self._feed(piece)
        return piece

    def close(self) -> None:
        """The server is through with the response, be it sent or not."""
        try:
            self._end(None)
        finally:
            self._part()
            self._close_app()
        if self._request.repeats:
            self._edge.repeats.begin(self._request)

    def _part(self) -> None:
        """The layers are through with the request."""
        self._drive.close()
        if self._beating:
            self._beating = False
            self._edge.heart.remove(self._request)
        self._edge.heart.watch()

    def _close_app(self) -> None:
        iterable, self._iterable = self._iterable, ()
        if hasattr(iterable, "close"):
            iterable.close()
