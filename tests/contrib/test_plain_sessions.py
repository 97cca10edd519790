"""Sessions without a framework; and one login that apps of any kind see behind one host."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import permutations, product
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment
from wsgiref.validate import validator

import httpx
import pytest
from websockets.sync.client import connect
from werkzeug.test import Client, TestResponse

from redis_middleware import ASGIMiddleware, Request, Session, Sessions, WSGIMiddleware, arun
from redis_middleware.cli.processes import Server
from redis_middleware.errors import SessionError
from redis_middleware.storage import Storage

from ..edges import Seen, asgi_app, asgi_call, environ, hello, scope, wsgi_app, wsgi_call
from ..servers.launch import mounted
from .session_apps import SECRET

SESSION = "redis_middleware.session"

Browse = Callable[[Any], Callable[[str], Any]]
WSGIApp = Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]


class TestWSGI:
    """`environ["redis_middleware.session"]`."""

    @pytest.fixture
    def browse(self, storage: Storage) -> Browse:
        """Makes a browser of an app: what it is called with it gets, with the cookies of before."""

        def browse(app: WSGIApp) -> Callable[[str], TestResponse]:
            client = Client(validator(WSGIMiddleware(app, layers=[Sessions(SECRET)], storage=storage)))

            def get(path: str) -> TestResponse:
                response = client.get(path)
                with response:
                    response.get_data()
                return response

            return get

        return browse

    def test_an_app(self, browse: Browse) -> None:
        def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            session = environ[SESSION]
            session["visits"] = session.get("visits", 0) + 1
            return said(session, start_response)

        get = browse(app)
        answers = [get("/") for _ in range(3)]
        assert [answer.json for answer in answers] == [{"visits": 1}, {"visits": 2}, {"visits": 3}]
        assert [answer.headers["Vary"] for answer in answers] == ["Cookie"] * 3
        assert ["Set-Cookie" in answer.headers for answer in answers] == [True, False, False]
        assert browse(app)("/").json == {"visits": 1}

    def test_behind_middleware_of_its_own_that_copies_the_environ(self, browse: Browse) -> None:
        def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            environ[SESSION].setdefault("first", environ["PATH_INFO"])
            return said(environ[SESSION], start_response)

        get = browse(lambda environ, start_response: app({**environ, "PATH_INFO": environ["PATH_INFO"].upper()}, start_response))
        assert [get(path).json for path in ("/a", "/b")] == [{"first": "/A"}] * 2

    @pytest.mark.parametrize(
        ("do", "left"),
        [
            (lambda environ: environ.update({SESSION: {"b": 2}}), {"b": 2}),
            (lambda environ: environ.update({SESSION: {}}), {}),
            (lambda environ: environ.update({SESSION: None}), None),
        ],
    )
    def test_what_is_put_in_its_place(self, browse: Browse, do: Callable[[WSGIEnvironment], None], left: object) -> None:
        def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            session = environ[SESSION]
            if environ["PATH_INFO"] == "/begin":
                session["a"] = 1
            elif environ["PATH_INFO"] == "/do":
                do(environ)
            return said(session, start_response)

        get = browse(app)
        get("/begin")
        expired = "Max-Age=0" in get("/do").headers.get("Set-Cookie", "")
        assert expired == (left is None)
        assert get("/").json == (left or {})

    def test_a_generator_may_begin_a_session_up_to_its_first_piece(self, browse: Browse) -> None:
        def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            session = environ[SESSION]
            start_response("200 OK", [("Content-Type", "text/plain")])
            if environ["PATH_INFO"] == "/early":
                session["a"] = 1
            yield b"1 "
            try:
                session["late"] = True
            except SessionError:
                yield b"too late"
            else:
                yield ",".join(session).encode()

        get = browse(app)
        assert get("/").text == "1 too late"
        assert [get("/early").text, get("/").text] == ["1 a,late"] * 2

    def test_what_is_written_by_hand(self, browse: Browse) -> None:
        def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            session = environ[SESSION]
            write = start_response("200 OK", [("Content-Type", "text/plain")])
            session["a"] = 1
            write(f"{session.get('b')} ".encode())
            session["b"] = 2
            return [b"done"]

        get = browse(app)
        assert [get("/").text, get("/").text] == ["None done", "2 done"]

    def test_an_error_page_in_place_of_what_was_begun_stores_nothing(self, browse: Browse) -> None:
        def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            before = json.dumps(environ[SESSION]).encode()
            start_response("200 OK", [("Content-Type", "application/json")])
            try:
                environ[SESSION]["a"] = environ["PATH_INFO"]
                if environ["PATH_INFO"] == "/fails":
                    raise LookupError
            except LookupError:
                start_response("500 Oops", [("Content-Type", "application/json")], sys.exc_info())
            return [before]

        get = browse(app)
        assert [get(path).status_code for path in ("/", "/fails")] == [200, 500]
        assert get("/").json == {"a": "/"}

    def test_save(self, browse: Browse) -> None:
        def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            session = environ[SESSION]
            assert isinstance(session, Session)
            before = json.dumps(session).encode()
            session["saved"] = environ["PATH_INFO"]
            session.save()
            session["lost"] = environ["PATH_INFO"]
            start_response("500 Oops" if environ["PATH_INFO"] == "/fails" else "200 OK", [("Content-Type", "application/json")])
            return [before]

        get = browse(app)
        assert [get(path).status_code for path in ("/", "/fails")] == [200, 500]
        assert get("/").json == {"lost": "/", "saved": "/fails"}


def said(session: Session, start_response: StartResponse) -> Iterable[bytes]:
    """A response with what is in a session."""
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(session).encode()]


class TestASGI:
    """`scope["session"]`, and the same at `scope["redis_middleware.session"]`."""

    @pytest.fixture
    def browse(self, storage: Storage, loop: asyncio.Runner) -> Iterator[Browse]:
        """Makes a browser of an app: what it is called with it gets, as JSON, with the cookies of before."""

        def browse(app: Any) -> Callable[[str], Any]:
            edge = ASGIMiddleware(app, layers=[Sessions(SECRET)], storage=storage)
            client = httpx.AsyncClient(transport=httpx.ASGITransport(edge), base_url="http://testserver")
            return lambda path: loop.run(client.get(path)).json()

        yield browse
        loop.run(storage.aclose())

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        session = scope["session"]
        assert scope[SESSION] is session
        before = json.dumps(session).encode()
        match scope["path"]:
            case "/save":
                session["saved"] = True
                await session.save()
            case "/replace":
                scope[SESSION] = {"replaced": True}
            case "/end":
                scope[SESSION] = None
            case _:
                session["visits"] = session.get("visits", 0) + 1
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": before, "more_body": True})
        if scope["path"] == "/late":
            session["late"] = True
        await send({"type": "http.response.body"})

    def test_an_app(self, browse: Browse) -> None:
        get = browse(self.app)
        assert [get(path) for path in ("/", "/late", "/save")] == [{}, {"visits": 1}, {"late": True, "visits": 2}]
        assert get("/") == {"late": True, "saved": True, "visits": 2}
        assert browse(self.app)("/") == {}

    def test_behind_middleware_of_its_own_that_copies_the_scope(self, browse: Browse) -> None:
        async def copying(scope: Any, receive: Any, send: Any) -> None:
            await self.app({**scope, "path": "/copied"}, receive, send)

        get = browse(copying)
        assert [get("/"), get("/")] == [{}, {"visits": 1}]

    def test_what_is_put_in_its_place(self, browse: Browse) -> None:
        get = browse(self.app)
        assert [get(path) for path in ("/", "/replace", "/end", "/")] == [{}, {"visits": 1}, {"replaced": True}, {}]

    def test_a_websocket_whose_client_has_gone_stores_what_it_changed(self, storage: Storage, loop: asyncio.Runner) -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            scope["session"]["seen"] = scope["session"].get("seen", 0) + 1
            await send({"type": "websocket.accept"})
            scope["session"]["late"] = scope["session"].get("late", 0) + 1
            raise ConnectionResetError

        async def receive() -> Any:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            sent.append(message)

        sent: list[Any] = []
        sessions = Sessions(SECRET)
        edge = ASGIMiddleware(app, layers=[sessions], storage=storage)
        headers: list[tuple[bytes, bytes]] = []
        for _ in range(2):
            with pytest.raises(ConnectionResetError):
                loop.run(edge({**scope(), "type": "websocket", "scheme": "ws", "headers": headers}, receive, send))
            headers = headers or [(b"cookie", dict(sent[0]["headers"])[b"set-cookie"].partition(b";")[0])]
        request = Request(headers=[("cookie", headers[0][1].decode())])
        assert loop.run(arun(sessions.open(request), storage)) == {"late": 2, "seen": 2}
        loop.run(storage.aclose())


def test_a_request_leaves_no_cycle_behind(storage: Storage, loop: asyncio.Runner) -> None:
    def app(seen: Seen) -> tuple[int, list[tuple[str, str]], list[bytes]]:
        seen.native[SESSION]["a"] = 1
        return hello(seen)

    def left() -> int:
        return sum(type(one) is Session for one in gc.get_objects())

    wsgi = WSGIMiddleware(wsgi_app(app), layers=[Sessions(SECRET)], storage=storage)
    asgi = ASGIMiddleware(asgi_app(app), layers=[Sessions(SECRET)], storage=storage)
    gc.collect()
    before = left()
    gc.disable()
    try:
        for _ in range(3):
            wsgi_call(wsgi, environ())
            loop.run(asgi_call(asgi, scope()))
        assert left() == before
    finally:
        gc.enable()
    loop.run(storage.aclose())


APPS = (
    ("gunicorn gthread", "tests.contrib.session_apps:flask_app()"),
    ("uvicorn httptools", "tests.contrib.session_apps:fastapi_app", "--factory"),
    ("gunicorn gthread", "tests.contrib.session_apps:plain_app()"),
)


@pytest.fixture(scope="module")
def servers(redis_url: str) -> Iterator[list[Server]]:
    def start(app: tuple[str, ...]) -> Server:
        return stack.enter_context(mounted(*app, REDIS_URL=redis_url, PREFIX="one-login:"))

    with ExitStack() as stack, ThreadPoolExecutor() as pool:
        yield list(pool.map(start, APPS))


class TestOneLogin:
    """Three apps on real servers, with one cookie, one secret and one Redis, as behind one host."""

    @pytest.fixture
    def client(self) -> Iterator[httpx.Client]:
        with httpx.Client() as client:  # whose cookies hold for a host, whatever the port
            yield client

    def test_it_is_seen_by_all_and_so_is_a_logout(self, servers: list[Server], client: httpx.Client) -> None:
        flask, fastapi, plain = servers
        for first, second, third in permutations((flask, fastapi, plain)):
            assert client.get(f"http://{first.address}/login/ada").text == "ada 0"
            assert client.get(f"http://{second.address}/count").text == "ada 1"
            stolen = dict(client.cookies)
            assert [client.get(f"http://{server.address}/me").text for server in servers] == ["ada 1"] * 3
            assert client.get(f"http://{third.address}/logout").text == "None 0"
            assert not client.cookies
            for server in servers:
                assert httpx.get(f"http://{server.address}/me", cookies=stolen).text == "None 0"

    def test_nothing_is_lost_where_all_write_at_once(self, servers: list[Server], client: httpx.Client) -> None:
        client.get(f"http://{servers[0].address}/login/ada")
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda server: client.get(f"http://{server.address}/count"), servers * 10))
        assert client.get(f"http://{servers[0].address}/me").text == "ada 30"

    def test_a_websocket_sees_it_and_may_begin_it(self, servers: list[Server], client: httpx.Client) -> None:
        _, fastapi, plain = servers
        with connect(f"ws://{fastapi.address}/login/ada") as websocket:
            assert websocket.recv() == "ada 0"
            assert websocket.response is not None
            [cookie] = websocket.response.headers.get_all("set-cookie")
        name, _, value = cookie.partition(";")[0].partition("=")
        client.cookies.set(name, value)
        assert client.get(f"http://{plain.address}/count").text == "ada 1"
        with connect(f"ws://{fastapi.address}/me", additional_headers={"cookie": f"{name}={value}"}) as websocket:
            assert websocket.recv() == "ada 1"

    def test_no_server_had_anything_to_complain_of(self, servers: list[Server]) -> None:
        for server, word in product(servers, ("Traceback", "redis_middleware")):
            assert word not in server.output()
