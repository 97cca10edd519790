"""From facts to a verdict."""

from __future__ import annotations

from typing import Any

import pytest

from redis_middleware import ConfigurationError
from redis_middleware.layers.health import Thresholds
from redis_middleware.layers.health.checks import Check, checks_of, timestamp, worst
from redis_middleware.layers.health.facts import Facts


def found(name: str, *nodes: dict[str, Any], storage: dict[str, Any] | None = None, **facts: Any) -> list[Check]:
    made = Facts(storage or {"kind": "redis"}, nodes, **({"ping": 0.001, "write": 0.001} | facts))
    return [check for check in checks_of(made, Thresholds()) if check.name == name]


@pytest.mark.parametrize(("seconds", "status"), [(0.0499, "pass"), (0.0501, "warn"), (0.7, "warn")])
def test_slow_is_a_warning(seconds: float, status: str) -> None:
    [ping] = found("storage:responseTime", ping=seconds)
    [write] = found("storage:write", write=seconds)
    assert (ping.status, write.status) == (status, status)


@pytest.mark.parametrize(
    ("policy", "used", "status"),
    [
        ("noeviction", 79, "pass"),
        ("noeviction", 80, "warn"),
        ("noeviction", 94, "warn"),
        ("noeviction", 95, "fail"),
        ("allkeys-lru", 100, "pass"),
        ("layers", 100, "pass"),
    ],
)
def test_full_memory_is_trouble_where_nothing_is_evicted(policy: str, used: int, status: str) -> None:
    [check] = found("memory:utilization", {"memory": {"used_bytes": used, "max_bytes": 100, "policy": policy}})
    assert (check.status, check.value, check.unit) == (status, float(used), "percent")


def test_memory_without_a_limit_is_no_share_of_it() -> None:
    assert found("memory:utilization", {"memory": {"used_bytes": 5, "max_bytes": 0}}) == []


@pytest.mark.parametrize(("connected", "status"), [(79, "pass"), (80, "warn"), (100, "warn")])
def test_clients_crowd(connected: int, status: str) -> None:
    assert [check.status for check in found("clients:utilization", {"clients": {"connected": connected, "limit": 100}})] == [
        status
    ]


@pytest.mark.parametrize(
    ("name", "node", "status"),
    [
        ("storage:loading", {"persistence": {"loading": True}}, "fail"),
        ("storage:loading", {"persistence": {"loading": False}}, "pass"),
        ("storage:role", {"replication": {"role": "replica"}}, "warn"),
        ("storage:role", {"replication": {"role": "master"}}, "pass"),
        ("cluster:state", {"cluster": {"state": "ok"}}, "pass"),
        ("cluster:state", {"cluster": {"state": "fail"}}, "fail"),
        ("server:reachable", {"server": {"unavailable": "timeout"}}, "fail"),
    ],
)
def test_what_a_server_says_of_itself(name: str, node: dict[str, Any], status: str) -> None:
    assert [check.status for check in found(name, node)] == [status]


def test_each_server_of_a_cluster_has_its_own_observation() -> None:
    nodes: list[dict[str, Any]] = [{"replication": {"role": "master"}}, {"server": {"unavailable": "timeout"}}]
    assert len(found("storage:role", *nodes)) == 1
    assert [check.output for check in found("server:reachable", *nodes)] == ["timeout"]


@pytest.mark.parametrize(("breaker", "status"), [("closed", "pass"), ("open", "warn"), ("half-open", "warn")])
def test_a_breaker_says_how_it_stands(breaker: str, status: str) -> None:
    assert [check.status for check in found("storage:breaker", storage={"breaker": breaker})] == [status]


def test_the_worst_is_the_status() -> None:
    assert worst(["pass", "warn", "pass"]) == "warn"
    assert worst(["warn", "fail", "pass"]) == "fail"
    assert worst([]) == "pass"


def test_a_check_is_as_the_draft_has_it() -> None:
    document = Check("a:b", "warn", 51.5, "ms", "slow").document(1_800_000_000.25)
    assert document == {
        "componentType": "datastore",
        "observedValue": 51.5,
        "observedUnit": "ms",
        "status": "warn",
        "time": "2027-01-15T08:00:00.250Z",
        "output": "slow",
    }
    assert timestamp(0) == "1970-01-01T00:00:00.000Z"


@pytest.mark.parametrize("options", [{"latency": 0}, {"memory": 0}, {"memory": 1.1}, {"memory_full": -1}, {"clients": 2}])
def test_a_threshold_that_is_none_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=f"threshold {next(iter(options))} "):
        Thresholds(**options)
