"""Totals by name: how often something has happened, on all workers together."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar

from ..errors import StorageError
from ..ops import Script, Table


@dataclass(slots=True)
class Add(Script[None]):
    """Add to totals. One key; args: seconds for which they are kept if nobody adds to them, then name and number of each.

    It never fails, as it leaves together with what must not be lost for a statistic.
    """

    # It writes, and yet may run before it is known to be needed: it counts what happened in requests before this one.
    safe: ClassVar[bool] = True
    lua: ClassVar[str] = """
for i = 2, #args, 2 do redis.pcall('HINCRBY', keys[1], args[i], args[i + 1]) end
redis.pcall('PEXPIRE', keys[1], args[1] * 1000)
"""

    def apply(self, table: Table, now: int, /) -> None:
        stored = table.get(self.keys[0])
        if isinstance(stored, dict | None):
            counts = Counter(stored)
            for name, number in self.pairs().items():
                counts[name] += number
            with suppress(StorageError):  # it does not fit into memory
                table.set(self.keys[0], dict(counts), int(self.args[0]))

    def parse(self, reply: Any, /) -> None:
        return None

    def pairs(self) -> dict[str, int]:
        """What it adds to which."""
        return {str(name): int(number) for name, number in zip(self.args[1::2], self.args[2::2], strict=True)}


@dataclass(slots=True)
class ReadTotals(Script[dict[str, int]]):
    """All totals under a key, in the order of their names."""

    safe: ClassVar[bool] = True
    lua: ClassVar[str] = "return redis.call('HGETALL', keys[1])"

    def apply(self, table: Table, now: int, /) -> dict[str, int]:
        stored = table.get(self.keys[0]) or {}
        if not isinstance(stored, dict):
            raise StorageError(f"WRONGTYPE the key holds a {type(stored).__name__}, not totals")
        return dict(sorted(stored.items()))

    def parse(self, reply: Any, /) -> dict[str, int]:
        counts = {name.decode(): int(number) for name, number in zip(reply[::2], reply[1::2], strict=True)}
        return dict(sorted(counts.items()))
