"""What only ASGI has: messages, extensions, WebSockets, lifespan, cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from redis_middleware import ASGIMiddleware, MemoryStorage, RateLimit, Response, body, proceed
from redis_middleware.ops import Get, Op, Set

from .edges import scope
from .toys import Gate, Keeper, Lock, Reader, Rescue, Writer

START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}


def piece(body: bytes, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": more}


def sends(*messages: dict[str, Any]) -> Any:
    """An app that sends these messages."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    return app


async def call(app: Any, scope: dict[str, Any], *incoming: dict[str, Any]) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []
    waiting = iter(incoming)

    async def receive() -> dict[str, Any]:
        return next(waiting)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


def run(app: Any, scope: dict[str, Any], *incoming: dict[str, Any]) -> list[dict[str, Any]]:
    return asyncio.run(call(app, scope, *incoming))


def wrap(app: Any, *layers: Any, storage: Any = None) -> ASGIMiddleware:
    return ASGIMiddleware(app, layers=layers, storage=storage or MemoryStorage())


def test_the_head_of_a_stream_goes_before_its_first_piece() -> None:
    sent_when: list[int] = []
    sent: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        sent_when.append(len(sent))
        await send(piece(b"a", True))
        sent_when.append(len(sent))
        await send(piece(b""))

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(wrap(app, Keeper(), Reader("a"))(scope(), None, send))  # type: ignore[arg-type]
    assert sent_when == [1, 2]
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body", "http.response.body"]


def test_no_message_is_invented_or_lost() -> None:
    messages = [START, piece(b"a", True), piece(b"", True), piece(b"b")]
    sent = run(wrap(sends(*messages), Keeper(), Writer()), scope())
    assert sent[1:] == messages[1:]


def test_trailers_pass() -> None:
    trailers = {"type": "http.response.trailers", "headers": [(b"x", b"y")], "more_trailers": False}
    keeper = Keeper()
    sent = run(wrap(sends(START | {"trailers": True}, piece(b"a"), trailers), keeper), scope())
    assert sent[0]["trailers"] is True
    assert sent[-1] == trailers
    assert keeper.bodies == [b"a"]


@pytest.mark.parametrize("length", [[], [(b"content-length", b"9")]])
def test_a_file_that_the_server_sends_passes_and_is_nobodys_to_read(length: list[Any]) -> None:
    keeper = Keeper()
    pathsend = {"type": "http.response.pathsend", "path": "/etc/hostname"}
    start = START | {"headers": START["headers"] + length}  # type: ignore[operator]
    sent = run(wrap(sends(start, pathsend), keeper), scope())
    assert sent[-1] == pathsend
    assert keeper.bodies == [None]


def test_messages_of_extensions_pass_before_the_head() -> None:
    debug = {"type": "http.response.debug", "info": {}}
    hint = {"type": "http.response.early_hint", "links": [b"</a.css>"]}
    sent = run(wrap(sends(debug, hint, START, piece(b"a")), Reader("a")), scope())
    assert sent[:2] == [debug, hint]


def test_headers_that_a_layer_adds_are_lower_case_bytes() -> None:
    sent = run(wrap(None, Gate(lambda: Response(200, [("X-Gate", "ja")], b"x"))), scope())
    assert (b"x-gate", b"ja") in sent[0]["headers"]


def test_an_app_that_returns_without_a_response_is_the_servers_to_judge() -> None:
    lock = Lock()
    assert run(wrap(sends(), lock), scope()) == []
    assert lock.released == 1


def test_an_app_that_returns_in_the_middle_of_its_body_cuts_it_short() -> None:
    keeper = Keeper()
    run(wrap(sends(START, piece(b"a", True)), keeper), scope())
    assert keeper.bodies == [None]


def test_an_app_that_announces_a_length_and_sends_no_body_cuts_it_short() -> None:
    keeper = Keeper()
    sent = run(wrap(sends(START | {"headers": [(b"content-length", b"3")]}), keeper), scope())
    assert keeper.bodies == [None]
    assert len(sent) == 1


def test_an_app_that_raises_while_its_head_waits_may_be_answered_for() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START | {"headers": [(b"content-length", b"3")]})
        raise ZeroDivisionError

    keeper = Keeper()
    with pytest.raises(ZeroDivisionError):
        run(wrap(app, Rescue(), keeper), scope())
    assert keeper.bodies == [None]


def test_a_client_that_leaves_ends_the_body() -> None:
    keeper = Keeper()

    async def gone(message: Any) -> None:
        if message["type"] == "http.response.body":
            raise OSError("client disconnected")

    with pytest.raises(OSError, match="disconnected"):
        asyncio.run(wrap(sends(START, piece(b"a", True), piece(b"b")), keeper)(scope(), None, gone))  # type: ignore[arg-type]
    assert keeper.bodies == [None]


def test_a_head_that_cannot_be_sent_ends_the_body_of_those_who_wait() -> None:
    keeper = Keeper()

    async def gone(message: Any) -> None:
        raise OSError("client disconnected")

    with pytest.raises(OSError, match="disconnected"):
        asyncio.run(wrap(sends(START, piece(b"a")), keeper)(scope(), None, gone))  # type: ignore[arg-type]
    assert keeper.bodies == [None]


def test_a_stream_that_nobody_hears_is_ended() -> None:
    class Replace:
        eager, kinds = True, frozenset({"http"})

        def __call__(self, request: Any) -> Any:
            yield from proceed()
            return Response(503)

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        while True:
            await send(piece(b"x", True))

    assert [message.get("status") for message in run(wrap(endless, Replace()), scope())] == [503, None]


def test_no_message_overtakes_a_head_that_the_storage_holds_up() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def ping() -> None:
            await asyncio.sleep(0)
            await send(piece(b"ping", True))

        other = asyncio.create_task(ping())
        await send(START)
        await other
        await send(piece(b""))

    sent = run(wrap(app, Writer(), storage=Slow()), scope())
    assert [message["type"] for message in sent] == ["http.response.start"] + ["http.response.body"] * 2


def test_a_layer_that_fails_on_the_way_out_leaves_the_apps_error_page_alone() -> None:
    class Fails:
        eager, kinds = True, frozenset({"http"})

        def __call__(self, request: Any) -> Any:
            yield from proceed()
            raise ZeroDivisionError("a bug in a layer")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await send(START)
        except ZeroDivisionError:
            await send(START | {"status": 500})
            await send(piece(b"error page"))
            raise

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    with pytest.raises(ZeroDivisionError):
        asyncio.run(wrap(app, Reader("a"), Fails())(scope(), None, send))  # type: ignore[arg-type]
    assert [message.get("status", message.get("body")) for message in sent] == [500, b"error page"]


class Slow(MemoryStorage):
    """Notes the ops that it is asked for, and takes its time."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Op[Any]] = []

    async def aexecute(self, ops: Sequence[Op[Any]], /) -> list[Any]:
        self.asked += ops
        await asyncio.sleep(0)
        return self.execute(ops)


@pytest.mark.parametrize("where", ["app", "storage"])
def test_a_cancelled_request_runs_no_op(where: str) -> None:
    storage, lock = Slow(), Lock()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(60)

    async def cancel() -> None:
        task = asyncio.create_task(call(wrap(app, lock, storage=storage), scope()))
        await asyncio.sleep(0)
        if where == "app":
            for _ in range(5):
                await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert len(storage.asked) == 1
    assert lock.released == 0


def test_no_task_is_started() -> None:
    async def count() -> None:
        tasks: set[Any] = set()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            tasks.update(asyncio.all_tasks())
            await send(START)
            await send(piece(b""))

        await call(wrap(app, Keeper(), Writer(), Lock()), scope())
        assert tasks == {asyncio.current_task()}

    asyncio.run(count())


def test_the_scope_of_the_server_is_not_changed() -> None:
    given = scope()
    before = dict(given)
    run(wrap(sends(START, piece(b"")), Reader("a")), given)
    assert given == before


def test_a_mounted_app_sees_paths_below_its_mount() -> None:
    paths = []

    class Notes:
        eager, kinds = True, frozenset({"http"})

        def __call__(self, request: Any) -> Any:
            paths.append((request.root_path, request.path))
            return None
            yield ()

    for path, root_path in (("/shop/a", "/shop"), ("/shopping", "/shop"), ("/shop", "/shop"), ("/a", "")):
        run(wrap(sends(START, piece(b"")), Notes()), scope(path=path) | {"root_path": root_path})
    assert paths == [("/shop", "/a"), ("/shop", "/shopping"), ("/shop", ""), ("", "/a")]


def lifespan(app: Any, *incoming: str) -> list[dict[str, Any]]:
    return run(app, {"type": "lifespan", "asgi": {"version": "3.0"}}, *[{"type": f"lifespan.{kind}"} for kind in incoming])


@pytest.mark.parametrize("ends", ["complete", "failed"])
def test_the_storage_is_closed_when_the_server_shuts_down(ends: str) -> None:
    closed = []

    class Closing(MemoryStorage):
        async def aclose(self) -> None:
            closed.append(True)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for kind in ("startup.complete", f"shutdown.{ends}"):
            await receive()
            assert not closed
            await send({"type": f"lifespan.{kind}"})

    sent = lifespan(wrap(app, Reader("a"), storage=Closing()), "startup", "shutdown")
    assert [message["type"] for message in sent] == ["lifespan.startup.complete", f"lifespan.shutdown.{ends}"]
    assert closed == [True]


def test_kinds_of_scope_that_nobody_knows_pass() -> None:
    sent = run(wrap(sends({"type": "thing"}), Reader("a")), {"type": "telegram"})
    assert sent == [{"type": "thing"}]


def websocket(extensions: dict[str, Any] | None = None) -> dict[str, Any]:
    return scope() | {"type": "websocket", "scheme": "ws", "subprotocols": [], "extensions": extensions or {}}


CONNECT = {"type": "websocket.connect"}
DENIAL: dict[str, Any] = {"websocket.http.response": {}}


def echo(*replies: dict[str, Any]) -> Callable[..., Any]:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "websocket.connect"
        for reply in replies:
            await send(reply)

    return app


def test_a_handshake_passes_and_carries_what_a_layer_adds() -> None:
    text = {"type": "websocket.send", "text": "hi"}
    lock = Lock()
    sent = run(wrap(echo({"type": "websocket.accept"}, text), RateLimit("5/minute"), lock, Rescue()), websocket(), CONNECT)
    assert sent[0]["type"] == "websocket.accept"
    assert (b"ratelimit", b'"minute";r=4;t=60') in sent[0]["headers"]
    assert sent[1:] == [text]
    assert lock.released == 1


def test_layers_for_http_leave_websockets_alone() -> None:
    sent = run(wrap(echo({"type": "websocket.accept"}), Keeper(), Gate(lambda: None)), websocket(), CONNECT)
    assert sent == [{"type": "websocket.accept", "headers": []}]


def test_a_refused_handshake_is_a_real_429_where_the_server_can_send_one() -> None:
    app = wrap(echo({"type": "websocket.accept"}), RateLimit("1/minute"))
    run(app, websocket(DENIAL), CONNECT)
    sent = run(app, websocket(DENIAL), CONNECT)
    assert [message["type"] for message in sent] == ["websocket.http.response.start", "websocket.http.response.body"]
    assert sent[0]["status"] == 429
    assert (b"retry-after", b"60") in sent[0]["headers"]


def test_a_refused_handshake_is_closed_where_it_cannot() -> None:
    sent = run(wrap(echo(), Gate(lambda: Response(503))), websocket(), CONNECT)
    assert sent == [{"type": "websocket.close", "code": 1008, "reason": "Service Unavailable"}]


def test_an_app_that_refuses_is_passed_on() -> None:
    close = {"type": "websocket.close", "code": 4000}
    assert run(wrap(echo(close), Rescue()), websocket(), CONNECT) == [close]
    denial: list[dict[str, Any]] = [
        {"type": "websocket.http.response.start", "status": 403, "headers": [(b"content-length", b"2")]},
        {"type": "websocket.http.response.body", "body": b"no"},
    ]
    assert run(wrap(echo(*denial), Rescue(), RateLimit("5/minute")), websocket(DENIAL), CONNECT)[1:] == denial[1:]


def test_a_layer_may_answer_for_a_websocket_app_that_raised_before_it_accepted() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        raise ZeroDivisionError

    sent = run(wrap(app, Rescue()), websocket(DENIAL), CONNECT)
    assert sent[0]["status"] == 500


def test_a_client_that_gives_up_before_the_app_accepts() -> None:
    lock = Lock()
    assert run(wrap(echo(), lock), websocket(), CONNECT) == []
    assert lock.released == 1


class Session:
    """Waits for the end of the connection, and writes then."""

    eager, kinds = True, frozenset({"websocket"})

    def __call__(self, request: Any) -> Any:
        response = yield from proceed()
        assert (yield from body(0)) is None
        request.outbox.append(Set("ended", b"yes", ttl=60))
        return response


def test_the_end_of_a_connection_is_the_end_of_its_body() -> None:
    storage = MemoryStorage()
    run(wrap(echo({"type": "websocket.accept"}, {"type": "websocket.close"}), Session(), storage=storage), websocket(), CONNECT)
    assert storage.execute([Get("ended")]) == [b"yes"]
