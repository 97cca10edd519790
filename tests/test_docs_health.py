"""The examples of docs/health.md, as they stand."""

from __future__ import annotations

import json
import os
import re
import signal
from types import SimpleNamespace
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # it ships no types
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from redis_middleware import Health, MemoryStorage, RedisStorage, Sessions
from redis_middleware.layers.health.__main__ import main

from .edges import Edge, environ, hello, wsgi_app, wsgi_call
from .snippets import ROOT, snippets

PAGE = "docs/health.md"
MOUNT, OPENAPI, THRESHOLDS, SUBJECTS, OTEL, DRAIN = snippets(PAGE)
SCRAPE, PROBES, PRE_STOP = snippets(PAGE, "yaml")
NEAR = "127.0.0.1"


def executed(code: str, **names: Any) -> SimpleNamespace:
    """What a snippet defines."""
    exec(compile(code, "<docs>", "exec"), names)
    return SimpleNamespace(**names)


def test_the_lines_that_mount_it(monkeypatch: pytest.MonkeyPatch, redis_url: str) -> None:
    monkeypatch.setenv("HEALTH_TOKEN", "s3cret")
    monkeypatch.setenv("SESSION_SECRET", "0123456789abcdef0123456789abcdef")
    app = executed(MOUNT.replace("redis://localhost:6379/0", redis_url), app=wsgi_app(hello)).app
    assert json.loads(wsgi_call(app, environ(path="/readyz")).body) == {"status": "pass"}
    told = wsgi_call(app, environ(path="/api/redis/stats", headers=[("authorization", "Bearer s3cret")]))
    assert json.loads(told.body)["layers"][2]["concern"] == "sessions"
    app.storage.close()


def test_the_document_ships_with_the_package() -> None:
    assert json.loads(executed(OPENAPI).document)["openapi"] == "3.1.0"


def test_thresholds_subjects_and_draining() -> None:
    handler = signal.getsignal(signal.SIGTERM)
    try:
        executed(THRESHOLDS + SUBJECTS + DRAIN, Health=Health)
        assert signal.getsignal(signal.SIGTERM) != handler
    finally:
        signal.signal(signal.SIGTERM, handler)


def test_each_probe_of_the_example_is_a_route(edge: Edge) -> None:
    call = edge.wrap(hello, [Health()], MemoryStorage())
    paths = re.findall(r"path: (/\w+)", PROBES)
    assert paths == ["/livez", "/readyz", "/startupz"]
    for path in paths:
        assert json.loads(call(path=path).body) == {"status": "pass"}


def test_each_route_of_the_page_is_one(edge: Edge) -> None:
    call = edge.wrap(hello, [Health()], MemoryStorage())
    routes = re.findall(r"^\| `(GET|POST) (/[\w/]+)` \|", (ROOT / PAGE).read_text(), re.MULTILINE)
    assert len(routes) == 8
    for method, path in routes:
        assert call(method, path, [("x-redis-middleware", "yes")], "127.0.0.1").body != b"hello"


def test_the_commands_of_the_page(edge: Edge) -> None:
    call = edge.wrap(hello, [Health(token="s3cret")], MemoryStorage())
    console = "\n".join(snippets(PAGE, "console"))
    for flags, host, path in re.findall(r"^\$ curl (.*?)(localhost:8000|https://example.org)(\S+)$", console, re.MULTILINE):
        fields = re.findall(r"-H ['\"](.*?): (.*?)['\"]", os.path.expandvars(flags).replace("$HEALTH_TOKEN", "s3cret"))
        peer = "127.0.0.1" if host.startswith("localhost") else "192.0.2.1"
        answer = call("POST" if "POST" in flags else "GET", path, [("host", host.rpartition("/")[2]), *fields], peer)
        assert answer.status == 200
        assert b"pass" in answer.body or b"# HELP redis_middleware_limit_decisions_total Requests that" in answer.body


def test_each_metric_of_the_page_is_one_and_none_is_missing(edge: Edge, redis_url: str, prefix: str) -> None:
    storage = RedisStorage(redis_url, prefix=prefix)
    call = edge.wrap(hello, [Health(), Sessions("0123456789abcdef0123456789abcdef")], storage)
    told = call(path=yaml.safe_load(SCRAPE)["scrape_configs"][0]["metrics_path"], peer=NEAR).body.decode()
    rows = re.findall(r"^\| (`\w+`.*?) \|.*\|.*\|$", (ROOT / PAGE).read_text().partition("## Metrics")[2], re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    families = {family.name for family in text_string_to_metric_families(told)}  # type: ignore[no-untyped-call]  # it has no types
    assert {f"redis_middleware_{name.removesuffix('_total')}" for name in named if name != "GET"} == families | OPTIONAL
    storage.close()


OPTIONAL = {"redis_middleware_breaker_open"}


def test_each_field_of_the_last_day_is_one(edge: Edge) -> None:
    told = json.loads(edge.wrap(hello, [Health()], MemoryStorage())(path="/api/redis/stats", peer=NEAR).body)["analytics"]
    section = (ROOT / PAGE).read_text().partition("## The last day")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", section, re.MULTILINE))
    assert rows.keys() == told.keys()
    assert set(re.findall(r"`(\w+)`", rows["hours"])) == told["hours"][0].keys() - {"time"}
    assert set(re.findall(r"`(\w+)`", rows["today"])) == told["today"].keys()


def test_each_picture_is_there_and_small() -> None:
    pictures = re.findall(r"!\[.+?\]\((.+?)\)", (ROOT / PAGE).read_text())
    assert len(pictures) >= 5
    for picture in pictures:
        assert 10_000 < (ROOT / "docs" / picture).stat().st_size < 200_000


def test_the_commands_that_print_what_ships(capsys: pytest.CaptureFixture[str]) -> None:
    printed = re.findall(r"^\$ python -m redis_middleware.layers.health (\S+)", (ROOT / PAGE).read_text(), re.MULTILINE)
    assert printed == ["grafana.json", "alerts.yaml"]
    for name in printed:
        assert main([name]) == 0
        assert "redis_middleware_storage_up" in capsys.readouterr().out


def test_telemetry_is_a_layer(edge: Edge) -> None:
    call = edge.wrap(hello, executed(OTEL).layers, MemoryStorage())
    assert call().status == 200
