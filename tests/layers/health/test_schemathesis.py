"""Requests of all kinds, made from the OpenAPI document that ships, by which every answer is judged."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import schemathesis
from hypothesis import HealthCheck, settings

from redis_middleware import Health, MemoryStorage, RateLimit, ResponseCache, Sessions, WSGIMiddleware

DOCUMENT = json.loads((files("redis_middleware.layers.health") / "openapi.json").read_text())


def missing(environ: Any, start_response: Any) -> list[bytes]:
    start_response("404 Not Found", [("content-type", "text/plain"), ("content-length", "0")])
    return [b""]


LAYERS = [Health(token="s3cret"), RateLimit("9/hour"), ResponseCache(), Sessions("0123456789abcdef0123456789abcdef")]
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
SCHEMA.app = WSGIMiddleware(missing, layers=LAYERS, storage=MemoryStorage())


@SCHEMA.parametrize()
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_routes_answer_as_the_document_says(case: schemathesis.Case[Any]) -> None:
    case.call_and_validate()


@SCHEMA.parametrize()
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_so_they_do_to_who_has_the_token(case: schemathesis.Case[Any]) -> None:
    case.call_and_validate(headers={"authorization": "Bearer s3cret"})
