"""OpenTelemetry: a span for what each layer has decided about a request, and metrics of all that layers count.

    layers = [Health(), Telemetry(), RateLimit("200/day; 50/hour"), ResponseCache(), Sessions(secret)]

A span begins with the request and ends when its layer has decided; its parent is the span that is current then, such as that
of OpenTelemetry's own instrumentation of the framework or server, if that is around the middleware. It needs
`redis-middleware[otel]`, and an SDK of your choice, configured as always. Without this layer nothing of it is imported.

| a layer counts | span, and instrument | attributes |
|---|---|---|
| `limit denied`, `limit denied:hour` | `redis_middleware.limit` | `outcome` denied, `detail` hour |
| `cache misses`, `cache refused:set-cookie` | `redis_middleware.cache` | `outcome` refused, `detail` set-cookie |
| `session loaded` | `redis_middleware.session` | `outcome` loaded |
| `degraded RateLimit` | `redis_middleware.degraded` | `outcome` RateLimit |
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from opentelemetry.metrics import Counter, MeterProvider, get_meter_provider
from opentelemetry.trace import Tracer, TracerProvider, get_tracer_provider

from ..flow import Flow, Layer, proceed
from ..http import Counting, Request
from ..ops import Op

NAME = "redis_middleware"


class Telemetry(Layer):
    """Passes on to OpenTelemetry what the layers inside it count. It stands outside of them.

    The providers are the global ones, unless others are given. One object serves all threads and tasks.
    """

    kinds = frozenset({"http", "websocket"})

    def __init__(self, *, tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None) -> None:
        self._tracer = (tracer_provider or get_tracer_provider()).get_tracer(NAME)
        self._meter = (meter_provider or get_meter_provider()).get_meter(NAME)
        self._counters: dict[str, Counter] = {}

    def __call__(self, request: Request, /) -> Flow:
        noting = _Noting(request.ledger, self)
        request.ledger = noting
        try:
            return (yield from proceed())
        finally:
            noting.tell(self._tracer)

    def counter(self, kind: str) -> Counter:
        """The instrument for what one kind of layer counts."""
        if kind not in self._counters:
            self._counters[kind] = self._meter.create_counter(f"{NAME}.{kind}", description=f"What was counted of {kind}.")
        return self._counters[kind]


class _Noting:
    """A ledger that passes on what it is told, and notes it for the spans of one request."""

    def __init__(self, ledger: Counting, telemetry: Telemetry) -> None:
        self._ledger = ledger
        self._telemetry = telemetry
        self._began = time.time_ns()
        self._noted: dict[str, tuple[int, dict[str, str]]] = {}

    def count(self, name: str, number: int = 1, /) -> None:
        """So many more of something."""
        self._ledger.count(name, number)
        kind, _, rest = name.partition(" ")
        outcome, _, detail = rest.partition(":")
        attributes = {"outcome": outcome} | ({"detail": detail} if detail else {})
        self._telemetry.counter(kind).add(number, attributes)
        _, noted = self._noted.get(kind, (0, {}))
        self._noted[kind] = (time.time_ns(), noted | attributes)

    def rank(self, name: str, item: str, /) -> None:
        """One more for an item of a ranking: too many of them for attributes."""
        self._ledger.rank(name, item)

    def due(self) -> tuple[Op[Any], ...]:
        """What is to be added."""
        return self._ledger.due()

    def put_back(self, ops: Iterable[Op[Any]], /) -> None:
        """Count again what could not be added."""
        self._ledger.put_back(ops)

    def tell(self, tracer: Tracer) -> None:
        """Make the spans."""
        for kind, (ended, attributes) in self._noted.items():
            tracer.start_span(f"{NAME}.{kind}", start_time=self._began, attributes=attributes).end(ended)
