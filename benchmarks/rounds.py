"""The measurement under load: the stacks of a platform in turn, many short rounds each, all their servers up at once.

A machine's speed changes from second to second. So the stacks are measured within a fraction of a second of each other,
and what a stack adds is taken within a round; the servers are started anew a few times, as no two starts are alike.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from redis_middleware.cli.processes import redis_server

from .apps import STACKS
from .cpu import SETTLE, cpu_seconds
from .load import Client, client
from .servers import Platform, Target, running
from .trips import trips_per_request


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured: `starts` × `rounds` rounds of `requests` requests for each stack, over `concurrency` connections."""

    platforms: Sequence[Platform]
    starts: int
    rounds: int
    requests: int
    concurrency: int


@dataclass(frozen=True, slots=True)
class Sample:
    """What one round has shown of one stack."""

    cpu_us: float
    requests_per_second: float
    p50_ms: float
    p99_ms: float


@dataclass(slots=True)
class Series:
    """All that was measured of one platform: the samples of each stack, a round at the same place, and the trips."""

    platform: Platform
    samples: dict[str, list[Sample]]
    trips: float = 0.0


def measure(plan: Plan, say: Callable[[str], None]) -> list[Series]:
    """Measure every platform. `say` is told what is being measured."""
    series = [Series(platform, {stack: [] for stack in STACKS}) for platform in plan.platforms]
    for start in range(plan.starts):
        for one in series:
            say(f"{one.platform.title}: start {start + 1} of {plan.starts}, {plan.rounds} rounds of {', '.join(STACKS)}")
            asyncio.run(_start(one, plan))
    for one in series:
        say(f"{one.platform.title}: trips to Redis")
        one.trips = asyncio.run(trips_per_request(one.platform, min(plan.requests, 100)))
    return series


async def _start(series: Series, plan: Plan) -> None:
    """Start a Redis and the servers of a platform, and measure them in turn, every other round backwards."""
    async with AsyncExitStack() as started:
        redis = started.enter_context(redis_server())
        ready: dict[str, tuple[Target, Client]] = {}
        for stack in STACKS:
            target = started.enter_context(running(series.platform, stack, f"redis://{redis.address}/0"))
            ready[stack] = target, await started.enter_async_context(client(target.port, plan.concurrency))
            await ready[stack][1].run(2 * plan.requests)  # to warm up
        for place in range(plan.rounds):
            for stack in STACKS if place % 2 == 0 else reversed(STACKS):
                series.samples[stack].append(await _sample(*ready[stack], plan.requests))


async def _sample(target: Target, load: Client, requests: int) -> Sample:
    before = cpu_seconds(target.worker)
    answers = await load.run(requests)
    await asyncio.sleep(SETTLE)
    used = cpu_seconds(target.worker) - before
    return Sample(
        cpu_us=used / requests * 1e6,
        requests_per_second=requests / answers.seconds,
        p50_ms=answers.percentile(0.5) * 1e3,
        p99_ms=answers.percentile(0.99) * 1e3,
    )
