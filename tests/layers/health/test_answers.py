"""One document in the form that a client prefers."""

from __future__ import annotations

import json

import pytest

from redis_middleware import Health, MemoryStorage, Request
from redis_middleware.layers.health.answers import HEALTH, HTML, JSON, TEXT, chosen

from ...edges import Edge, hello

ALL = (HEALTH, JSON, TEXT, HTML)


@pytest.mark.parametrize(
    ("accept", "query", "name"),
    [
        (None, "", "health+json"),
        ("*/*", "", "health+json"),
        ("application/json", "", "json"),
        ("application/health+json, application/json;q=0.5", "", "health+json"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "", "html"),
        ("text/plain", "", "text"),
        ("text/plain;q=0.1, application/json", "", "json"),
        ("image/png", "", "health+json"),
        ("nonsense", "", "health+json"),
        ("text/html", "format=json", "json"),
        (None, "format=health%2Bjson", "health+json"),
        (None, "format=health+json", "health+json"),
        (None, "a=b&format=text", "text"),
    ],
)
def test_the_query_decides_then_accept_then_the_route(accept: str | None, query: str, name: str) -> None:
    request = Request(query=query, headers=[("accept", accept)] if accept else [])
    found = chosen(request, ALL)
    assert found is not None
    assert found.name == name


def test_a_format_that_there_is_not_is_a_bad_request(edge: Edge) -> None:
    answer = edge.wrap(hello, [Health()], MemoryStorage())(path="/livez?format=xml")
    assert answer.status == 400
    assert json.loads(answer.body)["detail"] == "format must be one of health+json, json, text, html."


@pytest.mark.parametrize("name", ["health+json", "json", "text", "html"])
def test_nothing_is_stored_or_sniffed(edge: Edge, name: str) -> None:
    answer = edge.wrap(hello, [Health()], MemoryStorage())(path=f"/api/redis/health?format={name}", peer="127.0.0.1")
    assert answer.headers.get("cache-control") == "no-store"
    assert answer.headers.get("x-content-type-options") == "nosniff"
    assert "storage:responseTime" in answer.body.decode()
    if name == "html":
        assert "default-src 'none'" in (answer.headers.get("content-security-policy") or "")


def test_text_is_a_line_for_each_value() -> None:
    document = {"status": "pass", "a": {"b": [1, {"c": None}], "d": True}}
    assert TEXT.response(200, "Title", document).body == b"status: pass\na.b.1: 1\na.b.2.c: \na.d: true\n"


def test_html_is_escaped() -> None:
    page = HTML.response(200, "<Title>", {"<i>": "<script>alert(1)</script>"}).body or b""
    assert b"<script>" not in page
    assert b"<i>" not in page
    assert b"&lt;script&gt;" in page
