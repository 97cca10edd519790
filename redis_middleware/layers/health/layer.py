"""The layer: answers `GET {prefix}/health` by itself and lets everything else pass."""

from __future__ import annotations

import time
from secrets import token_hex
from typing import ClassVar

import msgspec

from ...errors import ConfigurationError, StorageError
from ...flow import Flow, Layer
from ...http import Request, Response
from ...ops import Delete, Get, Set, gather


class Health(Layer):
    """Answers `GET {prefix}/health`: writes, reads and deletes a key of its own, and says whether that worked.

    200 with `{"status": "pass", …}`, or 503 with `{"status": "fail"}` (draft-inadarei-api-health-check-06); never cached.
    HEAD too; another method is answered 405. It should be the outermost layer, so that no other one answers for it.

    `prefix` is a path below where the app is mounted (`/api/redis` by default). Raises `ConfigurationError` for one that
    does not begin with a slash. One object serves all threads and tasks.
    """

    eager: ClassVar[bool] = True
    kinds: ClassVar[frozenset[str]] = frozenset({"http"})

    def __init__(self, *, prefix: str = "/api/redis") -> None:
        if not prefix.startswith("/") or prefix.endswith("/"):
            raise ConfigurationError(f"prefix must begin with a slash and not end with one, got {prefix!r}")
        self._path = f"{prefix}/health"

    def __call__(self, request: Request, /) -> Flow:
        if request.path != self._path:
            return None
        if request.method not in ("GET", "HEAD"):
            headers = [("allow", "GET, HEAD"), ("cache-control", "no-store"), ("content-type", "text/plain; charset=utf-8")]
            return Response(405, headers, b"The health route answers GET and HEAD.\n")
        key, value = f"h:{token_hex(8)}", token_hex(8).encode()
        began = time.perf_counter()
        try:
            _, read, deleted = yield from gather(Set(key, value, ttl=10), Get(key), Delete(key))
        except StorageError:
            return _answer(503, {"status": "fail"})
        milliseconds = round((time.perf_counter() - began) * 1000, 3)
        if read != value or not deleted:
            return _answer(503, {"status": "fail"})
        observed = {"componentType": "datastore", "observedValue": milliseconds, "observedUnit": "ms", "status": "pass"}
        return _answer(200, {"status": "pass", "checks": {"storage:responseTime": [observed]}})


def _answer(status: int, document: dict[str, object]) -> Response:
    headers = [("content-type", "application/health+json"), ("cache-control", "no-store")]
    return Response(status, headers, msgspec.json.encode(document))
