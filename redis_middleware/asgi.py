"""The ASGI edge (ASGI 3.0): pumps the stack in the task of the request, and starts none of its own.

The app's messages come to `send`; a message that the stack need not know of goes straight on. The head is held back only
while a layer waits for a body that announces its length (ASGI lets a server wait for the first piece, too).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Literal

from .collector import Collector
from .counting import Ledger
from .flow import Body, Done, Layer, Next, Peek
from .heart import AsyncHeart
from .http import PHRASES, UNCOUNTED, Counting, Lines, Request, Response, framed, pieces
from .pump import apump
from .repeats import AsyncRepeats
from .stack import ACTING, KINDS, REPEATED, STORAGE, Drive, Stack, checked
from .storage import Storage, storage_from
from .storage.measured import measured

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

UNREADABLE = frozenset({"http.response.pathsend", "http.response.zerocopysend"})
"""Messages by which the server sends pieces of the body itself."""


class ASGIMiddleware:
    """Wraps an ASGI app in layers, outermost first: `app.add_middleware(ASGIMiddleware, layers=[Health()])`.

    `storage` is a Storage, a URL (see `storage_from_url`), or None for the URL in `REDIS_URL` and else memory; it is
    closed for this event loop when the server shuts down. A layer that acts on a request already, because it was
    installed twice, acts once. HTTP requests and WebSocket handshakes pass the layers that act on them.

    Raises `ConfigurationError` for what is no layer or no storage.
    """

    def __init__(self, app: App, *, layers: Iterable[Layer], storage: Storage | str | None = None) -> None:
        self.app = app
        self.storage = storage_from(storage)
        self.layers = checked(layers)
        self.ledger = Ledger()
        self.measured = measured(self.storage, self.ledger)
        self.heart = AsyncHeart(self.storage, self.ledger)
        self.repeats = AsyncRepeats(self)
        self._stacks = {kind: Stack(self.layers, kind) for kind in KINDS}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        stack = self._stacks.get(kind)
        if stack is None:
            await self.app(scope, receive, self._closing(send) if kind == "lifespan" else send)
            return
        scope = {**scope}
        stack = stack.entered(scope)
        if not stack.layers:
            scope.setdefault(STORAGE, self.storage)
            await self.app(scope, receive, send)
            return
        scope[STORAGE] = self.storage
        scope[ACTING] = scope.get(ACTING, ()) + stack.layers
        request = request_from(scope, self.ledger)
        exchange = _WebSocket if kind == "websocket" else _Exchange
        try:
            await exchange(self, request, receive, send, stack(request)).run()
        finally:
            self.heart.watch()
        if request.repeats:
            self.repeats.begin(request)

    def _closing(self, send: Send) -> Send:
        async def send_and_close(message: Message) -> None:
            if message["type"] in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
                await self.repeats.aclose()
                await self.heart.aclose()
                await self.storage.aclose()
            await send(message)

        return send_and_close


class _Scope:
    """How a scope is changed. It is ours: a copy was made for the app."""

    def header(self, native: dict[str, Any], name: str, value: str | None, /) -> None:
        raw = name.encode("latin-1")
        lines = [line for line in native["headers"] if line[0].lower() != raw]
        native["headers"] = lines if value is None else [*lines, (raw, value.encode("latin-1"))]

    def query(self, native: dict[str, Any], query: str, /) -> None:
        native["query_string"] = query.encode("latin-1")


_SCOPE = _Scope()


def request_from(scope: dict[str, Any], ledger: Counting = UNCOUNTED) -> Request:
    """The request's view of a scope; what layers count goes to the ledger."""
    path: str = scope["path"]
    root_path: str = scope.get("root_path", "")
    if root_path and path.startswith(root_path) and path[len(root_path) : len(root_path) + 1] in ("", "/"):
        path = path[len(root_path) :]
    client = scope.get("client")
    kind: Literal["http", "websocket"] = scope["type"]
    return Request(
        scope.get("method", "GET"),
        path,
        kind=kind,
        query=scope.get("query_string", b"").decode("latin-1"),
        scheme=scope.get("scheme", "http"),
        root_path=root_path,
        headers=lambda: [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]],
        peer=client[0] if client else None,
        native=scope,
        raw_path=raw.decode("latin-1") if (raw := scope.get("raw_path")) else None,
        edge=_SCOPE,
        repeated=scope.get(REPEATED),
        ledger=ledger,
    )


def _comes_of(error: BaseException | None, origin: Exception) -> bool:
    """Whether an app raised `origin`, or something else because of it."""
    while error is not None and error is not origin:
        error = error.__cause__ or error.__context__
    return error is origin


def _decoded(headers: Iterable[Iterable[bytes]]) -> Lines:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]


def _encoded(lines: Lines) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in lines]


class _Exchange:
    """One HTTP request: calls the app, and stands between it and the server."""

    __slots__ = (
        "_busy", "_collector", "_drive", "_edge", "_forward", "_free", "_gone", "_head", "_held", "_receive",
        "_replaced", "_request", "_wanted",
    )  # fmt: skip

    prefix = "http.response."
    start = "http.response.start"
    pieces = "http.response.body"

    def __init__(self, edge: ASGIMiddleware, request: Request, receive: Receive, send: Send, drive: Drive) -> None:
        self._edge = edge
        self._request = request
        self._receive = receive
        self._forward = send
        self._drive = drive
        self._wanted: Any = None  # what the stack waits for: Next, Peek, Body, or None
        self._held: Message | None = None  # the app's message with its head
        self._head: Response | None = None  # and what the layers see of it
        self._collector: Collector | None = None  # set while a layer waits for the body
        self._replaced = False
        self._gone: OSError | None = None
        self._busy = False  # while a message waits for the storage
        self._free: asyncio.Event | None = None  # set when it has passed; made if another one waits for that

    async def run(self) -> None:
        """Go through the stack and the app."""
        try:
            answer = await self._pump()
            if answer is not None:
                await self._answer_early(answer)
            elif self._request.pulses:
                with self._edge.heart.beating(self._request):
                    await self._run_app()
            else:
                await self._run_app()
        finally:  # by an error or a cancellation too: then nothing more is executed
            self._drive.close()

    async def _pump(self, value: Any = None, error: Exception | None = None) -> Response | None:
        """Resume the stack: the head to send, or None if it wants something else first (`_wanted`), or nothing more."""
        self._wanted = None  # if it raises, the stack is through, and the app's own error page may pass
        effect = await apump(self._drive, self._edge.measured, value, error)
        if type(effect) is Done:
            return effect.value  # type: ignore[no-any-return]
        self._wanted = effect
        return effect if type(effect) is Response else None

    async def _run_app(self) -> None:
        try:
            await self._edge.app(self._request.native, self._hears(), self._send)
            await self._app_returned()
        except Exception as exc:
            if self._gone is not None and _comes_of(exc, self._gone):
                return
            if self._wanted is None:
                raise
            answer = await self._pump(error=exc)  # raises it again unless a layer answers
            assert answer is not None
            await self._answer(answer)

    def _hears(self) -> Receive:
        """What the app gets as receive."""
        if self._request.native.get("http_version", "1.1") < "2":
            return self._receive
        return self._watched

    async def _watched(self) -> Message:
        """Note whether there is a body, of which no field need tell in HTTP/2 and later."""
        message = await self._receive()
        if message.get("body"):
            self._request.unannounced = True
        return message

    async def _app_returned(self) -> None:
        """The app has nothing more to say; what it left open is cut short."""
        if type(self._wanted) is Next:
            await self._without_response(RuntimeError("the app returned without sending a response"))
        if type(self._wanted) is Peek:
            await self._go(await self._pump(None))
        if type(self._wanted) is Body:
            await self._pump(None)
        if type(self._wanted) is Response:
            await self._without_response(RuntimeError("the head could not be sent"))

    async def _without_response(self, missing: RuntimeError) -> None:
        """Let a layer answer, or leave it to the server, which knows whether the client is still there."""
        try:
            answer = await self._pump(error=missing)
        except RuntimeError as exc:
            if exc is not missing:
                raise
        else:
            assert answer is not None
            await self._answer(answer)

    async def _send(self, message: Message) -> None:
        """What the app gets as send. One message at a time: none may overtake a head that the storage holds up."""
        while self._busy:
            self._free = self._free or asyncio.Event()
            await self._free.wait()
        if self._wanted is None:
            await self._pass(message)
            return
        self._busy = True
        try:
            await self._take(message)
        finally:
            self._busy = False
            if self._free is not None:
                self._free.set()
                self._free = None

    async def _pass(self, message: Message) -> None:
        """Send a message on that the stack need not know of."""
        if not (self._replaced and message["type"].startswith(self.prefix)):
            await self._forward(message)
        elif message.get("more_body", False):
            self._gone = OSError("another response has been sent")
            raise self._gone  # as if the client had left (ASGI, "Send"): a stream that nobody hears must end

    async def _take(self, message: Message) -> None:
        kind = message["type"]
        if self._wanted is not None:
            if kind == self.start:
                await self._begin(message, Response.begun(message["status"], _decoded(message.get("headers", ()))))
                return
            if kind == self.pieces:
                await self._piece(message.get("body", b""), not message.get("more_body", False))
            elif kind in UNREADABLE:
                await self._unread(not message.get("more_body", False))
        await self._pass(message)

    async def _begin(self, message: Message, head: Response) -> None:
        """Let the app's head pass the stack."""
        self._held, self._head = message, head
        settled = await self._pump(head)
        if settled is not None:
            await self._go(settled)

    async def _piece(self, piece: bytes, last: bool) -> None:
        """A piece of the body is about to pass."""
        if type(self._wanted) is Peek:
            collector = self._collect(len(piece))
            complete = collector.feed(piece) or last
            await self._go(await self._pump(collector.whole() if complete else None))
        if self._collector is not None and (self._collector.feed(piece) or last):
            await self._body_ended(self._collector.whole())

    async def _unread(self, last: bool) -> None:
        """The server sends a piece of the body by itself: nobody here can read it."""
        if type(self._wanted) is Peek:
            await self._go(await self._pump(None))
        if self._collector is not None:
            self._collector.limit = -1
            if last:
                await self._body_ended(None)

    async def _body_ended(self, whole: bytes | None) -> None:
        self._collector = None
        await self._pump(whole)

    def _collect(self, limit: int) -> Collector:
        assert self._head is not None
        bodiless = self._request.method == "HEAD" or self._head.status in (204, 304)
        return Collector(limit, self._head.headers, empty=bodiless)

    async def _go(self, response: Response | None) -> None:
        """Send the head that the stack has settled: the app's, or another one with its own body."""
        assert response is not None
        if response.body is not None:
            await self._answer(response)
            return
        await self._forward(self._app_head(response))
        if self._wanted is response:
            await self._pump()
            self._watch(self._wanted)

    def _watch(self, wanted: Any) -> None:
        if type(wanted) is Body:
            self._collector = self._collect(wanted.limit)

    def _app_head(self, response: Response) -> Message:
        assert self._held is not None
        return {**self._held, "status": response.status, "headers": _encoded(response.headers.lines)}

    async def _answer_early(self, response: Response) -> None:
        await self._answer(response)

    async def _answer(self, response: Response) -> None:
        """Send a layer's own answer."""
        self._replaced = True
        lines, body = framed(response, self._request.method)
        await self._forward({"type": self.start, "status": response.status, "headers": _encoded(lines)})
        sent = 0
        for piece in pieces(body) if body else (body,):
            sent += len(piece)
            await self._forward({"type": self.pieces, "body": piece, "more_body": sent < len(body)})
        if self._wanted is response:
            await self._pump()


class _WebSocket(_Exchange):
    """One WebSocket: the handshake is the request, and `101`, or the refusal, its response; the end of the connection
    is the end of a body that nobody can read.
    """

    __slots__ = ()

    prefix = "websocket."
    start = "websocket.http.response.start"
    pieces = "websocket.http.response.body"

    def _hears(self) -> Receive:
        async def receive() -> Message:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                self._request.left = True
            return message

        return receive

    async def _take(self, message: Message) -> None:
        kind = message["type"]
        if type(self._wanted) is Next and kind in ("websocket.accept", "websocket.close"):
            # to close before it has accepted is 403 to the client (ASGI, "Close - send event")
            status = 101 if kind == "websocket.accept" else 403
            await self._begin(message, Response.begun(status, _decoded(message.get("headers", ()))))
            return
        await super()._take(message)

    def _app_head(self, response: Response) -> Message:
        assert self._held is not None
        if self._held["type"] == self.start:
            return super()._app_head(response)
        if self._held["type"] == "websocket.accept":
            return {**self._held, "headers": _encoded(response.headers.lines)}
        return self._held

    async def _answer_early(self, response: Response) -> None:
        await self._receive()  # websocket.connect, which has to be taken before it is answered
        await self._answer(response)

    async def _answer(self, response: Response) -> None:
        """Refuse the handshake: with the whole answer if the server can send one, else by closing (1008, RFC 6455 §7.4.1)."""
        if "websocket.http.response" in (self._request.native.get("extensions") or {}):
            await super()._answer(response)
            return
        self._replaced = True
        await self._forward({"type": "websocket.close", "code": 1008, "reason": PHRASES.get(response.status, "")})
        if self._wanted is response:
            await self._pump()
