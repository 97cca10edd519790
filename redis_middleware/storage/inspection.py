"""How a storage on Redis is inspected: on one connection of its own, and within a budget whatever happens.

Rules:

* Not over the pool of the other batches: that all of its connections are busy is no outage, and must not look like one.
* Blocking calls in a thread of its own, for threads and event loops alike: a deadline then also holds against what no timeout
  of a socket covers (a name that does not resolve, answers that trickle in). Who asked leaves when the budget is spent, with
  what is there by then; the thread ends by itself.
* After a connection was lost, nothing more is tried in the same batch, and the next one begins with a new client, which asks
  the Sentinels or the Cluster anew where to go.
* What an error says beyond its first word stays here: it may hold names, addresses or keys.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

import redis
from redis.client import NEVER_DECODE
from redis.cluster import RedisCluster
from redis.exceptions import RedisClusterException
from redis.sentinel import SentinelConnectionPool

from ..ops import Inspect, Inspection, Key, Node, Unavailable
from .connect import connect

WAIT = 0.4
"""Seconds of the longest single wait: half of what a health route may take, so that a second server can still be asked."""

LATE = Unavailable("timeout")

Load = Callable[[], Mapping[str, Any]]
"""What the storage knows of itself: how busy the pool of the other batches is, and whether it is left alone."""


class Inspector:
    """Executes `Inspect`s for one storage. Serves threads and event loops; opens its connection when it is first used."""

    def __init__(self, target: Any, prefix: str) -> None:
        self._connect = connect(target, timeout=WAIT, max_connections=1)
        self._prefix = prefix
        self._client: Any = None
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def execute(self, ops: Sequence[Inspect], load: Load) -> list[Inspection]:
        """One inspection for each op. The thread waits for the budget at most."""
        batch = _Batch(ops, self._start)
        with suppress(TimeoutError):
            batch.ended.result(batch.budget)
        return batch.inspections(load)

    async def aexecute(self, ops: Sequence[Inspect], load: Load) -> list[Inspection]:
        """`execute` for an event loop, which is not blocked."""
        batch = _Batch(ops, self._start)
        await asyncio.wait([asyncio.wrap_future(batch.ended)], timeout=batch.budget)
        return batch.inspections(load)

    def close(self) -> None:
        """Close the connection, also under the hands of a thread that still waits on it."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _start(self, batch: _Batch) -> None:
        if self._pid != os.getpid():  # a child has its parent's lock, and not the thread that would give it back
            self._lock, self._pid, self._client = threading.Lock(), os.getpid(), None
        threading.Thread(target=self._run, args=(batch,), name="redis_middleware inspection", daemon=True).start()

    def _run(self, batch: _Batch) -> None:
        try:
            if self._lock.acquire(timeout=batch.budget):
                try:
                    self._ask(batch)
                finally:
                    self._lock.release()
        finally:
            batch.ended.set_result(None)

    def _ask(self, batch: _Batch) -> None:
        """Ask what the ops ask, one after the other, until something is lost or time is up."""
        for place, op in enumerate(batch.ops):
            if batch.left() <= 0:
                return
            began = time.perf_counter()
            try:
                if self._connect.sync is None:
                    replies = asyncio.run(self._trip_alone(op))
                    nodes = [Node(replies, time.perf_counter() - began)]
                else:
                    client = self._client = self._client or self._connect.sync()
                    nodes = list(self._nodes(client, op, batch))
                    batch.facts = {**_facts(client), "prefix": self._prefix}
            except Exception as exc:  # whatever it is, it is what there is to say about the server
                nodes = [Node(_reason(exc), time.perf_counter() - began)]
            batch.found[place] = tuple(nodes)
            if any(isinstance(node.replies, Unavailable) for node in nodes):
                batch.missing = next(node.replies for node in nodes if isinstance(node.replies, Unavailable))
                self.close()
                return

    def _nodes(self, client: Any, op: Inspect, batch: _Batch) -> Iterator[Node]:
        """What each server that is meant says; a Cluster's primaries one after the other."""
        asked: list[Any] = [client]
        if op.everywhere and _is_cluster(client):
            asked = [client.get_redis_connection(node) for node in client.get_primaries()]
        for one in asked:
            began = time.perf_counter()
            try:
                replies: Any = self._trip(one, op) if batch.left() > 0 else LATE
            except Exception as exc:
                replies = _reason(exc)
            yield Node(replies, time.perf_counter() - began)

    def _trip(self, client: Any, op: Inspect) -> tuple[Any, ...]:
        return _replies(self._pipeline(client, op).execute(raise_on_error=False))

    async def _trip_alone(self, op: Inspect) -> tuple[Any, ...]:
        """A trip of a client that has its own kind of connection, for asyncio alone: made and closed in this thread's loop."""
        assert self._connect.asynchronous is not None
        client = self._connect.asynchronous()
        try:
            return _replies(await self._pipeline(client, op).execute(raise_on_error=False))
        finally:
            await client.aclose()

    def _pipeline(self, client: Any, op: Inspect) -> Any:
        pipeline = client.pipeline(transaction=False)
        for command in op.commands:
            words = [self._prefix + word if type(word) is Key else word for word in command]
            pipeline.execute_command(*words, **{NEVER_DECODE: True})
        return pipeline


class _Batch:
    """What is asked for in one go, and what has been found so far."""

    def __init__(self, ops: Sequence[Inspect], start: Callable[[_Batch], None]) -> None:
        self.ops = ops
        self.budget = min(op.budget for op in ops)
        self.facts: Mapping[str, Any] = {"kind": "redis"}
        self.found: dict[int, tuple[Node, ...]] = {}
        self.missing = LATE
        self.ended: Future[None] = Future()
        self.ended.set_running_or_notify_cancel()  # nobody who leaves can cancel it
        self._deadline = time.monotonic() + self.budget
        start(self)

    def left(self) -> float:
        """Seconds until nobody waits any more."""
        return self._deadline - time.monotonic()

    def inspections(self, load: Load) -> list[Inspection]:
        """What there is now."""
        facts = {**self.facts, **load()}
        nodes = [self.found.get(place, (Node(self.missing, 0.0),)) for place in range(len(self.ops))]
        return [Inspection(facts, told) for told in nodes]


def _replies(replies: Sequence[Any]) -> tuple[Any, ...]:
    return tuple([_reason(reply) if isinstance(reply, Exception) else reply for reply in replies])


def _reason(error: Exception) -> Unavailable:
    """Why, in a word: the server's own if it said one, else what became of the connection."""
    code = getattr(error, "status_code", None)
    if code is None and isinstance(error, redis.ResponseError):
        code = str(error).partition(" ")[0]
    if isinstance(code, str) and code.isascii() and code.isalpha() and code.isupper():
        return Unavailable(code)
    if isinstance(error, (redis.TimeoutError, TimeoutError)):
        return LATE
    if isinstance(error, (redis.ConnectionError, RedisClusterException, OSError)):
        return Unavailable("unreachable")
    return Unavailable("failed")


def _facts(client: Any) -> dict[str, Any]:
    """What a client that has been connected says about the way to its server; no names."""
    if _is_cluster(client):
        topology, kwargs, hosts = "cluster", client.get_connection_kwargs(), [node.host for node in client.get_nodes()]
        tls = bool(kwargs.get("ssl"))
    else:
        pool = client.connection_pool
        kwargs, tls = pool.connection_kwargs, issubclass(pool.connection_class, redis.SSLConnection)
        sentinel = isinstance(pool, SentinelConnectionPool)
        topology = "sentinel" if sentinel else "single"
        hosts = [(pool.master_address or ("",))[0] if sentinel else kwargs.get("host", "localhost")]
    return {
        "kind": "redis",
        "topology": topology,
        "tls": tls,
        "loopback": "path" in kwargs or all(_is_loopback(host) for host in hosts),
        "credentials": bool(kwargs.get("password") or kwargs.get("credential_provider")),
    }


def _is_cluster(client: Any) -> bool:
    return isinstance(client, RedisCluster)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
