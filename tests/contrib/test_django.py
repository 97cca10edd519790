"""Limits on Django views: sync and async ones, under WSGI and ASGI, functions and classes."""

# mypy: disable-error-code="import-untyped,misc,untyped-decorator"
# (Django ships no types.)

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import httpx
import pytest
from django.core.asgi import get_asgi_application
from django.core.exceptions import PermissionDenied
from django.core.wsgi import get_wsgi_application
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import path as url
from django.utils.decorators import method_decorator
from django.views import View

from redis_middleware import ASGIMiddleware, ConfigurationError, MemoryStorage, WSGIMiddleware
from redis_middleware.contrib.django import REQUEST, limit
from redis_middleware.storage import Storage

from ..servers.launch import mounted
from .scenarios import Answer, Behaviour, Down, Idle, Refused, Scenarios, Sites


class DjangoSite:
    def __init__(self, runner: asyncio.Runner, asgi: bool, asynchronous: bool, storage: Storage, layers: Any = ()) -> None:
        edge: Any = ASGIMiddleware if asgi else WSGIMiddleware
        app = get_asgi_application() if asgi else get_wsgi_application()
        self.app: Any = edge(app, layers=layers or [Idle()], storage=storage)
        self.asgi = asgi
        self.asynchronous = asynchronous
        self.runner = runner
        self.urls: tuple[Any, ...] = ()

    limit = staticmethod(limit)

    def add(self, path: str, limited: Any, behaviour: Behaviour) -> None:
        def view(request: HttpRequest) -> HttpResponse:
            try:
                status, headers = behaviour()
            except Refused as exc:
                raise PermissionDenied from exc
            response = HttpResponse("hello", status=status, headers={k: v for k, v in headers if k != "set-cookie"})
            for name, value in headers:
                if name == "set-cookie":
                    response.set_cookie(*value.split("="))
            return response

        async def aview(request: HttpRequest) -> HttpResponse:
            return view(request)

        chosen: Callable[[HttpRequest], Any] = aview if self.asynchronous else view
        chosen.__name__ = chosen.__qualname__ = path
        self.urls += (url(path, limited(chosen) if limited else chosen),)

    def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        with override_settings(ROOT_URLCONF=self.urls):
            if self.asgi:
                response = self.runner.run(aask(self.app, path, method, headers))
            else:
                with httpx.Client(transport=httpx.WSGITransport(self.app), base_url="http://site") as client:
                    response = client.request(method, path, headers=headers)
        return Answer(response.status_code, response.headers, response.content)


async def aask(app: Any, path: str, method: str = "GET", headers: dict[str, str] | None = None) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://site") as client:
        return await client.request(method, path, headers=headers)


class TestDjango(Scenarios):
    @pytest.fixture(params=["wsgi", "asgi"])
    def asgi(self, request: pytest.FixtureRequest) -> bool:
        return bool(request.param == "asgi")

    @pytest.fixture(params=["sync", "async"])
    def sites(self, request: pytest.FixtureRequest, asgi: bool, loop: asyncio.Runner, storage: Storage) -> Iterator[Sites]:
        yield partial(DjangoSite, loop, asgi, request.param == "async")
        loop.run(storage.aclose())


def hello(request: HttpRequest) -> HttpResponse:
    return HttpResponse("hello")


def statuses(views: dict[str, Any], *paths: str, client: Client | None = None) -> list[int]:
    client = client or Client(raise_request_exception=False)
    with override_settings(ROOT_URLCONF=tuple(url(path, view) for path, view in views.items())):
        return [client.get(f"/{path}").status_code for path in paths]


def test_a_storage_of_its_own_is_enough(storage: Storage) -> None:
    assert statuses({"": limit("1/minute", storage=storage)(hello)}, "", "") == [200, 429]


def test_without_any_storage_it_says_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match="wrap the app in WSGIMiddleware"):
        statuses({"": limit("1/minute")(hello)}, "", client=Client())


@pytest.mark.parametrize("asynchronous", [False, True])
def test_classes_by_method_decorator(storage: Storage, asynchronous: bool, loop: asyncio.Runner) -> None:
    """Each has a budget of its own, though it is the same method that they inherit."""

    class Plain(View):
        def get(self, request: HttpRequest) -> HttpResponse:
            return HttpResponse("hello")

    class Async(View):
        async def get(self, request: HttpRequest) -> HttpResponse:
            return HttpResponse("hello")

    parent = Async if asynchronous else Plain
    limited = method_decorator(limit("1/minute", storage=storage), name="dispatch")
    items = limited(type("Items", (parent,), {}))
    users = limited(type("Users", (parent,), {}))
    pages: Any = type("Pages", (items,), {})
    views = {"items": items.as_view(), "users": users.as_view(), "pages": pages.as_view()}
    assert statuses(views, *views, *views) == [200] * 3 + [429] * 3
    with override_settings(ROOT_URLCONF=tuple(url(path, view) for path, view in views.items())):
        assert loop.run(AsyncClient().get("/items")).status_code == 429
    loop.run(storage.aclose())


def test_a_method_has_one_limiter_for_all_requests() -> None:
    """Django applies the decorator anew for each; a limiter that was, too, would have forgotten what it counted by itself."""

    @method_decorator(limit("1/minute", storage=Down()), name="dispatch")
    class Items(View):
        def get(self, request: HttpRequest) -> HttpResponse:
            return HttpResponse("hello")

    assert statuses({"": Items.as_view()}, "", "") == [200, 429]


def test_one_method_of_a_class(storage: Storage) -> None:
    class Items(View):
        def get(self, request: HttpRequest) -> HttpResponse:
            return HttpResponse("hello")

        @method_decorator(limit("1/minute", storage=storage))
        def post(self, request: HttpRequest) -> HttpResponse:
            return HttpResponse("hello")

    with override_settings(ROOT_URLCONF=(url("", Items.as_view()),)):
        client = Client()
        assert [client.post("/").status_code for _ in range(2)] == [200, 429]
        assert client.get("/").status_code == 200


def test_what_as_view_returns(storage: Storage) -> None:
    class Items(View):
        async def get(self, request: HttpRequest) -> HttpResponse:
            return HttpResponse("hello")

    class Users(Items):
        pass

    limited = limit("1/minute", storage=storage)
    views = {"items": limited(Items.as_view()), "users": limited(Users.as_view())}
    assert statuses(views, "items", "users", "items", "users") == [200, 200, 429, 429]


def test_the_user_may_be_counted(storage: Storage) -> None:
    def login(request: Any, user: str) -> HttpResponse:
        request.session["user"] = user
        return HttpResponse(user)

    limited = limit("1/minute", key=lambda request: ("user", request.native[REQUEST].session["user"]), storage=storage)
    with override_settings(ROOT_URLCONF=(url("login/<user>", login), url("", limited(hello)))):
        found = []
        for user in ("ada", "bob"):
            client = Client()
            client.get(f"/login/{user}")
            found += [client.get("/").status_code for _ in range(2)]
    assert found == [200, 429, 200, 429]


def test_djangos_own_environ_is_left_as_it_was(storage: Storage) -> None:
    seen: list[Any] = []

    def view(request: Any) -> HttpResponse:
        seen.extend(request.environ)
        return HttpResponse("hello")

    assert statuses({"": limit("1/minute", storage=storage)(view)}, "") == [200]
    assert REQUEST not in seen


def test_a_missing_page_is_seen_as_404(storage: Storage) -> None:
    def view(request: Any) -> HttpResponse:
        raise Http404("nothing here")

    limited = limit("1/minute", when=lambda _, response: response.status == 404, storage=storage)
    assert statuses({"": limited(view)}, "", "") == [404, 429]


def test_a_stream_passes(storage: Storage) -> None:
    def view(request: Any) -> Any:
        return StreamingHttpResponse(str(number) for number in range(3))

    with override_settings(ROOT_URLCONF=(url("", limit("1/minute", storage=storage)(view)),)):
        response: Any = Client().get("/")
    assert (response.getvalue(), response["RateLimit"]) == (b"012", '"minute";r=0;t=60')


class Where(MemoryStorage):
    """Notes in which thread, and how, it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, bool]] = []

    def execute(self, ops: Any, /) -> list[Any]:
        self.asked.append(("execute", threading.current_thread() is threading.main_thread()))
        return super().execute(ops)

    async def aexecute(self, ops: Any, /) -> list[Any]:
        self.asked.append(("aexecute", threading.current_thread() is threading.main_thread()))
        return super().execute(ops)


@pytest.mark.parametrize(("asynchronous", "asked"), [(False, ("execute", False)), (True, ("aexecute", True))])
def test_the_event_loop_is_never_blocked(loop: asyncio.Runner, asynchronous: bool, asked: tuple[str, bool]) -> None:
    async def aview(request: HttpRequest) -> HttpResponse:
        return hello(request)

    storage = Where()
    with override_settings(ROOT_URLCONF=(url("", limit("1/minute", storage=storage)(aview if asynchronous else hello)),)):
        assert loop.run(AsyncClient().get("/")).status_code == 200
    assert storage.asked == [asked]


def test_an_async_view_under_wsgi_opens_no_connections_on_its_own_loop() -> None:
    async def aview(request: HttpRequest) -> HttpResponse:
        return hello(request)

    storage = Where()
    assert statuses({"": limit("1/minute", storage=storage)(aview)}, "") == [200]
    assert [how for how, _ in storage.asked] == ["execute"]


@pytest.mark.parametrize(("kind", "app"), [("gunicorn gthread", "django_wsgi_app"), ("uvicorn h11", "django_asgi_app")])
def test_under_a_real_server(kind: str, app: str, redis_url: str, prefix: str) -> None:
    factory = ["--factory"] if kind.startswith("uvicorn") else []
    name = f"tests.contrib.apps:{app}" + ("" if factory else "()")
    with mounted(kind, name, *factory, REDIS_URL=redis_url, PREFIX=prefix) as running:
        answers = [httpx.get(f"http://{running.address}/{path}") for path in ("limited", "limited", "alimited", "alimited", "")]
        assert "Traceback" not in running.output()
    assert [answer.status_code for answer in answers] == [200, 429, 200, 429, 200]
