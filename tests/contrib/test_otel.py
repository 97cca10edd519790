"""OpenTelemetry: a span for each decision, and what layers count as metrics."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from redis_middleware import Health, RateLimit, ResponseCache, Sessions
from redis_middleware.contrib.otel import Telemetry
from redis_middleware.counting import TOTALS, ReadTotals
from redis_middleware.storage import Storage

from ..edges import Edge, Seen


class Told:
    """What OpenTelemetry was told."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider(metric_readers=[self.reader])
        self.layer = Telemetry(tracer_provider=self.tracers, meter_provider=self.meters)

    @property
    def spans(self) -> dict[str, ReadableSpan]:
        """The spans since one looked last."""
        found = {span.name.removeprefix("redis_middleware."): span for span in self.exporter.get_finished_spans()}
        self.exporter.clear()
        return found

    @property
    def metrics(self) -> dict[tuple[str, ...], Any]:
        data: Any = self.reader.get_metrics_data()
        return {
            (metric.name.removeprefix("redis_middleware."), *point.attributes.values()): point.value
            for scope in data.resource_metrics[0].scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
        }


@pytest.fixture
def told() -> Told:
    return Told()


def handler(seen: Seen) -> Any:
    return 200, [("cache-control", "max-age=60"), ("content-type", "text/plain")], [b"page"]


HOST = [("host", "example.org")]


def test_each_decision_is_a_span(edge: Edge, storage: Storage, told: Told) -> None:
    layers = [Health(), told.layer, RateLimit("2/hour"), ResponseCache(), Sessions("a secret of more than thirty-two bytes")]
    call = edge.wrap(handler, layers, storage)
    call(headers=HOST)
    spans = told.spans
    attributes = {name: dict(span.attributes or {}) for name, span in spans.items()}
    assert attributes["limit"] == {"outcome": "allowed"}
    assert attributes["cache"]["outcome"] in ("misses", "stored", "bytes")
    assert all((span.start_time or 0) <= (span.end_time or 0) for span in spans.values())
    call(headers=HOST)
    assert dict(told.spans["cache"].attributes or {}) == {"outcome": "hits"}
    call(headers=HOST)
    spans = told.spans
    assert [*spans] == ["limit"]
    assert dict(spans["limit"].attributes or {}) == {"outcome": "denied", "detail": "hour"}


def test_what_is_counted_is_a_metric_and_still_counted(edge: Edge, storage: Storage, told: Told) -> None:
    call = edge.wrap(handler, [told.layer, RateLimit("2/hour")], storage)
    for _ in range(3):
        call(headers=HOST)
    assert told.metrics == {("limit", "allowed"): 2, ("limit", "denied"): 1, ("limit", "denied", "hour"): 1}
    edge.flush()
    [totals] = storage.execute([ReadTotals((TOTALS,))])
    assert (totals["limit allowed"], totals["limit denied"]) == (2, 1)


def test_a_span_is_there_also_if_the_app_raises(edge: Edge, storage: Storage, told: Told) -> None:
    def broken(seen: Seen) -> Any:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        edge.wrap(broken, [told.layer, RateLimit("2/hour")], storage)()
    assert [*told.spans] == ["limit"]


def test_its_parent_is_what_is_current(edge: Edge, storage: Storage, told: Told) -> None:
    call = edge.wrap(handler, [told.layer, RateLimit("2/hour")], storage)
    if edge.name == "wsgi":
        with told.tracers.get_tracer("server").start_as_current_span("request") as request:
            call()
        parent = told.spans["limit"].parent
        assert parent is not None
        assert parent.span_id == request.get_span_context().span_id
    else:
        call()
        assert told.spans["limit"].parent is None
