"""The health route as a probe sees it."""

from __future__ import annotations

import json
import os
import signal
from typing import Any

import pytest
import redis

from redis_middleware import ConfigurationError, Health, RateLimit, RedisStorage
from redis_middleware.cli.processes import redis_server
from redis_middleware.storage import Storage

from ...edges import Edge, hello

PATH = "/api/redis/health"


def test_a_storage_that_works_passes(edge: Edge, storage: Storage) -> None:
    answer = edge.wrap(hello, [Health()], storage)(path=PATH)
    assert answer.status == 200
    assert answer.headers.get("content-type") == "application/health+json"
    assert answer.headers.get("cache-control") == "no-store"
    document = json.loads(answer.body)
    assert document["status"] == "pass"
    [check] = document["checks"]["storage:responseTime"]
    assert check["observedValue"] > 0
    assert check["observedUnit"] == "ms"


@pytest.mark.parametrize("fault", ["killed", "frozen", "full"])
def test_a_storage_that_does_not_work_fails(edge: Edge, fault: str) -> None:
    with redis_server() as server:
        storage = RedisStorage(f"redis://{server.address}/0")
        call = edge.wrap(hello, [Health()], storage)
        assert call(path=PATH).status == 200
        if fault == "full":
            with redis.Redis(port=server.port) as control:
                control.config_set("maxmemory", "1")
        else:
            os.kill(server.process.pid, signal.SIGSTOP if fault == "frozen" else signal.SIGKILL)
        answer = call(path=PATH)
        assert answer.status == 503
        assert json.loads(answer.body) == {"status": "fail"}
        assert call().status == 200, "nothing else of the app is harmed"
        storage.close()


def test_it_leaves_nothing_behind(edge: Edge, redis_url: str, prefix: str, control: Any) -> None:
    storage = RedisStorage(redis_url, prefix=prefix)
    edge.wrap(hello, [Health()], storage)(path=PATH)
    assert list(control.scan_iter(match=f"{prefix}*")) == []
    storage.close()


def test_a_probe_is_never_limited(edge: Edge, storage: Storage) -> None:
    call = edge.wrap(hello, [Health(), RateLimit("1/hour")], storage)
    assert [call(path=PATH).status for _ in range(5)] == [200] * 5


def test_head_is_get_without_a_body_and_other_methods_are_refused(edge: Edge, storage: Storage) -> None:
    call = edge.wrap(hello, [Health()], storage)
    head = call("HEAD", PATH)
    assert (head.status, head.body) == (200, b"")
    assert int(head.headers.get("content-length") or 0) > 50
    post = call("POST", PATH)
    assert (post.status, post.headers.get("allow")) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", ["/api/redis", "/api/redis/health/", "/api/redis/healthy", "/", "/x/api/redis/health"])
def test_other_paths_are_the_apps(edge: Edge, storage: Storage, path: str) -> None:
    assert edge.wrap(hello, [Health()], storage)(path=path).body == b"hello"


def test_the_prefix_is_the_users(edge: Edge, storage: Storage) -> None:
    assert edge.wrap(hello, [Health(prefix="/ops")], storage)(path="/ops/health").status == 200


@pytest.mark.parametrize("prefix", ["ops", "/ops/", ""])
def test_a_prefix_that_is_no_path_is_refused(prefix: str) -> None:
    with pytest.raises(ConfigurationError, match="prefix"):
        Health(prefix=prefix)
