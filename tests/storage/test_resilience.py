"""The breaker: when a storage is left alone, and when it is asked again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from redis_middleware.storage.resilience import FIRST, IN_A_ROW, LEAST, LONGEST, WINDOW, Breaker

from ..conftest import Clock


class Server:
    """What a probe asks."""

    def __init__(self) -> None:
        self.works = False
        self.asked = 0
        self.pauses: list[float] = []

    def probe(self) -> bool:
        self.asked += 1
        return self.works

    def pause(self, longest: float) -> float:
        self.pauses.append(longest)
        return 0.001


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def breaker(server: Server, clock: Clock) -> Breaker:
    return Breaker(server.probe, 1.0, clock=clock, pause=server.pause)


def until(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < deadline, "did not happen"
        time.sleep(0.001)


def test_it_opens_on_failures_in_a_row(breaker: Breaker) -> None:
    for _ in range(IN_A_ROW - 1):
        breaker.failed()
    breaker.succeeded(0.1)
    for _ in range(IN_A_ROW - 1):
        breaker.failed()
    assert not breaker.is_open
    breaker.failed()
    assert breaker.is_open
    breaker.reset()


def test_or_if_half_of_many_fail(breaker: Breaker, clock: Clock) -> None:
    for number in range(LEAST):
        clock.move(WINDOW / LEAST / 2)
        assert not breaker.is_open
        if number % 2:
            breaker.succeeded(0.1)
        else:
            breaker.failed()
    breaker.failed()
    assert breaker.is_open
    breaker.reset()


def test_but_not_if_that_was_long_ago(breaker: Breaker, clock: Clock) -> None:
    for number in range(LEAST * 2):
        clock.move(WINDOW / 4)
        if number % 2:
            breaker.succeeded(0.1)
        else:
            breaker.failed()
    assert not breaker.is_open


def test_what_takes_too_long_has_failed(breaker: Breaker) -> None:
    for _ in range(IN_A_ROW):
        breaker.succeeded(1.1)
    assert breaker.is_open
    breaker.reset()


def test_it_is_closed_by_a_probe_and_not_before(breaker: Breaker, server: Server) -> None:
    for _ in range(IN_A_ROW):
        breaker.failed()
    until(lambda: server.asked > 3)
    assert breaker.is_open
    server.works = True
    until(lambda: not breaker.is_open)
    assert server.pauses[:4] == [FIRST, LONGEST, LONGEST, LONGEST]
    until(lambda: not any(thread.name == "redis_middleware probe" for thread in threading.enumerate()))


def test_one_probe_at_a_time(breaker: Breaker, server: Server) -> None:
    for _ in range(20):
        breaker.failed()
    assert sum(thread.name == "redis_middleware probe" for thread in threading.enumerate()) == 1
    breaker.reset()


def test_a_child_process_finds_out_for_itself(breaker: Breaker) -> None:
    for _ in range(IN_A_ROW):
        breaker.failed()
    breaker._pid -= 1
    assert not breaker.is_open


def test_nobody_probes_for_a_storage_that_is_gone(server: Server) -> None:
    breaker = Breaker(server.probe, 1.0, pause=server.pause)
    for _ in range(IN_A_ROW):
        breaker.failed()
    del breaker
    until(lambda: not any(thread.name == "redis_middleware probe" for thread in threading.enumerate()))
