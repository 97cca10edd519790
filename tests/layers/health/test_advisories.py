"""Advice from facts: each rule, where it holds and where it does not; and that real servers give these facts."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import redis

from redis_middleware import Health, RedisStorage, Sessions
from redis_middleware.cli.processes import redis_server
from redis_middleware.layers.health.advisories import advisories
from redis_middleware.layers.health.facts import Facts
from redis_middleware.layers.health.rules import RULES

from ...edges import WSGI, hello

NEAR: dict[str, Any] = {"kind": "redis", "loopback": True, "tls": False, "credentials": False}
FAR = NEAR | {"loopback": False}
WELL: dict[str, dict[str, Any]] = {
    "server": {"name": "valkey", "version": "9.1.2"},
    "memory": {"used_bytes": 1 << 20, "max_bytes": 1 << 30, "resident_bytes": 2 << 20, "policy": "volatile-lru"},
    "clients": {"connected": 3, "limit": 100},
    "evictions": {"evicted_keys": 0, "rejected_connections": 0},
    "persistence": {"last_save": "ok", "last_append": "ok", "append_only": True, "last_fork_microseconds": 900},
    "replication": {"role": "master", "replicas": 1, "online": 1, "lag_seconds": 0},
    "configuration": {"save": ""},
}
ALL = ("cache", "limits", "sessions")


def changed(**sections: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return WELL | {name: WELL.get(name, {}) | section for name, section in sections.items()}


def advised(
    *nodes: dict[str, Any], concerns: tuple[str, ...] = ALL, storage: dict[str, Any] = NEAR, before: Facts | None = None
) -> list[str]:
    return [one.id for one in advisories(Facts(storage, nodes), concerns, before)]


def test_a_server_that_is_set_up_well_needs_no_advice() -> None:
    assert advised(WELL) == []


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({"memory": {"policy": "noeviction"}}, "noeviction-with-cache"),
        ({"memory": {"policy": "allkeys-lru"}}, "allkeys-with-state"),
        ({"memory": {"policy": "allkeys-random"}}, "allkeys-with-state"),
        ({"memory": {"max_bytes": 0}}, "maxmemory-unset"),
        ({"persistence": {"last_save": "err"}}, "save-failed"),
        ({"persistence": {"last_append": "err"}}, "save-failed"),
        ({"persistence": {"append_only": False}}, "sessions-not-persistent"),
        ({"replication": {"role": "replica", "link": "up", "replicas": 0, "online": None}}, "replica"),
        ({"replication": {"lag_seconds": 11}}, "replica-lags"),
        ({"replication": {"replicas": 2}}, "replica-lags"),
        ({"clients": {"connected": 80}}, "clients-crowded"),
        ({"memory": {"used_bytes": 400 << 20, "resident_bytes": 700 << 20}}, "fragmented"),
        ({"persistence": {"last_fork_microseconds": 100_000}}, "slow-fork"),
        ({"server": {"name": "redis", "version": "6.2.14"}}, "old-server"),
        ({"server": {"name": "redis", "version": "6.0.20"}}, "old-server"),
    ],
)
def test_what_will_hurt_is_said(sections: dict[str, Any], expected: str) -> None:
    assert advised(changed(**sections)) == [expected]


@pytest.mark.parametrize(
    ("sections", "concerns"),
    [
        ({"memory": {"policy": "noeviction"}}, ("limits", "sessions")),
        ({"memory": {"policy": "allkeys-lru"}}, ("cache",)),
        ({"persistence": {"append_only": False}}, ("cache", "limits")),
        ({"configuration": {"save": "3600 1"}, "persistence": {"append_only": False}}, ALL),
        ({"configuration": {"unavailable": "NOPERM", "save": None}, "persistence": {"append_only": False}}, ALL),
        ({"memory": {"used_bytes": 1 << 20, "resident_bytes": 7 << 20}}, ALL),
        ({"server": {"name": "redis", "version": "7.2.0"}}, ALL),
        ({"server": {"name": "other", "version": "1.2"}}, ALL),
        ({"server": {"name": "redis", "version": ""}}, ALL),
    ],
)
def test_what_does_not_matter_here_is_not(sections: dict[str, Any], concerns: tuple[str, ...]) -> None:
    assert advised(changed(**sections), concerns=concerns) == []


def test_what_a_server_refuses_to_say_is_no_reason() -> None:
    assert advised({name: {"unavailable": "NOPERM"} for name in WELL}) == []


@pytest.mark.parametrize(
    ("storage", "expected"),
    [
        (FAR, ["no-password", "no-tls"]),
        (FAR | {"tls": True}, ["no-password"]),
        (FAR | {"credentials": True}, ["no-tls"]),
        (FAR | {"tls": True, "credentials": True}, []),
        (NEAR, []),
    ],
)
def test_the_way_to_the_server(storage: dict[str, Any], expected: list[str]) -> None:
    assert advised(WELL, storage=storage) == expected


@pytest.mark.parametrize(("name", "expected"), [("evicted_keys", "evictions-rise"), ("rejected_connections", "refusals-rise")])
def test_what_rises_is_seen_by_the_reading_before(name: str, expected: str) -> None:
    before, now = changed(evictions={name: 5}), changed(evictions={name: 6})
    assert advised(now, before=Facts(NEAR, (before,))) == [expected]
    assert advised(now, before=Facts(NEAR, (now,))) == []
    assert advised(now, before=Facts(NEAR, (before, before))) == [], "another cluster than before"
    assert advised(before, before=Facts(NEAR, (now,))) == [], "the server has been restarted"
    assert advised(now) == []


def test_memory_is_told_apart() -> None:
    storage = {"kind": "memory"}
    node: dict[str, Any] = {"memory": {"used_bytes": 5, "max_bytes": 9, "policy": "layers"}, "evictions": {"evicted_keys": 3}}
    assert advised(node, storage=storage) == ["memory-evicts", "sessions-not-persistent"]
    assert advised(node | {"evictions": {"evicted_keys": 0}}, storage=storage, concerns=("limits",)) == []


def test_a_cluster_gets_each_advice_once_and_the_most_severe_first() -> None:
    bad = changed(memory={"max_bytes": 0}, persistence={"last_save": "err"})
    assert advised(bad, bad, WELL) == ["save-failed", "maxmemory-unset"]


def test_each_advice_is_complete_and_stands_in_the_docs(request: pytest.FixtureRequest) -> None:
    bad = changed(memory={"max_bytes": 0, "policy": "allkeys-lru"}, persistence={"last_save": "err"})
    for one in advisories(Facts(FAR, (bad,)), ALL):
        assert one.seen.endswith(".")
        assert one.wanted.endswith(".")
        assert one.link.startswith("https://redis.io/docs/latest/")
        assert one.document().keys() == {"id", "severity", "seen", "wanted", "link"}
    page = (request.config.rootpath / "docs" / "health.md").read_text()
    rules = (request.config.rootpath / "redis_middleware" / "layers" / "health" / "rules.py").read_text()
    ids = re.findall(r'Advisory\(\s*"([a-z-]+)"', rules)
    assert len(ids) == len(RULES)
    assert [name for name in ids if f"`{name}`" not in page] == []


def test_a_real_server_gives_these_facts() -> None:
    with redis_server() as server, redis.Redis(port=server.port) as control:
        control.config_set("maxmemory-policy", "allkeys-lru")
        storage = RedisStorage(f"redis://{server.address}/0")
        call = WSGI().wrap(hello, [Health(), Sessions("0123456789abcdef0123456789abcdef")], storage)
        told = json.loads(call(path="/api/redis/stats", peer="127.0.0.1").body)
        assert [one["id"] for one in told["advisories"]] == ["allkeys-with-state", "maxmemory-unset", "sessions-not-persistent"]
        storage.close()
