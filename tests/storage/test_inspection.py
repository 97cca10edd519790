"""Inspect: what a storage says of itself, on a connection of its own and within its budget, whatever became of the server."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import fakeredis
import fakeredis.aioredis
import pytest
import redis
import redis.asyncio

from redis_middleware import MemoryStorage, RedisStorage
from redis_middleware.cli.processes import Server, free_port, redis_binary, redis_server, serving
from redis_middleware.ops import Get, Inspect, Inspection, Key, Set, Unavailable, perform

from ..conftest import Clock
from ..wire import Wire
from .test_redis import Both

PING = Inspect((("PING",),), everywhere=True)
INFO = Inspect((("INFO",),), everywhere=True)


@pytest.fixture(params=["sync", "async"])
def both(request: pytest.FixtureRequest) -> Iterator[Both]:
    made = Both(request.param)
    yield made
    made.close()


def replies(inspection: Inspection) -> Any:
    [node] = inspection.nodes
    return node.replies


def test_commands_are_answered_in_their_order_each_op_in_one_trip(both: Both, wire: Wire, prefix: str) -> None:
    storage = both.storage(wire.url, prefix=prefix)
    key = Key("{x}")
    ops = [PING, Inspect((("SET", key, "v", "PX", "9000"), ("GET", key), ("PTTL", key), ("UNLINK", key), ("GET", key)))]
    both.execute(storage, [*ops])
    before = wire.trips
    pinged, asked = both.execute(storage, [*ops])
    assert wire.trips - before == 2
    assert replies(pinged) == (True,)
    assert replies(asked)[1] == b"v"
    assert 0 < replies(asked)[2] <= 9000
    assert replies(asked)[3:] == (1, None)
    assert all(node.seconds > 0 for inspection in (pinged, asked) for node in inspection.nodes)


def test_a_key_gets_the_prefix(both: Both, redis_url: str, control: redis.Redis, prefix: str) -> None:
    storage = both.storage(redis_url, prefix=prefix)
    both.execute(storage, [Inspect((("SET", Key("mine"), "v", "PX", "9000"),))])
    assert control.get(f"{prefix}mine") == b"v"


def test_it_goes_beside_other_ops(both: Both, redis_url: str, prefix: str) -> None:
    storage = both.storage(redis_url, prefix=prefix)
    first, pinged, last = both.execute(storage, [Set("a", b"1", 10), PING, Get("a")])
    assert (first, replies(pinged), last) == (None, (True,), b"1")


def test_it_says_what_it_knows_by_itself(both: Both, redis_url: str) -> None:
    [inspection] = both.execute(both.storage(redis_url, max_connections=7), [PING])
    assert inspection.facts == {
        "kind": "redis",
        "topology": "single",
        "tls": False,
        "loopback": True,
        "credentials": False,
        "connections": {"in_use": 0, "limit": 7},
        "breaker": "closed",
        "prefix": "rm:",
    }


def test_a_command_that_is_refused_harms_no_other_and_says_only_why(both: Both) -> None:
    with redis_server() as server, redis.Redis(port=server.port) as control:
        control.acl_setuser("poor", enabled=True, passwords=["+x"], keys=["rm:*"], commands=["+@all", "-@dangerous", "-@admin"])
        storage = both.storage(f"redis://poor:x@{server.address}/0")
        ops = Inspect((("INFO",), ("PING",), ("CONFIG", "GET", "save"), ("NOPE",), ("GET", "foreign"), ("GET", Key("own"))))
        [asked] = both.execute(storage, [ops])
        denied = Unavailable("NOPERM")
        assert replies(asked) == (denied, True, denied, Unavailable("ERR"), denied, None)
        assert asked.facts["credentials"] is True


@pytest.mark.parametrize(("fault", "reason"), [(signal.SIGSTOP, "timeout"), (signal.SIGKILL, "unreachable")])
def test_a_server_that_is_lost_is_told_within_the_budget_and_found_again(both: Both, fault: int, reason: str) -> None:
    port = free_port()
    with redis_server(port=port) as server:
        storage = both.storage(f"redis://{server.address}/0")
        both.execute(storage, [PING])
        os.kill(server.process.pid, fault)
        began = time.monotonic()
        found = both.execute(storage, [PING, INFO, PING])
        assert time.monotonic() - began < 0.8
        assert [replies(one) for one in found] == [Unavailable(reason)] * 3
        assert found[0].facts["kind"] == "redis"
        if fault == signal.SIGSTOP:
            os.kill(server.process.pid, signal.SIGCONT)
            assert replies(both.execute(storage, [PING])[0]) == (True,)
    with redis_server(port=port):
        assert replies(both.execute(storage, [PING])[0]) == (True,)


def test_a_frozen_server_that_was_never_connected_to_is_told_within_the_budget_too(both: Both) -> None:
    with redis_server() as server:
        os.kill(server.process.pid, signal.SIGSTOP)
        began = time.monotonic()
        [pinged] = both.execute(both.storage(f"redis://{server.address}/0", timeout=9), [PING])
        assert time.monotonic() - began < 0.8
        assert replies(pinged) == Unavailable("timeout")


def test_who_asks_leaves_when_the_budget_is_spent_and_keeps_what_is_there(both: Both, redis_url: str) -> None:
    storage = both.storage(redis_url)
    slow = Inspect((("BLPOP", Key("nothing"), "0.3"),), budget=0.1)
    first, second = both.execute(storage, [PING, slow])
    assert replies(first) == (True,)
    assert replies(second) == Unavailable("timeout")


def test_connections_that_are_all_busy_are_no_outage(redis_url: str, prefix: str) -> None:
    storage = RedisStorage(redis_url, prefix=prefix, max_connections=1)
    storage._gate.acquire()
    [pinged] = storage.execute([PING])
    storage._gate.release()
    storage.close()
    assert replies(pinged) == (True,)
    assert pinged.facts["connections"] == {"in_use": 1, "limit": 1}


def test_many_at_once_take_turns_on_one_connection(redis_url: str, control: redis.Redis) -> None:
    storage = RedisStorage(redis_url)
    before, found = len(control.client_list()), []
    threads = [threading.Thread(target=lambda: found.append(storage.execute([PING])[0])) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [replies(one) for one in found] == [(True,)] * 20
    assert len(control.client_list()) - before == 1
    storage.close()
    assert len(control.client_list()) - before == 0


def test_the_event_loop_goes_on_meanwhile(loop: asyncio.Runner) -> None:
    async def beats(storage: RedisStorage) -> int:
        task, beaten = asyncio.ensure_future(storage.aexecute([PING])), 0
        while not task.done():
            await asyncio.sleep(0.01)
            beaten += 1
        return beaten

    with redis_server() as server:
        os.kill(server.process.pid, signal.SIGSTOP)
        assert loop.run(beats(RedisStorage(f"redis://{server.address}/0"))) > 10


def test_a_server_that_is_still_loading_says_so(both: Both) -> None:
    options = ["--enable-debug-command", "yes", "--loading-process-events-interval-bytes", "1024", "--rdbcompression", "no"]
    with redis_server(*options) as server, redis.Redis(port=server.port) as control:
        control.mset({f"k{number}": "v" * 2000 for number in range(300)})
        control.config_set("key-load-delay", "10000")  # microseconds for each key
        storage = both.storage(f"redis://{server.address}/0")
        reload = threading.Thread(target=quietly, args=(server.port, "DEBUG", "RELOAD"))
        reload.start()
        try:
            eventually(lambda: replies(both.execute(storage, [PING])[0]) == Unavailable("LOADING"))
        finally:
            os.kill(server.process.pid, signal.SIGKILL)
            reload.join()


def quietly(port: int, *command: str) -> None:
    try:
        with redis.Redis(port=port, socket_timeout=30) as control:
            control.execute_command(*command)
    except redis.RedisError:
        pass


def eventually(holds: Any, patience: float = 10) -> None:
    deadline = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("make", [redis.Redis, redis.asyncio.Redis])
def test_a_ready_client_lends_its_address(both: Both, server: Server, make: Any) -> None:
    storage = both.storage(make(host=server.host, port=server.port, socket_timeout=60))
    assert replies(both.execute(storage, [PING])[0]) == (True,)


def test_a_connection_of_somebody_elses_kind(loop: asyncio.Runner) -> None:
    storage = RedisStorage(fakeredis.FakeRedis())
    assert replies(storage.execute([PING])[0]) == (True,)
    storage.close()
    storage = RedisStorage(fakeredis.aioredis.FakeRedis())
    assert replies(loop.run(storage.aexecute([PING]))[0]) == (True,)
    loop.run(storage.aclose())


@pytest.fixture(scope="module")
def cluster() -> Iterator[list[Server]]:
    """Two primaries, half of the slots each."""
    with ExitStack() as stack:
        ports = [next(port for port in iter(free_port, None) if port < 55536) for _ in range(2)]  # the bus is 10,000 above
        servers = [stack.enter_context(redis_server("--cluster-enabled", "yes", port=port)) for port in ports]
        clients = [stack.enter_context(redis.Redis(port=server.port)) for server in servers]
        for client, slots in zip(clients, [(0, 8191), (8192, 16383)], strict=True):
            for first in range(slots[0], slots[1] + 1, 1024):  # by commands that Redis 6.2 has
                client.execute_command("CLUSTER", "ADDSLOTS", *range(first, first + 1024))
        clients[0].execute_command("CLUSTER", "MEET", servers[1].host, servers[1].port)
        for client in clients:
            eventually(lambda client=client: b"cluster_state:ok" in client.execute_command("CLUSTER", "INFO"))
            eventually(lambda client=client: len(client.execute_command("CLUSTER", "SLOTS")) == 2)
        yield servers


def test_every_primary_of_a_cluster_is_asked_and_a_key_where_it_lives(both: Both, cluster: list[Server]) -> None:
    storage = both.storage(f"redis+cluster://{cluster[0].address}")
    told, *kept = both.execute(
        storage,
        [INFO, *[Inspect((("SET", Key(key), "v", "PX", "9000"), ("UNLINK", Key(key)))) for key in ("a", "b", "c", "d")]],
    )
    assert told.facts["topology"] == "cluster"
    assert {node.replies[0]["tcp_port"] for node in told.nodes} == {server.port for server in cluster}
    assert [replies(one)[1] for one in kept] == [1] * 4


def test_a_frozen_primary_of_a_cluster_hides_no_other(both: Both, cluster: list[Server]) -> None:
    storage = both.storage(f"redis+cluster://{cluster[0].address}")
    both.execute(storage, [PING])
    os.kill(cluster[1].process.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        [told] = both.execute(storage, [PING])
        assert time.monotonic() - began < 0.9
        assert sorted([str(node.replies) for node in told.nodes]) == ["(True,)", "Unavailable(reason='timeout')"]
    finally:
        os.kill(cluster[1].process.pid, signal.SIGCONT)


def test_sentinels_lead_to_the_master(both: Both, tmp_path: Any) -> None:
    with redis_server() as server:
        port = free_port()
        path = tmp_path / "sentinel.conf"
        path.write_text(f"port {port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {server.port} 1\n")
        with serving([redis_binary(), str(path), "--sentinel"], port) as sentinel:
            storage = both.storage(f"redis+sentinel://{sentinel.address}/main/0")
            [told] = both.execute(storage, [INFO])
            assert told.facts["topology"] == "sentinel"
            assert told.facts["loopback"] is True
            assert replies(told)[0]["tcp_port"] == server.port
            os.kill(server.process.pid, signal.SIGSTOP)
            began = time.monotonic()
            assert replies(both.execute(storage, [INFO])[0]) == Unavailable("timeout")
            assert time.monotonic() - began < 0.9


def test_memory_knows_itself(clock: Clock) -> None:
    storage = MemoryStorage(clock=clock, max_bytes=2000)
    storage.execute([Set(f"k{number}", b"v" * 100, None) for number in range(5)])
    [inspection] = storage.execute([PING])
    assert inspection.nodes == ()
    assert inspection.facts == {
        "kind": "memory", "used_bytes": storage.used_bytes, "max_bytes": 2000, "keys": 3, "evicted": 2,
    }  # fmt: skip


def test_a_table_of_the_users_own_has_nothing_to_say() -> None:
    class Table:
        def get(self, key: str, /) -> Any:
            return None

        def set(self, key: str, value: Any, ttl: float | None, keep: Any = None, /) -> None:
            pass

        def delete(self, key: str, /) -> bool:
            return False

    assert perform(PING, Table(), 0) == Inspection({})
