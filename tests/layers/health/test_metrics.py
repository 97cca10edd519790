"""What Prometheus gets: parsed as it would, and the same whoever answers."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

from redis_middleware import Health, Limit, MemoryStorage, RateLimit, ResponseCache, Sessions, StorageUnavailable
from redis_middleware.counting import TOTALS
from redis_middleware.counting.totals import Add
from redis_middleware.layers.health.metrics import Exposition
from redis_middleware.storage import Storage

from ...edges import Answer, Caller, Edge, Seen, hello

PATH = "/api/redis/metrics"
NEAR = "127.0.0.1"
SECRET = "0123456789abcdef0123456789abcdef"


def cacheable(seen: Seen) -> Any:
    seen.native.get("redis_middleware.session", seen.native.get("session"))
    status, headers, pieces = hello(seen)
    return status, [*headers, ("cache-control", "max-age=60")], pieces


def families(answer: Answer) -> dict[str, Metric]:
    assert answer.status == 200
    return {family.name: family for family in openmetrics(answer.body.decode())}  # type: ignore[no-untyped-call]  # it has no types


def values(family: Metric, label: str = "") -> dict[str, float]:
    return {sample.labels.get(label, ""): sample.value for sample in family.samples}


def used(edge: Edge, storage: Storage) -> Caller:
    """An app in all layers, with some use behind it."""
    layers = [
        Health(),
        RateLimit("3/hour", Limit("1/day", name="soon", shadow=True)),
        ResponseCache(),
        Sessions(SECRET),
    ]
    call = edge.wrap(cacheable, layers, storage)
    for path in ("/a", "/a", "/b", "/c", "/c"):
        call(path=path, headers=[("host", "example.org")])
    edge.flush()
    return call


def test_what_layers_decided(edge: Edge, storage: Storage) -> None:
    told = families(used(edge, storage)(path=PATH, peer=NEAR))
    assert values(told["redis_middleware_limit_decisions"], "outcome") == {"allowed": 3, "denied": 2}
    exceeded = {(s.labels["policy"], s.labels["mode"]): s.value for s in told["redis_middleware_limit_exceeded"].samples}
    assert exceeded == {("hour", "denied"): 2, ("soon", "shadow"): 4}
    assert values(told["redis_middleware_cache_responses"], "outcome") == {"fresh": 1, "stale": 0, "revalidated": 0, "miss": 2}
    assert values(told["redis_middleware_cache_stored"]) == {"": 2}
    assert values(told["redis_middleware_cache_stored_bytes"]) == {"": 10}
    assert values(told["redis_middleware_session_events"], "event") == {"created": 0, "loaded": 0, "rotated": 0, "ended": 0}
    assert values(told["redis_middleware_sessions_active"]) == {"": 0}


def test_what_the_storage_is_like(edge: Edge, storage: Storage) -> None:
    told = families(used(edge, storage)(path=PATH, peer=NEAR))
    assert values(told["redis_middleware_storage_up"]) == {"": 1}
    assert values(told["redis_middleware_memory_used_bytes"], "node")["1"] > 0
    assert values(told["redis_middleware_evicted_keys"], "node") == {"1": 0}
    assert set(values(told["redis_middleware_advisories"], "severity")) == {"critical", "warning", "notice"}
    trips = values(told["redis_middleware_trip_seconds"], "le")
    assert (trips["+Inf"] > 0) == (not isinstance(storage, MemoryStorage))


def test_times_are_a_cumulative_histogram(edge: Edge, storage: Storage) -> None:
    counts = ("trip:0.0005", 5, "trip:0.01", 2, "trip:inf", 1, "trip:sum", 2_500_000, "trip failed", 1)
    storage.execute([Add((TOTALS,), (60, *counts))])
    told = families(edge.wrap(hello, [Health()], storage)(path=PATH, peer=NEAR))
    trips = told["redis_middleware_trip_seconds"]
    buckets = [(s.labels["le"], s.value) for s in trips.samples if s.name.endswith("_bucket")]
    assert buckets == [("0.0005", 5), ("0.01", 7), ("+Inf", 8)]
    rest = {sample.name: sample.value for sample in trips.samples if not sample.name.endswith("_bucket")}
    assert rest == {"redis_middleware_trip_seconds_count": 8, "redis_middleware_trip_seconds_sum": 2.5}
    assert values(told["redis_middleware_trip_failures"]) == {"": 1}


def test_both_forms_parse_and_tell_the_same(edge: Edge, storage: Storage) -> None:
    call = used(edge, storage)
    new = call(path=PATH, headers=[("accept", "application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1")], peer=NEAR)
    old = call(path=PATH, headers=[("accept", "text/plain;version=0.0.4;q=0.3,*/*;q=0.1")], peer=NEAR)
    assert new.headers.get("content-type") == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert old.headers.get("content-type") == "text/plain; version=0.0.4; charset=utf-8"
    assert new.body.endswith(b"# EOF\n")
    assert samples(families(new).values()) == samples(prometheus(old.body.decode()))


def samples(families: Any) -> Mapping[Any, float]:
    found = [sample for family in families for sample in family.samples]
    return {(s.name, *sorted(s.labels.items())): s.value for s in found if "ping" not in s.name}


def test_each_family_is_named_and_explained(edge: Edge, storage: Storage) -> None:
    for name, family in families(used(edge, storage)(path=PATH, peer=NEAR)).items():
        assert name.startswith("redis_middleware_")
        assert family.documentation.endswith(".")
        assert name.endswith(("_bytes", "_seconds")) == bool(family.unit)


@pytest.mark.parametrize(("options", "status"), [({"allow": ()}, 403), ({"token": "s3cret"}, 401)])
def test_a_stranger_gets_none(edge: Edge, options: dict[str, Any], status: int) -> None:
    assert edge.wrap(hello, [Health(**options)], MemoryStorage())(path=PATH).status == status


def test_a_scraper_may_have_the_token(edge: Edge) -> None:
    call = edge.wrap(hello, [Health(token="s3cret")], MemoryStorage())
    assert call(path=PATH, headers=[("authorization", "Bearer s3cret")]).status == 200


class Down:
    """A storage that is out of reach."""

    def execute(self, ops: Any, /) -> list[Any]:
        raise StorageUnavailable("switched off")


def test_a_storage_that_is_down_is_told_of_by_one_number_and_no_others(edge: Edge) -> None:
    told = families(edge.wrap(hello, [Health(), RateLimit("5/day")], Down())(path=PATH, peer=NEAR))  # type: ignore[arg-type]  # completed by the edge
    assert values(told["redis_middleware_storage_up"]) == {"": 0}
    assert "redis_middleware_limit_decisions" not in told, "a counter must never fall to 0 by itself"


def test_without_the_extra_the_route_says_what_to_install(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.delitem(sys.modules, Exposition.__module__)
    answer = edge.wrap(hello, [Health()], MemoryStorage())(path=PATH, peer=NEAR)
    assert answer.status == 501
    assert b"pip install 'redis-middleware[prometheus]'" in answer.body


def test_no_number_is_none_or_negative(edge: Edge, storage: Storage) -> None:
    for family in families(used(edge, storage)(path=PATH, peer=NEAR)).values():
        for sample in family.samples:
            assert math.isfinite(sample.value)
            assert sample.value >= 0
