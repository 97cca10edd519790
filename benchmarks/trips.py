"""Trips to Redis, counted at the socket by a proxy between the app and the server.

In a pass of its own, as a proxy would distort the times, and with one request at a time: then every change of direction,
from an answer of the server to the next bytes of the app, is one trip.
"""

from __future__ import annotations

from redis_middleware.cli.processes import HOST, redis_server
from tests.wire import Wire

from .load import client
from .servers import Platform, running

WARM_UP = 20
"""Requests that are not counted: they connect, and load the scripts."""


async def trips_per_request(platform: Platform, requests: int) -> float:
    """How often an app with the stack on Redis goes there for one request."""
    with redis_server() as redis, Wire(HOST, redis.port) as wire, running(platform, "redis", wire.url) as target:
        async with client(target.port, 1) as one:
            await one.run(WARM_UP)
            before = wire.trips
            await one.run(requests)
            return (wire.trips - before) / requests
