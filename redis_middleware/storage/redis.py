"""Redis and Valkey as a storage: what is sent and what comes back, and two thin shells that send it.

`encode` and `decode` are pure; they know the commands. The shells know redis-py: a batch is one pipeline, and so one
round trip. Two rules:

* Nothing is sent twice. A command that timed out may have been executed, so there is no retry anywhere; only a script
  that the server says it does not know (`NOSCRIPT`) goes again, as `EVAL`, because that answer says it did not run.
  It then runs after the rest of its batch.
* An error reply belongs to its op (`StorageError` in its place); a connection that fails belongs to the batch
  (`StorageUnavailable`).

Only commands that Redis 6.2 and Valkey have are used.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha1
from threading import BoundedSemaphore, Lock
from typing import Any
from weakref import WeakKeyDictionary

import redis
from redis.client import NEVER_DECODE
from redis.exceptions import NoPermissionError, NoScriptError, OutOfMemoryError, ReadOnlyError, RedisClusterException

from ..errors import ConfigurationError, StorageError, StorageUnavailable
from ..ops import Delete, Foreign, Get, Inspect, Node, Op, Script, Set, SetIfAbsent, Touch, Unavailable, milliseconds
from .connect import Connect, connect
from .inspection import WAIT, Inspector
from .resilience import Breaker

logger = logging.getLogger("redis_middleware")

Command = tuple[str | bytes | int, ...]

LOST = (redis.RedisError, RedisClusterException, OSError)
"""What redis-py raises when a batch did not reach a server, or no answer of a Redis server came back."""

DEGRADED = (NoPermissionError, OutOfMemoryError, ReadOnlyError)
"""Answers that the server will give again until somebody puts it right: logged when they begin and when they end."""

UNSENT = b"redis_middleware: no command"
"""What an ECHO says that stands for an op that makes no command."""

QUEUE = 4
"""How many times `timeout` a batch waits for a connection. Others being served first is no outage, up to a point."""


class RedisStorage:
    """Keeps everything in Redis or Valkey (6.2 and later), by one round trip for each batch of ops.

    `target` is a URL (see `storage_from_url`) or a ready client of redis-py, sync or asyncio: its address, credentials
    and TLS are taken over, its retries and longer timeouts are not. One object serves threads, which share one pool,
    and event loops, each of which has its own; nothing is connected before it is used.

    `prefix` goes in front of every key. `timeout` (0.25 s) bounds connecting, and every wait for an answer; the wait for
    one of `max_connections` (32, for all threads, and for each event loop) is bounded by four times that. `clock` gives
    seconds in place of the server's own time to scripts: for tests, where time has to be moved.

    Raises `ConfigurationError` for a URL that does not parse or options out of range. Its message never shows the URL.
    """

    def __init__(
        self,
        target: Any,
        *,
        prefix: str = "rm:",
        timeout: float = 0.25,
        max_connections: int = 32,
        clock: Callable[[], float] | None = None,
    ) -> None:
        if not timeout > 0:
            raise ConfigurationError(f"timeout must be positive, got {timeout}")
        if max_connections < 1:
            raise ConfigurationError(f"max_connections must be at least 1, got {max_connections}")
        self._connect: Connect = connect(target, timeout=timeout, max_connections=max_connections)
        self._prefix = prefix.encode()
        self._inspector = Inspector(target, prefix)
        self._wait = QUEUE * timeout
        self._max_connections = max_connections
        self._clock = clock
        self._lock = Lock()
        self._client: Any = None
        self._gate = BoundedSemaphore(max_connections)
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _Loop] = WeakKeyDictionary()
        self._trouble = ""
        self._breaker = Breaker(self._works, QUEUE * timeout)

    def __repr__(self) -> str:
        return f"RedisStorage({self._connect.where}, prefix={self._prefix.decode()!r})"

    def execute(self, ops: Sequence[Op[Any]], /) -> list[Any]:
        """Execute a batch by one pipeline. Blocks for at most a few times `timeout`; safe for threads."""
        if any([type(op) is Inspect for op in ops]):
            asked, others = _apart(ops)
            return _together(
                ops, self._inspector.execute(asked, lambda: self._load(self._gate)), self.execute(others) if others else []
            )
        if self._breaker.is_open:
            raise self._resting()
        if not self._gate.acquire(timeout=self._wait):
            raise self._busy()
        began = time.perf_counter()
        try:
            client = self._client or self._open()
            replies = self._send(client, self._encode(ops)).execute(raise_on_error=False)
            if unknown := _unknown_scripts(replies):
                again = self._encode([ops[i] for i in unknown], whole=True)
                _put(replies, unknown, self._send(client, again).execute(raise_on_error=False))
        except LOST as exc:
            raise self._unavailable(exc) from exc
        finally:
            self._gate.release()
        self._breaker.succeeded(time.perf_counter() - began)
        return self._decode(ops, replies)

    async def aexecute(self, ops: Sequence[Op[Any]], /) -> list[Any]:
        """Execute a batch by one pipeline of the running event loop's own client."""
        if any([type(op) is Inspect for op in ops]):
            asked, others = _apart(ops)
            running = self._loops.get(asyncio.get_running_loop())
            found = await self._inspector.aexecute(asked, lambda: self._load(running.gate if running else None))
            return _together(ops, found, await self.aexecute(others) if others else [])
        if self._breaker.is_open:
            raise self._resting()
        if self._connect.asynchronous is None:
            return await asyncio.to_thread(self.execute, ops)
        loop = self._loops.get(asyncio.get_running_loop()) or await self._aopen(self._connect.asynchronous)
        if loop.gate.locked():
            try:
                async with asyncio.timeout(self._wait):
                    await loop.gate.acquire()
            except TimeoutError:
                raise self._busy() from None
        else:
            await loop.gate.acquire()
        began = time.perf_counter()
        try:
            replies = await self._send(loop.client, self._encode(ops)).execute(raise_on_error=False)
            if unknown := _unknown_scripts(replies):
                again = self._encode([ops[i] for i in unknown], whole=True)
                _put(replies, unknown, await self._send(loop.client, again).execute(raise_on_error=False))
        except LOST as exc:
            raise self._unavailable(exc) from exc
        finally:
            loop.gate.release()
        self._breaker.succeeded(time.perf_counter() - began)
        return self._decode(ops, replies)

    def close(self) -> None:
        """Close the connections of threads. They open again when they are needed."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()
        self._inspector.close()
        self._breaker.reset()

    async def aclose(self) -> None:
        """Close the connections of the running event loop. They open again when they are needed."""
        loop = self._loops.pop(asyncio.get_running_loop(), None)
        if loop is not None:
            await loop.ending.aclose()
        self._inspector.close()
        self._breaker.reset()

    def _load(self, gate: BoundedSemaphore | asyncio.Semaphore | None) -> dict[str, Any]:
        """How many connections are in use where the question comes from: by threads, or by its event loop; and the breaker."""
        free = self._max_connections if gate is None else gate._value
        connections = {"in_use": self._max_connections - free, "limit": self._max_connections}
        return {"connections": connections, "breaker": "open" if self._breaker.is_open else "closed"}

    def _open(self) -> Any:
        if self._connect.sync is None:
            raise ConfigurationError("this storage was made from an asyncio client and is used from a thread: give it a URL")
        with self._lock:
            if self._client is None:
                self._client = self._connect.sync()
            return self._client

    async def _aopen(self, make: Callable[[], Any]) -> _Loop:
        """A client for the running loop, to be closed when the loop ends: loops close what they know is being iterated."""
        running = asyncio.get_running_loop()
        client = make()
        loop = self._loops[running] = _Loop(client, asyncio.Semaphore(self._max_connections), self._until_the_end(client))
        await anext(loop.ending)
        return loop

    async def _until_the_end(self, client: Any) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            self._loops.pop(asyncio.get_running_loop(), None)
            await client.aclose()

    def _encode(self, ops: Sequence[Op[Any]], *, whole: bool = False) -> list[Command]:
        """The commands of a batch. In place of an op that makes none goes an ECHO: it must not harm the others."""
        now = None if self._clock is None else int(self._clock() * 1_000_000)
        commands = []
        for op in ops:
            try:
                commands.append(encode(op, self._prefix, now, whole=whole))
            except Exception as exc:
                logger.error("%r cannot be sent", op, exc_info=exc)
                commands.append(("ECHO", UNSENT))
        return commands

    def _send(self, client: Any, commands: Sequence[Command]) -> Any:
        pipeline = client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command, **{NEVER_DECODE: True})
        return pipeline

    def _decode(self, ops: Sequence[Op[Any]], replies: Sequence[Any]) -> list[Any]:
        refused = next((str(reply) for reply in replies if isinstance(reply, DEGRADED)), "")
        self._note(refused and f"storage refuses: {self!r}: {refused}")
        return [decode(op, reply) for op, reply in zip(ops, replies, strict=True)]

    def _unavailable(self, exc: Exception) -> StorageUnavailable:
        self._note(f"storage lost: {self!r}: {type(exc).__name__}: {exc}")
        if not self._connect.is_cluster:  # of which a part may be lost
            self._breaker.failed()
        return StorageUnavailable(f"{self!r}: {type(exc).__name__}: {exc}")

    def _resting(self) -> StorageUnavailable:
        return StorageUnavailable(f"{self!r}: not asked: it was lost a moment ago, and has not answered since")

    def _works(self) -> bool:
        """Whether a server answers, asked over a connection of its own."""
        [found] = self._inspector.execute([Inspect((("PING",),), budget=WAIT)], dict)
        works = all(not isinstance(reply, Unavailable) for node in found.nodes for reply in _said(node))
        if works:
            self._note("")
        return works

    def _busy(self) -> StorageUnavailable:
        return StorageUnavailable(f"{self!r}: all {self._max_connections} connections were busy for {self._wait} s")

    def _note(self, trouble: str) -> None:
        """Log a change of state, and not each request that meets it."""
        kind = trouble.partition(":")[0]
        if kind != self._trouble:
            self._trouble = kind
            logger.warning("%s", trouble or f"storage back: {self!r}")


@dataclass(frozen=True, slots=True)
class _Loop:
    """What belongs to one event loop: a client, who may use it, and what closes it."""

    client: Any
    gate: asyncio.Semaphore
    ending: AsyncGenerator[None]


def encode(op: Op[Any], prefix: bytes, now: int | None = None, *, whole: bool = False) -> Command:
    """The Redis command of an op, `whole` scripts by their text and others by their digest.

    Raises `TypeError` for an op that is none of ours and no `Script`, as only a Script carries its own meaning, and for what
    no command can carry.
    """
    match op:
        case Get():
            return ("GET", _key(prefix, op.key))
        case Script():
            lua = type(op).lua
            if not all([type(arg) in (int, str, bytes) for arg in op.args]):
                raise TypeError(f"args must be text, bytes or whole numbers, got {op.args!r}")
            script = script_text(lua, now is None) if whole else script_digest(lua, now is None)
            keys = [_key(prefix, key) for key in op.keys]
            clock = () if now is None else (now,)
            return ("EVAL" if whole else "EVALSHA", script, len(keys), *keys, *clock, *op.args)
        case Set() | SetIfAbsent():
            expiry: Command = () if op.ttl is None else ("PX", milliseconds(op.ttl))
            condition: Command = ("NX",) if type(op) is SetIfAbsent else ()
            return ("SET", _key(prefix, op.key), op.value, *expiry, *condition)
        case Delete():
            return ("UNLINK", _key(prefix, op.key))
        case Touch():
            return ("PEXPIRE", _key(prefix, op.key), milliseconds(op.ttl))
    raise TypeError(f"{type(op).__name__} is not an op that Redis can execute: make it a Script")


def decode(op: Op[Any], reply: Any) -> Any:
    """The answer of an op from its reply; a `StorageError` if the server answered with an error, or it was never sent."""
    if reply == UNSENT:
        return StorageError(f"{type(op).__name__} cannot be sent, see the log")
    if isinstance(reply, Exception):
        return _failed(op, reply)
    match op:
        case Get():
            return reply
        case Script():
            try:
                return op.parse(reply)
            except Exception as exc:  # somebody's parse must not harm the others of the batch
                return _failed(op, exc)
        case Set():
            return None
    return bool(reply)


def _failed(op: Op[Any], cause: Exception) -> StorageError:
    error = StorageError(f"{type(op).__name__}: {cause}")
    error.__cause__ = cause
    return error


@cache
def script_text(lua: str, server_time: bool = True) -> str:
    """A whole script: the body as a function, called with the time as integer microseconds.

    TIME inside a script is the server's clock, the same for every client (effects are replicated since Redis 5).
    """
    step = f"local function step(keys, args, now)\n{lua}\nend\n"
    if server_time:
        return step + "local t = redis.call('TIME')\nreturn step(KEYS, ARGV, t[1] * 1000000 + t[2])"
    return step + "local now = tonumber(table.remove(ARGV, 1))\nreturn step(KEYS, ARGV, now)"


@cache
def script_digest(lua: str, server_time: bool = True) -> str:
    """The SHA-1 by which `EVALSHA` names a script (https://redis.io/commands/evalsha)."""
    return sha1(script_text(lua, server_time).encode(), usedforsecurity=False).hexdigest()


def _key(prefix: bytes, key: str) -> bytes:
    raw = key.encode("utf-8", "surrogatepass")  # any text is a key, a lone surrogate too
    return raw if type(key) is Foreign else prefix + raw


def _said(node: Node) -> tuple[Any, ...]:
    return (node.replies,) if isinstance(node.replies, Unavailable) else node.replies


def _apart(ops: Sequence[Op[Any]]) -> tuple[list[Inspect], list[Op[Any]]]:
    """What goes over a connection of its own, and the rest."""
    return [op for op in ops if type(op) is Inspect], [op for op in ops if type(op) is not Inspect]


def _together(ops: Sequence[Op[Any]], inspections: Sequence[Any], results: Sequence[Any]) -> list[Any]:
    found, others = iter(inspections), iter(results)
    return [next(found if type(op) is Inspect else others) for op in ops]


def _unknown_scripts(replies: Sequence[Any]) -> list[int]:
    return [i for i, reply in enumerate(replies) if isinstance(reply, NoScriptError)]


def _put(replies: list[Any], places: Sequence[int], answers: Sequence[Any]) -> None:
    for place, answer in zip(places, answers, strict=True):
        replies[place] = answer
