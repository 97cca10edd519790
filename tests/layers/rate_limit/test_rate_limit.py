"""The rate limit as a client and an operator see it, over both edges and both storages."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
from limits import RateLimitItemPerMinute

from redis_middleware import ConfigurationError, MemoryStorage, RateLimit, RedisStorage, Request
from redis_middleware.cli.processes import redis_server
from redis_middleware.ops import Keep
from redis_middleware.storage import Storage

from ...conftest import Clock
from ...edges import WSGI, Edge, hello


def test_a_client_sees_its_limits_and_the_429(edge: Edge, storage: Storage) -> None:
    call = edge.wrap(hello, [RateLimit("3/hour; 2/minute")], storage)
    first, _, third = call(), call(), call()
    assert first.headers.get("ratelimit-policy") == '"hour";q=3;w=3600, "minute";q=2;w=60'
    assert first.headers.get("ratelimit") == '"hour";r=2;t=3600, "minute";r=1;t=60'
    assert third.status == 429
    assert third.headers.get("retry-after") == "60"
    assert third.headers.get("cache-control") == "no-store"
    assert third.headers.get("ratelimit") == '"hour";r=1;t=3600, "minute";r=0;t=60'
    assert b"60 seconds" in third.body


def test_waiting_as_told_is_enough_and_a_second_less_is_not(edge: Edge, storage: Storage, clock: Clock) -> None:
    for phase in (0.0, 0.3, 0.999999, 17.5):
        call = edge.wrap(hello, [RateLimit("1/minute", name=f"phase{phase}", clock=clock)], storage)
        call()
        clock.move(phase)
        told = int(call().headers.get("retry-after") or 0)
        clock.move(told - 1)
        assert call().status == 429
        clock.move(1)
        assert call().status == 200
        clock.move(60)


@pytest.mark.parametrize("limits", [("1/second; 2/minute",), ("2/minute; 1/second",), ("2/minute", "1/second")])
def test_the_order_of_limits_does_not_matter(edge: Edge, storage: Storage, clock: Clock, limits: tuple[str, ...]) -> None:
    call = edge.wrap(hello, [RateLimit(*limits, clock=clock)], storage)
    statuses = []
    for pause in (0, 0, 1, 1):
        clock.move(pause)
        statuses.append(call().status)
    assert statuses == [200, 429, 200, 429]


def test_a_window_begins_with_the_first_hit(edge: Edge, storage: Storage, clock: Clock) -> None:
    call = edge.wrap(hello, [RateLimit("2/minute")], storage)
    call()
    clock.move(50.5)
    assert call().headers.get("ratelimit") == '"minute";r=0;t=10'
    clock.move(9.5)
    assert call().headers.get("ratelimit") == '"minute";r=1;t=60'


def test_each_address_has_its_own_budget_and_no_header_changes_that(edge: Edge, storage: Storage) -> None:
    call = edge.wrap(hello, [RateLimit("1/minute")], storage)
    assert call(peer="192.0.2.1").status == 200
    assert call(peer="192.0.2.2").status == 200
    for number in range(10):
        forged = [
            ("x-forwarded-for", f"203.0.113.{number}"),
            ("forwarded", f"for=203.0.113.{number}"),
            ("x-real-ip", "203.0.113.1"),
        ]
        assert call(headers=forged).status == 429


def test_connections_without_an_address_share_one_budget(edge: Edge, storage: Storage) -> None:
    call = edge.wrap(hello, [RateLimit("1/minute")], storage)
    assert [call(peer="").status, call(peer="").status] == [200, 429]


@pytest.mark.parametrize("subject", ["", "}", "{", "a}b", "a b", "\r\n", "é", "\ud800", "x" * 10_000, "\0"])
def test_any_text_is_a_subject_of_its_own(edge: Edge, storage: Storage, subject: str) -> None:
    subjects = iter([subject, subject + "y", "x" + subject, subject])
    call = edge.wrap(hello, [RateLimit("1/minute", key=lambda request: next(subjects))], storage)
    assert [call().status for _ in range(4)] == [200, 200, 200, 429]


def test_nobody_is_not_limited(edge: Edge, storage: Storage) -> None:
    call = edge.wrap(hello, [RateLimit("1/minute", key=lambda request: None)], storage)
    answers = [call() for _ in range(3)]
    assert [answer.status for answer in answers] == [200] * 3
    assert "ratelimit" not in answers[0].headers


def test_two_limiters_on_one_storage_are_told_apart_by_name(edge: Edge, storage: Storage) -> None:
    call = edge.wrap(hello, [RateLimit("5/minute", name="all"), RateLimit("2/minute", name="some")], storage)
    assert [call().status for _ in range(3)] == [200, 200, 429]


def test_a_larger_limit_keeps_what_was_counted(edge: Edge, storage: Storage) -> None:
    small, large = (edge.wrap(hello, [RateLimit(limit)], storage) for limit in ("100/hour", "200/hour"))
    for _ in range(40):
        small()
    assert large().headers.get("ratelimit") == '"hour";r=159;t=3600'


def test_every_key_has_an_expiry(edge: Edge, redis_url: str, prefix: str, control: Any) -> None:
    storage = RedisStorage(redis_url, prefix=prefix)
    call = edge.wrap(hello, [RateLimit("5/day; 3/hour; 1/second")], storage)
    for number in range(20):
        call(peer=f"192.0.2.{number % 7}")
    keys = list(control.scan_iter(match=f"{prefix}*"))
    assert len(keys) == 21
    assert all(0 < control.pttl(key) <= 86_400_000 for key in keys)
    storage.close()


def test_an_exhausted_subject_is_held_when_memory_runs_short() -> None:
    storage = MemoryStorage(max_bytes=20_000)
    limit = RateLimit("2/hour")

    def ask(peer: str) -> bool:
        flow = limit(Request(peer=peer))
        results = storage.execute(next(flow))  # type: ignore[arg-type]
        return bool(results[0].allowed)

    assert [ask("192.0.2.1") for _ in range(3)] == [True, True, False]
    for number in range(1000):
        ask(f"10.0.{number // 250}.{number % 250}")
    assert not ask("192.0.2.1")
    assert {entry.keep for entry in storage._entries.index.values()} == {Keep.NORMAL, Keep.HELD}


@pytest.mark.parametrize(
    ("on_error", "statuses"), [("fallback", [200, 200, 429]), ("open", [200, 200, 200]), ("closed", [503, 503, 503])]
)
@pytest.mark.parametrize("fault", ["killed", "frozen"])
def test_without_a_storage_the_policy_decides(edge: Edge, on_error: Any, statuses: list[int], fault: str) -> None:
    with redis_server() as server:
        storage = RedisStorage(f"redis://{server.address}/0")
        call = edge.wrap(hello, [RateLimit("2/minute", on_error=on_error)], storage)
        assert call(peer="198.51.100.1").status == 200
        os.kill(server.process.pid, signal.SIGSTOP if fault == "frozen" else signal.SIGKILL)
        answers = [call() for _ in range(3)]
        assert [answer.status for answer in answers] == statuses
        if on_error == "closed":
            assert answers[0].headers.get("retry-after") == "1"
            assert "ratelimit" not in answers[0].headers
        storage.close()


@pytest.mark.parametrize("item", [RateLimitItemPerMinute(2), "2/minute", "2 per 1 minute", "2 per minute"])
def test_a_limit_is_written_as_the_limits_package_writes_it(item: Any) -> None:
    answer = WSGI().wrap(hello, [RateLimit(item)], MemoryStorage())()
    assert answer.headers.get("ratelimit-policy") == '"minute";q=2;w=60'


@pytest.mark.parametrize("limits", [(), ("",), ("often",), ("5/minute; 3/minute",), ("0/minute",), (5,), ("5/fortnight",)])
def test_limits_that_make_no_sense_are_refused(limits: Any) -> None:
    with pytest.raises(ConfigurationError):
        RateLimit(*limits)


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="on_error"):
        RateLimit("1/minute", on_error="panic")  # type: ignore[arg-type]
