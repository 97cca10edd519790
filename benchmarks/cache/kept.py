"""How much a cache keeps: keys and their memory in Redis, rows in the database of a library that stores there."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from redis import Redis


@dataclass(frozen=True, slots=True)
class Kept:
    """So many keys or rows, and the bytes of all together."""

    entries: int
    size: int

    def since(self, before: Kept) -> Kept:
        """What has come since then."""
        return Kept(self.entries - before.entries, self.size - before.size)


def kept(host: str, port: int, database: Path) -> Kept:
    """All that is stored now."""
    with closing(Redis(host, port)) as redis:
        asked = redis.pipeline(transaction=False)
        for key in redis.scan_iter(count=1000):
            asked.memory_usage(key, samples=0)
        sizes = [size or 0 for size in asked.execute()]
    rows = _rows(database) if database.exists() else Kept(0, 0)
    return Kept(len(sizes) + rows.entries, sum(sizes) + rows.size)


def _rows(database: Path) -> Kept:
    with closing(sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True)) as connection:
        entries, heads = connection.execute("SELECT count(*), coalesce(sum(length(data)), 0) FROM entries").fetchone()
        (bodies,) = connection.execute("SELECT coalesce(sum(length(chunk_data)), 0) FROM streams").fetchone()
    return Kept(entries, heads + bodies)
