"""Memory and Redis mean the same: random traces, replayed on both, give the same answers and leave the same expiries.

Redis cannot be moved in time, but its keys can: to move the clock by `s`, every key loses `s` of its time to live. Scripts
go by the moved clock alone: the expiry of their keys only collects what has passed.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from redis_middleware import MemoryStorage, RedisStorage, StorageError
from redis_middleware.ops import Delete, Get, Op, Set, SetIfAbsent, Touch

from ..conftest import Clock
from ..scripts import Eternally

KEYS = st.sampled_from(["a", "b", "{s}:1", "ключ"])
VALUES = st.binary(max_size=6)
TTLS = st.sampled_from([97, 202, 1012, 86407])  # seconds away from every sum of MOVES, as real time passes too
MOVES = st.sampled_from([45.0, 59.999999, 60.0, 3600.0])
COUNTERS = ["{w}:1", "{w}:2"]


def window(amounts: list[tuple[int, int]], cost: int) -> Eternally:
    """Each counter key with its own window, limits and cost drawn."""
    args = [number for limit, length in amounts for number in ("f", limit, length * 1_000_000, cost, 0, 1, 1)]
    return Eternally(tuple(COUNTERS[: len(amounts)]), (0, *args))


WINDOWS = st.builds(
    window,
    st.lists(st.tuples(st.integers(1, 6), st.sampled_from([60, 3600])), min_size=1, max_size=2),
    st.integers(0, 3),
)
OPS: st.SearchStrategy[Op[Any]] = st.one_of(
    st.builds(Get, KEYS),
    st.builds(Set, KEYS, VALUES, st.none() | TTLS),
    st.builds(SetIfAbsent, KEYS, VALUES, st.none() | TTLS),
    st.builds(Delete, KEYS),
    st.builds(Touch, KEYS, TTLS),
    WINDOWS,
)
BATCHES = st.lists(OPS, min_size=1, max_size=5)
STEPS = st.lists(BATCHES | MOVES, max_size=25)
SCRIPT_STEPS = st.lists(
    st.lists(WINDOWS, min_size=1, max_size=3) | st.sampled_from([0.000001, 0.5, -0.000001, -30.0, -7200.0]),
    max_size=40,
)

_runs = itertools.count()


def shift(control: redis.Redis, prefix: str, seconds: float) -> None:
    """Take `seconds` from the time to live of every key."""
    for key in control.scan_iter(match=f"{prefix}*", count=1000):
        left = control.pttl(key)
        if left == -1:
            continue
        if left <= seconds * 1000:
            control.delete(key)
        else:
            control.pexpire(key, int(left - seconds * 1000))


def comparable(results: list[Any]) -> list[Any]:
    return ["error" if isinstance(result, StorageError) else result for result in results]


def replay(steps: list[Any], control: redis.Redis, redis_url: str, execute: Any) -> None:
    clock, prefix = Clock(), f"same{next(_runs)}:"
    memory = MemoryStorage(clock=clock)
    server = RedisStorage(redis_url, prefix=prefix, clock=clock, timeout=5)
    for step in steps:
        if isinstance(step, float):
            clock.move(step)
            if step > 0:
                shift(control, prefix, step)
        else:
            assert comparable(memory.execute(step)) == comparable(execute(server, step)), step
    server.close()


@settings(max_examples=150, deadline=None)
@given(steps=STEPS)
def test_random_traces_mean_the_same_from_threads(steps: list[Any], control: redis.Redis, redis_url: str) -> None:
    warm(redis_url)
    replay(steps, control, redis_url, RedisStorage.execute)


@settings(max_examples=150, deadline=None)
@given(steps=STEPS)
def test_random_traces_mean_the_same_from_event_loops(steps: list[Any], control: redis.Redis, redis_url: str) -> None:
    warm(redis_url)
    with asyncio.Runner() as runner:

        def execute(server: RedisStorage, ops: list[Op[Any]]) -> list[Any]:
            async def once() -> list[Any]:
                try:
                    return await server.aexecute(ops)
                finally:
                    await server.aclose()

            return runner.run(once())

        replay(steps, control, redis_url, execute)


@settings(max_examples=150, deadline=None)
@given(steps=SCRIPT_STEPS)
def test_scripts_agree_when_time_steps_back(steps: list[Any], control: redis.Redis, redis_url: str) -> None:
    warm(redis_url)
    replay(steps, control, redis_url, RedisStorage.execute)


def warm(redis_url: str) -> None:
    """Let the server know the script: one that it does not know runs after the rest of its batch."""
    storage = RedisStorage(redis_url, prefix="warm:", clock=Clock(), timeout=5)
    storage.execute([window([(1, 60)], 1)])
    storage.close()
