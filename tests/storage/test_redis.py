"""Redis: what is sent, what an error becomes, and what never happens twice. On a real server but for the pure half."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import pytest
import redis
from redis.exceptions import ResponseError

from redis_middleware import RedisStorage, StorageError, StorageUnavailable
from redis_middleware.cli.processes import Server, redis_server
from redis_middleware.ops import Delete, Get, Op, Script, Set, SetIfAbsent, Touch
from redis_middleware.storage.redis import decode, encode, script_digest

from ..wire import Wire


class Add(Script[int]):
    lua: ClassVar[str] = "return redis.call('INCRBY', keys[1], args[1])"


class Now(Script[int]):
    lua: ClassVar[str] = "return now"


class Fails(Script[int]):
    lua: ClassVar[str] = "redis.call('INCR', keys[1])\nreturn redis.call('LPUSH', keys[1], 'x')"


@pytest.mark.parametrize(
    ("op", "command"),
    [
        (Get("k"), ("GET", b"p:k")),
        (Set("k", b"v", 1.5), ("SET", b"p:k", b"v", "PX", 1500)),
        (Set("k", b"v", 0.0001), ("SET", b"p:k", b"v", "PX", 1)),
        (Set("k", b"v", None), ("SET", b"p:k", b"v")),
        (SetIfAbsent("k", b"v", 2), ("SET", b"p:k", b"v", "PX", 2000, "NX")),
        (Delete("k"), ("UNLINK", b"p:k")),
        (Touch("k", 3), ("PEXPIRE", b"p:k", 3000)),
        (Add(("k",), (7,)), ("EVALSHA", script_digest(Add.lua), 1, b"p:k", 7)),
        (Get("\ud800"), ("GET", b"p:\xed\xa0\x80")),
    ],
)
def test_an_op_is_one_command(op: Op[Any], command: tuple[Any, ...]) -> None:
    assert encode(op, b"p:") == command


def test_an_op_of_an_unknown_kind_is_refused_before_anything_is_sent() -> None:
    class Unknown(Op[None]):
        pass

    with pytest.raises(TypeError, match="make it a Script"):
        encode(Unknown(), b"")


def test_an_error_reply_is_a_storage_error_with_its_cause() -> None:
    reply = ResponseError("WRONGTYPE Operation")
    error = decode(Get("k"), reply)
    assert type(error) is StorageError
    assert error.__cause__ is reply


@pytest.mark.parametrize("ttl", [0, -1, float("nan"), float("inf"), 2**60])
def test_a_ttl_that_is_none_is_refused(ttl: float) -> None:
    with pytest.raises(ValueError, match="ttl"):
        Set("k", b"v", ttl)
    with pytest.raises(ValueError, match="ttl"):
        Touch("k", ttl)


def test_to_touch_needs_a_ttl() -> None:
    with pytest.raises(ValueError, match="ttl=None"):
        Touch("k", None)  # type: ignore[arg-type]


def test_a_value_is_bytes() -> None:
    with pytest.raises(TypeError, match="bytes"):
        Set("k", "text", 1)  # type: ignore[arg-type]


class Both:
    """One storage, called from a thread or from an event loop."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.runner = asyncio.Runner()
        self.storages: list[RedisStorage] = []

    def storage(self, *arguments: Any, **options: Any) -> RedisStorage:
        self.storages.append(RedisStorage(*arguments, **options))
        return self.storages[-1]

    def execute(self, storage: RedisStorage, ops: list[Op[Any]]) -> list[Any]:
        return storage.execute(ops) if self.kind == "sync" else self.runner.run(storage.aexecute(ops))

    def close(self) -> None:
        for storage in self.storages:
            storage.close()
            self.runner.run(storage.aclose())
        self.runner.close()


@pytest.fixture(params=["sync", "async"])
def both(request: pytest.FixtureRequest) -> Iterator[Both]:
    made = Both(request.param)
    yield made
    made.close()


@pytest.mark.parametrize("protocol", [2, 3])
def test_every_op_on_both_protocols(both: Both, redis_url: str, prefix: str, protocol: int) -> None:
    storage = both.storage(f"{redis_url}?protocol={protocol}", prefix=prefix)
    value = bytes(range(256))
    ops: list[Op[Any]] = [
        Set("a", value, 10), Get("a"), Get("b"), SetIfAbsent("a", b"x", 10), SetIfAbsent("c", b"y", 10), Touch("a", 20),
        Touch("b", 20), Delete("a"), Delete("a"), Add(("n",), (3,)), Add(("n",), (4,)),
    ]  # fmt: skip
    assert both.execute(storage, ops) == [None, value, None, False, True, True, False, True, False, 3, 7]


def test_a_batch_is_one_trip(both: Both, wire: Wire, prefix: str) -> None:
    storage = both.storage(wire.url, prefix=prefix)
    ops: list[Op[Any]] = [Set("a", b"1", 10), Get("a"), Add(("n",), (1,)), Delete("a")]
    both.execute(storage, ops)
    before = wire.trips
    both.execute(storage, ops)
    assert wire.trips - before == 1


def test_a_failed_op_leaves_the_others_alone(both: Both, redis_url: str, prefix: str) -> None:
    storage = both.storage(redis_url, prefix=prefix)
    both.execute(storage, [Set("text", b"x", 10)])
    added, read, failed = both.execute(storage, [Add(("text",), (1,)), Get("text"), Fails(("n",))])
    assert isinstance(added, StorageError)
    assert "not an integer" in str(added)
    assert read == b"x"
    assert isinstance(failed, StorageError)


def test_a_script_goes_again_only_if_the_server_does_not_know_it(
    both: Both, redis_url: str, control: redis.Redis, prefix: str
) -> None:
    storage = both.storage(redis_url, prefix=prefix)
    both.execute(storage, [Add(("n",), (1,))])
    control.script_flush()
    assert both.execute(storage, [Add(("n",), (1,)), Get("n")])[0] == 2, "counted once, though it was sent twice"
    both.execute(storage, [Fails(("m",))])
    assert both.execute(storage, [Get("m")]) == [b"1"], "an error of another kind is not sent again"


def test_a_value_is_not_decoded_by_a_ready_client_that_decodes(both: Both, server: Server, prefix: str) -> None:
    storage = both.storage(redis.Redis(port=server.port, decode_responses=True), prefix=prefix)
    assert both.execute(storage, [Set("a", b"\xff", 10), Get("a")]) == [None, b"\xff"]


def test_time_is_the_servers_in_whole_microseconds(both: Both, redis_url: str, control: redis.Redis) -> None:
    storage = both.storage(redis_url)
    seconds, microseconds = control.time()
    [now] = both.execute(storage, [Now(())])
    assert type(now) is int
    assert 0 <= now - (seconds * 1_000_000 + microseconds) < 60_000_000


def answers(both: Both, storage: RedisStorage) -> bool:
    try:
        return both.execute(storage, [Get("a")]) == [None]
    except StorageUnavailable:
        return False


def until_back(both: Both, storage: RedisStorage) -> float:
    """Seconds until a storage answers again."""
    began = time.monotonic()
    while not answers(both, storage):
        assert time.monotonic() - began < 10
        time.sleep(0.01)
    return time.monotonic() - began


def test_nothing_reachable_is_unavailable_and_logged_once(both: Both, caplog: pytest.LogCaptureFixture) -> None:
    with redis_server() as server:
        storage = both.storage(f"redis://:@{server.address}/0")
        both.execute(storage, [Get("a")])
        port = server.port
    for _ in range(3):
        with pytest.raises(StorageUnavailable) as caught:
            both.execute(storage, [Get("a")])
        assert isinstance(caught.value.__cause__, redis.ConnectionError)
    with pytest.raises(StorageUnavailable, match="not asked: it was lost a moment ago"):
        both.execute(storage, [Get("a")])
    with redis_server(port=port):
        until_back(both, storage)
    changes = [record.message.partition(":")[0] for record in caplog.records if record.levelno == logging.WARNING]
    assert changes == ["storage lost", "storage back"]


@pytest.mark.parametrize("fault", [signal.SIGSTOP, signal.SIGKILL])
def test_an_outage_costs_the_first_a_moment_and_the_others_nothing(both: Both, fault: signal.Signals) -> None:
    """What is promised is a bound, so here times are asserted."""
    with redis_server() as server:
        storage = both.storage(f"redis://{server.address}/0")
        both.execute(storage, [Get("a")])
        os.kill(server.process.pid, fault)
        took = []
        for _ in range(20):
            began = time.monotonic()
            with pytest.raises(StorageUnavailable):
                both.execute(storage, [Get("a")])
            took.append(time.monotonic() - began)
        assert max(took) < 0.6
        assert max(took[3:]) < 0.05
        if fault == signal.SIGSTOP:
            os.kill(server.process.pid, signal.SIGCONT)
            assert until_back(both, storage) < 2.5


def test_of_many_at_once_all_have_their_answer_within_a_moment() -> None:
    def fails(number: int) -> bool:
        try:
            storage.execute([Get("a")])
        except StorageUnavailable:
            return True
        return False

    with redis_server() as server:
        storage = RedisStorage(f"redis://{server.address}/0")
        storage.execute([Get("a")])
        os.kill(server.process.pid, signal.SIGSTOP)
        began = time.monotonic()
        with ThreadPoolExecutor(16) as pool:
            assert all(pool.map(fails, range(64)))
        assert time.monotonic() - began < 1
        os.kill(server.process.pid, signal.SIGCONT)
        storage.close()


def test_an_error_that_the_server_answers_is_no_outage(both: Both, redis_url: str, prefix: str) -> None:
    storage = both.storage(redis_url, prefix=prefix, timeout=5)
    for _ in range(5):
        [found] = both.execute(storage, [Broken(("n",), ())])
        assert isinstance(found, StorageError)
    assert both.execute(storage, [Get("a")]) == [None]


class Broken(Script[None]):
    lua: ClassVar[str] = "return redis.call('NONSENSE')"


def test_what_timed_out_is_not_sent_again(both: Both) -> None:
    with redis_server() as server, redis.Redis(port=server.port) as control:
        storage = both.storage(f"redis://{server.address}/0", prefix="")
        both.execute(storage, [Add(("n",), (1,))])
        os.kill(server.process.pid, signal.SIGSTOP)
        with pytest.raises(StorageUnavailable):
            both.execute(storage, [Add(("n",), (1,))])
        os.kill(server.process.pid, signal.SIGCONT)
        assert control.get("n") == b"2", "the one that timed out was executed, once"
        assert both.execute(storage, [Add(("n",), (1,))]) == [3], "and its answer is nobody else's"


class Raises(Script[int]):
    lua: ClassVar[str] = "return 1"

    def parse(self, reply: Any, /) -> int:
        raise ValueError("a bug in parse")


class Unknown(Op[None]):
    pass


@pytest.mark.parametrize("bad", [Unknown(), Get(None), Add(("n",), (None,)), Add(("n",), (True,)), Raises(())])  # type: ignore[arg-type]
def test_an_op_that_cannot_be_sent_or_read_harms_no_other(both: Both, redis_url: str, prefix: str, bad: Op[Any]) -> None:
    storage = both.storage(redis_url, prefix=prefix)
    first, second, third = both.execute(storage, [Add(("n",), (1,)), bad, Get("n")])
    assert (first, third) == (1, b"1")
    assert isinstance(second, StorageError)


def test_more_callers_than_connections_wait_for_their_turn(redis_url: str, prefix: str, loop: asyncio.Runner) -> None:
    storage = RedisStorage(redis_url, prefix=prefix, max_connections=2, timeout=5)

    async def add_many() -> int:
        results = await asyncio.gather(*[storage.aexecute([Add(("n",), (1,))]) for _ in range(100)])
        return max(int(result) for [result] in results)

    assert loop.run(add_many()) == 100
    loop.run(storage.aclose())
    threads = [threading.Thread(target=storage.execute, args=([Add(("n",), (1,))],)) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert storage.execute([Get("n")]) == [b"150"]
    storage.close()


def test_a_loop_that_ends_takes_its_client_along(redis_url: str, control: redis.Redis) -> None:
    storage = RedisStorage(redis_url)
    before = len(control.client_list())
    for _ in range(5):
        asyncio.run(storage.aexecute([Get("a")]))
    assert len(control.client_list()) == before
    assert len(storage._loops) == 0


def test_what_a_server_refuses_is_logged_when_it_begins_and_when_it_ends(both: Both, caplog: pytest.LogCaptureFixture) -> None:
    with redis_server() as server, redis.Redis(port=server.port) as control:
        storage = both.storage(f"redis://{server.address}/0")
        control.config_set("maxmemory", "1")
        for _ in range(3):
            [refused] = both.execute(storage, [Set("a", b"1", 10)])
            assert isinstance(refused, StorageError)
        control.config_set("maxmemory", "0")
        assert both.execute(storage, [Set("a", b"1", 10)]) == [None]
    assert [record.message.partition(":")[0] for record in caplog.records] == ["storage refuses", "storage back"]


def test_what_is_no_redis_is_unavailable(both: Both) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        answering = threading.Thread(target=answer_http, args=(listening,), daemon=True)
        answering.start()
        with pytest.raises(StorageUnavailable):
            both.execute(both.storage(f"redis://127.0.0.1:{listening.getsockname()[1]}"), [Get("a")])


def answer_http(listening: socket.socket) -> None:
    connection, _ = listening.accept()
    with connection:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_threads_share_it(redis_url: str, prefix: str) -> None:
    storage = RedisStorage(redis_url, prefix=prefix, timeout=5)
    threads = [threading.Thread(target=lambda: [storage.execute([Add(("n",), (1,))]) for _ in range(50)]) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert storage.execute([Get("n")]) == [b"800"]
    storage.close()


def test_each_event_loop_has_a_client_of_its_own(redis_url: str, prefix: str) -> None:
    storage = RedisStorage(redis_url, prefix=prefix)

    async def add() -> int:
        results = await asyncio.gather(*[storage.aexecute([Add(("n",), (1,))]) for _ in range(10)])
        await storage.aclose()
        return max(int(result) for [result] in results)

    assert asyncio.run(add()) == 10
    assert storage.execute([Add(("n",), (1,))]) == [11]
    assert asyncio.run(add()) == 21
    storage.close()


def test_a_cancelled_request_does_not_leave_its_answer_to_the_next(redis_url: str, prefix: str, loop: asyncio.Runner) -> None:
    storage = RedisStorage(redis_url, prefix=prefix, max_connections=1)

    async def cancel_one() -> list[Any]:
        await storage.aexecute([Set("a", b"a", 10), Set("b", b"b", 10)])
        for delay in range(20):
            task = asyncio.create_task(storage.aexecute([Get("a")]))
            for _ in range(delay):
                await asyncio.sleep(0)
            task.cancel()
            assert await storage.aexecute([Get("b")]) == [b"b"]
        await storage.aclose()
        return []

    loop.run(cancel_one())


def test_a_closed_storage_opens_again(both: Both, redis_url: str, prefix: str) -> None:
    storage = both.storage(redis_url, prefix=prefix)
    both.execute(storage, [Set("a", b"1", 10)])
    storage.close()
    both.runner.run(storage.aclose())
    assert both.execute(storage, [Get("a")]) == [b"1"]
