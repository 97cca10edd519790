"""The rules: what is worth an advice, each as a pure function of a `View`; `RULES` lists them all."""

from __future__ import annotations

from typing import Any

from .view import Advisory, Rule, View

DOCS = "https://redis.io/docs/latest"
EVICTION = f"{DOCS}/develop/reference/eviction/"
CLIENTS = f"{DOCS}/develop/reference/clients/"
MANAGEMENT = f"{DOCS}/operate/oss_and_stack/management"

FRAGMENTED = 1.5
"""Resident by used memory above which fragmentation is worth a look (Redis, "Memory optimization")."""

WASTED = 100 << 20
"""Bytes below which it is not: a small server is all overhead."""

SLOW_FORK = 100_000
"""Microseconds for which nobody is served while the server forks."""

LAG = 10
"""Seconds that a replica may be behind: it says where it is once a second."""

CROWDED = 0.80

OLD = {"redis": (7, 2), "valkey": (7, 2)}
"""The oldest versions that still get security fixes."""

OLDEST = (6, 2)
"""What this package needs."""


def noeviction_with_cache(view: View) -> Advisory | None:
    if view.get("memory", "policy") != "noeviction" or "cache" not in view.concerns:
        return None
    return Advisory(
        "noeviction-with-cache",
        "warning",
        "A response cache is kept on a server with maxmemory-policy noeviction: when memory is full, all writes are refused.",
        "maxmemory-policy volatile-lru (or volatile-ttl), or a server of its own for the cache.",
        EVICTION,
    )


def allkeys_with_state(view: View) -> Advisory | None:
    kept = sorted(view.concerns & {"sessions", "limits"})
    if not view.evicts_anything or not kept:
        return None
    return Advisory(
        "allkeys-with-state",
        "critical" if "sessions" in kept else "warning",
        f"maxmemory-policy is {view.get('memory', 'policy')}, which may throw away {' and '.join(kept)} at any time.",
        "maxmemory-policy noeviction, or volatile-ttl with a response cache beside; best a server of its own for the cache.",
        EVICTION,
    )


def maxmemory_unset(view: View) -> Advisory | None:
    if view.get("memory", "max_bytes") != 0:
        return None
    return Advisory(
        "maxmemory-unset",
        "warning",
        "maxmemory is 0: the server grows until the machine has no memory left, and is then killed.",
        "maxmemory below what the machine can spare, with room for a fork.",
        EVICTION,
    )


def memory_evicts(view: View) -> Advisory | None:
    if view.facts.storage.get("kind") != "memory" or not view.get("evictions", "evicted_keys"):
        return None
    return Advisory(
        "memory-evicts",
        "warning",
        f"This process's memory has run short, and {view.get('evictions', 'evicted_keys')} keys had to go before their time.",
        "MemoryStorage(max_bytes=…) with more room, or Redis.",
        EVICTION,
    )


def save_failed(view: View) -> Advisory | None:
    failed = [
        name
        for name, status in (("save", view.get("persistence", "last_save")), ("append", view.get("persistence", "last_append")))
        if status not in (None, "ok")
    ]
    if not failed:
        return None
    return Advisory(
        "save-failed",
        "critical",
        f"The last background {' and '.join(failed)} of the server failed; by default it refuses writes then (MISCONF).",
        "Room and rights on its disk, and memory for a fork (vm.overcommit_memory=1).",
        f"{MANAGEMENT}/persistence/",
    )


def sessions_not_persistent(view: View) -> Advisory | None:
    unsaved = view.get("configuration", "save") == "" and not view.get("persistence", "append_only")
    if "sessions" not in view.concerns or not (unsaved or view.facts.storage.get("kind") == "memory"):
        return None
    memory = view.facts.storage.get("kind") == "memory"
    return Advisory(
        "sessions-not-persistent",
        "notice" if memory else "warning",
        "Sessions are kept in this process's memory alone: its end logs everybody out, and other workers do not see them."
        if memory
        else "Sessions are kept on a server that writes nothing to disk: its restart logs everybody out.",
        "Redis, for what is to last." if memory else "appendonly yes (with appendfsync everysec), or save points.",
        f"{MANAGEMENT}/persistence/",
    )


def writes_to_replica(view: View) -> Advisory | None:
    if view.get("replication", "role") != "replica":
        return None
    return Advisory(
        "replica",
        "critical",
        "The storage's server is a replica: it refuses writes, or loses them.",
        "The address of the primary; with Sentinel or a Cluster, a URL that says so and follows a failover.",
        f"{MANAGEMENT}/replication/",
    )


def replica_lags(view: View) -> Advisory | None:
    replicas, online = view.get("replication", "replicas") or 0, view.get("replication", "online")
    lag = view.get("replication", "lag_seconds") or 0
    behind = view.get("replication", "link") == "down" or lag > LAG or (online is not None and online < replicas)
    if not behind:
        return None
    return Advisory(
        "replica-lags",
        "warning",
        "A replica is not up to date: a failover now would lose what it does not have.",
        f"All replicas online and less than {LAG} s behind.",
        f"{MANAGEMENT}/replication/",
    )


def evictions_rise(view: View) -> Advisory | None:
    rise = view.rise("evictions", "evicted_keys")
    if not rise or view.facts.storage.get("kind") == "memory":
        return None
    return Advisory(
        "evictions-rise",
        "warning",
        f"The server threw {rise} keys away since the reading before, as its memory is full.",
        "More memory, shorter lives, or a smaller cache.",
        EVICTION,
    )


def refusals_rise(view: View) -> Advisory | None:
    rise = view.rise("evictions", "rejected_connections")
    if not rise:
        return None
    return Advisory(
        "refusals-rise",
        "critical",
        f"The server refused {rise} connections since the reading before, as maxclients is reached.",
        "A higher maxclients, or fewer connections: workers × max_connections of all services.",
        CLIENTS,
    )


def clients_crowded(view: View) -> Advisory | None:
    connected, limit = view.get("clients", "connected") or 0, view.get("clients", "limit") or 0
    if not limit or connected < CROWDED * limit:
        return None
    return Advisory(
        "clients-crowded",
        "warning",
        f"{connected} of {limit} connections of the server are taken.",
        "A higher maxclients, or fewer connections: workers × max_connections of all services.",
        CLIENTS,
    )


def fragmented(view: View) -> Advisory | None:
    used, resident = view.get("memory", "used_bytes") or 0, view.get("memory", "resident_bytes") or 0
    if resident - used < WASTED or resident < FRAGMENTED * used:
        return None
    return Advisory(
        "fragmented",
        "notice",
        f"The server holds {resident >> 20} MiB of the machine's memory for {used >> 20} MiB of data.",
        "activedefrag yes, or a restart at a quiet hour.",
        f"{MANAGEMENT}/optimization/memory-optimization/",
    )


def forks_slowly(view: View) -> Advisory | None:
    took = view.get("persistence", "last_fork_microseconds") or 0
    if took < SLOW_FORK:
        return None
    return Advisory(
        "slow-fork",
        "warning",
        f"The last fork of the server took {took // 1000} ms, in which it answered nobody.",
        "Less data in one server, transparent huge pages off, or saving on a replica.",
        f"{MANAGEMENT}/optimization/latency/",
    )


def plain_text(view: View) -> Advisory | None:
    if not view.remote or view.facts.storage.get("tls"):
        return None
    return Advisory(
        "no-tls",
        "notice",
        "The way to the server leaves this machine, and is not encrypted.",
        "rediss://, unless the network is private and trusted.",
        f"{MANAGEMENT}/security/encryption/",
    )


def no_password(view: View) -> Advisory | None:
    if not view.remote or view.facts.storage.get("credentials") or not view.facts.works:
        return None
    return Advisory(
        "no-password",
        "critical",
        "The server is on another machine, and its default user needs no password.",
        "A user of its own with a password, and only the rights that are needed.",
        f"{MANAGEMENT}/security/acl/",
    )


def old_server(view: View) -> Advisory | None:
    name, version = view.get("server", "name"), _version(view.get("server", "version"))
    if version is None or name not in OLD or version >= OLD[name]:
        return None
    return Advisory(
        "old-server",
        "critical" if version < OLDEST else "notice",
        f"The server is {name} {'.'.join(map(str, version))}"
        + (", older than what this package needs." if version < OLDEST else ", which gets no fixes any more."),
        f"{name} {'.'.join(map(str, OLD[name]))} or newer.",
        f"{MANAGEMENT}/admin/",
    )


RULES: tuple[Rule, ...] = (
    noeviction_with_cache, allkeys_with_state, maxmemory_unset, memory_evicts, save_failed, sessions_not_persistent,
    writes_to_replica, replica_lags, evictions_rise, refusals_rise, clients_crowded, fragmented, forks_slowly, plain_text,
    no_password, old_server,
)  # fmt: skip


def _version(text: Any) -> tuple[int, int] | None:
    parts = str(text or "").split(".")
    return (int(parts[0]), int(parts[1])) if len(parts) > 1 and parts[0].isdigit() and parts[1].isdigit() else None
