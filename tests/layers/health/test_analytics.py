"""The last day, as an operator reads it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from redis_middleware import ConfigurationError, Health, RateLimit, RedisStorage, ResponseCache, Sessions, run
from redis_middleware.counting import HOUR, hourly
from redis_middleware.counting.totals import Add
from redis_middleware.layers.health import counted
from redis_middleware.layers.health.analytics import analytics
from redis_middleware.layers.health.counted import Counted
from redis_middleware.storage import Storage

from ...conftest import Clock
from ...edges import Edge, hello
from ...wire import Wire

NEAR = "127.0.0.1"
SECRET = "0123456789abcdef0123456789abcdef"
AT = 1_800_000_000 // HOUR * HOUR


def told(call: Any) -> Any:
    return json.loads(call(path="/api/redis/stats", peer=NEAR).body)["analytics"]


def test_who_and_what_was_limited_most(edge: Edge, storage: Storage) -> None:
    limits = RateLimit("1/hour", exempt=lambda request: request.peer == NEAR)
    call = edge.wrap(hello, [Health(), limits], storage)
    for peer, path, times in (("192.0.2.1", "/a", 4), ("192.0.2.2", "/b", 2)):
        for _ in range(times):
            call(path=path, peer=peer)
    edge.flush()
    found = told(call)
    assert found["totals"]["limit denied"] == 4
    assert found["hours"][-1]["denied"] == 4
    assert found["hours"][-1]["allowed"] == 2
    assert found["today"]["most_limited"] == [
        {"limiter": "", "subjects": [{"subject": "192.0.2.1", "count": 3}, {"subject": "192.0.2.2", "count": 1}]}
    ]
    assert found["today"]["denied_paths"] == [{"path": "/a", "count": 3}, {"path": "/b", "count": 1}]


def test_limiters_have_rankings_of_their_own(edge: Edge, storage: Storage) -> None:
    layers = [Health(), RateLimit("1/hour", name="slow"), RateLimit("1/hour", paths="/a", name="fast")]
    call = edge.wrap(hello, layers, storage)
    call(path="/a")
    call(path="/b")
    edge.flush()
    assert [(one["limiter"], len(one["subjects"])) for one in told(call)["today"]["most_limited"]] == [("slow", 1), ("fast", 0)]


@pytest.mark.parametrize("subjects", ["hashed", "hidden"])
def test_subjects_need_not_be_shown(edge: Edge, storage: Storage, subjects: Any) -> None:
    call = edge.wrap(hello, [Health(subjects=subjects), RateLimit("1/hour")], storage)
    for _ in range(3):
        call()
    edge.flush()
    found = told(call)["today"]
    assert "192.0.2.1" not in str(found)
    assert found["denied_paths"] == [{"path": "/", "count": 2}]
    if subjects == "hashed":
        [one] = found["most_limited"][0]["subjects"]
        assert (one["subject"][0], len(one["subject"]), one["count"]) == ("#", 33, 2)


def test_another_word_for_subjects_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="subjects must be one of shown, hashed, hidden"):
        Health(subjects="clear")  # type: ignore[arg-type]  # that is the point


def test_paths_that_are_hit_and_missed_and_sessions(edge: Edge, storage: Storage, clock: Clock) -> None:
    def handler(seen: Any) -> Any:
        status, headers, pieces = hello(seen)
        return status, [*headers, ("cache-control", "max-age=60")], pieces

    def login(seen: Any) -> Any:
        seen.native.get("redis_middleware.session", seen.native.get("session"))["user"] = 1
        return hello(seen)

    sessions = Sessions(SECRET, secure=False)
    call = edge.wrap(handler, [Health(clock=clock), ResponseCache(), sessions], storage)
    for path in ("/a", "/a", "/a", "/b"):
        call(path=path, headers=[("host", "example.org")])
    edge.wrap(login, [sessions], storage)(path="/login")
    edge.flush()
    told(call)
    clock.move(1)  # a server that learns a script only now may have read before it has added
    found = told(call)
    assert found["active_sessions"] == 1
    assert found["today"]["hit_paths"] == [{"path": "/a", "count": 2}]
    assert found["today"]["missed_paths"][0]["count"] == 1
    last = found["hours"][-1]
    assert (last["hits"], last["misses"], last["sessions_created"]) == (2, 2, 1)


def test_there_is_an_hour_for_each_of_a_day(storage: Storage, clock: Clock) -> None:
    for ago in (0, 1, 23, 24):
        storage.execute([Add((hourly(AT - ago * HOUR),), (60, "limit denied", 10 + ago))])
    found = run(counted.read([], AT + 59), storage)
    hours = analytics(found, (), "shown")["hours"]
    assert len(hours) == 24
    assert [hour["denied"] for hour in hours] == [33, *[0] * 21, 11, 10]
    assert hours[-1]["time"] == "2027-01-15T08:00:00.000Z"


def test_times_of_an_hour() -> None:
    hour = {"trip:0.01": 3, "trip:inf": 1, "trip:sum": 2_000_000, "degraded RateLimit": 1, "degraded Sessions": 2}
    [shown] = analytics(Counted(hour, {AT: hour}), (), "shown")["hours"]
    assert (shown["trips"], shown["trip_ms"], shown["degraded"]) == (4, 500.0, 3)
    trips = analytics(Counted(hour, {}), (), "shown")["trips"]
    assert trips == {"count": 4, "failed": 0, "seconds": 2.0, "buckets": [bucket(0.01, 3), bucket(None, 4)]}


def bucket(at_most: float | None, count: int) -> dict[str, Any]:
    return {"at_most": at_most, "count": count}


def test_what_cannot_be_read_is_said_to_be_unavailable(edge: Edge) -> None:
    class Broken:
        def execute(self, ops: Any, /) -> list[Any]:
            raise RuntimeError("broken")

    assert told(edge.wrap(hello, [Health()], Broken())) == {"unavailable": "failed"}  # type: ignore[arg-type]  # completed by the edge


def test_all_of_it_is_one_trip_more(edge: Edge, wire: Wire, prefix: str, clock: Clock) -> None:
    storage = RedisStorage(wire.url, prefix=prefix, timeout=5)
    call = edge.wrap(hello, [Health(clock=clock), RateLimit("5/day")], storage)
    told(call)
    edge.flush()
    clock.move(1)
    before = wire.trips
    told(call)
    assert wire.trips - before <= 3 + 1, "three to look at the storage, and one for what was counted"
    storage.close()
