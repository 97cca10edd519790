"""POST test: each kind of data once, who may start it, and what a failure looks like."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import Any

import pytest
import redis

from redis_middleware import Health, RedisStorage
from redis_middleware.cli.processes import redis_server
from redis_middleware.storage import Storage

from ...edges import WSGI, Answer, Edge, hello

TYPES = ["strings", "hashes", "lists", "sets", "sorted sets", "expiry", "script"]
OWN = ("x-redis-middleware", "yes")
TOKEN = "s3cret-token"


def post(call: Any, *headers: tuple[str, str], peer: str = "127.0.0.1") -> Answer:
    answer: Answer = call("POST", "/api/redis/test", headers, peer)
    return answer


def test_each_kind_of_data_has_a_line_and_a_time(edge: Edge, storage: Storage) -> None:
    answer = post(edge.wrap(hello, [Health()], storage), OWN)
    told = json.loads(answer.body)
    assert (answer.status, told["status"]) == (200, "pass")
    assert [line["test"] for line in told["tests"]] == TYPES
    for line in told["tests"]:
        if line["status"] == "absent":
            assert not isinstance(storage, RedisStorage)
            assert "memory has no such type" in line["output"]
        else:
            assert line["milliseconds"] > 0
    absent = [line["test"] for line in told["tests"] if line["status"] == "absent"]
    assert absent == ([] if isinstance(storage, RedisStorage) else TYPES[1:5])


def test_it_is_one_random_key_with_a_hash_tag_and_a_ttl() -> None:
    with redis_server() as server, redis.Redis(port=server.port) as control, control.monitor() as seen:
        storage = RedisStorage(f"redis://{server.address}/0")
        post(WSGI().wrap(hello, [Health()], storage), OWN)
        keys, expiring = set(), 0
        for command in (line["command"].split() for line in seen.listen()):
            if command[0] in ("SET", "HSET", "RPUSH", "SADD", "ZADD"):
                keys.add(command[1])
            expiring += command[0] == "PEXPIRE" or "PX" in command
            if command[0] == "EVAL":
                break
        assert len(keys) == 1
        assert keys.pop().startswith("rm:h:{")
        assert expiring >= len(TYPES)
        assert control.dbsize() == 0
        storage.close()


@pytest.mark.parametrize("fault", ["frozen", "full", "poor"])
def test_a_failure_is_named_line_by_line(edge: Edge, fault: str) -> None:
    with redis_server() as server, redis.Redis(port=server.port) as control:
        url = f"redis://{server.address}/0"
        if fault == "full":
            control.config_set("maxmemory", "1")
        elif fault == "poor":
            rights = ["+@all", "-@scripting", "-hset"]
            control.acl_setuser("poor", enabled=True, passwords=["+x"], keys=["rm:*"], commands=rights)
            url = f"redis://poor:x@{server.address}/0"
        else:
            os.kill(server.process.pid, signal.SIGSTOP)
        storage = RedisStorage(url)
        began = time.monotonic()
        answer = post(edge.wrap(hello, [Health()], storage), OWN)
        assert time.monotonic() - began < 1, "the promise is a deadline"
        told = json.loads(answer.body)
        assert (answer.status, told["status"]) == (503, "fail")
        outputs = {line["test"]: line.get("output") for line in told["tests"]}
        if fault == "poor":
            assert outputs == dict.fromkeys(TYPES) | {"hashes": "NOPERM", "script": "NOPERM"}
        else:
            assert set(outputs.values()) == {"timeout" if fault == "frozen" else "OOM"}
        storage.close()


def test_who_may_start_it(edge: Edge, storage: Storage) -> None:
    call = edge.wrap(hello, [Health(token=TOKEN)], storage)
    stranger = post(call, OWN, peer="192.0.2.1")
    assert (stranger.status, stranger.headers.get("www-authenticate")) == (401, "Bearer")
    assert post(call, ("authorization", f"Bearer {TOKEN}"), peer="192.0.2.1").status == 200
    assert post(call, ("authorization", "Bearer guess"), peer="192.0.2.1").status == 401
    assert post(call).status == 403, "a form could have sent it"
    assert post(call, OWN, ("x-forwarded-for", "127.0.0.1")).status == 401


@pytest.mark.parametrize("credentials", [OWN, ("authorization", f"Bearer {TOKEN}")])
def test_a_browser_on_another_origin_starts_nothing(edge: Edge, storage: Storage, credentials: tuple[str, str]) -> None:
    call = edge.wrap(hello, [Health(token=TOKEN)], storage)
    for headers in ([("sec-fetch-site", "cross-site")], [("host", "localhost"), ("origin", "https://evil.example")]):
        refused = post(call, credentials, *headers)
        assert refused.status == 403
        assert "access-control-allow-origin" not in refused.headers
    preflight = call("OPTIONS", "/api/redis/test", [("origin", "https://evil.example")], "127.0.0.1")
    assert preflight.status == 405
    assert "access-control-allow-origin" not in preflight.headers
