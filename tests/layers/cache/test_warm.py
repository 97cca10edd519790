"""Filling the cache before anybody asks."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import pytest

from redis_middleware import ASGIMiddleware, RateLimit, ResponseCache, Sessions, WSGIMiddleware, arun, run
from redis_middleware.layers.cache import Warmth
from redis_middleware.layers.cache.warming import parsed
from redis_middleware.storage import Storage

from ...edges import Seen, asgi_app, asgi_call, environ, scope, wsgi_app, wsgi_call

HOST = "http://example.org"

URLS = [f"{HOST}/{number}" for number in range(9)]

SITEMAP = b"""<?xml version="1.0" encoding="UTF-8"?>
<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">
  <url><loc>http://example.org/a?b=c&amp;d</loc><priority>1</priority></url>
  <url><loc> http://example.org/b </loc></url>
</urlset>"""

INDEX = b"""<sitemapindex xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">
  <sitemap><loc>http://example.org/sitemap.xml</loc></sitemap>
  <sitemap><loc>http://example.org/other.txt</loc></sitemap>
  <sitemap><loc>http://example.org/index.xml</loc></sitemap>
</sitemapindex>"""

FILES = {"/sitemap.xml": SITEMAP, "/index.xml": INDEX, "/other.txt": b"http://example.org/c\nhttp://example.org/a?b=c&d\n"}


class Shop:
    """A small app that remembers what it was asked."""

    def __init__(self, kind: str, storage: Storage, *layers: Any, cache: ResponseCache | None = None) -> None:
        self.cache = cache or ResponseCache(ttl=60)
        self.storage = storage
        self.asked: list[Any] = []
        stack = [*layers, self.cache, Sessions(secret="not a secret, of 32 bytes or more")]
        if kind == "wsgi":
            self.app: Any = WSGIMiddleware(wsgi_app(self.handle), layers=stack, storage=storage)
        else:
            self.app = ASGIMiddleware(asgi_app(self.handle), layers=stack, storage=storage)

    def handle(self, seen: Seen) -> Any:
        self.asked.append(seen)
        if seen.path in FILES:
            return 200, [("content-type", "text/plain")], [FILES[seen.path]]
        if seen.path == "/broken":
            raise ZeroDivisionError("no wonder")
        if seen.path == "/mine":
            return 200, [("cache-control", "private")], [b"mine"]
        return 200, [("content-type", "text/plain"), ("vary", "accept-encoding")], [seen.path.encode()]

    def warm(self, how: str, *args: Any, **options: Any) -> Warmth:
        flow = self.cache.warm(self.app, *args, **options)
        if how == "run":
            return run(flow, self.storage)

        async def main() -> Warmth:
            try:
                return await arun(flow, self.storage)
            finally:
                await self.storage.aclose()

        return asyncio.run(main())

    def get(self, path: str) -> Any:
        headers = [("host", "example.org"), ("accept-encoding", "gzip, deflate, br, zstd")]
        if isinstance(self.app, WSGIMiddleware):
            return wsgi_call(self.app, environ(path=path, headers=headers))

        async def main() -> Any:
            try:
                return await asgi_call(self.app, scope(path=path, headers=headers))
            finally:
                await self.storage.aclose()

        return asyncio.run(main())


@pytest.fixture(params=["wsgi", "asgi"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["run", "arun"])
def how(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_each_url_is_fetched_once_and_the_next_request_hits(kind: str, how: str, storage: Storage) -> None:
    shop = Shop(kind, storage)
    assert shop.warm(how, URLS) == Warmth(stored=9)
    assert sorted(seen.path for seen in shop.asked) == [f"/{number}" for number in range(9)]
    answer = shop.get("/3")
    assert (answer.body, "hit" in answer.headers.get("cache-status", "")) == (b"/3", True)
    assert shop.warm(how, URLS) == Warmth(fresh=9)
    assert len(shop.asked) == 9


def test_what_cannot_be_stored_is_told_with_the_reason(kind: str, how: str, storage: Storage) -> None:
    shop = Shop(kind, storage)
    warmth = shop.warm(how, [*URLS, f"{HOST}/mine", f"{HOST}/broken"])
    assert warmth == Warmth(9, 0, {f"{HOST}/mine": "private"}, {f"{HOST}/broken": "ZeroDivisionError: no wonder"})


def test_a_limit_outside_does_not_count_it(kind: str, how: str, storage: Storage) -> None:
    shop = Shop(kind, storage, RateLimit("3/day"))
    assert shop.warm(how, URLS).stored == 9
    assert [shop.get("/1").status for _ in range(4)] == [200, 200, 200, 429]


def test_progress_is_told(kind: str, how: str, storage: Storage) -> None:
    told: list[tuple[int, int]] = []
    Shop(kind, storage).warm(how, URLS, at_once=3, progress=lambda done, total: told.append((done, total)))
    assert told == [(number, 9) for number in range(1, 10)]


def test_a_sitemap_of_the_app(kind: str, how: str, storage: Storage) -> None:
    shop = Shop(kind, storage)
    assert shop.warm(how, f"{HOST}/index.xml") == Warmth(stored=3)
    assert shop.get("/a?b=c&d").headers.get("cache-status").startswith("redis_middleware; hit")
    assert {seen.path for seen in shop.asked} == {*FILES, "/a", "/b", "/c"}


def test_a_gzipped_sitemap() -> None:
    assert parsed(gzip.compress(SITEMAP)) == (["http://example.org/a?b=c&d", "http://example.org/b"], [])


def test_an_app_without_the_cache(kind: str, how: str, storage: Storage) -> None:
    shop = Shop(kind, storage)
    shop.cache = ResponseCache(ttl=60)  # another one
    warmth = shop.warm(how, URLS[:1])
    assert warmth.failed == {URLS[0]: "the answer did not come through this cache: is the middleware around the app?"}


def test_a_cache_in_an_edge_further_inside(storage: Storage) -> None:
    shop = Shop("wsgi", storage)
    shop.app = WSGIMiddleware(shop.app, layers=[RateLimit("1/day")], storage=storage)
    assert run(shop.cache.warm(shop.app, URLS), storage) == Warmth(stored=9)


@pytest.mark.parametrize("urls", [["/menu"], ["ftp://example.org/"], "http://example.org/3", "http://example.org/broken"])
def test_what_is_no_url_and_no_sitemap(urls: Any, storage: Storage) -> None:
    shop = Shop("wsgi", storage)
    if urls == "http://example.org/3":
        FILES["/3"] = b"<html"
    try:
        with pytest.raises(ValueError, match=r"expected (an absolute URL|a sitemap)"):
            shop.warm("run", urls)
    finally:
        FILES.pop("/3", None)


@pytest.mark.parametrize("number", [0, 101])
def test_so_many_at_once(number: int, storage: Storage) -> None:
    with pytest.raises(ValueError, match="at_once must be 1 to 100"):
        Shop("wsgi", storage).warm("run", URLS, at_once=number)


# The lifespan of an ASGI app


def starlette_app(events: list[str], cache: ResponseCache, storage: Storage) -> Any:
    from contextlib import asynccontextmanager

    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    @asynccontextmanager
    async def lifespan(app: Any) -> Any:
        events.append("startup")
        yield {"menu": "soup"}
        events.append("shutdown")

    async def page(request: Request) -> PlainTextResponse:
        events.append(request.state.menu)
        return PlainTextResponse("page")

    middleware = [Middleware(ASGIMiddleware, layers=[cache], storage=storage)]
    return Starlette(routes=[Route("/", page)], middleware=middleware, lifespan=lifespan)


def test_run_starts_an_asgi_app_and_shuts_it_down(storage: Storage) -> None:
    events: list[str] = []
    cache = ResponseCache(ttl=60)
    app = starlette_app(events, cache, storage)
    assert run(cache.warm(app, [f"{HOST}/"]), storage) == Warmth(stored=1)
    assert events == ["startup", "soup", "shutdown"]


def test_one_that_cannot_start_is_told(storage: Storage) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no soup"})

    with pytest.raises(RuntimeError, match="the app failed at its startup: no soup"):
        run(ResponseCache().warm(app, [f"{HOST}/"]), storage)
