"""`request.session` of Starlette and FastAPI, and `websocket.session`, with nothing but the edge."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from enum import Enum
from typing import Any

import pytest
from fastapi import BackgroundTasks, FastAPI, Request, WebSocket
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.websockets import WebSocketDisconnect

from redis_middleware import ASGIMiddleware, MemoryStorage, Session, Sessions
from redis_middleware.errors import SessionError
from redis_middleware.storage import Storage

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # newer ones would rather have httpx2 than httpx
    from starlette.testclient import TestClient

SECRET = "a secret of more than thirty-two bytes, for tests"

Deed = Callable[[Request], Any]


class Empty(Enum):
    """What Litestar has for a session that was cleared."""

    EMPTY = 0


class Site:
    """An app, and what a test wants it to do with the session next."""

    def __init__(self, storage: Storage, **options: Any) -> None:
        self.storage = storage
        self.app = FastAPI()
        self.ended = threading.Event()
        """Set when a WebSocket has come to its end: the test client would rather cancel it."""
        self.sessions = Sessions(SECRET, **options)
        self.app.add_middleware(ASGIMiddleware, layers=[self.sessions], storage=storage)
        self.deed: Callable[[Request], Any] = lambda request: None
        self.app.get("/does")(self._does)

        @self.app.get("/look")
        async def look(request: Request) -> dict[str, Any]:
            return dict(request.session)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)
        if scope["type"] == "websocket":
            self.ended.set()

    async def _does(self, request: Request) -> str:
        came = self.deed(request)
        return repr(await came if isinstance(came, Awaitable) else came)


@pytest.fixture
def site(storage: Storage) -> Site:
    return Site(storage)


@pytest.fixture
def client(site: Site) -> Iterator[TestClient]:
    with TestClient(site) as client:
        yield client


@pytest.fixture
def does(site: Site, client: TestClient) -> Callable[[Deed], Any]:
    """Does something in a request of the client, and returns the response."""

    def call(deed: Deed) -> Any:
        site.deed = deed
        response = client.get("/does")
        assert response.status_code == 200
        return response

    return call


Does = Callable[[Deed], Any]


def seen(client: TestClient) -> Any:
    return client.get("/look").json()


def put(**values: Any) -> Deed:
    return lambda request: request.session.update(values)


def test_read_write_pop_clear(does: Does, client: TestClient) -> None:
    does(put(name="Ada", cart=[1]))
    does(lambda request: request.session["cart"].append(2))
    assert seen(client) == {"name": "Ada", "cart": [1, 2]}
    assert does(lambda request: request.session.pop("cart")).json() == "[1, 2]"
    assert seen(client) == {"name": "Ada"}
    does(lambda request: request.session.clear())
    assert client.cookies == {}
    assert seen(client) == {}


def test_only_what_looks_into_the_session_depends_on_it(does: Does) -> None:
    does(put(a=1))
    for deed in (lambda request: None, lambda request: request.session is None):
        headers = does(deed).headers
        assert "vary" not in headers
        assert "cache-control" not in headers
    for deed in (lambda request: request.session.get("a"), lambda request: bool(request.session), put(b=2)):
        headers = does(deed).headers
        assert headers["vary"] == "Cookie"
        assert headers["cache-control"] == "private, no-store"


def test_one_session_for_whoever_asks_in_one_request(does: Does) -> None:
    assert does(lambda request: request.session is Request(request.scope).session is request.scope["session"]).json() == "True"


class TestReplaced:
    """Apps and libraries that put something else into `scope["session"]`."""

    @pytest.fixture(autouse=True)
    def begun(self, does: Does) -> None:
        does(put(a=1, b=2))

    def test_another_dict_is_its_new_contents(self, does: Does, client: TestClient) -> None:
        does(lambda request: request.scope.update(session={"b": 2, "c": [3]}))
        assert seen(client) == {"b": 2, "c": [3]}

    def test_a_dict_that_is_changed_once_more(self, does: Does, client: TestClient) -> None:
        def deed(request: Request) -> None:
            request.scope["session"] = {"b": 3}
            request.session["c"] = 4

        does(deed)
        assert seen(client) == {"b": 3, "c": 4}

    def test_an_empty_dict_has_nothing_in_it(self, does: Does, client: TestClient) -> None:
        does(lambda request: request.scope.update(session={}))
        assert seen(client) == {}

    @pytest.mark.parametrize(
        "deed",
        [
            lambda request: request.scope.update(session=None),
            lambda request: request.scope.update(session=Empty.EMPTY),
            lambda request: request.scope.update(session=Empty),
        ],
    )
    def test_no_dict_at_all_is_its_end(self, does: Does, client: TestClient, deed: Deed) -> None:
        does(deed)
        assert client.cookies == {}
        assert seen(client) == {}

    def test_below_a_mount(self, storage: Storage) -> None:
        async def replace(request: Request) -> Response:
            request.scope["session"] = {"c": 3}
            return PlainTextResponse("replaced")

        async def look(request: Request) -> Response:
            return JSONResponse(request.session)

        inner = Starlette(routes=[Route("/replace", replace), Route("/look", look)])
        middleware = [Middleware(ASGIMiddleware, layers=[Sessions(SECRET)], storage=storage)]
        with TestClient(Starlette(routes=[Mount("/inner", inner)], middleware=middleware)) as client:
            client.get("/inner/replace")
            assert client.get("/inner/look").json() == {"c": 3}


def test_what_authlib_does_with_it(does: Does, client: TestClient) -> None:
    def begin(request: Request) -> None:
        for state in ("s1", "s2"):
            request.session[f"_state_google_{state}"] = {"data": {"nonce": state, "redirect_uri": "/"}, "exp": 1_800_003_600.5}

    def end(request: Request) -> Any:
        data = request.session["_state_google_s1"]["data"]
        for key in dict(request.session):
            if key.startswith("_state_google_s1"):
                request.session.pop(key)
        return data["nonce"]

    does(begin)
    assert does(end).json() == "'s1'"
    assert list(seen(client)) == ["_state_google_s2"]


def test_save(does: Does, client: TestClient) -> None:
    async def save(request: Request) -> Any:
        request.session["a"] = 1
        assert isinstance(request.session, Session)
        await request.session.save()
        return request.session.new

    assert does(save).json() == "False"
    assert seen(client) == {"a": 1}


def test_save_in_the_thread_pool_needs_no_await(site: Site, client: TestClient) -> None:
    @site.app.get("/save")
    def save(request: Request) -> list[bool]:
        session: Any = request.session
        session["a"] = 1
        session.save()
        session["b"] = 2
        return [session.new, threading.current_thread() is threading.main_thread()]

    assert client.get("/save").json() == [False, False]
    assert seen(client) == {"a": 1, "b": 2}


def test_a_stream_may_change_it(site: Site, does: Does, client: TestClient) -> None:
    @site.app.get("/stream")
    async def stream(request: Request) -> Response:
        async def pieces() -> AsyncIterator[str]:
            yield str(request.session["a"])
            request.session["a"] = 2
            yield str(request.session["a"])
            request.scope["session"] = {**request.session, "b": 3}

        return StreamingResponse(pieces())

    does(put(a=1))
    assert client.get("/stream").text == "12"
    assert seen(client) == {"a": 2, "b": 3}


def test_a_background_task_saves_by_itself(site: Site, does: Does, client: TestClient) -> None:
    async def later(session: Any) -> None:
        session["later"] = True
        await session.save()

    def later_in_a_thread(session: Any) -> None:
        session["last"] = True
        session.save()

    @site.app.get("/background")
    async def background(request: Request, tasks: BackgroundTasks) -> None:
        request.session["a"] = 2
        tasks.add_task(later, request.session)
        tasks.add_task(later_in_a_thread, request.session)

    does(put(a=1))
    client.get("/background")
    assert seen(client) == {"a": 2, "later": True, "last": True}


def test_an_error_stores_nothing(site: Site) -> None:
    @site.app.get("/fails")
    async def fails(request: Request) -> None:
        request.session["a"] = 2
        raise LookupError

    with TestClient(site.app, raise_server_exceptions=False) as client:
        site.deed = put(a=1)
        client.get("/does")
        assert client.get("/fails").status_code == 500
        assert seen(client) == {"a": 1}


def test_base_http_middleware_in_between(storage: Storage) -> None:
    async def dispatch(request: Any, call_next: Callable[[Any], Awaitable[Response]]) -> Response:
        request.session["before"] = request.session.get("before", 0) + 1
        response = await call_next(request)
        request.session["after"] = request.session["within"]
        return response

    async def view(request: Request) -> Response:
        request.session["within"] = request.session["before"]
        return JSONResponse(request.session)

    middleware = [
        Middleware(ASGIMiddleware, layers=[Sessions(SECRET)], storage=storage),
        Middleware(BaseHTTPMiddleware, dispatch=dispatch),
    ]
    app = Starlette(routes=[Route("/", view)], middleware=middleware)
    with TestClient(app) as client:
        assert client.get("/").json() == {"before": 1, "within": 1}
        assert client.get("/").json() == {"after": 1, "before": 2, "within": 2}


class TestStarlettesOwn:
    """An app that has Starlette's SessionMiddleware, too."""

    async def view(self, request: Request) -> Response:
        request.session["a"] = 1
        return JSONResponse(request.session)

    def client(self, storage: Storage, *middleware: Middleware) -> TestClient:
        return TestClient(Starlette(routes=[Route("/", self.view)], middleware=middleware))

    def test_inside_it_keeps_its_own(self, caplog: pytest.LogCaptureFixture) -> None:
        storage, sessions = MemoryStorage(), Sessions(SECRET, cookie="ours")
        ours = Middleware(ASGIMiddleware, layers=[sessions], storage=storage)
        client = self.client(storage, ours, Middleware(SessionMiddleware, secret_key="theirs"))
        with caplog.at_level(logging.WARNING, "redis_middleware"):
            assert [client.get("/").json() for _ in range(2)] == [{"a": 1}] * 2
        assert list(client.cookies) == ["session"]
        assert storage.key_count == 0
        assert [record.message for record in caplog.records] == [
            "Session is another library's session: only one of the two should be installed"
        ]
        assert sessions.counts["foreign"] == 2

    def test_outside_it_sees_nothing(self, storage: Storage) -> None:
        ours = Middleware(ASGIMiddleware, layers=[Sessions(SECRET)], storage=storage)
        with self.client(storage, Middleware(SessionMiddleware, secret_key="theirs", session_cookie="theirs"), ours) as client:
            client.get("/")
            assert list(client.cookies) == ["session"]


class TestWebSocket:
    """`websocket.session`: read at the handshake, committed at the end of the connection."""

    @pytest.fixture(autouse=True)
    def sockets(self, site: Site) -> None:
        @site.app.websocket("/echo")
        async def echo(websocket: WebSocket) -> None:
            await websocket.accept()
            with suppress(WebSocketDisconnect):
                while True:
                    key, do = await websocket.receive_json()
                    if do == "close":
                        await websocket.close()
                        return
                    await websocket.send_json(await answer(websocket.session, key, do))

        async def answer(session: Any, key: str, do: object) -> object:
            if do == "get":
                return session.get(key)
            try:
                if do == "save":
                    await session.save()
                else:
                    session[key] = do
            except SessionError as exc:
                return str(exc)
            return None

        @site.app.websocket("/begin/{how}")
        async def begin(websocket: WebSocket, how: str) -> None:
            websocket.session["a"] = 1
            if how == "refuse":
                await websocket.close()
            elif how == "deny":
                await websocket.send_denial_response(PlainTextResponse("no", 404))
            else:
                await websocket.accept()
                await websocket.close()

    @staticmethod
    def say(websocket: Any, key: str, do: object) -> Any:
        websocket.send_json([key, do])
        return websocket.receive_json()

    @pytest.mark.parametrize("leave", ["the app closes", "the client leaves"])
    def test_it_stores_what_it_changed_itself_when_it_ends(self, site: Site, does: Does, client: TestClient, leave: str) -> None:
        does(put(a=1, b=1, c=1))
        with client.websocket_connect("/echo") as websocket:
            assert self.say(websocket, "a", "get") == 1
            self.say(websocket, "b", 2)
            does(put(a=2, c=2))
            assert self.say(websocket, "c", "get") == 1
            assert seen(client) == {"a": 2, "b": 1, "c": 2}
            if leave == "the app closes":
                websocket.send_json(["", "close"])
            else:
                websocket.close()
            assert site.ended.wait(5)
        assert seen(client) == {"a": 2, "b": 2, "c": 2}

    def test_it_may_be_saved_on_the_way(self, site: Site, does: Does, client: TestClient) -> None:
        does(put(a=1))
        with client.websocket_connect("/echo") as websocket:
            self.say(websocket, "b", [1])
            self.say(websocket, "", "save")
            assert seen(client) == {"a": 1, "b": [1]}
            self.say(websocket, "c", 3)
            websocket.send_json(["", "close"])
            assert site.ended.wait(5)
        assert seen(client) == {"a": 1, "b": [1], "c": 3}

    def test_a_session_that_begins_before_it_is_accepted_sets_its_cookie(self, client: TestClient) -> None:
        with client.websocket_connect("/begin/accept") as websocket:
            headers: Any = dict(websocket.extra_headers or ())
        name, _, value = headers[b"set-cookie"].decode().partition(";")[0].partition("=")
        client.cookies.set(name, value)
        assert seen(client) == {"a": 1}

    @pytest.mark.parametrize("how", ["refuse", "deny"])
    def test_who_is_refused_gets_none(self, client: TestClient, how: str) -> None:
        with pytest.raises(WebSocketDisconnect) as caught, client.websocket_connect(f"/begin/{how}"):
            pass
        assert "set-cookie" not in getattr(caught.value, "headers", {})

    def test_a_session_cannot_begin_once_it_is_accepted(self, client: TestClient) -> None:
        with client.websocket_connect("/echo") as websocket:
            assert self.say(websocket, "a", "get") is None
            assert "the WebSocket has been accepted, so the cookie of a new session cannot be set" in self.say(websocket, "a", 1)
            websocket.send_json(["", "close"])

    def test_a_logout_meanwhile_is_final(self, site: Site, does: Does, client: TestClient) -> None:
        does(put(a=1))
        stolen = dict(client.cookies)
        with client.websocket_connect("/echo") as websocket:
            self.say(websocket, "a", 2)
            does(lambda request: request.session.clear())
            websocket.send_json(["", "close"])
            assert site.ended.wait(5)
        client.cookies.update(stolen)
        assert seen(client) == {}
        assert site.sessions.counts["refused"] == 1
