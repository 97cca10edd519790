"""The scripts about records: the same traces in memory and on a real server give the same answers and leave the same records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from redis_middleware import MemoryStorage, RedisStorage
from redis_middleware.layers.sessions.login import Claim, Release, Retire
from redis_middleware.layers.sessions.record import Change, flat, index_of, key_of
from redis_middleware.layers.sessions.steps import Commit, Create, End, Load, Rotate, Touch
from redis_middleware.layers.sessions.users import List, Revoke
from redis_middleware.ops import Op

from ...conftest import Clock

SECOND = 1_000_000
USERS = ["A" * 43, "B" * 43]
IDS = [user[:8] + digit * 43 for user in USERS for digit in "123"]
GRACE = 20 * SECOND  # all times are multiples of ten seconds: nothing is so short that the server's own clock would end it


@dataclass
class Both:
    """Two storages that are asked the same."""

    memory: MemoryStorage
    redis: RedisStorage

    def ask(self, op: Op[Any]) -> Any:
        [mine], [theirs] = self.memory.execute([op]), self.redis.execute([op])
        if isinstance(mine, Exception):
            assert isinstance(theirs, Exception), (op, mine, theirs)
        else:
            assert mine == theirs, op
        return mine


names = st.sampled_from(["a", "bb", "ccc", "ä"])
change: st.SearchStrategy[Change] = st.one_of(
    st.tuples(st.just("."), names, st.binary(min_size=1, max_size=30)),
    st.tuples(st.just("-"), names, st.just("")),
    st.tuples(st.just("+"), names, st.sampled_from([1, -7, 2**53 - 1])),
    st.tuples(st.just("m"), st.just("i"), st.sampled_from([50 * SECOND, ""])),
    st.tuples(st.just("m"), st.just("k"), st.sampled_from([0, 1, ""])),
    st.tuples(st.just("m"), st.just("x"), st.sampled_from([1, 1_800_000_030 * SECOND, 1_800_000_090 * SECOND, ""])),
)
changes = st.lists(change, max_size=4, unique_by=lambda one: one[1])
timeouts = st.sampled_from([(100 * SECOND, 0), (100 * SECOND, 150 * SECOND), (30 * SECOND, 0)])
ids = st.sampled_from(IDS)


@st.composite
def step(draw: st.DrawFn, times: tuple[int, int]) -> Op[Any] | float:
    kind = draw(st.sampled_from([Create, Load, Commit, Rotate, Claim, Release, Retire, Touch, End, List, Revoke, "wait", "wait"]))
    if kind == "wait":
        return draw(st.sampled_from([0.0, 10.0, 40.0]))
    one = draw(ids)
    key = key_of(one)
    made = flat(draw(changes))
    if kind is Create:
        limit, full = draw(st.sampled_from([(0, "evict"), (2, "evict"), (2, "refuse")]))
        user = draw(st.sampled_from(["", next(user for user in USERS if user[:8] == one[:8])]))
        return Create((key,), (*times, 100, limit, full, user, *made))
    if kind is Commit:
        return Commit((key,), (*times, 100, *made))
    if kind is Rotate:
        other = draw(st.sampled_from([other for other in IDS if other[:8] == one[:8] and other != one]))
        how, age = draw(st.sampled_from([("rotate", 0), ("renew", 0), ("renew", 60 * SECOND)]))
        grace, afresh = draw(st.sampled_from([0, GRACE])), draw(st.sampled_from([0, 1]))
        return Rotate((key, key_of(other)), (*times, 100, grace, how, age, afresh, *made))
    if kind is Claim:
        return Claim((key,), (*times, GRACE))
    if kind is Retire:
        return Retire((key,), (*times, draw(st.sampled_from([0, GRACE])), draw(ids)))
    if kind is End:
        return End((key,), (*times, GRACE))
    if kind in (List, Revoke):
        index = (index_of(draw(st.sampled_from(USERS))),)
        return List(index, times) if kind is List else Revoke(index, (*times, draw(st.sampled_from(["", one[8:]]))))
    return kind((key,), times)  # type: ignore[no-any-return, operator]


@pytest.fixture(scope="module")
def redis_storage(redis_url: str) -> Any:
    clock = Clock()
    storage = RedisStorage(redis_url, prefix="steps:", clock=clock, timeout=5)
    storage.test_clock = clock  # type: ignore[attr-defined]
    yield storage
    storage.close()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(times=timeouts, data=st.data())
def test_memory_and_redis_mean_the_same(redis_storage: Any, control: Any, times: tuple[int, int], data: st.DataObject) -> None:
    clock: Clock = redis_storage.test_clock
    clock.now = 1_800_000_000.25
    for key in control.scan_iter("steps:*"):
        control.delete(key)
    both = Both(MemoryStorage(clock=clock), redis_storage)
    for one in data.draw(st.lists(step(times), max_size=25)):
        if isinstance(one, float):
            clock.move(one)
        elif type(one) is not Rotate or both.ask(Load((one.keys[1],), one.args[:2])) is None:  # its new id is nobody's
            both.ask(one)
    for identity in IDS:
        both.ask(Load((key_of(identity),), times))
    for user in USERS:
        both.ask(List((index_of(user),), times))


@pytest.mark.parametrize("fields", [{"c": "x"}, {"s": "1"}, {"c": "1", "s": "1", "r": "1", "g": "x"}, {".a": "b"}])
def test_what_is_no_record_is_said_to_be_corrupt(redis_storage: Any, control: Any, fields: dict[str, str]) -> None:
    key = key_of("C" * 51)
    control.delete("steps:" + key)
    control.hset("steps:" + key, mapping=fields)
    memory = MemoryStorage(clock=redis_storage.test_clock)
    memory._entries.set(key, {name: value.encode() for name, value in fields.items()}, None)
    both = Both(memory, redis_storage)
    assert both.ask(Load((key,), (100 * SECOND, 0))).fields == {}
    assert both.ask(Commit((key,), (100 * SECOND, 0, 100))).code == 0
    assert both.ask(Create((key,), (100 * SECOND, 0, 100, 0, "evict", ""))).code == 0


def test_another_type_is_said_to_be_corrupt(redis_storage: Any, control: Any) -> None:
    key = key_of("D" * 51)
    control.set("steps:" + key, "text")
    memory = MemoryStorage(clock=redis_storage.test_clock)
    memory._entries.set(key, b"text", None)
    both = Both(memory, redis_storage)
    assert both.ask(Load((key,), (100 * SECOND, 0))).fields == {}
    assert both.ask(Commit((key,), (100 * SECOND, 0, 100))).code == 0
