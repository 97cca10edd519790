"""What the tests share: a real server for the whole run, storages on it and in memory, a clock that is moved, two edges."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
import redis

from redis_middleware import MemoryStorage, RedisStorage
from redis_middleware.cli.processes import Server, redis_server
from redis_middleware.storage import Storage

from .edges import EDGES, Edge
from .wire import Wire

_prefixes = count()


class Clock:
    """A clock that stands still until it is moved; it begins at a time like today's."""

    def __init__(self, now: float = 1_800_000_000.25) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A real Redis or Valkey. No server to be had is an error, not a skip."""
    with redis_server("--enable-debug-command", "yes") as running:
        yield running


@pytest.fixture(scope="session")
def redis_url(server: Server) -> str:
    return f"redis://{server.address}/0"


@pytest.fixture(scope="session")
def control(redis_url: str) -> Iterator[redis.Redis]:
    """A client of the test's own, to look at what is stored and to break things."""
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def prefix() -> str:
    """A prefix that no other test uses."""
    return f"t{next(_prefixes)}:"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "redis"])
def storage(request: pytest.FixtureRequest, clock: Clock, redis_url: str, prefix: str) -> Iterator[Storage]:
    """Each storage in turn, scripts on the moved clock."""
    made: Any
    if request.param == "memory":
        made = MemoryStorage(clock=clock)
    else:
        made = RedisStorage(redis_url, prefix=prefix, clock=clock, timeout=5)
    yield made
    made.close()


@pytest.fixture(params=EDGES)
def edge(request: pytest.FixtureRequest) -> Iterator[Edge]:
    """Each edge in turn."""
    made = request.param()
    yield made
    made.close()


@pytest.fixture
def wire(server: Server) -> Iterator[Wire]:
    """A way to the real server that counts the trips made on it."""
    with Wire(server.host, server.port) as running:
        yield running


@pytest.fixture
def loop() -> Iterator[asyncio.Runner]:
    """An event loop that lives as long as the test."""
    with asyncio.Runner() as runner:
        yield runner
