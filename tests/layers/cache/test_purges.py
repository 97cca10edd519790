"""Marks: what was fetched before one is not used any more; in memory and on a real server alike."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from redis_middleware import MemoryStorage, RedisStorage
from redis_middleware.layers.cache.purges import MarkPrefix, MarkTag, Purged, marks_of, prefixes_key, purged, tag_key
from redis_middleware.ops import Get, Op
from redis_middleware.storage import Storage

from ...conftest import Clock

SECOND = 1_000_000
KEPT = 30 * 86_400  # so long that the server's own clock ends nothing


def mark(storage: Storage, op: Op[Any]) -> int:
    """Do it, and say when that was."""
    [result] = storage.execute([op])
    assert result is None, result
    now: Any = storage
    return int((now._clock)() * SECOND)


def tag(name: str, how: str = "hard") -> MarkTag:
    return MarkTag((tag_key(name),), (how, KEPT))


def prefix(text: str, how: str = "hard", most: int = 200) -> MarkPrefix:
    return MarkPrefix((prefixes_key(),), (how, KEPT, most, text))


def last(storage: Storage, url: str = "http://a/", tags: tuple[str, ...] = ()) -> Purged:
    return purged(storage.execute(marks_of(tags)), url)


# Tags


def test_a_tag_is_marked_for_good_or_as_stale(storage: Storage, clock: Clock) -> None:
    assert last(storage, tags=("menu",)) == Purged()
    soft = mark(storage, tag("menu", "soft"))
    assert last(storage, tags=("menu",)) == Purged(0, soft)
    clock.move(1)
    hard = mark(storage, tag("menu"))
    assert last(storage, tags=("menu",)) == Purged(hard, soft)
    assert last(storage, tags=("other",)) == last(storage) == Purged()


def test_of_several_tags_the_latest_mark_counts(storage: Storage, clock: Clock) -> None:
    mark(storage, tag("a"))
    clock.move(1)
    later = mark(storage, tag("b"))
    assert last(storage, tags=("a", "b")) == last(storage, tags=("b", "a")) == Purged(later, 0)


def test_the_name_of_a_tag_is_in_no_key() -> None:
    assert "secret" not in tag_key("secret")
    assert tag_key("a") != tag_key("b")


# Prefixes


def test_a_prefix_is_of_the_text_of_a_url(storage: Storage) -> None:
    at = mark(storage, prefix("http://a/menu"))
    assert (
        last(storage, "http://a/menu/1?x=y") == last(storage, "http://a/menu") == last(storage, "http://a/menus") == Purged(at, 0)
    )
    assert last(storage, "http://a/men") == last(storage, "http://b/menu") == last(storage, "https://a/menu") == Purged()


def test_the_longest_prefix_is_none_better_than_the_latest(storage: Storage, clock: Clock) -> None:
    mark(storage, prefix("http://a/menu/1"))
    clock.move(1)
    later = mark(storage, prefix("http://a/", "soft"))
    assert last(storage, "http://a/menu/1") == Purged(later - SECOND, later)


def test_a_prefix_is_kept_once_with_both_its_marks(storage: Storage, clock: Clock) -> None:
    hard = mark(storage, prefix("http://a/"))
    clock.move(1)
    soft = mark(storage, prefix("http://a/", "soft"))
    assert last(storage) == Purged(hard, soft)
    clock.move(1)
    hard = mark(storage, prefix("http://a/"))
    assert last(storage) == Purged(hard, soft)
    [raw] = storage.execute([Get(prefixes_key())])
    assert raw.count(b"\n") == 1


def test_the_empty_prefix_is_everything(storage: Storage) -> None:
    at = mark(storage, prefix(""))
    assert last(storage, "http://a/") == Purged(at, 0)


def test_of_too_many_the_oldest_become_one_of_everything_as_old_as_they(storage: Storage, clock: Clock) -> None:
    times = []
    for number in range(5):
        times.append(mark(storage, prefix(f"http://a/{number}", most=3)))
        clock.move(1)
    everything = Purged(times[2], 0)  # three of five had to go together
    assert last(storage, "http://b/") == everything
    assert [last(storage, f"http://a/{number}").hard for number in range(5)] == [*[times[2]] * 3, times[3], times[4]]


def test_and_what_was_stale_becomes_stale_only(storage: Storage, clock: Clock) -> None:
    hard = mark(storage, prefix("http://a/0", most=2))
    clock.move(1)
    soft = mark(storage, prefix("http://a/1", "soft", most=2))
    clock.move(1)
    mark(storage, prefix("http://a/2", most=2))
    assert last(storage, "http://b/") == Purged(hard, soft)


# Memory ≡ Redis


@pytest.fixture(scope="module")
def redis_storage(redis_url: str) -> Iterator[RedisStorage]:
    storage = RedisStorage(redis_url, prefix="purges:", clock=Clock(), timeout=5)
    yield storage
    storage.close()


hows = st.sampled_from(["hard", "soft"])
texts = st.one_of(
    st.sampled_from(["", "http://a/", "http://a/b", "http://ä/", "0 0 x", " "]),
    st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=5),  # other ends of lines are none
)
steps = st.one_of(
    st.builds(tag, st.sampled_from("ab"), hows),
    st.builds(prefix, texts, hows, st.just(3)),
    st.sampled_from([0.0, 0.000001, 10.0]),
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(trace=st.lists(steps, max_size=15), url=texts)
def test_memory_and_redis_mean_the_same(redis_storage: Any, control: Any, trace: list[Any], url: str) -> None:
    clock: Clock = redis_storage._clock
    clock.now = 1_800_000_000.25
    for key in control.scan_iter("purges:*"):
        control.delete(key)
    memory, before = MemoryStorage(clock=clock), last(MemoryStorage(), url)
    for one in trace:
        if isinstance(one, float):
            clock.move(one)
            continue
        assert memory.execute([one]) == redis_storage.execute([one]) == [None]
        assert memory.execute(marks_of("ab")) == redis_storage.execute(marks_of("ab"))
        after = last(memory, url, ("a", "b"))
        assert after.later(before) == after  # nothing that was purged comes back
        if isinstance(one, MarkPrefix) and url.startswith(str(one.args[3])):
            assert int(clock.now * SECOND) in (after.hard, after.soft)
        before = after


def test_marks_are_kept_for_as_long_as_entries(storage: Storage, redis_url: str, control: Any) -> None:
    storage.execute([tag("a"), prefix("http://a/")])
    if isinstance(storage, RedisStorage):
        for key in (tag_key("a"), prefixes_key()):
            [found] = control.scan_iter(f"{storage._prefix.decode()}{key}")
            assert KEPT - 60 < control.ttl(found) <= KEPT
