"""The steps about the entries of a URL: each rule, and the same traces in memory and on a real server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from redis_middleware import MemoryStorage, RedisStorage
from redis_middleware.layers.cache.steps import GRACE, Find, Found, Lead, Purge, Release, Soften, Store
from redis_middleware.ops import Get, Op
from redis_middleware.storage import Storage

from ...conftest import Clock

SECOND = 1_000_000
KEY = "c:{0}"


def ask(storage: Storage, op: Op[Any]) -> Any:
    [answer] = storage.execute([op])
    if isinstance(answer, Exception):
        raise answer
    return answer


def find(name: str = "n") -> Find:
    return Find((KEY,), (name,))


def lead(token: int = 1, *, name: str = "n", seconds: float = 10, keep: bool = False) -> Lead:
    return Lead((KEY,), (name, token, int(seconds * SECOND), int(keep)))


def store(
    name: str = "n", *, token: int = 1, led: str | None = None, vary: str = "", seconds: float = 100, most: int = 3,
    entry: bytes = b"entry", body: bytes | None = None, beside: bool = False,
) -> Store:  # fmt: skip
    args = (name if led is None else led, token, name, vary, int(seconds * SECOND), most, entry)
    if body is None and not beside:
        return Store((KEY,), args)
    return Store((KEY, f"{KEY}:{name}"), args if body is None else (*args, body))


def release(token: int = 1, name: str = "n", *, refused: float = 0, failed: float = 0) -> Release:
    return Release((KEY,), (name, token, int(refused * SECOND), int(failed * SECOND)))


def put(storage: Storage, name: str = "n", **options: Any) -> None:
    assert ask(storage, lead(name=name))
    assert ask(storage, store(name, **options))


def seen(storage: Storage, name: str = "n") -> Found:
    found = ask(storage, find(name))
    assert isinstance(found, Found)
    return found


def body_of(storage: Storage, name: str = "n") -> bytes | None:
    return ask(storage, Get(f"{KEY}:{name}"))  # type: ignore[no-any-return]


# Looking up


def test_nothing_is_there_at_first(storage: Storage, clock: Clock) -> None:
    assert seen(storage) == Found(int(clock.now * SECOND), "", None, False)


def test_what_was_stored_is_found_until_its_time_is_over(storage: Storage, clock: Clock) -> None:
    put(storage, vary="accept\norigin")
    clock.move(99.999999)
    found = seen(storage)
    assert (found.entry, found.vary, found.led) == (b"entry", "accept\norigin", False)
    clock.move(0.000001)
    found = seen(storage)
    assert (found.entry, found.vary) == (None, "")


def test_what_responses_vary_by_is_told_for_as_long_as_there_is_one(storage: Storage, clock: Clock) -> None:
    put(storage, "a", vary="accept", seconds=50)
    put(storage, "b", vary="accept", seconds=100)
    clock.move(70)
    assert seen(storage, "a").entry is None
    assert seen(storage, "other").vary == "accept"
    clock.move(30)
    assert seen(storage, "other").vary == ""
    put(storage, "a", vary="accept", seconds=100)
    put(storage, "a", vary="accept", seconds=10)  # in its place, for less
    clock.move(10)
    assert seen(storage).vary == ""


# Rule 1: only who has the lead stores


def test_one_leads_and_the_others_see_it(storage: Storage, clock: Clock) -> None:
    assert ask(storage, lead(1))
    assert not ask(storage, lead(2))
    assert seen(storage).led
    assert ask(storage, lead(2, name="other"))  # each variant for itself
    clock.move(10)
    assert not seen(storage).led
    assert ask(storage, lead(2))


def test_a_lead_is_kept_by_who_has_it_and_by_nobody_else(storage: Storage, clock: Clock) -> None:
    assert not ask(storage, lead(1, keep=True))  # there is none to keep
    ask(storage, lead(1))
    clock.move(9)
    assert ask(storage, lead(1, keep=True))
    assert not ask(storage, lead(2, keep=True))
    clock.move(9)
    assert seen(storage).led
    clock.move(1)
    assert not seen(storage).led
    assert ask(storage, lead(1, keep=True))  # it has lapsed, but nobody has taken it
    clock.move(10)
    assert ask(storage, lead(2))
    assert not ask(storage, lead(1, keep=True))  # now somebody else may have stored


def test_only_who_leads_stores(storage: Storage, clock: Clock) -> None:
    assert not ask(storage, store())
    ask(storage, lead(1))
    assert not ask(storage, store(token=2))
    assert not ask(storage, store("n", led="other"))
    assert seen(storage).entry is None
    assert ask(storage, store(token=1))
    assert not seen(storage).led  # it is given back
    assert not ask(storage, store(token=1))


def test_who_led_may_store_late_unless_another_one_has_taken_the_lead(storage: Storage, clock: Clock) -> None:
    ask(storage, lead(1))
    clock.move(10 + GRACE / SECOND - 1)
    assert not seen(storage).led
    assert ask(storage, store(token=1))
    ask(storage, lead(1))
    clock.move(10)
    ask(storage, lead(2))
    assert not ask(storage, store(token=1))
    assert ask(storage, store(token=2))
    ask(storage, lead(1))
    clock.move(10 + GRACE / SECOND)
    assert not ask(storage, store(token=1))


def test_who_cannot_store_says_so_and_for_how_long(storage: Storage, clock: Clock) -> None:
    ask(storage, lead(1))
    ask(storage, release(2, refused=10))
    assert not seen(storage).refused
    ask(storage, release(refused=10))
    assert (seen(storage).led, seen(storage).refused, seen(storage, "other").refused) == (False, True, False)
    clock.move(10)
    assert not seen(storage).refused
    ask(storage, lead(1))
    ask(storage, release(refused=10))
    put(storage)
    assert not seen(storage).refused


def test_so_does_who_could_not_renew(storage: Storage, clock: Clock) -> None:
    put(storage)
    ask(storage, lead(1))
    ask(storage, release(failed=10))
    assert (seen(storage).failed, seen(storage).refused) == (True, False)
    assert ask(storage, lead(2))  # nobody else is held up
    clock.move(10)
    assert not seen(storage).failed


def test_all_of_it_is_made_stale(storage: Storage, clock: Clock) -> None:
    ask(storage, Soften((KEY,)))
    put(storage, "a")
    assert seen(storage, "a").softly == 0
    clock.move(10)
    ask(storage, Soften((KEY,)))
    at = int(clock.now * SECOND)
    assert (seen(storage, "a").softly, seen(storage, "b").softly) == (at, at)
    clock.move(100)
    put(storage, "a")  # what was stale is over
    assert seen(storage, "a").softly == 0


def test_a_variant_may_be_stored_under_another_name_than_it_was_asked_for(storage: Storage) -> None:
    ask(storage, lead(1, name=""))
    assert ask(storage, store("n", led="", vary="accept"))
    assert seen(storage, "n").entry == b"entry"
    assert seen(storage, "") == Found(seen(storage).now, "accept", None, False)


def test_a_lead_is_given_back_by_who_has_it(storage: Storage) -> None:
    ask(storage, lead(1))
    ask(storage, release(2))
    assert seen(storage).led
    ask(storage, release(1))
    assert not seen(storage).led


@pytest.mark.parametrize("body", [None, b"body"])
def test_a_purge_takes_the_entry_its_body_and_the_lead(storage: Storage, body: bytes | None) -> None:
    put(storage, body=body)
    ask(storage, lead(1))
    assert ask(storage, Purge((KEY,)))
    found = seen(storage)
    assert (found.entry, found.led, found.vary, body_of(storage)) == (None, False, "", None)
    assert not ask(storage, store())  # what was on its way is not stored


def test_a_purge_says_whether_there_was_an_entry(storage: Storage, clock: Clock) -> None:
    assert not ask(storage, Purge((KEY,)))
    ask(storage, lead(1))
    assert not ask(storage, Purge((KEY,)))
    put(storage, seconds=50)
    clock.move(50)
    assert not ask(storage, Purge((KEY,)))


# Rule 2: a URL has at most so many variants


def test_the_variant_that_is_dropped_soonest_has_to_go(storage: Storage) -> None:
    for name, seconds in [("a", 300), ("b", 100), ("c", 200), ("d", 50)]:
        put(storage, name, seconds=seconds, body=name.encode())
    assert [seen(storage, name).entry is not None for name in "abcd"] == [True, False, True, True]
    assert [body_of(storage, name) for name in "abcd"] == [b"a", None, b"c", b"d"]
    put(storage, "a", seconds=300)  # itself it does not count
    assert [seen(storage, name).entry is not None for name in "acd"] == [True, True, True]


def test_what_is_over_counts_no_more(storage: Storage, clock: Clock) -> None:
    put(storage, "a", seconds=50)
    put(storage, "b", seconds=300)
    clock.move(50)
    put(storage, "c", most=2)
    assert seen(storage, "b").entry == b"entry"


def test_variants_by_other_fields_are_dropped(storage: Storage) -> None:
    put(storage, "a", vary="accept", body=b"a")
    put(storage, "b", vary="origin")
    assert seen(storage, "a").entry is None
    assert body_of(storage, "a") is None
    assert seen(storage, "b").vary == "origin"


def test_leads_that_nobody_gave_back_are_swept(storage: Storage, clock: Clock, control: Any) -> None:
    for token in range(1, 50):
        ask(storage, lead(token, name=f"n{token}"))
    clock.move(10 + GRACE / SECOND)
    put(storage)
    if isinstance(storage, MemoryStorage):
        fields = storage._entries.index[KEY].value
    else:
        assert isinstance(storage, RedisStorage)
        fields = control.hgetall(storage._prefix + KEY.encode())
    assert len(fields) == 4


# Bodies that stand beside


def test_a_body_comes_and_goes_with_its_entry(storage: Storage) -> None:
    put(storage, body=b"\0\xff")
    assert body_of(storage) == b"\0\xff"
    put(storage, body=b"new")
    assert body_of(storage) == b"new"
    put(storage, entry=b"the same, later", beside=True)
    assert (seen(storage).entry, body_of(storage)) == (b"the same, later", b"new")
    put(storage)  # now it is with the entry
    assert body_of(storage) is None
    ask(storage, lead())
    assert not ask(storage, store(beside=True))  # it is gone


# Time to live


def test_all_of_it_has_an_end(storage: Storage, control: Any) -> None:
    put(storage, body=b"x", seconds=200)
    ask(storage, lead(1))
    if isinstance(storage, RedisStorage):
        for key in (KEY, f"{KEY}:n"):
            assert 140_000 < control.pttl(storage._prefix + key.encode()) <= 200_000


# Memory ≡ Redis


@dataclass
class Both:
    """Two storages that are asked the same."""

    memory: MemoryStorage
    redis: RedisStorage

    def ask(self, op: Op[Any]) -> Any:
        [mine], [theirs] = self.memory.execute([op]), self.redis.execute([op])
        assert mine == theirs, op
        return mine


NAMES = ["", "0a", "1b", "2c", "3d"]
names = st.sampled_from(NAMES)
tokens = st.sampled_from([1, 2, 2**52])
spans = st.sampled_from([100.0, 300.0, 1000.0])  # nothing is so short that the server's own clock would end it
stores = st.builds(
    store, names, token=tokens, led=st.one_of(st.none(), names), vary=st.sampled_from(["", "accept", "accept\norigin"]),
    seconds=spans, most=st.sampled_from([1, 2, 3]), entry=st.binary(max_size=5), body=st.one_of(st.none(), st.binary(max_size=5)),
    beside=st.booleans(),
)  # fmt: skip
waits = st.sampled_from([0.0, 100.0, 1000.0])
leads = st.builds(lead, tokens, name=names, seconds=spans, keep=st.booleans())
steps = st.one_of(
    stores,
    stores,
    leads,
    leads,
    st.builds(find, names),
    st.builds(lambda *args, **times: release(*args, **times), tokens, names, refused=waits, failed=waits),
    st.just(Purge((KEY,))),
    st.just(Soften((KEY,))),
    st.sampled_from([0.0, 0.000001, 100.0, 299.999999]),
)


@pytest.fixture(scope="module")
def redis_storage(redis_url: str) -> Iterator[RedisStorage]:
    storage = RedisStorage(redis_url, prefix="cache:", clock=Clock(), timeout=5)
    yield storage
    storage.close()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(trace=st.lists(steps, max_size=25), stored=st.lists(st.tuples(names, stores), max_size=5))
def test_memory_and_redis_mean_the_same(redis_storage: Any, control: Any, trace: list[Any], stored: list[Any]) -> None:
    clock: Clock = redis_storage._clock
    clock.now = 1_800_000_000.25
    for key in control.scan_iter("cache:*"):
        control.delete(key)
    both = Both(MemoryStorage(clock=clock), redis_storage)
    for name, op in stored:  # begin with something
        both.ask(Lead((KEY,), (name, op.args[1], 100 * SECOND, 0)))
        both.ask(Store(op.keys, (name, *op.args[1:])))
    for one in trace:
        if isinstance(one, float):
            clock.move(one)
            continue
        both.ask(one)
        for name in NAMES:
            if both.ask(find(name)).entry is not None:
                both.ask(Get(f"{KEY}:{name}"))


@pytest.mark.parametrize(
    "op", [find(), lead(), store(), release(), Purge((KEY,)), Soften((KEY,))], ids=lambda op: type(op).__name__
)
def test_another_type_is_an_error_of_the_op(storage: Storage, control: Any, op: Op[Any]) -> None:
    if isinstance(storage, MemoryStorage):
        storage._entries.set(KEY, b"text", None)
    else:
        assert isinstance(storage, RedisStorage)
        control.set(storage._prefix + KEY.encode(), "text")
    [answer] = storage.execute([op])
    assert isinstance(answer, Exception)
