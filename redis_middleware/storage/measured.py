"""How often a storage is asked, how long that takes, and how often it fails: a storage around a storage that counts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Protocol

from ..errors import StorageUnavailable
from ..ops import Op
from . import Storage
from .memory import MemoryStorage


class Observing(Protocol):
    """Where it is counted."""

    def count(self, name: str, number: int = 1, /) -> None: ...
    def observe(self, name: str, seconds: float, /) -> None: ...


def measured(storage: Storage, ledger: Observing) -> Storage:
    """The storage, with its trips counted in the ledger: `trip`, and `trip failed` of these. Memory makes none."""
    return storage if isinstance(storage, MemoryStorage) else Measured(storage, ledger)


class Measured:
    """Counts the trips of a storage."""

    def __init__(self, storage: Storage, ledger: Observing) -> None:
        self._storage = storage
        self._ledger = ledger

    def __repr__(self) -> str:
        return repr(self._storage)

    def execute(self, ops: Sequence[Op[Any]], /) -> list[Any]:
        """Execute a batch."""
        began = time.perf_counter()
        try:
            return self._storage.execute(ops)
        except StorageUnavailable:
            self._ledger.count("trip failed")
            raise
        finally:
            self._ledger.observe("trip", time.perf_counter() - began)

    async def aexecute(self, ops: Sequence[Op[Any]], /) -> list[Any]:
        """Execute a batch."""
        began = time.perf_counter()
        try:
            return await self._storage.aexecute(ops)
        except StorageUnavailable:
            self._ledger.count("trip failed")
            raise
        finally:
            self._ledger.observe("trip", time.perf_counter() - began)

    def close(self) -> None:
        """Close the storage."""
        self._storage.close()

    async def aclose(self) -> None:
        """Close the storage for the running event loop."""
        await self._storage.aclose()
