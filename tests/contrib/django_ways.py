"""Django projects of one view, which does with its session what a test wants: in each way in which sessions can be had."""

# mypy: disable-error-code="import-untyped,misc"
# (Django ships no types.)

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http.cookies import SimpleCookie
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
from asgiref.sync import sync_to_async
from django.contrib.auth.signals import user_logged_in
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.test import override_settings
from django.urls import path as url

from redis_middleware import ASGIMiddleware, MemoryStorage, Sessions, StorageUnavailable, WSGIMiddleware
from redis_middleware.contrib.django.settings import configured
from redis_middleware.ops import Op
from redis_middleware.storage import Storage

from .django_site import SECRET

ENGINE = "redis_middleware.contrib.django.sessions"
OURS, DJANGOS = f"{ENGINE}.SessionMiddleware", "django.contrib.sessions.middleware.SessionMiddleware"

WAYS = [
    "alone",
    "alone, async",
    "Django's middleware",
    "Django's middleware, async",
    "edge",
    "edge, async",
    "edge, async over WSGI",
]


class Switch(MemoryStorage):
    """A storage that can be out of reach, and counts what is asked of it."""

    down = False
    trips = 0

    def execute(self, ops: Any, /) -> list[Op[Any]]:
        self.trips += 1
        if self.down:
            raise StorageUnavailable("switched off")
        return super().execute(ops)

    async def aexecute(self, ops: Any, /) -> list[Any]:
        return self.execute(ops)


class Do:
    """What a view does with its session, in the words of the sync methods, whatever the view is."""

    def __init__(self, request: Any, asynchronous: bool) -> None:
        self.request = request
        self.session: Any = request.session
        self.asynchronous = asynchronous

    async def __call__(self, name: str, *args: Any, on: Any = None, **kwargs: Any) -> Any:
        store = self.session if on is None else on
        if self.asynchronous:
            return await getattr(store, "a" + name)(*args, **kwargs)
        return getattr(store, "__setitem__" if name == "set" else name)(*args, **kwargs)

    async def logged_in(self, user: object) -> None:
        """What `auth.login` does last."""
        if self.asynchronous:
            await sync_to_async(user_logged_in.send)(None, request=self.request, user=SimpleNamespace(pk=user))
        else:
            user_logged_in.send(None, request=self.request, user=SimpleNamespace(pk=user))


Deed = Callable[[Do], Awaitable[Any]]


class Site:
    """A Django project of one view, which does what a test wants next."""

    def __init__(self, way: str, storage: Storage, loop: asyncio.Runner, tmp_path: Path) -> None:
        self.way = way
        self.at_edge = way.startswith("edge")
        self.storage = storage
        self.loop = loop
        self.asynchronous = "async" in way
        self.asgi = way.endswith("async")
        self.deed: Deed | None = None
        self.status = 200
        self.settings: dict[str, Any] = {
            "MIDDLEWARE": [DJANGOS if way.startswith("Django") else OURS],
            "SESSION_ENGINE": ENGINE,
            "SESSION_FILE_PATH": str(tmp_path),
            "SECRET_KEY": SECRET,
            "USE_TZ": True,
            "ROOT_URLCONF": (url("", self._aview if self.asynchronous else self._view),),
        }
        self.options: dict[str, Any] = {}
        self.layers: list[Any] = []

    def set(self, **settings: Any) -> None:
        """Say more in Django's settings; in small letters, options of the sessions."""
        for name, value in settings.items():
            (self.settings if name.isupper() else self.options)[name] = value

    def on(self) -> Any:
        """The settings hold within this."""
        return override_settings(**self.settings, REDIS_MIDDLEWARE={"storage": self.storage, "sessions": self.options})

    def sessions(self) -> Sessions:
        with self.on():
            return configured().sessions

    def browser(self) -> Browser:
        return Browser(self)

    def ask(self, headers: dict[str, str]) -> httpx.Response:
        with self.on():
            if self.asgi:
                return self.loop.run(self._aask(headers))
            app = get_wsgi_application()
            if self.at_edge:
                app = WSGIMiddleware(app, layers=[*self.layers, configured().sessions], storage=self.storage)
            with httpx.Client(transport=httpx.WSGITransport(app), base_url="http://site") as client:
                return client.get("/", headers=headers)

    async def _aask(self, headers: dict[str, str]) -> httpx.Response:
        app = get_asgi_application()
        if self.at_edge:
            app = ASGIMiddleware(app, layers=[*self.layers, configured().sessions], storage=self.storage)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://site") as client:
            return await client.get("/", headers=headers)

    def _view(self, request: Any) -> HttpResponse:
        assert self.deed is not None
        doing: Any = self.deed(Do(request, False))
        try:
            doing.send(None)
        except StopIteration as stop:
            return stop.value if isinstance(stop.value, HttpResponseBase) else HttpResponse(repr(stop.value), status=self.status)
        raise AssertionError("it waited for something")

    async def _aview(self, request: Any) -> HttpResponse:
        assert self.deed is not None
        came = await self.deed(Do(request, True))
        return came if isinstance(came, HttpResponseBase) else HttpResponse(repr(came), status=self.status)


class Browser:
    """Sends the cookies that it was given, as long as they last."""

    def __init__(self, site: Site, cookies: dict[str, str] | None = None) -> None:
        self.site = site
        self.cookies = dict(cookies or {})
        self.last = httpx.Response(200)

    def does(self, deed: Deed, status: int = 200) -> str:
        """One request, in which the view does that; what came of it, as text."""
        self.site.deed = deed
        sent = {"cookie": "; ".join([f"{name}={value}" for name, value in self.cookies.items()])} if self.cookies else {}
        self.last = self.site.ask({"user-agent": "Test/1.0", **sent})
        for line in self.last.headers.get_list("set-cookie"):
            for name, morsel in SimpleCookie(line).items():
                if morsel["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value
        assert self.last.status_code == status, self.last.text
        return self.last.text

    def twin(self) -> Browser:
        return Browser(self.site, self.cookies)

    @property
    def key(self) -> str | None:
        return self.cookies.get("sessionid")

    @property
    def set_cookies(self) -> list[str]:
        return self.last.headers.get_list("set-cookie")


def puts(key: str, value: Any) -> Deed:
    async def deed(do: Do) -> None:
        await do("set", key, value)

    return deed


async def looks(do: Do) -> dict[str, Any]:
    return dict(await do("items"))


async def nothing(do: Do) -> None:
    pass


async def logs_in(do: Do) -> None:
    """What `auth.login` does."""
    await do("cycle_key")
    await do("set", "_auth_user_id", "7")
    await do.logged_in(7)


async def flushes(do: Do) -> None:
    await do("flush")
