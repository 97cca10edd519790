"""The OpenAPI document that ships with the package says what the routes do."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import pytest

from redis_middleware import Health, MemoryStorage, RateLimit, Sessions

from ...edges import WSGI, Answer, hello

DOCUMENT = json.loads((files("redis_middleware.layers.health") / "openapi.json").read_text())
OPERATIONS = [(path, method) for path, item in DOCUMENT["paths"].items() for method in item]
SCHEMAS = DOCUMENT["components"]["schemas"]


def answered(path: str, method: str, form: str = "json", peer: str = "127.0.0.1", token: str | None = None) -> Answer:
    call = WSGI().wrap(
        hello, [Health(token=token), RateLimit("9/hour"), Sessions("0123456789abcdef0123456789abcdef")], MemoryStorage()
    )
    return call(method.upper(), f"{path}?format={form}", [("x-redis-middleware", "yes")], peer)


def test_it_has_all_the_routes() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    assert set(DOCUMENT["paths"]) == set(Health()._routes)
    for path, route in Health()._routes.items():
        assert {method.upper() for method in DOCUMENT["paths"][path]} == set(route.methods)


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_an_operation_answers_as_it_says(path: str, method: str) -> None:
    operation = DOCUMENT["paths"][path][method]
    [formats] = [one["schema"]["enum"] for one in operation["parameters"] if one["name"] == "format"]
    for form in formats:
        answer = answered(path, method, form)
        assert str(answer.status) in operation["responses"]
        media_type = (answer.headers.get("content-type") or "").partition(";")[0]
        content = operation["responses"]["200"].get("content")
        if method != "head":
            assert media_type in content
            if media_type.endswith("json"):
                conforms(json.loads(answer.body), content[media_type]["schema"])
    for answer in (
        answered(path, method, "xml"),
        answered(path, method, peer="192.0.2.1"),
        answered(path, method, peer="192.0.2.1", token="x"),
    ):
        assert str(answer.status) in operation["responses"]


def conforms(value: Any, schema: dict[str, Any]) -> None:
    """As much of JSON Schema as the document uses."""
    if "$ref" in schema:
        schema = SCHEMAS[schema["$ref"].rpartition("/")[2]]
    kinds = {
        "object": dict,
        "array": list,
        "string": str,
        "number": (int, float),
        "integer": int,
        "boolean": bool,
        "null": type(None),
    }
    named = schema.get("type", [])
    wanted = [named] if isinstance(named, str) else named
    assert not wanted or any(isinstance(value, kinds[kind]) for kind in wanted), (value, schema)  # type: ignore[arg-type]  # one or several
    assert value in schema.get("enum", [value])
    if isinstance(value, dict):
        assert set(schema.get("required", ())) <= value.keys()
        for name, item in value.items():
            conforms(item, schema.get("properties", {}).get(name) or schema.get("additionalProperties", {}))
    if isinstance(value, list):
        for item in value:
            conforms(item, schema.get("items", {}))
