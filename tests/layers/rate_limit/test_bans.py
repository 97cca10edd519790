"""Bans: who breaks a limit again and again is shut out for a while."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redis_middleware import Ban, ConfigurationError, RateLimit, RedisStorage, run
from redis_middleware.layers.rate_limit import Limit, header
from redis_middleware.layers.rate_limit.decide import Decide
from redis_middleware.storage import Storage

from ...conftest import Clock
from ...edges import Edge, Seen, hello
from ...scripts import Eternally
from .test_algorithms import SECOND, Eternal


def test_after_some_breaches_comes_a_ban_and_after_it_another_chance(edge: Edge, storage: Storage, clock: Clock) -> None:
    limit = RateLimit("2/minute", ban=Ban(after=3, within=300, duration=600), clock=clock)
    call = edge.wrap(hello, [limit], storage)
    assert [call().status for _ in range(4)] == [200, 200, 429, 429]
    banned = call()
    assert (banned.status, banned.headers.get("retry-after")) == (429, "600")
    clock.move(599)
    assert call().status == 429
    clock.move(1)
    assert call().status == 200


def test_breaches_far_apart_are_no_ban(edge: Edge, storage: Storage, clock: Clock) -> None:
    call = edge.wrap(hello, [RateLimit("1/minute", ban=Ban(after=2, within=100, duration=600), clock=clock)], storage)
    for _ in range(4):
        assert [call().status, call().status] == [200, 429]
        clock.move(100)


def test_a_ban_is_told_as_what_denied_and_not_as_a_quota(edge: Edge, storage: Storage, clock: Clock) -> None:
    call = edge.wrap(hello, [RateLimit("1/minute", ban=Ban(after=1, duration=60), clock=clock)], storage)
    assert "ban" not in (call().headers.get("ratelimit-policy") or "")
    denied = call()
    assert b'"violated-policies":["minute","ban"]' in denied.body
    assert "ban" not in (denied.headers.get("ratelimit") or "")


def failing(seen: Seen) -> Any:
    return 401, [("content-type", "text/plain"), ("content-length", "2")], [b"no"]


def test_failures_may_be_breaches(edge: Edge, storage: Storage, clock: Clock) -> None:
    ban = Ban(after=3, within=60, duration=600, when=lambda request, response: response is None or response.status == 401)
    limit = RateLimit("100/minute", ban=ban, clock=clock)
    assert [edge.wrap(hello, [limit], storage)().status for _ in range(5)] == [200] * 5
    assert [edge.wrap(failing, [limit], storage)().status for _ in range(4)] == [401, 401, 401, 429]
    assert edge.wrap(hello, [limit], storage)().status == 429


def test_a_ban_holds_for_its_subject_only(edge: Edge, storage: Storage, clock: Clock) -> None:
    limit = RateLimit("1/minute", Limit("9/minute", name="key", key=header("x-key")), ban=Ban(after=1), clock=clock)
    call = edge.wrap(hello, [limit], storage)
    assert [call().status, call().status] == [200, 429]
    clock.move(60)
    assert call().status == 429
    assert call(peer="192.0.2.2").status == 200


def test_a_reset_lifts_it(edge: Edge, storage: Storage, clock: Clock) -> None:
    limit = RateLimit("1/minute", ban=Ban(after=1), clock=clock)
    call = edge.wrap(hello, [limit], storage)
    assert [call().status, call().status] == [200, 429]
    explained = {policy["policy"]: policy["remaining"] for policy in run(limit.explain("192.0.2.1"), storage)}
    assert explained == {"minute": 0, "ban": 0}
    assert run(limit.reset("192.0.2.1"), storage)
    assert call().status == 200


_runs = itertools.count()
OPS = st.tuples(
    st.sampled_from([0.0, 1.0, 30.0, 59.999999, 60.0, 600.0, -0.000001, -90.0]),
    st.integers(0, 2),  # the limit's cost
    st.integers(0, 2),  # breaches, when it settles
    st.booleans(),
)


@settings(max_examples=150, deadline=None)
@given(trace=st.lists(OPS, max_size=30), after=st.integers(1, 4))
def test_random_traces_are_decided_alike_in_lua_and_in_python(trace: list[Any], after: int, redis_url: str) -> None:
    clock, table, last = Clock(), Eternal(), 0
    server = RedisStorage(redis_url, prefix=f"ban{next(_runs)}:", clock=clock, timeout=5)
    for move, cost, breaches, settle in trace:
        clock.move(move)
        limit = ("f", 2, 60 * SECOND, cost, 0, 1, 1)
        ban = ("b", after, 60 * SECOND, breaches if settle else 0, 0, 600 * SECOND, 1)
        script = Decide(("{s}:1", "{s}:2"), (last if settle else 0, *limit, *ban))
        [there] = server.execute([Eternally(script.keys, script.args)])
        assert script.apply(table, there.now) == there
        last = there.now
    server.close()


@pytest.mark.parametrize("options", [{"after": 0}, {"within": 0}, {"duration": -1}])
def test_bans_that_make_no_sense_are_refused(options: Any) -> None:
    with pytest.raises(ConfigurationError, match="positive"):
        Ban(**options)


def test_a_ban_needs_all_limits_together() -> None:
    with pytest.raises(ConfigurationError, match="atomic"):
        RateLimit("1/minute", ban=Ban(), atomic=False)
