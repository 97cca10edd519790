"""Whether requests should come here: by the layers' policies, and while the process drains."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any, Literal

import httpx
import pytest

from redis_middleware import Health, Layer, MemoryStorage, RateLimit, RedisStorage, Sessions
from redis_middleware.cli.processes import redis_server
from redis_middleware.layers.health.readiness import Termination

from ...conftest import Clock
from ...edges import WSGI, Edge, hello
from ...servers.launch import mounted

SECRET = "0123456789abcdef0123456789abcdef"
NEAR = "127.0.0.1"


def limiter(on_error: Literal["open", "closed", "fallback"]) -> Layer:
    return RateLimit("99/hour", on_error=on_error)


@pytest.mark.parametrize("fault", [signal.SIGSTOP, signal.SIGKILL])
@pytest.mark.parametrize(
    ("layers", "status"),
    [
        ([], "warn"),
        ([limiter("fallback")], "warn"),
        ([limiter("open"), Sessions(SECRET, on_error="open")], "warn"),
        ([limiter("closed")], "fail"),
        ([limiter("fallback"), Sessions(SECRET)], "fail"),
    ],
)
def test_without_the_storage_only_a_closed_layer_cannot_work(
    edge: Edge, fault: int, layers: list[Layer], status: str, clock: Clock
) -> None:
    with redis_server() as server:
        storage = RedisStorage(f"redis://{server.address}/0")
        call = edge.wrap(hello, [Health(clock=clock), *layers], storage)
        assert json.loads(call(path="/readyz").body) == {"status": "pass"}
        os.kill(server.process.pid, fault)
        clock.move(1)
        began = time.monotonic()
        assert call(path="/livez").status == 200
        assert time.monotonic() - began < 0.2, "at once: it never asks"
        ready = call(path="/readyz", peer=NEAR)
        assert time.monotonic() - began < 1, "the promise is a deadline"
        told = json.loads(ready.body)
        assert (ready.status, told["status"]) == (503 if status == "fail" else 200, status)
        assert told["output"] == ("timeout" if fault == signal.SIGSTOP else "unreachable")
        named = [name for name, [check] in told["checks"].items() if check["status"] == "fail"]
        assert bool(named) is (status == "fail")
        assert json.loads(call(path="/readyz").body) == {"status": status}
        storage.close()


def test_start_is_never_refused_for_the_storage(edge: Edge) -> None:
    """Who answers no is killed, and would be again for as long as Redis is away."""
    with redis_server() as server:
        url = f"redis://{server.address}/0"
    storage = RedisStorage(url)
    answer = edge.wrap(hello, [Health(), Sessions(SECRET)], storage)(path="/startupz")
    assert (answer.status, json.loads(answer.body)) == (200, {"status": "warn"})
    storage.close()


def test_a_process_that_drains_is_not_ready_and_serves_as_ever(edge: Edge) -> None:
    health = Health()
    call = edge.wrap(hello, [health], MemoryStorage())
    assert (health.draining, call(path="/readyz").status) == (False, 200)
    health.drain()
    ready = call(path="/readyz", peer=NEAR)
    assert (health.draining, ready.status) == (True, 503)
    assert json.loads(ready.body) == {"status": "fail", "output": "draining"}
    assert [call(path=path).status for path in ("/", "/livez", "/startupz", "/api/redis/health")] == [200] * 4


class Kills:
    """Who handled SIGTERM before."""

    def __init__(self) -> None:
        self.heard = threading.Event()
        self.times = 0

    def __call__(self, number: int, frame: Any) -> None:
        self.times += 1
        self.heard.set()


@pytest.fixture
def before() -> Iterator[Kills]:
    kills = Kills()
    restored = signal.signal(signal.SIGTERM, kills)
    yield kills
    signal.signal(signal.SIGTERM, restored)


def test_a_signal_is_passed_on_to_who_handled_it_before(before: Kills) -> None:
    health = Health(drain_on_sigterm=True)
    signal.raise_signal(signal.SIGTERM)
    assert (health.draining, before.times) == (True, 1)


def test_a_signal_is_left_alone_by_default(before: Kills) -> None:
    health = Health()
    signal.raise_signal(signal.SIGTERM)
    assert (health.draining, before.times) == (False, 1)


def test_with_a_delay_it_is_passed_on_later_and_a_second_one_at_once(before: Kills) -> None:
    told: list[int] = []
    termination = Termination(lambda: told.append(1), 60)
    termination.watch()
    signal.raise_signal(signal.SIGTERM)
    assert (len(told), before.times) == (1, 0)
    signal.raise_signal(signal.SIGTERM)
    assert before.times == 1
    Termination(lambda: told.append(2), 0.01).watch()
    before.heard.clear()
    signal.raise_signal(signal.SIGTERM)
    assert before.heard.wait(10)


def test_a_server_that_handles_it_after_the_app_was_made_is_asked_too(before: Kills) -> None:
    health = Health(drain_on_sigterm=True)
    later = Kills()
    signal.signal(signal.SIGTERM, later)
    WSGI().wrap(hello, [health], MemoryStorage())(path="/readyz")
    signal.raise_signal(signal.SIGTERM)
    assert (health.draining, later.times) == (True, 1)


def test_another_thread_cannot_handle_signals_and_does_not_try(before: Kills) -> None:
    made: list[Health] = []
    thread = threading.Thread(target=lambda: made.append(Health(drain_on_sigterm=True)))
    thread.start()
    thread.join()
    signal.raise_signal(signal.SIGTERM)
    assert (len(made), before.times) == (1, 1)


@pytest.mark.parametrize(("kind", "app"), [("uvicorn h11", "asgi_app"), ("gunicorn gthread", "wsgi_app")])
def test_a_real_server_is_unready_ahead_of_its_end_and_finishes_what_it_began(kind: str, app: str) -> None:
    with mounted(kind, f"tests.layers.health.draining:{app}") as running:
        url = f"http://{running.address}"
        assert httpx.get(f"{url}/readyz").status_code == 200
        answers: list[int] = []
        slow = threading.Thread(target=lambda: answers.append(httpx.get(f"{url}/slow", timeout=30).status_code))
        slow.start()
        deadline = time.monotonic() + 10
        while httpx.get(f"{url}/begun").text != "1":
            assert time.monotonic() < deadline
        os.kill(running.process.pid, signal.SIGTERM)
        while httpx.get(f"{url}/readyz").status_code != 503:
            assert time.monotonic() < deadline
        assert httpx.get(f"{url}/livez").status_code == 200
        assert httpx.get(f"{url}/go").status_code == 200
        slow.join()
        assert answers == [200]
        running.process.wait(15)
