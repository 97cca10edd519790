"""The figures at the top: what one wants to see at a glance."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from markupsafe import Markup

from ..answers import Document
from .wording import duration, milliseconds, number, share, size

FIGURES = Markup('<dl class="figures" id="figures" data-fresh>{}</dl>')
FIGURE = Markup('<div><dt>{name}</dt><dd><div class="number">{number}</div><div class="beside">{beside}</div></dd></div>')

NAMES = {"redis": "Redis", "valkey": "Valkey"}


def figures(document: Document) -> Markup:
    """All of them that there are."""
    found = [*_storage(document), *_today(document["analytics"])]
    return FIGURES.format(Markup("\n").join([FIGURE.format(name=name, number=big, beside=small) for name, big, small in found]))


def _storage(document: Document) -> Iterator[tuple[str, str, str]]:
    """Of the first server, which stands for all."""
    node = document["nodes"][0] if document["nodes"] else {}
    yield "Storage", *_kind(document, node)
    if "unavailable" in node.get("server", {}):
        return
    yield "Ping", milliseconds(document["times"]["ping_ms"]), f"write {milliseconds(document['times']['write_ms'])}"
    memory, clients, keys = (_section(node, name) for name in ("memory", "clients", "keyspace"))
    if "used_bytes" in memory:
        limit = memory.get("max_bytes") or 0
        yield (
            "Memory",
            size(memory["used_bytes"]),
            f"{share(memory['used_bytes'], limit)} of {size(limit)}" if limit else "no limit",
        )
    if "keys" in keys:
        yield "Keys", number(keys["keys"]), f"{number(keys['expiring'])} with a ttl" if "expiring" in keys else ""
    if "connected" in clients:
        limit = clients.get("limit")
        yield "Connections", number(clients["connected"]), f"of {number(limit)}" if limit else ""


def _kind(document: Document, node: Any) -> tuple[str, str]:
    kind, server = document["storage"].get("kind", ""), _section(node, "server")
    if kind == "memory":
        return "Memory", "of this process alone"
    name = NAMES.get(server.get("name", ""), "Redis" if kind == "redis" else "Custom")
    count = len(document["nodes"])
    beside = (
        f"{count} servers" if count > 1 else f"up {duration(server.get('uptime_seconds'))}" if "uptime_seconds" in server else ""
    )
    return f"{name} {server.get('version', '')}".strip(), beside


def _today(analytics: Document) -> Iterator[tuple[str, str, str]]:
    """Of the last day, by what layers have counted."""
    if "unavailable" in analytics:
        return
    hours = analytics["hours"]
    count = {name: sum(hour[name] for hour in hours) for name in ("allowed", "denied", "hits", "misses", "sessions_created")}
    if analytics["active_sessions"] is not None:
        yield "Active sessions", number(analytics["active_sessions"]), f"{number(count['sessions_created'])} created in 24 h"
    if count["hits"] + count["misses"]:
        yield "Cache hits", share(count["hits"], count["hits"] + count["misses"]), f"{number(count['hits'])} in 24 h"
    if count["allowed"] + count["denied"]:
        yield "Denied", share(count["denied"], count["allowed"] + count["denied"]), f"{number(count['denied'])} in 24 h"


def _section(node: Any, name: str) -> Any:
    """What was observed; nothing, if the server refuses to say."""
    return {} if "unavailable" in node.get(name, {}) else node.get(name, {})
