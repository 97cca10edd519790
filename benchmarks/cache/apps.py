"""What runs in the servers: pages of 10 KiB in each framework, with the response cache of one library, or none.

In the environment of a peer `redis_middleware` is not installed, so everything is imported where it is used. Each answer has
the number of the run of the handler that made it: who gets a number twice has got it from a cache.
"""

# mypy: disable-error-code="import-untyped,import-not-found,untyped-decorator"
# (Django ships no types, and the peers are not here.)
# No `from __future__ import annotations`: FastAPI could not resolve what is imported within a function.

import asyncio
import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

from ..choice import OURS, chosen

DATABASE = "BENCHMARK_DATABASE"
"""The environment variable with the path of a database, for the library that can do without Redis."""

TTL = 600
"""Seconds that a page is fresh: said by the page, or to a library that does not listen to pages."""

TEXT = ("What is asked for often is worth keeping. " * 250)[:10_200]
"""With the rest of the answer, 10 KiB."""

_runs = count(1)


@dataclass(frozen=True, slots=True)
class Page:
    """What the response says, what it has for a status, and how many seconds the handler takes."""

    says: Mapping[str, str]
    status: int = 200
    seconds: float = 0.0

    def fields(self, run: int) -> dict[str, str]:
        """The header fields of one response."""
        return {name: value.format(run=run) for name, value in self.says.items()}


FRESH = {"Cache-Control": f"max-age={TTL}"}

PAGES: Mapping[str, Page] = {
    "page": Page(FRESH),
    "public": Page({"Cache-Control": f"public, max-age={TTL}"}),
    "silent": Page({}),
    "minute": Page({"Cache-Control": "max-age=60"}),
    "private": Page({"Cache-Control": f"private, max-age={TTL}"}),
    "no-store": Page({"Cache-Control": "no-store"}),
    "cookie": Page(FRESH | {"Set-Cookie": "visitor={run}"}),
    "error": Page({}, status=500),
    "encoding": Page(FRESH | {"Vary": "Accept-Encoding"}),
    "language": Page(FRESH | {"Vary": "Accept-Language"}),
    "agent": Page(FRESH | {"Vary": "User-Agent"}),
    "slow": Page(FRESH, seconds=0.1),
}
"""What the first part of a path asks for. The second part only makes it another URL."""


def application() -> Any:
    """The app that the environment asks for: what uvicorn and gunicorn call."""
    return chosen(FRAMEWORKS)


def starlette(library: str, url: str) -> Any:
    """A Starlette app, or one around it."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    async def page(request: Request) -> Response:
        made, run = PAGES[request.path_params["name"]], next(_runs)
        if made.seconds:
            await asyncio.sleep(made.seconds)
        body = _body(run, request.query_params.get("q", ""))
        return Response(body, made.status, made.fields(run), media_type="application/json")

    handler: Callable[..., Any] = page
    if library == "cashews":
        from cashews import cache

        cache.setup(url)
        handler = cache(ttl=TTL, key="{request.url}")(page)
    app = Starlette(routes=[Route("/{name}/{which}", handler)])
    if library == OURS:
        return _with_ours_in_asgi(app, url)
    if library.startswith("hishel"):
        from hishel.asgi import ASGICacheMiddleware

        return ASGICacheMiddleware(app, storage=_storage_of_hishel(library, url))
    return app


def _storage_of_hishel(library: str, url: str) -> Any:
    from hishel import AsyncRedisStorage, AsyncSqliteStorage

    if library == "hishel, sqlite":
        return AsyncSqliteStorage(database_path=os.environ[DATABASE])
    from redis.asyncio import Redis

    return AsyncRedisStorage(Redis.from_url(url))


def fastapi(library: str, url: str) -> Any:
    """A FastAPI app. Its handler returns what becomes JSON, and says the rest by the response it is given."""
    from fastapi import FastAPI, Response

    async def page(name: str, which: str, response: Response, q: str = "") -> dict[str, Any]:
        made, run = PAGES[name], next(_runs)
        if made.seconds:
            await asyncio.sleep(made.seconds)
        response.status_code = made.status
        response.headers.update(made.fields(run))
        return _content(run, q)

    app = FastAPI()
    handler: Callable[..., Any] = page
    if library == OURS:
        _with_ours_in_asgi(app, url)
    elif library == "fastapi-cache2":
        from fastapi_cache import FastAPICache
        from fastapi_cache.backends.redis import RedisBackend
        from fastapi_cache.decorator import cache
        from redis.asyncio import Redis

        @asynccontextmanager
        async def lifespan(_: FastAPI) -> Any:
            FastAPICache.init(RedisBackend(Redis.from_url(url)), prefix="fastapi-cache")
            yield

        app, handler = FastAPI(lifespan=lifespan), cache(expire=TTL)(page)
    elif library == "cashews":
        from cashews import cache as cashews
        from cashews.contrib.fastapi import CacheDeleteMiddleware, CacheEtagMiddleware, CacheRequestControlMiddleware

        cashews.setup(url)
        for middleware in (CacheDeleteMiddleware, CacheEtagMiddleware, CacheRequestControlMiddleware):
            app.add_middleware(middleware)
        handler = cashews(ttl=TTL, key="{name}:{which}:{q}")(page)
    app.get("/{name}/{which}")(handler)
    return app


def _with_ours_in_asgi(app: Any, url: str) -> Any:
    from redis_middleware import ASGIMiddleware, ResponseCache

    app.add_middleware(ASGIMiddleware, layers=[ResponseCache(ttl=TTL)], storage=url)
    return app


def flask(library: str, url: str) -> Any:
    """A Flask app."""
    from flask import Flask, Response, request

    app = Flask(__name__)

    def page(name: str, which: str) -> Response:
        made, run = PAGES[name], next(_runs)
        if made.seconds:
            time.sleep(made.seconds)
        body = _body(run, request.args.get("q", ""))
        return Response(body, made.status, made.fields(run), mimetype="application/json")

    handler: Callable[..., Any] = page
    if library == OURS:
        from redis_middleware import ResponseCache, WSGIMiddleware

        app.wsgi_app = WSGIMiddleware(app.wsgi_app, layers=[ResponseCache(ttl=TTL)], storage=url)  # type: ignore[method-assign]
    elif library == "flask-caching":
        from flask_caching import Cache

        handler = Cache(app, config={"CACHE_TYPE": "RedisCache", "CACHE_REDIS_URL": url}).cached(timeout=TTL)(page)
    app.get("/<name>/<which>")(handler)
    return app


CACHE_OF_DJANGO = ["django.middleware.cache.UpdateCacheMiddleware", "django.middleware.cache.FetchFromCacheMiddleware"]


def django(library: str, url: str) -> Any:
    """A Django project."""
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpResponse
    from django.urls import path

    def page(request: Any, name: str, which: str) -> HttpResponse:
        made, run = PAGES[name], next(_runs)
        if made.seconds:
            time.sleep(made.seconds)
        body = _body(run, request.GET.get("q", ""))
        fields = made.fields(run) | {"Content-Length": str(len(body))}
        return HttpResponse(body, status=made.status, content_type="application/json", headers=fields)

    settings.configure(
        ALLOWED_HOSTS=["127.0.0.1", "localhost"],
        CACHES={"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": url}},
        CACHE_MIDDLEWARE_SECONDS=TTL,
        MIDDLEWARE=CACHE_OF_DJANGO if library == "django" else [],
        ROOT_URLCONF=(path("<name>/<which>", page),),
        SECRET_KEY="a secret of more than thirty-two bytes, for benchmarks",
    )
    app = get_wsgi_application()
    if library != OURS:
        return app
    from redis_middleware import ResponseCache, WSGIMiddleware

    return WSGIMiddleware(app, layers=[ResponseCache(ttl=TTL)], storage=url)


FRAMEWORKS: Mapping[str, Callable[[str, str], Any]] = {
    "starlette": starlette,
    "fastapi": fastapi,
    "flask": flask,
    "django": django,
}


def _content(run: int, q: str) -> dict[str, Any]:
    return {"run": run, "q": q, "text": TEXT}


def _body(run: int, q: str) -> bytes:
    return json.dumps(_content(run, q)).encode()
