"""What executes batches of ops: the `Storage` protocol, and how one is made from a setting.

A storage of your own is a class with `execute`; see `Storage` for what it owes its callers.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from typing import Any, Protocol

from ..errors import ConfigurationError
from ..ops import Op
from .memory import MemoryStorage
from .redis import RedisStorage

__all__ = ["MemoryStorage", "RedisStorage", "Storage", "storage_from", "storage_from_url"]

logger = logging.getLogger("redis_middleware")


class Storage(Protocol):
    """What executes batches of ops, for threads (`execute`) and for event loops (`aexecute`).

    `execute` returns one result for each op, in the order of the ops. An op that failed has a `StorageError` as its
    result, and the others go on. Nothing reachable: it raises `StorageUnavailable`. It may be called by many threads at
    once, and bounds its waits. The ops of a batch run in their order but are not atomic together: one `Script` is.

    Inherit this class and write `execute`: the rest then does what it should for a storage without an own async side.
    With a `redis_middleware.ops.Table` (get, set, delete) it is

        def execute(self, ops):
            with self.lock:
                now = int(time.time() * 1_000_000)
                return [perform(op, self.table, now) for op in ops]
    """

    def execute(self, ops: Sequence[Op[Any]], /) -> list[Any]:
        """Execute a batch; see the class. Anything else that it raises is logged, and taken for a `StorageError`."""
        ...

    async def aexecute(self, ops: Sequence[Op[Any]], /) -> list[Any]:
        """Execute a batch without blocking the event loop. By default `execute` in a thread."""
        return await asyncio.to_thread(self.execute, ops)

    def close(self) -> None:
        """Give back what `execute` opened. A closed storage opens again when it is used."""
        return

    async def aclose(self) -> None:
        """Give back what `aexecute` opened in the running event loop. By default `close`, in a thread."""
        await asyncio.to_thread(self.close)


def storage_from_url(url: str) -> Storage:
    """The storage that a URL names, as the `limits` package spells them.

    `memory://`, `redis://`, `rediss://`, `redis+unix://`, `redis+sentinel://h1:p,h2:p/service/db`,
    `redis+cluster://h1:p,h2:p`, and the same with `valkey` for `redis`. Nothing is connected yet.

    Raises `ConfigurationError` for a URL that does not parse; the message never shows it, as it may hold a password.
    """
    if url.partition("://")[0].lower() == "memory":
        return MemoryStorage()
    return RedisStorage(url)


def storage_from(setting: Storage | str | None) -> Storage:
    """The storage that an edge was given: an object, a URL, or None for `REDIS_URL` and else memory.

    Raises `ConfigurationError` for anything else. An object with no `aexecute` is completed from `Storage`.
    """
    if setting is None:
        url = os.environ.get("REDIS_URL")
        if url:
            return storage_from_url(url)
        logger.info("no storage given and REDIS_URL is not set: keeping everything in this process's memory")
        return MemoryStorage()
    if isinstance(setting, str):
        return storage_from_url(setting)
    if not callable(getattr(setting, "execute", None)):
        raise ConfigurationError(f"storage must be a Storage, a URL or None, got {type(setting).__name__}")
    return setting if hasattr(setting, "aexecute") else _Completed(setting)


class _Completed(Storage):
    """A plain class with `execute`, and the rest of the protocol for it."""

    def __init__(self, inner: Storage) -> None:
        self._inner = inner

    def __repr__(self) -> str:
        return repr(self._inner)

    def execute(self, ops: Sequence[Op[Any]], /) -> list[Any]:
        return self._inner.execute(ops)
