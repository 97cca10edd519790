"""The measurement of sessions: first what goes over the wire, then CPU time under load, then what is left after races.

The contenders of one framework are measured together, in turn, so that they meet the same machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from redis_middleware.cli.processes import HOST, redis_server

from ..contenders import Contender, running
from ..load import client, get
from ..meter import Meter, Traffic
from ..peers import Environments
from ..usage import Loaded
from .contenders import CASES, NO_COOKIE
from .races import Outcome, login, race

APPS = "benchmarks.sessions.apps"

COUNTED = 50
"""Requests of each case that are counted at the socket: one at a time, as overlapping ones are no trips of their own."""

PAUSE = 1.1
"""Seconds: once a second, ours sends its statistics along. So that this has been done before anything is counted."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured: `starts` × `rounds` rounds of `requests` requests of each case, over `concurrency` connections."""

    contenders: Sequence[Contender]
    starts: int
    rounds: int
    requests: int
    concurrency: int


@dataclass(frozen=True, slots=True)
class Sample:
    """The CPU time of one request in one round: the worker's, that of Redis, and that of the bare app's worker."""

    cpu_us: float
    redis_us: float
    bare_us: float


@dataclass(slots=True)
class Series:
    """All that was measured of one contender: for each case the traffic and the samples, and for each start an outcome."""

    contender: Contender
    traffic: dict[str, Traffic] = field(default_factory=dict)
    samples: dict[str, list[Sample]] = field(default_factory=lambda: {case: [] for case in CASES})
    outcomes: list[Outcome] = field(default_factory=list)


def measure(plan: Plan, places: Environments, say: Callable[[str], None]) -> list[Series]:
    """Measure every contender that can run. `say` is told what is being measured."""
    series = [Series(contender) for contender in plan.contenders if places.has(contender.peer)]
    for one in series:
        say(f"sessions of {one.contender.title}: traffic to Redis")
        one.traffic = asyncio.run(_traffic(one.contender, places))
    for start in range(plan.starts):
        for framework in dict.fromkeys(one.contender.framework for one in series):
            together = [one for one in series if one.contender.framework == framework]
            titles = ", ".join(one.contender.title for one in together)
            say(f"sessions of {titles}: start {start + 1} of {plan.starts}, {plan.rounds} rounds")
            asyncio.run(_start(together, plan, places))
    return series


async def _traffic(contender: Contender, places: Environments) -> dict[str, Traffic]:
    with redis_server() as redis, (meter := Meter(HOST, redis.port)), running(contender, APPS, meter.url, places) as target:
        requests = await _requests(target.port, contender)
        async with client(target.port, 8) as several:  # so that all threads are connected, and all scripts known to the server
            for pause in (PAUSE, 0):
                for request in requests.values():
                    await several.run(COUNTED, request)
                await asyncio.sleep(pause)
        counted: dict[str, Traffic] = {}
        async with client(target.port, 1) as one:
            for case, request in requests.items():
                before = meter.traffic
                await one.run(COUNTED, request)
                counted[case] = meter.traffic.since(before, COUNTED)
        return counted


async def _start(together: Sequence[Series], plan: Plan, places: Environments) -> None:
    """Start a Redis and the servers of a framework's contenders, measure them in turn, and let them race."""
    async with AsyncExitStack() as started:
        redis = started.enter_context(redis_server())
        ready: dict[Contender, _Ready] = {}
        for contender in dict.fromkeys(either for one in together for either in (one.contender.bare, one.contender)):
            target = started.enter_context(running(contender, APPS, f"redis://{redis.address}/0", places))
            requests = await _requests(target.port, contender)
            load = await started.enter_async_context(client(target.port, plan.concurrency))
            ready[contender] = _Ready(Loaded(target, load, redis.process.pid), requests)
            for request in requests.values():
                # To warm up, on every connection: gunicorn's threads wait on those that say nothing.
                await load.run(max(plan.requests, plan.concurrency), request)
        for place in range(plan.rounds):
            for one in together if place % 2 == 0 else reversed(together):
                await _round(one, ready[one.contender.bare], ready[one.contender], plan.requests)
        for one in together:
            one.outcomes.append(await race(one.contender, ready[one.contender].loaded.target.port))


@dataclass(frozen=True, slots=True)
class _Ready:
    """A server under load, and the request of each case."""

    loaded: Loaded
    requests: dict[str, bytes]


async def _round(series: Series, bare: _Ready, ready: _Ready, requests: int) -> None:
    bare_us = (await bare.loaded.usage(requests, bare.requests[NO_COOKIE])).worker_us
    for case, samples in series.samples.items():
        used = await ready.loaded.usage(requests, ready.requests[case])
        samples.append(Sample(used.worker_us, used.redis_us, bare_us))


async def _requests(port: int, contender: Contender) -> dict[str, bytes]:
    """The request of each case, with the cookie of a session that was begun for them; a bare app gets one without."""
    if contender == contender.bare:
        return {NO_COOKIE: get(f"/{CASES[NO_COOKIE]}")}
    cookie = await asyncio.to_thread(login, port)
    return {case: get(f"/{path}", "" if case == NO_COOKIE else cookie) for case, path in CASES.items()}
