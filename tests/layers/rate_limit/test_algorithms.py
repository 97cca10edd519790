"""The algorithms: the same on memory and Redis, never more than their definition, truthful about when to come back."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from fractions import Fraction
from math import gcd
from typing import Any

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from redis_middleware import MemoryStorage, RedisStorage
from redis_middleware.layers.rate_limit.algorithms import ALGORITHMS
from redis_middleware.layers.rate_limit.decide import Decide
from redis_middleware.layers.rate_limit.policy import Decision

from ...conftest import Clock
from ...scripts import Eternally

SECOND = 1_000_000
NAMES = list(ALGORITHMS)
_runs = itertools.count()


def decide(*policies: tuple[str, int, int, int], shadow: int = 0, at: int = 0, subject: str = "s") -> Decide:
    """A script over policies of (algorithm, limit, seconds, cost); the last is a shadow if asked for."""
    keys, args = [], [at]
    for place, (name, limit, seconds, cost) in enumerate(policies):
        window = seconds * SECOND
        parts = gcd(limit, window)
        unit, weight = (limit // parts, window // parts) if name == "gcra" else (1, 1)
        hidden = shadow if place == len(policies) - 1 else 0
        code = ALGORITHMS[name].code
        keys.append(f"{{{subject}}}:{place}:{seconds}:{code}")
        args += [code, limit, window, cost, hidden, unit, weight]
    return Decide(tuple(keys), tuple(args))


def once(storage: Any, *policies: tuple[str, int, int, int], **options: Any) -> Decision:
    [decision] = storage.execute([decide(*policies, **options)])
    assert isinstance(decision, Decision), decision
    return decision


POLICIES = st.lists(
    st.tuples(st.sampled_from(NAMES), st.integers(1, 7), st.sampled_from([60, 3600]), st.integers(-2, 8)), min_size=1, max_size=3
)
FORWARD = st.sampled_from([0.0, 0.000001, 0.5, 7.0, 29.999999, 59.999999, 60.0, 61.3, 3600.0])
BACK = st.sampled_from([-0.000001, -45.0, -7200.0])


def traces(moves: st.SearchStrategy[float]) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.tuples(moves, POLICIES, st.integers(0, 1), st.booleans()), max_size=30)


class Eternal(dict[str, Any]):
    """A table that never collects what has passed, as Redis does not while only the test's clock moves."""

    def set(self, key: str, value: Any, ttl: float | None, keep: Any = None, /) -> None:
        assert ttl is not None
        assert ttl > 0
        self[key] = value

    def delete(self, key: str, /) -> bool:
        return self.pop(key, None) is not None


@pytest.fixture(scope="module")
def server_storage(redis_url: str) -> Iterator[tuple[Any, Clock]]:
    clock = Clock()
    storage = RedisStorage(redis_url, prefix="alg:", clock=clock, timeout=5)
    yield storage, clock
    storage.close()


@settings(max_examples=300, deadline=None)
@given(trace=traces(FORWARD | BACK))
def test_random_traces_are_decided_alike_in_lua_and_in_python(trace: list[Any], server_storage: Any) -> None:
    server, clock = server_storage
    table, subject, last = Eternal(), f"run{next(_runs)}", 0
    for move, policies, shadow, settle in trace:
        clock.move(move)
        script = decide(*policies, shadow=shadow, at=last if settle else 0, subject=subject)
        [there] = server.execute([Eternally(script.keys, script.args)])
        here = script.apply(table, there.now)
        assert here == there, script
        last = here.now


@settings(max_examples=300, deadline=None)
@given(trace=traces(FORWARD))
def test_whether_what_has_passed_was_collected_does_not_matter(trace: list[Any]) -> None:
    clock, table, last = Clock(), Eternal(), 0
    memory = MemoryStorage(clock=clock)
    for move, policies, shadow, settle in trace:
        clock.move(move)
        script = decide(*policies, shadow=shadow, at=last if settle else 0)
        [here] = memory.execute([script])
        assert here == script.apply(table, here.now), script
        last = here.now


def used(name: str, hits: list[Fraction], now: Fraction, limit: int, window: Fraction) -> Fraction:
    """How much of a quota is used at `now`, by each algorithm's definition, and none of its code."""
    if name == "fixed-window":
        begins: Fraction | None = None
        count = 0
        for hit in hits:
            if begins is None or hit >= begins + window:
                begins, count = hit, 0
            count += 1
        return Fraction(count if begins is not None and now < begins + window else 0)
    if name == "moving-window":
        return Fraction(sum(1 for hit in hits if now < hit + window))
    if name == "sliding-window-counter":
        index = now // window
        current = sum(1 for hit in hits if hit // window == index)
        previous = sum(1 for hit in hits if hit // window == index - 1)
        return current + previous * ((index + 1) * window - now) / window
    debt, then = Fraction(0), Fraction(0)
    for hit in [*hits, now]:
        debt = max(debt - (hit - then) * limit / window, Fraction(0)) + 1
        then = hit
    return debt - 1


GAPS = st.lists(st.integers(0, 90 * SECOND) | st.integers(0, 3 * SECOND), min_size=1, max_size=60)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=100, deadline=None)
@given(gaps=GAPS, limit=st.integers(1, 12))
def test_it_admits_what_its_definition_admits(name: str, gaps: list[int], limit: int) -> None:
    clock = Clock(1_800_000_000.0)
    storage = MemoryStorage(clock=lambda: clock.now / SECOND)
    clock.now = 1_800_000_000 * SECOND
    hits: list[Fraction] = []
    for gap in gaps:
        clock.now += gap
        decision = once(storage, (name, limit, 60, 1))
        now, window = Fraction(decision.now), Fraction(60 * SECOND)
        assert decision.allowed == (used(name, hits, now, limit, window) <= limit - 1), (hits, now)
        if decision.allowed:
            hits.append(now)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60, deadline=None)
@given(gaps=GAPS, limit=st.integers(1, 6), cost=st.integers(1, 6))
def test_waiting_as_told_is_enough_and_a_microsecond_less_is_not(name: str, gaps: list[int], limit: int, cost: int) -> None:
    clock = Clock()
    storage = MemoryStorage(clock=lambda: clock.now / SECOND)
    clock.now = 1_800_000_000 * SECOND + 123_457
    for gap in gaps:
        clock.now += gap
        [state] = once(storage, (name, limit, 60, min(cost, limit))).states
        if not state.fits:
            assert state.retry is not None
            clock.now += state.retry - 1
            assert not once(storage, (name, limit, 60, min(cost, limit))).allowed
            clock.now += 1
            assert once(storage, (name, limit, 60, min(cost, limit))).allowed


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60, deadline=None)
@given(gaps=GAPS, limit=st.integers(1, 6))
def test_after_the_reset_the_whole_quota_is_back(name: str, gaps: list[int], limit: int) -> None:
    clock = Clock()
    storage = MemoryStorage(clock=lambda: clock.now / SECOND)
    clock.now = 1_800_000_000 * SECOND + 77
    for gap in gaps:
        clock.now += gap
        [state] = once(storage, (name, limit, 60, 1)).states
    clock.now += state.reset
    [state] = once(storage, (name, limit, 60, 0)).states
    assert (state.remaining, state.reset) == (limit, 0)


@pytest.mark.parametrize("name", NAMES)
def test_a_cost_that_does_not_fit_takes_nothing(name: str, storage: Any) -> None:
    assert once(storage, (name, 10, 60, 5)).states[0].remaining == 5
    assert not once(storage, (name, 10, 60, 6)).allowed
    assert once(storage, (name, 10, 60, 1)).states[0].remaining == 4
    never = once(storage, (name, 10, 60, 11))
    assert (never.allowed, never.states[0].retry, never.states[0].remaining) == (False, None, 4)


@pytest.mark.parametrize("name", NAMES)
def test_a_cost_of_nothing_looks_and_leaves_no_key(name: str, redis_url: str, prefix: str, control: redis.Redis) -> None:
    storage = RedisStorage(redis_url, prefix=prefix)
    state = once(storage, (name, 3, 60, 0)).states[0]
    assert (state.fits, state.remaining, state.reset) == (True, 3, 0)
    assert list(control.scan_iter(match=f"{prefix}*")) == []
    storage.close()


@pytest.mark.parametrize("name", NAMES)
def test_what_is_given_back_never_exceeds_the_quota(name: str, storage: Any) -> None:
    once(storage, (name, 10, 60, 3))
    assert once(storage, (name, 10, 60, -2)).states[0].remaining == 9
    assert once(storage, (name, 10, 60, -50)).states[0].remaining == 10
    assert once(storage, (name, 10, 60, -1)).states[0].remaining == 10
    assert once(storage, (name, 10, 60, 10)).states[0].remaining == 0


@pytest.mark.parametrize("name", NAMES)
def test_to_settle_is_without_a_condition(name: str, storage: Any) -> None:
    reserved = once(storage, (name, 10, 60, 9))
    assert once(storage, (name, 10, 60, 5), at=reserved.now).states[0].remaining == 0
    assert not once(storage, (name, 10, 60, 1)).allowed
    assert once(storage, (name, 10, 60, -6), at=reserved.now).states[0].remaining == 2


@pytest.mark.parametrize("name", ["fixed-window", "moving-window", "sliding-window-counter"])
def test_what_is_given_back_late_is_not_given_to_the_next_window(name: str, storage: Any, clock: Clock) -> None:
    reserved = once(storage, (name, 10, 60, 5))
    clock.move(180)
    once(storage, (name, 10, 60, 5))
    assert once(storage, (name, 10, 60, -5), at=reserved.now).states[0].remaining == 5


def test_all_or_nothing_whatever_the_algorithms(storage: Any) -> None:
    policies = [(name, 100, 3600, 1) for name in NAMES]
    assert once(storage, *policies, ("fixed-window", 1, 60, 1)).allowed
    for _ in range(20):
        decision = once(storage, *policies, ("fixed-window", 1, 60, 1))
        assert not decision.allowed
        assert [state.remaining for state in decision.states] == [99, 99, 99, 99, 0]
        assert [state.fits for state in decision.states] == [True, True, True, True, False]


def test_a_shadow_never_denies_and_counts_what_it_let_pass(storage: Any) -> None:
    policies = [("fixed-window", 10, 60, 1), ("fixed-window", 2, 60, 1)]
    decisions = [once(storage, *policies, shadow=1) for _ in range(4)]
    assert [decision.allowed for decision in decisions] == [True] * 4
    assert [decision.states[1].fits for decision in decisions] == [True, True, False, False]
    assert decisions[3].states[0].remaining == 6


def test_every_key_has_an_expiry_after_anything(redis_url: str, prefix: str, control: redis.Redis) -> None:
    storage, chance = RedisStorage(redis_url, prefix=prefix, timeout=5), random.Random(7)
    for _ in range(1000):
        policies = [
            (chance.choice(NAMES), chance.randint(1, 7), chance.choice([60, 3600]), chance.randint(-2, 8)) for _ in range(3)
        ]
        at = chance.choice([0, 0, 1])
        storage.execute([decide(*policies, shadow=chance.randint(0, 1), at=at, subject=f"s{chance.randint(1, 9)}")])
    keys = list(control.scan_iter(match=f"{prefix}*", count=10_000))
    assert len(keys) > 50
    assert all(control.pttl(key) != -1 for key in keys)
    storage.close()
