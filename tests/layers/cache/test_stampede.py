"""Many requests at once for what is not stored, by threads and by tasks: one asks the app, and the others wait for it."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from redis_middleware import ASGIMiddleware, ResponseCache, WSGIMiddleware, run
from redis_middleware.layers.cache.key import Url
from redis_middleware.layers.cache.steps import Lead
from redis_middleware.layers.cache.storing import Storing
from redis_middleware.storage import Storage

from ...conftest import Clock
from ...edges import Answer, Edge, asgi_call, environ, scope, wsgi_call
from .site import REPEAT, Lines, Site, Watch, is_hit, is_stored, settled, told

MANY = 50
MINUTE = [("cache-control", "max-age=60")]
HOST = ("host", "example.org")


class Crowd:
    """Sends requests at once; the app does not answer before `awaited` of them have looked for a stored response."""

    def __init__(self, storage: Storage, cache: ResponseCache) -> None:
        self.storage = Watch(storage)
        self.cache = cache
        self.headers: Lines = MINUTE
        self.runs = 0
        self.status = 200
        self.raises = 0
        self.awaited = MANY
        self.answers: list[Answer] = []
        self._lock = threading.Lock()

    def begin(self) -> int:
        """One run of the app."""
        with self._lock:
            self.runs += 1
            return self.runs

    def may_answer(self) -> bool:
        return self.storage.asked.count("Find") >= self.awaited

    def got(self, answer: Answer) -> Answer:
        self.answers.append(answer)
        return answer

    def head(self, nth: int) -> list[tuple[str, str]]:
        if nth <= self.raises:
            raise ZeroDivisionError
        return [*self.headers, ("content-type", "text/plain"), ("content-length", str(len(str(nth))))]

    def send(self, requests: Sequence[Lines]) -> list[Answer | None]:
        """The answers; None for what raised."""
        raise NotImplementedError


class Threads(Crowd):
    def send(self, requests: Sequence[Lines]) -> list[Answer | None]:
        def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
            nth = self.begin()
            while not self.may_answer():
                time.sleep(0.001)
            start_response(f"{self.status} Whatever", self.head(nth))
            return [str(nth).encode()]

        wrapped = WSGIMiddleware(app, layers=[self.cache], storage=self.storage)

        def call(headers: Lines) -> Answer | None:
            try:
                return self.got(wsgi_call(wrapped, environ(headers=[HOST, *headers])))
            except ZeroDivisionError:
                return None

        with ThreadPoolExecutor(len(requests)) as pool:
            answers = list(pool.map(call, requests))
        for thread in threading.enumerate():
            if thread.name == REPEAT:
                thread.join(10)
        return answers


class Tasks(Crowd):
    def send(self, requests: Sequence[Lines]) -> list[Answer | None]:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            nth = self.begin()
            while not self.may_answer():
                await asyncio.sleep(0.001)
            lines = [(name.encode(), value.encode()) for name, value in self.head(nth)]
            await send({"type": "http.response.start", "status": self.status, "headers": lines})
            await send({"type": "http.response.body", "body": str(nth).encode()})

        async def call(wrapped: Any, headers: Lines) -> Answer | None:
            try:
                return self.got(await asgi_call(wrapped, scope(headers=[HOST, *headers])))
            except ZeroDivisionError:
                return None

        async def main() -> list[Answer | None]:
            wrapped = ASGIMiddleware(app, layers=[self.cache], storage=self.storage)
            try:
                answers = list(await asyncio.gather(*[call(wrapped, headers) for headers in requests]))
                await settled()
                return answers
            finally:
                await self.storage.aclose()

        return asyncio.run(main())


@pytest.fixture(params=[Threads, Tasks])
def crowd(request: pytest.FixtureRequest, storage: Storage) -> Crowd:
    crowd: Crowd = request.param(storage, ResponseCache(wait=30, lease=30))
    return crowd


def bodies(answers: Sequence[Answer | None]) -> set[bytes]:
    return {answer.body for answer in answers if answer is not None}


def test_the_app_runs_once(crowd: Crowd) -> None:
    answers = crowd.send([()] * MANY)
    assert (crowd.runs, {answer.body for answer in answers if answer}) == (1, {b"1"})
    said = [told(answer) for answer in answers if answer]
    assert said.count("fwd=uri-miss; stored") == 1
    waited = sum(re.fullmatch(r"fwd=uri-miss; collapsed; ttl=\d+", one) is not None for one in said)
    assert waited + sum(one.startswith("hit") for one in said) == MANY - 1
    assert waited > 0


def test_the_app_runs_once_for_each_variant(crowd: Crowd) -> None:
    crowd.headers = [*MINUTE, ("vary", "accept-language")]
    answers = crowd.send([[("accept-language", "de" if place % 2 else "en")] for place in range(MANY)])
    assert crowd.runs == 2
    assert [len(bodies(answers[start::2])) for start in (0, 1)] == [1, 1]
    crowd.awaited = 0
    crowd.send([[("accept-language", "fr")]] * MANY)
    assert crowd.runs == 3


def test_if_the_app_raises_nobody_is_stuck(crowd: Crowd) -> None:
    crowd.raises = 1
    answers = crowd.send([()] * MANY)
    assert answers.count(None) == 1
    assert len(bodies(answers)) == crowd.runs - 1
    crowd.send([()])
    assert [is_hit(answer) for answer in crowd.send([()]) if answer] == [True]


def test_if_the_app_fails_nobody_is_stuck(crowd: Crowd) -> None:
    crowd.status = 503
    answers = crowd.send([()] * MANY)
    assert [answer.status for answer in answers if answer] == [503] * MANY
    assert crowd.runs == MANY


def test_what_is_not_stored_is_asked_for_by_all_and_nobody_waits_again(crowd: Crowd) -> None:
    crowd.headers = [("cache-control", "no-store")]
    assert len(bodies(crowd.send([()] * MANY))) == MANY
    crowd.storage.asked.clear()
    crowd.awaited = 0
    assert len(bodies(crowd.send([()] * MANY))) == MANY
    assert crowd.storage.asked.count("Find") == MANY  # each has looked once
    assert "Lead" not in crowd.storage.asked


def test_what_becomes_storable_again_is_stored_again(crowd: Crowd) -> None:
    crowd.headers = [("cache-control", "no-store")]
    crowd.awaited = 0
    crowd.send([()])
    crowd.headers = MINUTE
    assert [is_stored(answer) for answer in crowd.send([()]) if answer] == [False]
    assert [is_stored(answer) for answer in crowd.send([()]) if answer] == [True]
    assert [is_hit(answer) for answer in crowd.send([()]) if answer] == [True]


def test_who_is_logged_in_is_not_in_the_way_of_who_is_not(crowd: Crowd) -> None:
    crowd.awaited = 0
    crowd.send([()])
    crowd.send([[("cookie", "a=1")]] * 2)
    crowd.storage.asked.clear()
    answers = crowd.send([[("cookie", f"a={place}")] for place in range(MANY)])
    assert len(bodies(answers)) == MANY
    assert crowd.storage.asked.count("Find") == MANY
    assert "Lead" not in crowd.storage.asked


def test_while_it_is_fetched_again_others_get_what_is_stale(crowd: Crowd, clock: Clock) -> None:
    crowd.headers = [("cache-control", "max-age=60, stale-while-revalidate=60")]
    crowd.awaited = 0
    crowd.send([()])
    clock.move(90)
    crowd.may_answer = lambda: len(crowd.answers) > MANY  # type: ignore[method-assign]  # all have got what is stale
    answers = crowd.send([()] * MANY)
    assert {(answer.body, told(answer)) for answer in answers if answer} == {
        (b"1", "hit; ttl=-30; detail=stale-while-revalidate")
    }
    assert crowd.runs == 2
    [answer] = crowd.send([()])
    assert answer
    assert (answer.body, told(answer)) == (b"2", "hit; ttl=60")


# Leaders that do not come back


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> list[float]:
    """Who sleeps moves the clock instead; how long for is noted."""
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.move(seconds)

    async def asleep(seconds: float) -> None:
        sleep(seconds)

    monkeypatch.setattr("redis_middleware.pump.time", type("time", (), {"sleep": sleep}))
    monkeypatch.setattr("redis_middleware.pump.asyncio", type("asyncio", (), {"sleep": asleep}))
    return slept


def lead(storage: Storage, seconds: float, name: str = "") -> None:
    """Take the lead of `/`, and never come back."""
    key = Url("http", "example.org", "/", "").key
    assert run(_asked(Lead((key,), (name, 1, round(seconds * 1_000_000), 0))), storage)


def _asked(op: Any) -> Any:
    return (yield from op)


def test_a_dead_leader_costs_one_lease(edge: Edge, storage: Storage, patience: list[float]) -> None:
    site = Site(edge, storage, MINUTE, wait=20)
    lead(storage, 5)
    assert told(site.get()) == "fwd=uri-miss; stored"
    assert 5 <= sum(patience) < 5.2
    assert is_hit(site.get())
    assert sum(patience) < 5.2


def test_nobody_waits_for_longer_than_wait(edge: Edge, storage: Storage, patience: list[float]) -> None:
    site = Site(edge, storage, MINUTE, wait=2)
    lead(storage, 60)
    assert told(site.get()) == "fwd=uri-miss; detail=collapsed"
    assert 2 <= sum(patience) < 2.2


def test_who_does_not_wait_goes_at_once(edge: Edge, storage: Storage, patience: list[float]) -> None:
    site = Site(edge, storage, MINUTE, wait=0)
    lead(storage, 60)
    assert told(site.get()) == "fwd=uri-miss; detail=collapsed"
    assert patience == []


def test_a_slow_leader_keeps_its_lead(edge: Edge, storage: Storage, clock: Clock) -> None:
    """The heart sends what the request has left there; here the test does, so that nothing has to wait."""
    site = Site(edge, storage, MINUTE, lease=5)
    watch = Watch(storage)
    pulses: list[Any] = []

    def slow(seen: Any) -> None:
        for _ in range(5):
            clock.move(3)
            assert [run(_asked(pulse), watch) for pulse in pulses] == [True] * len(pulses)

    original = Storing.forwarded

    def forwarded(self: Any, request: Any, visit: Any) -> Any:
        flow = original(self, request, visit)
        effect = next(flow)
        pulses.extend(pulse.op for pulse in request.pulses)
        try:
            while True:
                effect = flow.send((yield effect))
        except StopIteration as stop:
            return stop.value

    site.act = slow
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Storing, "forwarded", forwarded)
        assert is_stored(site.get())
    assert len(pulses) == 1
    assert is_hit(site.get())


@pytest.mark.parametrize("leave", ["close", "cancel"])
def test_a_leader_whose_client_leaves_costs_one_lease_at_most(
    leave: str, storage: Storage, patience: list[float], loop: asyncio.Runner
) -> None:
    cache = ResponseCache(wait=20)
    runs: list[int] = []

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        runs.append(1)
        start_response("200 OK", [*MINUTE, ("content-type", "text/plain")])
        yield b"one"
        yield b"two"

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        runs.append(1)
        if len(runs) == 1:
            await asyncio.get_running_loop().create_future()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"cache-control", b"max-age=60")]})
        await send({"type": "http.response.body", "body": b"onetwo"})

    async def cancelled(wrapped: Any) -> None:
        task = asyncio.ensure_future(asgi_call(wrapped, scope(headers=[HOST])))
        while not runs:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    call: Callable[[], Answer]
    if leave == "close":
        wsgi = WSGIMiddleware(app, layers=[cache], storage=storage)
        begun: Any = wsgi(environ(headers=[HOST]), lambda *head: lambda piece: None)
        assert next(iter(begun)) == b"one"
        begun.close()
        call = lambda: wsgi_call(wsgi, environ(headers=[HOST]))  # noqa: E731
    else:
        wrapped = ASGIMiddleware(asgi, layers=[cache], storage=storage)
        loop.run(cancelled(wrapped))
        call = lambda: loop.run(asgi_call(wrapped, scope(headers=[HOST])))  # noqa: E731
    assert call().body == b"onetwo"
    assert sum(patience) < 5.2
    for _ in range(2):
        call()
    assert is_hit(call())
    loop.run(storage.aclose())
