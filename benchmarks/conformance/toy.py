"""A cache that knows `max-age` and nothing else: `--layer benchmarks.conformance.toy:MaxAge`.

It shows that the harness sees hits, on both storages and with several workers. What it scores, and in how many required
tests it fails, is what the suite makes of the simplest cache that anybody would write.
"""

from __future__ import annotations

import json
import re
from typing import Any, ClassVar

from redis_middleware import Flow, Request, Response, body, proceed
from redis_middleware.ops import Get, Set

LIMIT = 1 << 20


class MaxAge:
    """Stores what a GET is answered with for as long as `max-age` says, by URL."""

    eager: ClassVar[bool] = True
    kinds: ClassVar[frozenset[str]] = frozenset({"http"})

    def __call__(self, request: Request, /) -> Flow:
        if request.method != "GET":
            return None
        key = f"toy:{request.path}?{request.query}"
        stored = yield from Get(key)
        if stored is not None:
            return _decoded(stored)
        response = yield from proceed()
        found = re.search(r"max-age=(\d+)", response.headers.get("cache-control", ""))
        if found is None or int(found[1]) == 0:
            return response
        head = (response.status, list(response.headers))
        whole = yield from body(LIMIT)
        if whole is not None:
            request.outbox.append(Set(key, _encoded(*head, whole), ttl=min(int(found[1]), 3600)))
        return response


def _encoded(status: int, lines: list[tuple[str, str]], whole: bytes) -> bytes:
    return json.dumps([status, lines, whole.decode("latin-1")]).encode()


def _decoded(stored: bytes) -> Response:
    parts: list[Any] = json.loads(stored)
    return Response(parts[0], [(name, value) for name, value in parts[1]], parts[2].encode("latin-1"))
