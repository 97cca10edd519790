"""The same for Prometheus: counts of all workers together, whichever of them answers, and gauges of the storage.

Needs the extra `prometheus`. Counters are those that all workers add to, so one target is enough: behind a load balancer,
each scrape may meet another worker. Sum over none of the targets: each tells the whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client import Metric
from prometheus_client.exposition import generate_latest as prometheus_text
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_text

from .advisories import ORDER, Advisory
from .analytics import active_sessions
from .counted import Totals, parts, trips
from .facts import Facts

BEGIN = "redis_middleware_"


@dataclass(frozen=True, slots=True)
class Exposition:
    """Everything that is told, for one reading."""

    facts: Facts
    advisories: Sequence[Advisory]

    def openmetrics(self) -> bytes:
        """As OpenMetrics 1.0 writes it."""
        return bytes(openmetrics_text(self))  # type: ignore[no-untyped-call]  # it has no types

    def prometheus(self) -> bytes:
        """As Prometheus' text format 0.0.4 writes it."""
        return prometheus_text(self)

    def collect(self) -> Iterator[Metric]:
        """The families."""
        yield from _storage(self.facts)
        yield _gauge(
            "advisories", "Advice that there is for the way things are set up.", "severity", _severities(self.advisories)
        )
        if self.facts.counted.trouble is None:
            yield from _layers(self.facts.counted.totals)
            yield from _trips(self.facts.counted.totals)
            active = active_sessions(self.facts.layers)
            if active is not None:
                yield _gauge("sessions_active", "Sessions that are active.", "", {"": active})


def _layers(totals: Totals) -> Iterator[Metric]:
    """What layers have decided."""
    outcomes = {name: totals.get(f"limit {name}", 0) for name in ("allowed", "denied")}
    yield _counter("limit_decisions", "Requests that a limiter has decided about.", "outcome", outcomes)
    exceeded = CounterMetricFamily(
        f"{BEGIN}limit_exceeded",
        "Requests that were over a policy: denied, or let pass in its shadow.",
        labels=["policy", "mode"],
    )
    for mode in ("denied", "shadow"):
        for policy, number in parts(totals, f"limit {mode}:").items():
            exceeded.add_metric([policy, mode], number)
    yield exceeded
    yield _counter("cache_responses", "Responses by where they came from: what is stored, or the app.", "outcome", _cache(totals))
    reasons = parts(totals, "cache refused:")
    yield _counter("cache_refused", "Responses that were not stored, by why.", "reason", reasons)
    yield _counter("cache_stored", "Responses that were stored.", "", {"": totals.get("cache stored", 0)})
    renewed = {"": totals.get("cache renewed", 0)}
    yield _counter("cache_renewed", "Responses that were stored again with nobody waiting for them.", "", renewed)
    size = {"": totals.get("cache bytes", 0)}
    yield _counter("cache_stored_bytes", "Bytes of the bodies that were stored.", "", size, "bytes")
    events = {name: totals.get(f"session {name}", 0) for name in ("created", "loaded", "rotated", "ended")}
    yield _counter("session_events", "What happened to sessions.", "event", events)
    degraded = parts(totals, "degraded ")
    yield _counter("degraded", "Requests for which a layer had to do without the storage.", "layer", degraded)


def _cache(totals: Totals) -> dict[str, int]:
    """Hits are counted with those that were stale or revalidated, and told without."""
    counts = {name: totals.get(f"cache {name}", 0) for name in ("stale", "revalidated")}
    fresh = max(totals.get("cache hits", 0) - sum(counts.values()), 0)
    return {"fresh": fresh, **counts, "miss": totals.get("cache misses", 0)}


def _trips(totals: Totals) -> Iterator[Metric]:
    times = trips(totals)
    family = HistogramMetricFamily(f"{BEGIN}trip_seconds", "Time of a trip to the storage.", unit="seconds")
    buckets = [("+Inf" if bound == float("inf") else str(bound), count) for bound, count in times.buckets]
    family.add_metric([], buckets or [("+Inf", 0)], times.seconds)
    yield family
    yield _counter("trip_failures", "Trips that did not reach the storage, or took too long.", "", {"": times.failed})


def _storage(facts: Facts) -> Iterator[Metric]:
    """What the storage is like at this moment."""
    yield _gauge("storage_up", "Whether what is written can be read again: 1 or 0.", "", {"": int(facts.works)})
    if facts.works and facts.ping is not None:
        yield _gauge("storage_ping_seconds", "Time of a ping, of the slowest server.", "", {"": facts.ping}, "seconds")
    breaker = facts.storage.get("breaker")
    if breaker:
        about = "Whether the worker that answers has stopped asking the storage: 1 or 0."
        yield _gauge("breaker_open", about, "", {"": int(breaker != "closed")})
    for name, about, section, field, unit in OF_NODES:
        values = {str(place): node.get(section, {}).get(field) for place, node in enumerate(facts.nodes, 1)}
        yield _gauge(name, about, "node", {node: value for node, value in values.items() if value is not None}, unit)
    evicted = {str(place): node.get("evictions", {}).get("evicted_keys", 0) for place, node in enumerate(facts.nodes, 1)}
    yield _counter("evicted_keys", "Keys that had to go for want of memory.", "node", evicted)


OF_NODES = (
    ("memory_used_bytes", "Memory in use.", "memory", "used_bytes", "bytes"),
    ("memory_limit_bytes", "Memory that may be used; 0 is no limit.", "memory", "max_bytes", "bytes"),
    ("keys", "Keys of the server, ours and others.", "keyspace", "keys", ""),
    ("clients", "Connections of the server.", "clients", "connected", ""),
    ("clients_limit", "Connections that the server takes.", "clients", "limit", ""),
)
"""Gauges of each server: name, help, where it stands among the facts, and unit."""


def _severities(advisories: Sequence[Advisory]) -> Mapping[str, int]:
    found = Counter([advisory.severity for advisory in advisories])
    return {severity: found[severity] for severity in ORDER}  # type: ignore[index]  # they are the same words


def _counter(name: str, about: str, label: str, values: Mapping[str, float], unit: str = "") -> Metric:
    return _filled(CounterMetricFamily(BEGIN + name, about, labels=[label] if label else [], unit=unit), label, values)


def _gauge(name: str, about: str, label: str, values: Mapping[str, float], unit: str = "") -> Metric:
    return _filled(GaugeMetricFamily(BEGIN + name, about, labels=[label] if label else [], unit=unit), label, values)


def _filled(family: Any, label: str, values: Mapping[str, float]) -> Metric:
    for value, number in values.items():
        family.add_metric([value] if label else [], number)
    return family  # type: ignore[no-any-return]  # a Metric of either kind
