"""Limits on FastAPI's views, as dependencies, and on Starlette's."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Request, Response, WebSocket
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from redis_middleware import ASGIMiddleware, ConfigurationError, MemoryStorage, RateLimit
from redis_middleware.contrib.starlette import ViewLimits, limit, responses
from redis_middleware.flow import Layer
from redis_middleware.storage import Storage

from ..servers.launch import mounted
from .scenarios import Answer, Behaviour, Refused, Scenarios, Sites

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # newer ones would rather have httpx2 than httpx
    from starlette.testclient import TestClient, WebSocketDenialResponse


class FastAPISite:
    def __init__(self, kept: ExitStack, asynchronous: bool, storage: Storage, layers: Sequence[Layer] = ()) -> None:
        self.app = FastAPI()
        self.app.add_middleware(ASGIMiddleware, layers=[*layers, ViewLimits()], storage=storage)
        self.asynchronous = asynchronous
        self._kept = kept
        self._client: TestClient | None = None

    limit = staticmethod(limit)

    def add(self, path: str, limited: Any, behaviour: Behaviour) -> None:
        def view() -> Response:
            try:
                status, headers = behaviour()
            except Refused as exc:
                raise HTTPException(403) from exc
            response = PlainTextResponse("hello", status)
            for name, value in headers:
                response.headers.append(name, value)
            return response

        async def aview() -> Response:
            return view()

        chosen: Callable[[], Any] = aview if self.asynchronous else view
        chosen.__name__ = chosen.__qualname__ = path
        dependencies = [Depends(limited)] if limited else []
        self.app.api_route(f"/{path}", methods=["GET", "HEAD"], dependencies=dependencies)(chosen)

    def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        if self._client is None:
            self._client = self._kept.enter_context(client_of(self.app))
        response = self._client.request(method, f"/{path}", headers=headers)
        return Answer(response.status_code, response.headers, response.content)


def client_of(app: Any) -> TestClient:
    return TestClient(app, raise_server_exceptions=False, client=("127.0.0.1", 4711))


class TestFastAPI(Scenarios):
    @pytest.fixture(params=["sync", "async"])
    def sites(self, request: pytest.FixtureRequest) -> Iterator[Sites]:
        with ExitStack() as kept:
            yield partial(FastAPISite, kept, request.param == "async")


def site(storage: Storage, *layers: Layer) -> FastAPI:
    app = FastAPI()
    app.add_middleware(ASGIMiddleware, layers=[*layers, ViewLimits()], storage=storage)
    return app


def test_the_limit_is_shown_whatever_a_view_returns(storage: Storage) -> None:
    app = site(storage)
    limited = [Depends(limit("9/minute"))]

    @app.get("/dict", dependencies=limited, status_code=201)
    async def returns_a_dict() -> dict[str, str]:
        return {"hello": "world"}

    @app.get("/stream", dependencies=limited)
    async def returns_a_stream() -> StreamingResponse:
        return StreamingResponse(iter("012"))

    @app.get("/number/{number}", dependencies=limited)
    async def takes_a_number(number: int) -> int:
        return number

    with client_of(app) as client:
        answers = [client.get(path) for path in ("/dict", "/stream", "/number/1", "/number/one")]
    assert [answer.status_code for answer in answers] == [201, 200, 200, 422]
    assert [answer.headers["ratelimit"][:12] for answer in answers] == [
        '"minute";r=8',
        '"minute";r=8',
        '"minute";r=8',
        '"minute";r=7',
    ]
    assert answers[1].content == b"012"


def test_a_router_has_a_budget_for_each_view_or_one_by_name(storage: Storage) -> None:
    app = site(storage)
    for prefix, options in (("/each", {}), ("/all", {"name": "all"})):
        router = APIRouter(prefix=prefix, dependencies=[Depends(limit("1/minute", **options))])

        @router.get("/a/{number}")
        async def a(number: int) -> None: ...

        @router.post("/a/{number}")
        async def b(number: int) -> None: ...

        app.include_router(router)
    with client_of(app) as client:
        calls = [("GET", "1"), ("POST", "1"), ("GET", "2")]
        assert [client.request(method, f"/each/a/{number}").status_code for method, number in calls] == [200, 200, 429]
        assert [client.request(method, f"/all/a/{number}").status_code for method, number in calls] == [200, 429, 429]


def test_two_limiters_on_one_view(storage: Storage) -> None:
    app = site(storage)
    first, second = Depends(limit("5/minute", name="first")), Depends(limit("1/hour", name="second"))
    app.get("/", dependencies=[first, second])(lambda: None)
    with client_of(app) as client:
        answers = [client.get("/") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert answers[1].headers.get_list("ratelimit") == ['"hour";r=0;t=3600', '"minute";r=3;t=60']


def test_the_user_may_be_counted(storage: Storage) -> None:
    def log_in(request: Request) -> None:
        request.state.user = request.headers["authorization"]

    app = site(storage)
    limited = limit("1/minute", key=lambda request: ("user", request.native["state"]["user"]))
    app.get("/", dependencies=[Depends(log_in), Depends(limited)])(lambda: None)
    with client_of(app) as client:
        users = ["ada", "ada", "bob", "bob"]
        assert [client.get("/", headers={"authorization": user}).status_code for user in users] == [200, 429, 200, 429]


def test_an_error_that_the_app_handles_is_seen_as_its_answer(storage: Storage) -> None:
    app = site(storage)

    @app.exception_handler(LookupError)
    async def not_found(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": "nothing here"}, 404)

    @app.get("/", dependencies=[Depends(limit("1/minute", when=lambda _, response: response.status == 404))])
    async def front() -> None:
        raise LookupError

    with client_of(app) as client:
        answers = [client.get("/") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [404, 429]
    assert answers[0].headers["ratelimit"] == '"minute";r=0;t=60'


def test_the_app_is_told_of_a_refusal_but_the_limiter_answers(storage: Storage) -> None:
    told: list[int] = []
    app = site(storage)

    @app.exception_handler(HTTPException)
    async def answer(request: Request, error: HTTPException) -> PlainTextResponse:
        told.append(error.status_code)
        return PlainTextResponse("sorry", error.status_code)

    app.get("/", dependencies=[Depends(limit("1/minute", body="Busy."))])(lambda: None)
    with client_of(app) as client:
        assert [client.get("/").text for _ in range(2)] == ["null", "Busy."]
    assert told == [429]


def test_the_edge_may_be_around_the_app(storage: Storage) -> None:
    inner = FastAPI()
    inner.get("/", dependencies=[Depends(limit("1/minute"))])(lambda: None)
    app: Any = ASGIMiddleware(inner, layers=[ViewLimits()], storage=storage)
    with client_of(app) as client:
        assert [client.get("/").status_code for _ in range(2)] == [200, 429]


def test_without_the_layer_it_says_what_to_do() -> None:
    app = FastAPI()
    app.get("/", dependencies=[Depends(limit("1/minute"))])(lambda: None)
    with TestClient(app) as client, pytest.raises(ConfigurationError, match=r"layers=\[ViewLimits\(\)\]"):
        client.get("/")


def test_the_answer_is_documented() -> None:
    app = FastAPI()
    app.get("/", dependencies=[Depends(limit("1/minute"))], responses=responses)(lambda: None)
    documented = app.openapi()["paths"]["/"]["get"]
    assert "application/problem+json" in documented["responses"]["429"]["content"]
    assert "parameters" not in documented


def test_websockets_are_limited_by_handshake(storage: Storage) -> None:
    app = site(storage)

    @app.websocket("/ws", dependencies=[Depends(limit("1/minute"))])
    async def ws(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("hello")
        await websocket.close()

    with client_of(app) as client:
        with client.websocket_connect("/ws") as websocket:
            assert websocket.receive_text() == "hello"
            assert (b"ratelimit", b'"minute";r=0;t=60') in (websocket.extra_headers or [])
        with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect("/ws"):
            pass
    assert denied.value.status_code == 429
    assert 1 <= int(denied.value.headers["retry-after"]) <= 60


class Loops(MemoryStorage):
    """Knows no way but the event loop's."""

    def execute(self, ops: Any, /) -> list[Any]:
        raise AssertionError("in a thread, or blocking the loop")

    async def aexecute(self, ops: Any, /) -> list[Any]:
        self.thread = threading.current_thread()
        return MemoryStorage.execute(self, ops)


def test_the_event_loop_is_never_blocked() -> None:
    app = site(Loops())
    app.get("/", dependencies=[Depends(limit("1/minute", on_error="closed"))])(lambda: None)
    with client_of(app) as client:
        assert [client.get("/").status_code for _ in range(2)] == [200, 429]


class TestStarlette:
    """It has no dependencies: a view awaits the limit, or its route has an edge of its own."""

    def test_a_view_awaits_it(self, storage: Storage) -> None:
        limited = limit("1/minute")

        async def login(request: Request) -> PlainTextResponse:
            await limited(request)
            return PlainTextResponse("hello")

        class Login(HTTPEndpoint):
            async def get(self, request: Request) -> PlainTextResponse:
                await limited(request)
                return PlainTextResponse("hello")

        edge = Middleware(ASGIMiddleware, layers=[ViewLimits()], storage=storage)
        app = Starlette(routes=[Route("/login", login), Route("/class", Login)], middleware=[edge])
        with client_of(app) as client:
            answers = [client.get(path) for path in ("/login", "/login", "/class", "/class")]
        assert [answer.status_code for answer in answers] == [200, 429, 200, 429]
        assert answers[1].json()["title"] == "Quota Exceeded"

    def test_a_view_that_catches_the_refusal_answers_by_itself(self, storage: Storage) -> None:
        limited = limit("1/minute")

        async def login(request: Request) -> PlainTextResponse:
            try:
                await limited(request)
            except HTTPException as exc:
                return PlainTextResponse(f"a captcha, as it was {exc.status_code}")
            return PlainTextResponse("hello")

        edge = Middleware(ASGIMiddleware, layers=[ViewLimits()], storage=storage)
        with client_of(Starlette(routes=[Route("/", login)], middleware=[edge])) as client:
            assert [client.get("/").text for _ in range(2)] == ["hello", "a captcha, as it was 429"]

    def test_a_route_has_an_edge_of_its_own(self, storage: Storage) -> None:
        async def login(request: Request) -> PlainTextResponse:
            return PlainTextResponse("hello")

        edge = Middleware(ASGIMiddleware, layers=[RateLimit("1/minute", name="login")], storage=storage)
        app = Starlette(routes=[Route("/login", login, middleware=[edge]), Route("/", login)])
        with client_of(app) as client:
            assert [client.get(path).status_code for path in ("/login", "/login", "/", "/")] == [200, 429, 200, 200]
            client.portal.call(storage.aclose)  # type: ignore[union-attr]  # it is entered


def test_under_a_real_server(redis_url: str, prefix: str) -> None:
    app = "tests.contrib.apps:fastapi_app"
    with mounted("uvicorn httptools", app, "--factory", REDIS_URL=redis_url, PREFIX=prefix) as running:
        answers = [httpx.get(f"http://{running.address}/{path}") for path in ("limited", "limited", "alimited", "alimited", "")]
        with connect(f"ws://{running.address}/ws") as websocket:
            assert websocket.recv() == "hello"
        with pytest.raises(InvalidStatus) as refused:
            connect(f"ws://{running.address}/ws")
        assert "Traceback" not in running.output()
    assert [answer.status_code for answer in answers] == [200, 429, 200, 429, 200]
    assert refused.value.response.status_code == 429
