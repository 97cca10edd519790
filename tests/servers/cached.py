"""A slow page, a hot one and an endless one behind the cache, as Flask and Starlette have them."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator

import redis
from flask import Flask, Response
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from redis_middleware import ASGIMiddleware, RedisStorage, ResponseCache, WSGIMiddleware

PREFIX = os.environ["PREFIX"]

SLOW = 0.3

MINUTE = {"cache-control": "public, max-age=60"}
HOT = {"cache-control": "public, max-age=1, stale-while-revalidate=60"}
FILM = {"content-length": str(10 << 30), "content-type": "video/mp4", **MINUTE}

storage = RedisStorage(os.environ["REDIS_URL"], prefix=PREFIX, timeout=5)
counter = redis.Redis.from_url(os.environ["REDIS_URL"])


def run(page: str) -> str:
    """How often a page has run by now, over all workers."""
    return str(counter.incr(f"{PREFIX}runs:{page}"))


flask_app = Flask(__name__)


@flask_app.get("/slow")
def flask_slow() -> Response:
    number = run("slow")
    time.sleep(SLOW)
    return Response(number, headers=MINUTE)


@flask_app.get("/hot")
def flask_hot() -> Response:
    number = run("hot")
    time.sleep(SLOW)
    return Response(number, headers=HOT)


@flask_app.get("/film")
def flask_film() -> Response:
    def pieces() -> Iterator[bytes]:
        for _ in range(10 << 10):
            yield bytes(1 << 20)

    return Response(pieces(), headers=FILM)


flask_app.wsgi_app = WSGIMiddleware(flask_app.wsgi_app, layers=[ResponseCache()], storage=storage)  # type: ignore[method-assign]


async def slow(request: Request) -> PlainTextResponse:
    number = run("slow")
    await asyncio.sleep(SLOW)
    return PlainTextResponse(number, headers=MINUTE)


async def hot(request: Request) -> PlainTextResponse:
    number = run("hot")
    await asyncio.sleep(SLOW)
    return PlainTextResponse(number, headers=HOT)


async def film(request: Request) -> StreamingResponse:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(10 << 10):
            yield bytes(1 << 20)

    return StreamingResponse(pieces(), headers=FILM)


starlette_app = Starlette(routes=[Route("/slow", slow), Route("/hot", hot), Route("/film", film)])
starlette_app.add_middleware(ASGIMiddleware, layers=[ResponseCache()], storage=storage)
