"""The examples of docs/health.md, as they stand."""

from __future__ import annotations

import json
import os
import re
import signal
from types import SimpleNamespace
from typing import Any

import pytest

from redis_middleware import Health, MemoryStorage

from .edges import Edge, environ, hello, wsgi_app, wsgi_call
from .snippets import ROOT, snippets

PAGE = "docs/health.md"
MOUNT, OPENAPI, THRESHOLDS, DRAIN = snippets(PAGE)
PROBES, PRE_STOP = snippets(PAGE, "yaml")


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


def test_thresholds_and_draining() -> None:
    handler = signal.getsignal(signal.SIGTERM)
    try:
        executed(THRESHOLDS + DRAIN, Health=Health)
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
    assert len(routes) == 6
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
        assert b"pass" in answer.body
