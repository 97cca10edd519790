"""The routes as a probe, a stranger and an operator see them."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import Any

import pytest
import redis

from redis_middleware import ConfigurationError, Health, RateLimit, RedisStorage, Sessions
from redis_middleware.cli.processes import redis_server
from redis_middleware.storage import Storage

from ...conftest import Clock
from ...edges import Answer, Edge, hello
from ...toys import Gate, Reader

PATH = "/api/redis/health"
ROUTES = ["/api/redis/", PATH, "/api/redis/stats", "/api/redis/metrics", "/livez", "/readyz", "/startupz"]
NEAR = "127.0.0.1"
SECRET = "0123456789abcdef0123456789abcdef"


def document(answer: Answer) -> Any:
    return json.loads(answer.body)


def test_a_storage_that_works_passes(edge: Edge, storage: Storage) -> None:
    answer = edge.wrap(hello, [Health()], storage)(path=PATH, peer=NEAR)
    assert answer.status == 200
    assert answer.headers.get("content-type") == "application/health+json"
    assert answer.headers.get("cache-control") == "no-store"
    told = document(answer)
    assert told["status"] == "pass"
    [check] = told["checks"]["storage:responseTime"]
    assert check["observedValue"] > 0
    assert check["observedUnit"] == "ms"
    assert {check["status"] for observed in told["checks"].values() for check in observed} == {"pass"}


@pytest.mark.parametrize("fault", ["killed", "frozen", "full"])
def test_a_storage_that_does_not_work_fails_within_a_second(edge: Edge, fault: str, clock: Clock) -> None:
    with redis_server() as server:
        storage = RedisStorage(f"redis://{server.address}/0")
        call = edge.wrap(hello, [Health(clock=clock)], storage)
        assert call(path=PATH).status == 200
        if fault == "full":
            with redis.Redis(port=server.port) as control:
                control.config_set("maxmemory", "1")
        else:
            os.kill(server.process.pid, signal.SIGSTOP if fault == "frozen" else signal.SIGKILL)
        clock.move(1)
        began = time.monotonic()
        answer = call(path=PATH)
        assert time.monotonic() - began < 1, "the promise is a deadline"
        assert answer.status == 503
        assert document(answer) == {"status": "fail"}
        reason = {"killed": "unreachable", "frozen": "timeout", "full": "OOM"}[fault]
        told = document(call(path=PATH, peer=NEAR))
        assert told["output"] == reason
        assert told["checks"]["storage:write"][0]["output"] == reason
        assert call().status == 200, "nothing else of the app is harmed"
        storage.close()


def test_it_leaves_nothing_behind(edge: Edge, redis_url: str, prefix: str, control: Any) -> None:
    storage = RedisStorage(redis_url, prefix=prefix)
    call = edge.wrap(hello, [Health()], storage)
    call(path=PATH)
    call("POST", "/api/redis/test", [("x-redis-middleware", "yes")], NEAR)
    assert list(control.scan_iter(match=f"{prefix}*")) == []
    storage.close()


@pytest.mark.parametrize("path", ROUTES)
def test_a_probe_is_never_limited_wherever_the_layer_stands(edge: Edge, storage: Storage, path: str) -> None:
    call = edge.wrap(hello, [RateLimit("1/hour"), Gate(lambda: pytest.fail("the gate was asked")), Health()], storage)
    assert [call(path=path, peer=NEAR).status for _ in range(5)] == [200] * 5


def test_the_reads_of_other_layers_do_not_travel_with_it(edge: Edge, redis_url: str, prefix: str) -> None:
    """They would go over the pool, and a pool that is exhausted would look like an outage."""
    storage = RedisStorage(redis_url, prefix=prefix, max_connections=1)
    storage._gate.acquire()
    call = edge.wrap(hello, [Health(), Reader("a")], storage)
    told = document(call(path=PATH, peer=NEAR))
    assert told["checks"]["storage:write"][0]["status"] == "pass"
    if edge.name == "wsgi":
        assert told["status"] == "warn"
        assert told["checks"]["connections:utilization"][0]["output"] == "all connections of this process are in use"
    storage._gate.release()
    storage.close()


@pytest.mark.parametrize("path", ROUTES)
def test_head_is_get_without_a_body_and_other_methods_are_refused(edge: Edge, storage: Storage, path: str) -> None:
    call = edge.wrap(hello, [Health()], storage)
    head = call("HEAD", path, peer=NEAR)
    assert (head.status, head.body) == (200, b"")
    assert int(head.headers.get("content-length") or 0) > 10
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        refused = call(method, path, peer=NEAR)
        assert (refused.status, refused.headers.get("allow")) == (405, "GET, HEAD")
        assert refused.headers.get("content-type") == "application/problem+json"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_test_is_posted(edge: Edge, storage: Storage, method: str) -> None:
    refused = edge.wrap(hello, [Health()], storage)(method, "/api/redis/test", peer=NEAR)
    assert (refused.status, refused.headers.get("allow")) == (405, "POST")


@pytest.mark.parametrize(
    "path", ["/api/redis", "/api/redis/health/", "/api/redis/healthy", "/", "/x/api/redis/health", "/livez/"]
)
def test_other_paths_are_the_apps(edge: Edge, storage: Storage, path: str) -> None:
    assert edge.wrap(hello, [Health()], storage)(path=path).body == b"hello"


def test_the_prefix_is_the_users(edge: Edge, storage: Storage) -> None:
    assert edge.wrap(hello, [Health(prefix="/ops")], storage)(path="/ops/health").status == 200


def test_probes_may_be_left_to_the_app(edge: Edge, storage: Storage) -> None:
    assert edge.wrap(hello, [Health(probes=False)], storage)(path="/livez").body == b"hello"


@pytest.mark.parametrize("prefix", ["ops", "/ops/", ""])
def test_a_prefix_that_is_no_path_is_refused(prefix: str) -> None:
    with pytest.raises(ConfigurationError, match="prefix"):
        Health(prefix=prefix)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"allow": ["10.0.0.0/33"]}, "allow"),
        ({"token": ""}, "token"),
        ({"token": "with space"}, "token"),
        ({"drain_delay": -1}, "drain_delay"),
    ],
)
def test_options_that_mean_nothing_are_refused(options: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigurationError, match=match):
        Health(**options)


PASSWORD = "hunter2"


def test_a_stranger_learns_the_status_and_nothing_else(edge: Edge) -> None:
    with redis_server("--requirepass", PASSWORD) as server:
        storage = RedisStorage(f"redis://:{PASSWORD}@{server.address}/0")
        call = edge.wrap(hello, [Health(), RateLimit("9/hour"), Sessions(SECRET)], storage)
        for path in (PATH, "/livez", "/readyz", "/startupz"):
            assert document(call(path=path)) == {"status": "pass"}
            assert call(path=f"{path}?format=text").body == b"status: pass\n"
            page = call(path=f"{path}?format=html").body
            assert page.count(b"<tr>") == 1
        for method, path in (("GET", "/api/redis/stats"), ("POST", "/api/redis/test")):
            refused = call(method, path)
            assert refused.status == 403
            assert document(refused).keys() == {"type", "title", "status", "detail"}
        storage.close()


def test_nobody_is_told_a_password_an_address_or_a_key(edge: Edge) -> None:
    with redis_server("--requirepass", PASSWORD, "--slowlog-log-slower-than", "0") as server:
        storage = RedisStorage(f"redis://:{PASSWORD}@{server.address}/0")
        call = edge.wrap(hello, [Health(), RateLimit("9/hour"), Reader("secret-key")], storage)
        call()
        answers = [call(path=path, peer=NEAR) for path in ROUTES]
        answers += [call(path=f"{path}?format=html", peer=NEAR) for path in ROUTES]
        answers.append(call("POST", "/api/redis/test", [("x-redis-middleware", "yes")], NEAR))
        for secret in (PASSWORD, str(server.port), "127.0.0.1", "secret-key", "192.0.2.1", os.uname().nodename, "/valkey-server"):
            for answer in answers:
                assert secret not in answer.body.decode()
        storage.close()


def test_stats_tell_what_there_is_to_know(edge: Edge, storage: Storage) -> None:
    call = edge.wrap(hello, [Health(), RateLimit("9/hour"), Sessions(SECRET)], storage)
    told = document(call(path="/api/redis/stats", peer=NEAR))
    assert told["status"] == "pass"
    assert told["times"]["write_ms"] > 0
    [node] = told["nodes"]
    assert node["memory"]["used_bytes"] >= 0
    assert node["keyspace"]["keys"] >= 0
    health, limits, sessions = told["layers"]
    assert health == {"layer": "Health"}
    assert limits == {"layer": "RateLimit", "concern": "limits", "on_error": "fallback"}
    assert sessions["stats"]["active"] == 0
    assert "sessions-not-persistent" in [advisory["id"] for advisory in told["advisories"]]
    if told["storage"]["kind"] == "redis":
        assert node["server"]["version"]
        sections = {"memory", "clients", "commands", "keyspace", "evictions", "persistence", "replication", "slow_log", "latency"}
        assert sections < node.keys()
        assert not [name for name, section in node.items() if "unavailable" in section]


def test_the_slow_log_shows_our_own_commands_by_name(edge: Edge) -> None:
    with redis_server("--slowlog-log-slower-than", "0") as server, redis.Redis(port=server.port) as control:
        storage = RedisStorage(f"redis://{server.address}/0")
        call = edge.wrap(hello, [Health(), Reader("a")], storage)
        call()
        control.set("somebody", "else")
        slow = document(call(path="/api/redis/stats", peer=NEAR))["nodes"][0]["slow_log"]
        [entry] = [entry for entry in slow["ours"] if entry["command"] == "GET"][-1:]
        assert entry.keys() == {"time", "microseconds", "command"}
        assert slow["others"] > 0
        storage.close()


def test_what_an_acl_denies_is_said_to_be_unavailable(edge: Edge) -> None:
    with redis_server() as server, redis.Redis(port=server.port) as control:
        control.acl_setuser("poor", enabled=True, passwords=["+x"], keys=["rm:*"], commands=["+@all", "-@dangerous", "-@admin"])
        storage = RedisStorage(f"redis://poor:x@{server.address}/0")
        call = edge.wrap(hello, [Health()], storage)
        assert call(path=PATH, peer=NEAR).status == 200
        answer = call(path="/api/redis/stats", peer=NEAR)
        [node] = document(answer)["nodes"]
        assert answer.status == 200
        denied = {name for name, section in node.items() if section == {"unavailable": "NOPERM"}}
        assert denied == {
            "memory", "clients", "commands", "evictions", "persistence", "replication", "configuration", "slow_log", "latency",
        }  # fmt: skip
        assert node["keyspace"] == {"keys": 0}
        assert node["server"]["version"]
        storage.close()


def test_a_user_who_may_not_write_is_told_so(edge: Edge) -> None:
    with redis_server() as server, redis.Redis(port=server.port) as control:
        control.acl_setuser("reader", enabled=True, passwords=["+x"], keys=["*"], commands=["+@read", "+@connection"])
        storage = RedisStorage(f"redis://reader:x@{server.address}/0")
        answer = edge.wrap(hello, [Health()], storage)(path=PATH, peer=NEAR)
        assert (answer.status, document(answer)["output"]) == (503, "NOPERM")
        storage.close()


def test_a_replica_cannot_be_written_to(edge: Edge) -> None:
    with redis_server() as server, redis.Redis(port=server.port) as control:
        control.replicaof("127.0.0.1", 1)
        storage = RedisStorage(f"redis://{server.address}/0")
        call = edge.wrap(hello, [Health()], storage)
        told = document(call(path=PATH, peer=NEAR))
        assert told["output"] == "READONLY"
        assert told["checks"]["storage:role"][0]["observedValue"] == "replica"
        advice = document(call(path="/api/redis/stats", peer=NEAR))["advisories"]
        assert "replica" in [advisory["id"] for advisory in advice]
        storage.close()


def test_a_storage_of_the_users_own_is_tried_by_ops(edge: Edge) -> None:
    class Broken:
        def execute(self, ops: Any, /) -> list[Any]:
            raise RuntimeError("host=db.internal password=hunter2")

    answer = edge.wrap(hello, [Health()], Broken())(path=PATH, peer=NEAR)  # type: ignore[arg-type]  # completed by the edge
    assert answer.status == 503
    assert b"hunter2" not in answer.body
