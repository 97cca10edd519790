"""From facts to a verdict: one check for each thing that can be wrong, and the worst of them is the status.

A check is what draft-inadarei-api-health-check-06 §4 calls one: named `component:measurement`, with what was observed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from ...errors import ConfigurationError
from .facts import Facts, Section

Status = Literal["pass", "warn", "fail"]

ORDER: tuple[Status, ...] = ("pass", "warn", "fail")


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From where on something is worth a warning, or is a failure. `latency` is in seconds, the others are shares of 1."""

    latency: float = 0.05
    memory: float = 0.80
    memory_full: float = 0.95
    clients: float = 0.80

    def __post_init__(self) -> None:
        if not self.latency > 0:
            raise ConfigurationError(f"the threshold latency must be positive, got {self.latency!r}")
        for name in ("memory", "memory_full", "clients"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigurationError(f"the threshold {name} must be more than 0 and at most 1, got {getattr(self, name)!r}")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    status: Status
    value: Any = None
    unit: str = ""
    output: str = ""
    """What is wrong; empty if nothing is."""
    kind: Literal["datastore", "component", "system"] = "datastore"

    def document(self, time: float) -> dict[str, Any]:
        """As an object of `checks` (§4 of the draft)."""
        told = {"componentType": self.kind, "observedValue": self.value, "observedUnit": self.unit, "status": self.status}
        told |= {"time": timestamp(time), "output": self.output}
        return {name: value for name, value in told.items() if value not in (None, "")}


def worst(statuses: Sequence[Status]) -> Status:
    """The status of the whole."""
    return max(statuses, key=ORDER.index, default="pass")


def timestamp(seconds: float) -> str:
    """A time as RFC 3339 writes it, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def checks_of(facts: Facts, thresholds: Thresholds) -> list[Check]:
    """Everything that was looked at."""
    return [*_storage(facts, thresholds), *[check for node in facts.nodes for check in _node(node, thresholds)]]


def grouped(checks: Sequence[Check], time: float) -> dict[str, list[dict[str, Any]]]:
    """The object `checks` of the draft: several servers make several observations of one name."""
    found: dict[str, list[dict[str, Any]]] = {}
    for check in checks:
        found.setdefault(check.name, []).append(check.document(time))
    return found


def _storage(facts: Facts, thresholds: Thresholds) -> Iterator[Check]:
    if facts.trouble is not None:
        yield Check("storage:write", "fail", output=facts.trouble)
    for name, seconds in (("storage:responseTime", facts.ping), ("storage:write", facts.write)):
        if seconds is not None and facts.works:
            slow = seconds > thresholds.latency
            output = f"slower than {thresholds.latency * 1000:g} ms" if slow else ""
            yield Check(name, "warn" if slow else "pass", round(seconds * 1000, 3), "ms", output)
    connections = facts.storage.get("connections")
    if connections:
        busy = connections["in_use"] >= connections["limit"]
        output = "all connections of this process are in use" if busy else ""
        yield Check(
            "connections:utilization", "warn" if busy else "pass", connections["in_use"], "connections", output, "component"
        )
    breaker = facts.storage.get("breaker")
    if breaker:
        yield Check("storage:breaker", "pass" if breaker == "closed" else "warn", breaker, kind="component")


def _node(node: Mapping[str, Section], thresholds: Thresholds) -> Iterator[Check]:
    """Of one server."""
    lost = set(node) == {"server"} and node["server"].get("unavailable")
    if lost:
        yield Check("server:reachable", "fail", output=lost)
        return
    persistence, replication, cluster = (node.get(name, {}) for name in ("persistence", "replication", "cluster"))
    if "loading" in persistence:
        loading = bool(persistence["loading"])
        yield Check("storage:loading", "fail" if loading else "pass", loading, output="loading its data" if loading else "")
    if "role" in replication:
        replica = replication["role"] != "master"
        output = "writes need a primary, and this is a replica" if replica else ""
        yield Check("storage:role", "warn" if replica else "pass", replication["role"], output=output)
    if cluster:
        well = cluster["state"] == "ok"
        output = "" if well else "the cluster does not serve all of its slots"
        yield Check("cluster:state", "pass" if well else "fail", cluster["state"], output=output)
    yield from _full(node, thresholds)


def _full(node: Mapping[str, Section], thresholds: Thresholds) -> Iterator[Check]:
    memory, clients = node.get("memory", {}), node.get("clients", {})
    if memory.get("max_bytes"):
        share = memory["used_bytes"] / memory["max_bytes"]
        refuses = memory.get("policy", "noeviction") == "noeviction"  # where keys are evicted, full is as it should be
        status: Status = "pass"
        if refuses and share >= thresholds.memory:
            status = "fail" if share >= thresholds.memory_full else "warn"
        output = "" if status == "pass" else "when memory is full, writes are refused"
        yield Check("memory:utilization", status, round(share * 100, 1), "percent", output)
    if clients.get("limit"):
        share = clients["connected"] / clients["limit"]
        crowded = share >= thresholds.clients
        output = "when all are taken, connections are refused" if crowded else ""
        yield Check("clients:utilization", "warn" if crowded else "pass", round(share * 100, 1), "percent", output)
