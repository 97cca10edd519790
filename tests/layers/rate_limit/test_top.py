"""Who is denied most."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redis_middleware import RateLimit, RedisStorage, run
from redis_middleware.counting import TOTALS
from redis_middleware.counting.top import EVERY, MOST, Add, First, Top
from redis_middleware.layers.rate_limit import header
from redis_middleware.storage import Storage

from ...conftest import Clock
from ...edges import WSGI, Edge, hello
from ...wire import Wire
from .test_algorithms import Eternal


def test_the_most_denied_are_listed_first(edge: Edge, storage: Storage, clock: Clock) -> None:
    limit = RateLimit("1/hour", clock=clock)
    call = edge.wrap(hello, [limit], storage)
    for peer, times in (("192.0.2.1", 3), ("192.0.2.2", 6), ("192.0.2.3", 1)):
        for _ in range(times):
            call(peer=peer)
    assert run(limit.top(), storage) == [], "not added yet"
    edge.flush()
    assert run(limit.top(10), storage) == [("192.0.2.2", 5), ("192.0.2.1", 2)]
    assert run(limit.top(1), storage) == [("192.0.2.2", 5)]


def test_a_list_that_cannot_be_written_costs_no_decision(
    redis_url: str, prefix: str, control: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("redis_middleware.counting.ledger.EVERY", 0)
    storage = RedisStorage(redis_url, prefix=prefix, timeout=5)
    limit = RateLimit("1/hour")
    for key in (Top("denied:").key(), TOTALS):
        control.set(prefix + key, "not a list", ex=60)
    call = WSGI().wrap(hello, [limit], storage)
    assert [call().status, call().status] == [200, 429]
    assert [call(peer="192.0.2.2").status, call(peer="192.0.2.2").status] == [200, 429]
    assert control.exists(f"{prefix}l:{{192.0.2.2}}:hour:f"), "counted there, and not in this process alone"
    assert limit._counter._local.key_count == 0
    storage.close()


def test_it_takes_no_trip_of_its_own(wire: Wire, edge: Edge, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = RedisStorage(wire.url, prefix=prefix, timeout=5)
    limit = RateLimit("1/hour")
    call = edge.wrap(hello, [limit], storage)
    for peer in ("192.0.2.9", "192.0.2.1", "192.0.2.1", "192.0.2.1"):
        call(peer=peer)
    monkeypatch.setattr("redis_middleware.counting.ledger.EVERY", 0)
    call(peer="192.0.2.2")  # the server learns the script
    call(peer="192.0.2.2")
    before = wire.trips
    assert call(peer="192.0.2.3").status == 200
    assert wire.trips - before == 1
    assert dict(run(limit.top(), storage)) == {"192.0.2.1": 2, "192.0.2.2": 1}
    storage.close()


def test_secrets_are_not_listed_in_clear(edge: Edge, storage: Storage, clock: Clock) -> None:
    limit = RateLimit("1/hour", key=header("x-api-key"), clock=clock)
    call = edge.wrap(hello, [limit], storage)
    for _ in range(2):
        call(headers=[("x-api-key", "hunter2")])
    edge.flush()
    [(subject, times)] = run(limit.top(), storage)
    assert times == 1
    assert "hunter2" not in subject


def test_a_tally_is_bounded(clock: Clock) -> None:
    tally = Top("denied:", clock)
    for number in range(2 * MOST):
        tally.count(f"s{number}")
    clock.move(EVERY)
    [add] = tally.due()
    assert len(add.args) == 1 + 2 * MOST
    assert tally.due() == ()


_runs = itertools.count()
ADDS = st.lists(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 5)), min_size=1, max_size=4), max_size=8)


@settings(max_examples=50, deadline=None)
@given(adds=ADDS, most=st.integers(1, 5))
def test_memory_and_redis_keep_the_same_list(adds: list[Any], most: int, redis_url: str) -> None:
    table, storage = Eternal(), RedisStorage(redis_url, prefix=f"top{next(_runs)}:", timeout=5)
    for pairs in adds:
        op = Add(("list",), (most, *[part for pair in pairs for part in pair]))
        storage.execute([op])
        op.apply(table, 0)
        first = First(("list",), (3,))
        assert storage.execute([first]) == [first.apply(table, 0)]
    storage.close()
