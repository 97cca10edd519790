"""What is known about a storage at one moment: asked for by a flow, and sorted into sections that may be shown.

Rules:

* A section is a mapping of what it observed; or `{"unavailable": "NOPERM"}` where the server refuses to say. A section that
  makes no sense for a storage is absent.
* Only what is named here is taken over from the server's answers: no name, no address, no key.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any

from ...errors import StorageError
from ...flow import Action, sleep
from ...ops import Delete, Get, Inspect, Inspection, Key, Node, Set, Unavailable, gather
from .counted import Counted

BUDGET = 0.8
"""Seconds that a route may take with all that it asks of a server."""

SCRATCH = 10
"""Seconds after which a key of ours is gone, whatever happens to who wrote it."""

BASIC = (("HELLO",), ("INFO",), ("CLUSTER", "INFO"))
DEEP = (
    *BASIC,
    ("DBSIZE",),
    ("CONFIG", "GET", "save"),
    ("CONFIG", "GET", "maxclients"),
    ("SLOWLOG", "GET", "64"),
    ("LATENCY", "LATEST"),
)

Section = Mapping[str, Any]

OF_INFO: Mapping[str, Mapping[str, str]] = {
    "memory": {
        "used_memory": "used_bytes",
        "maxmemory": "max_bytes",
        "used_memory_peak": "peak_bytes",
        "used_memory_rss": "resident_bytes",
        "maxmemory_policy": "policy",
        "mem_fragmentation_ratio": "fragmentation_ratio",
    },
    "clients": {"connected_clients": "connected", "maxclients": "limit", "blocked_clients": "blocked"},
    "commands": {
        "total_commands_processed": "processed",
        "instantaneous_ops_per_sec": "per_second",
        "keyspace_hits": "hits",
        "keyspace_misses": "misses",
        "total_error_replies": "errors",
    },
    "evictions": {
        "evicted_keys": "evicted_keys",
        "expired_keys": "expired_keys",
        "rejected_connections": "rejected_connections",
    },
    "persistence": {
        "loading": "loading",
        "rdb_last_bgsave_status": "last_save",
        "rdb_last_save_time": "last_save_time",
        "rdb_changes_since_last_save": "changes_since_save",
        "aof_enabled": "append_only",
        "aof_last_write_status": "last_append",
        "latest_fork_usec": "last_fork_microseconds",
    },
    "replication": {
        "role": "role",
        "connected_slaves": "replicas",
        "master_link_status": "link",
        "master_last_io_seconds_ago": "link_idle_seconds",
        "slave_read_only": "read_only",
    },
}
"""Sections, with what they take from the fields of INFO, and how we call it."""


@dataclass(frozen=True, slots=True)
class Facts:
    """One reading. `ping` and `write` are seconds: of the slowest server, and of a write, a read and a delete together."""

    storage: Section
    nodes: tuple[Mapping[str, Section], ...] = ()
    ping: float | None = None
    write: float | None = None
    trouble: str | None = None
    """Why the storage does not work, in a word or two; None if it does."""
    time: float = 0.0
    """When it was read, in seconds since the epoch."""
    layers: tuple[Section, ...] = field(default=())
    """What each layer tells of itself, if it was asked."""
    counted: Counted = field(default=Counted(trouble="not read"))

    @property
    def works(self) -> bool:
        """Whether what was written could be read again."""
        return self.trouble is None


def look(deep: bool = False) -> Action[Facts]:
    """An action: read the facts; all there are if `deep`, else those that say whether it works."""
    yield from sleep(0)  # so that what comes now leaves alone: the reads of other layers would go over the pool
    began = time.time()
    key, value = Key(f"h:{{{token_hex(8)}}}"), token_hex(8)
    try:
        told, pinged, written = yield from gather(
            Inspect(DEEP if deep else BASIC, BUDGET, everywhere=True),  # the first, as it may have to connect
            Inspect((("PING",),), BUDGET, everywhere=True),
            Inspect((("SET", key, value, "PX", str(SCRATCH * 1000)), ("GET", key), ("UNLINK", key)), BUDGET),
        )
    except StorageError:
        told = Inspection({})  # a storage of the user's own, that knows nothing of itself
    if not told.nodes:
        return (yield from _without_servers(told.facts, key, value, began))
    prefix = told.facts.get("prefix", "").encode()
    return Facts(
        {name: value for name, value in told.facts.items() if name != "prefix"},
        tuple([_of_node(node, prefix) for node in told.nodes]),
        max(node.seconds for node in pinged.nodes),
        written.nodes[0].seconds,
        _trouble(written.nodes[0], value.encode()),
        began,
    )


def _without_servers(facts: Mapping[str, Any], key: str, value: str, began: float) -> Action[Facts]:
    """The same of a storage that is not asked by commands: its own facts, and a key of ours."""
    start, trouble = time.perf_counter(), None
    try:
        _, read, deleted = yield from gather(Set(str(key), value.encode(), SCRATCH), Get(str(key)), Delete(str(key)))
    except StorageError:
        trouble = "failed"  # its message may say more than a stranger should read
    else:
        trouble = None if read == value.encode() and deleted else "not stored"
    seconds = time.perf_counter() - start
    kind = facts.get("kind", "custom")
    node: dict[str, Section] = {}
    if kind == "memory":
        node = {
            "memory": {"used_bytes": facts["used_bytes"], "max_bytes": facts["max_bytes"], "policy": "layers"},
            "keyspace": {"keys": facts["keys"]},
            "evictions": {"evicted_keys": facts["evicted"]},
        }
    return Facts({"kind": kind}, (node,), seconds, seconds, trouble, began)


def _trouble(node: Node, value: bytes) -> str | None:
    """What is wrong with a write, a read and a delete."""
    if isinstance(node.replies, Unavailable):
        return node.replies.reason
    refused = [reply.reason for reply in node.replies if isinstance(reply, Unavailable)]
    if refused:
        return refused[0]
    return None if node.replies[1:] == (value, 1) else "not stored"


def _of_node(node: Node, prefix: bytes) -> Mapping[str, Section]:
    """The sections of one server."""
    if isinstance(node.replies, Unavailable):
        return {"server": {"unavailable": node.replies.reason}}
    hello, info, cluster, *deep = node.replies
    sections = {"server": _server(hello, info)}
    if isinstance(info, Unavailable):
        sections.update({name: {"unavailable": info.reason} for name in (*OF_INFO, "keyspace")})
    else:
        for name, fields in OF_INFO.items():
            sections[name] = {ours: info[theirs] for theirs, ours in fields.items() if theirs in info}
        _complete(sections, info)
    if not isinstance(cluster, Unavailable):
        sections["cluster"] = _cluster(cluster)
    if deep:
        _deepen(sections, prefix, *deep)
    return sections


def _server(hello: Any, info: Any) -> Section:
    """Which server it is; HELLO says it where INFO is refused."""
    if not isinstance(info, Unavailable):
        name = info.get("server_name") or "redis"
        return {
            "name": name if name in ("redis", "valkey") else "other",
            "version": str(info.get("valkey_version") or info.get("redis_version", "")),
            "mode": info.get("server_mode") or info.get("redis_mode", "standalone"),
            "uptime_seconds": info.get("uptime_in_seconds", 0),
        }
    if isinstance(hello, Unavailable):
        return {"unavailable": info.reason}
    told = _pairs(hello)
    return {"name": told.get("server", "redis"), "version": told.get("version", ""), "mode": told.get("mode", "standalone")}


def _complete(sections: dict[str, Any], info: Mapping[str, Any]) -> None:
    """What follows from the fields, and is no field."""
    for name in ("loading", "append_only"):
        sections["persistence"][name] = bool(sections["persistence"].get(name))
    commands = sections["commands"]
    asked = commands.get("hits", 0) + commands.get("misses", 0)
    commands["hit_ratio"] = round(commands.get("hits", 0) / asked, 4) if asked else None
    databases = [value for name, value in info.items() if name.startswith("db") and isinstance(value, Mapping)]
    sections["keyspace"] = {
        "keys": sum(database.get("keys", 0) for database in databases),
        "expiring": sum(database.get("expires", 0) for database in databases),
    }
    replication = sections["replication"]
    replicas = [value for name, value in info.items() if name.startswith("slave") and isinstance(value, Mapping)]
    if replicas:
        replication["lag_seconds"] = max([int(replica.get("lag", 0)) for replica in replicas])
        replication["online"] = sum(replica.get("state") == "online" for replica in replicas)
    if replication.get("role") == "slave":
        replication["role"] = "replica"


def _cluster(reply: bytes | str) -> Section:
    text = reply.decode() if isinstance(reply, bytes) else reply
    told = dict(line.split(":", 1) for line in text.split() if ":" in line)
    numbers = {"slots_ok": "cluster_slots_ok", "slots_fail": "cluster_slots_fail", "nodes": "cluster_known_nodes"}
    return {"state": told.get("cluster_state", ""), **{ours: int(told.get(theirs, 0)) for ours, theirs in numbers.items()}}


def _deepen(sections: dict[str, Any], prefix: bytes, size: Any, save: Any, maxclients: Any, slow: Any, latency: Any) -> None:
    """What only a long look shows."""
    if "unavailable" in sections["keyspace"] and not isinstance(size, Unavailable):
        sections["keyspace"] = {"keys": size}
    if isinstance(save, Unavailable):
        sections["configuration"] = {"unavailable": save.reason}
    else:
        sections["configuration"] = {"save": _pairs(save).get("save", "")}
        if "limit" not in sections["clients"] and not isinstance(maxclients, Unavailable):
            sections["clients"] = {**sections["clients"], "limit": int(_pairs(maxclients).get("maxclients", 0))}
    sections["slow_log"] = {"unavailable": slow.reason} if isinstance(slow, Unavailable) else _slow(slow, prefix)
    sections["latency"] = (
        {"unavailable": latency.reason} if isinstance(latency, Unavailable) else {"events": [_event(*row[:4]) for row in latency]}
    )


def _slow(rows: Sequence[Sequence[Any]], prefix: bytes) -> Section:
    """The slow commands that touched our keys, by name and time alone, and how many others there are."""
    ours = [row for row in rows if any(isinstance(word, bytes) and word.startswith(prefix) for word in row[3][1:])]
    entries = [{"time": row[1], "microseconds": row[2], "command": _text(row[3][0]).upper()} for row in ours]
    return {"ours": entries, "others": len(rows) - len(ours)}


def _event(name: Any, last: int, milliseconds: int, worst: int) -> Section:
    return {"event": _text(name), "time": last, "milliseconds": milliseconds, "worst_milliseconds": worst}


def _pairs(reply: Any) -> dict[str, Any]:
    """A map of RESP3, or the flat list that it is in RESP2, with text for bytes."""
    pairs: Iterable[Any] = reply.items() if isinstance(reply, Mapping) else zip(reply[::2], reply[1::2], strict=True)
    return {_text(name): _text(value) if isinstance(value, bytes) else value for name, value in pairs}


def _text(word: Any) -> str:
    return word.decode("utf-8", "replace") if isinstance(word, bytes) else str(word)
