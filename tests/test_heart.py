"""What is due when, and that hearts beat as long as they are needed and no longer."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

from redis_middleware import MemoryStorage, Request
from redis_middleware.counting import Ledger
from redis_middleware.heart import BEAT, AsyncHeart, Heart, Pulses
from redis_middleware.http import Pulse
from redis_middleware.ops import Get, Set

from .conftest import Clock


def request(*pulses: Pulse) -> Request:
    made = Request()
    made.pulses.extend(pulses)
    return made


def test_a_pulse_is_due_after_each_interval_until_its_request_ends(clock: Clock) -> None:
    pulses = Pulses(clock)
    often, seldom = Pulse(Get("often"), 1), Pulse(Get("seldom"), 3)
    one = request(often, seldom)
    pulses.add(one)
    beats = []
    for _ in range(6):
        clock.move(1)
        beats.append(pulses.due())
    assert beats == [(often.op,), (often.op,), (often.op, seldom.op)] * 2
    pulses.remove(one)
    clock.move(10)
    assert pulses.due() == ()
    assert not pulses


def test_a_late_look_sends_one_pulse_and_not_all_that_were_missed(clock: Clock) -> None:
    pulses = Pulses(clock)
    pulses.add(request(Pulse(Get("a"), 1)))
    clock.move(100)
    assert len(pulses.due()) == 1
    assert pulses.due() == ()


def until(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < deadline, "did not happen"
        time.sleep(0.01)


def beating() -> bool:
    return any(thread.name == "redis_middleware heart" for thread in threading.enumerate())


def test_a_thread_beats_while_there_is_a_request() -> None:
    storage = MemoryStorage()
    heart, one = Heart(storage, Ledger()), request(Pulse(Set("beat", b"1", ttl=60), BEAT / 2))
    heart.add(one)
    until(lambda: storage.execute([Get("beat")]) == [b"1"])
    heart.remove(one)
    until(lambda: not beating())


def test_a_task_beats_while_there_is_a_request() -> None:
    async def live() -> None:
        storage = MemoryStorage()
        heart, one = AsyncHeart(storage, Ledger()), request(Pulse(Set("beat", b"1", ttl=60), BEAT / 2))
        async with asyncio.timeout(10):
            with heart.beating(one):
                while storage.execute([Get("beat")]) != [b"1"]:
                    await asyncio.sleep(0.01)
            while len(asyncio.all_tasks()) > 1:
                await asyncio.sleep(0.01)

    asyncio.run(live())
