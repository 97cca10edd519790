"""The measurement of caches: each alone first, what goes over the wire and whose responses it gives to whom; then CPU time,
rate and latencies of hits under load.

The contenders of one framework are measured together, in turn, so that they meet the same machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import count, cycle
from pathlib import Path
from tempfile import TemporaryDirectory

from redis_middleware.cli.processes import HOST, redis_server

from ..contenders import Contender, running
from ..load import client, get
from ..meter import Meter, Traffic
from ..peers import Environments
from ..usage import Loaded
from .apps import DATABASE
from .contenders import CONDITIONAL, HIT, MISS, VARYING
from .kept import kept
from .questions import Findings, ask, findings

APPS = "benchmarks.cache.apps"

COUNTED = 50
"""Requests of each case that are counted at the socket: one at a time, as overlapping ones are no trips of their own."""

PAUSE = 2.2
"""Seconds: every two seconds, ours sends its statistics along. So that this has been done before anything is counted."""

HOT = get("/page/known")

PAGES = tuple(get(f"/page/known-{number}") for number in range(100))
"""What hits are put under load with, in turn: requests for one page that overlap can be answered with one look-up."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured: `starts` × `rounds` rounds of `requests` hits of each kind, over `concurrency` connections."""

    contenders: Sequence[Contender]
    starts: int
    rounds: int
    requests: int
    concurrency: int


@dataclass(frozen=True, slots=True)
class Sample:
    """What one round has shown of hits: the CPU time of one, the worker's and that of Redis, and the bare app's in this round.

    `hot_us` is the worker's CPU time where all ask for the same page.
    """

    cpu_us: float
    redis_us: float
    bare_us: float
    hot_us: float
    requests_per_second: float
    p50_ms: float
    p99_ms: float


@dataclass(slots=True)
class Series:
    """All that was measured of one contender. A case of the traffic is None if the library has nothing for it."""

    contender: Contender
    traffic: dict[str, Traffic | None] = field(default_factory=dict)
    findings: Findings | None = None
    samples: list[Sample] = field(default_factory=list)


def measure(plan: Plan, places: Environments, say: Callable[[str], None]) -> list[Series]:
    """Measure every contender that can run. `say` is told what is being measured."""
    series = [Series(contender) for contender in plan.contenders if places.has(contender.peer)]
    for one in series:
        say(f"cache of {one.contender.title}: traffic to Redis, and whose responses are given to whom")
        asyncio.run(_alone(one, places))
    for start in range(plan.starts):
        for framework in dict.fromkeys(one.contender.framework for one in series):
            together = [one for one in series if one.contender.framework == framework]
            titles = ", ".join(one.contender.title for one in together)
            say(f"cache of {titles}: start {start + 1} of {plan.starts}, {plan.rounds} rounds")
            asyncio.run(_start(together, plan, places))
    return series


async def _alone(series: Series, places: Environments) -> None:
    """Count the traffic of one contender, and ask it everything, with a Redis of its own."""
    with TemporaryDirectory() as own, redis_server() as redis, (meter := Meter(HOST, redis.port)):
        database = Path(own, "cache.db")
        with running(series.contender, APPS, meter.url, places, **{DATABASE: str(database)}) as target:
            series.traffic = await _traffic(target.port, meter, PAUSE if series.contender.ours else 0)
            series.findings = await findings(target.port, partial(kept, HOST, redis.port, database))


async def _traffic(port: int, meter: Meter, pause: float) -> dict[str, Traffic | None]:
    cases = await _cases(port)
    async with client(port, 8) as several:  # so that all threads are connected, and all scripts known to the server
        for seconds in (pause, 0):
            for case in cases.values():
                if case is not None:
                    await several.run(COUNTED, case.request, case.status)
            await asyncio.sleep(seconds)
    counted: dict[str, Traffic | None] = dict.fromkeys(cases)
    async with client(port, 1) as one:
        for name, case in cases.items():
            if case is not None:
                before = meter.traffic
                await one.run(COUNTED, case.request, case.status)
                counted[name] = meter.traffic.since(before, COUNTED)
    return counted


@dataclass(frozen=True, slots=True)
class _Case:
    """What is sent, always the same or one after the other, and the status of the answers."""

    request: bytes | Iterator[bytes]
    status: int = 200


async def _cases(port: int) -> dict[str, _Case | None]:
    await ask(port, "/encoding/known")  # alone: of who asks at once for a cold page, some libraries store each answer
    return {
        HIT: _Case(HOT),
        MISS: _Case(get(f"/page/{number}") for number in count()),
        CONDITIONAL: await _conditional(port),
        VARYING: _Case(get("/encoding/known")),
    }


async def _conditional(port: int) -> _Case | None:
    """What a client sends that has the page already, if the library gives it a validator and knows it again."""
    await ask(port, "/page/known")
    etag = (await ask(port, "/page/known")).headers["etag"]
    if etag is None or (await ask(port, "/page/known", **{"If-None-Match": etag})).status != 304:
        return None
    return _Case(get("/page/known", **{"If-None-Match": etag}), 304)


async def _start(together: Sequence[Series], plan: Plan, places: Environments) -> None:
    """Start a Redis and the servers of a framework's contenders, and measure them in turn."""
    async with AsyncExitStack() as started:
        redis = started.enter_context(redis_server())
        own = started.enter_context(TemporaryDirectory())
        ready: dict[Contender, Loaded] = {}
        for contender in dict.fromkeys(either for one in together for either in (one.contender.bare, one.contender)):
            url, database = f"redis://{redis.address}/0", f"{own}/{contender.key}.db"
            target = started.enter_context(running(contender, APPS, url, places, **{DATABASE: database}))
            await ask(target.port, "/page/known")
            load = await started.enter_async_context(client(target.port, plan.concurrency))
            ready[contender] = Loaded(target, load, redis.process.pid)
            # To warm up, on every connection: gunicorn's threads wait on those that say nothing.
            for request in (HOT, cycle(PAGES)):
                await load.run(max(plan.requests, plan.concurrency, len(PAGES)), request)
        for place in range(plan.rounds):
            for one in together if place % 2 == 0 else reversed(together):
                one.samples.append(await _sample(ready[one.contender.bare], ready[one.contender], plan.requests))


async def _sample(bare: Loaded, loaded: Loaded, requests: int) -> Sample:
    alone = await bare.usage(requests, cycle(PAGES))
    used, hot = await loaded.usage(requests, cycle(PAGES)), await loaded.usage(requests, HOT)
    return Sample(
        cpu_us=used.worker_us,
        redis_us=used.redis_us,
        bare_us=alone.worker_us,
        hot_us=hot.worker_us,
        requests_per_second=requests / used.answers.seconds,
        p50_ms=used.answers.percentile(0.5) * 1e3,
        p99_ms=used.answers.percentile(0.99) * 1e3,
    )
