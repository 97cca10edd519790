"""The demo: three frameworks on real servers, the same layers in front of each, and every answer checked.

`make demo`, or `python -m redis_middleware.cli.demo`. This module says what is asked and what the right answer is, without
I/O; `flask_app`, `django_app` and `fastapi_app` are what is served; `__main__` starts them, asks, and prints.

The rules behind what is right:

* Each app allows 5 requests a minute and 100 an hour. A denied request takes nothing; the health route is not counted.
* In memory each server counts for itself. In one Redis the three count together, as every request has the same subject.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle

from ... import MemoryStorage, RedisStorage
from ...storage import Storage

URL, PREFIX = "DEMO_STORAGE_URL", "DEMO_STORAGE_PREFIX"
"""Environment variables by which the apps learn their storage."""

HEALTH = "/api/redis/health"
TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True)
class App:
    """What is served: `module` of this package, by `server`; `page` is the content type of its front page."""

    name: str
    server: str
    module: str
    page: str


APPS = (
    App("Flask", "gunicorn", "flask_app", "text/html; charset=utf-8"),
    App("Django", "gunicorn", "django_app", "text/html; charset=utf-8"),
    App("FastAPI", "uvicorn", "fastapi_app", "application/json"),
)


@dataclass(frozen=True)
class Ask:
    """A request to send. `forged` is what it claims in `X-Forwarded-For`."""

    method: str
    path: str
    body: bytes = b""
    forged: str = ""

    def __str__(self) -> str:
        extra = self.body.decode() or ("+X-Forwarded-For" if self.forged else "")
        return f"{self.method:4} {self.path} {extra}".rstrip()


@dataclass(frozen=True)
class Answer:
    """What came back; the names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


COUNTED = (
    Ask("GET", "/"),
    Ask("HEAD", "/"),
    Ask("POST", "/shout", b"hello"),
    Ask("GET", "/"),
    Ask("GET", "/"),
    Ask("GET", "/"),  # the sixth: from here on the limit bites
    Ask("POST", "/shout", b"hello"),
    Ask("GET", "/", forged="203.0.113.9"),
)


class Budget:
    """What is left of the limits: the arithmetic of the limiter, done once more by somebody else."""

    hour = 100
    minute = 5

    def take(self) -> bool:
        """Take one request from both; or, if one of them is spent, from none."""
        if self.minute == 0 or self.hour == 0:
            return False
        self.minute -= 1
        self.hour -= 1
        return True


def tour(shared: bool) -> list[list[tuple[App, Ask]]]:
    """What is asked of whom, in blocks: one app after the other; or by turns, if they share what is counted."""
    health = Ask("GET", HEALTH)
    if shared:
        return [list(zip(cycle(APPS), COUNTED)), [(app, health) for app in APPS]]
    return [[(app, ask) for ask in (*COUNTED, health)] for app in APPS]


def budgets(shared: bool) -> dict[App, Budget]:
    """What each app still allows at the beginning: one budget for all if they share what is counted."""
    return dict.fromkeys(APPS, Budget()) if shared else {app: Budget() for app in APPS}


def faults(app: App, ask: Ask, answer: Answer, budget: Budget) -> list[str]:
    """What is wrong with an answer, in words. Takes the request from `budget` if it is one that counts."""
    if ask.path == HEALTH:
        return [*_health(answer)]
    right = _served(app, ask, answer) if budget.take() else _denied(answer)
    return [*right, *_announced(answer, budget)]


def storage(environ: Mapping[str, str] = os.environ) -> Storage:
    """The storage that `__main__` chose for the apps; memory for an app that somebody starts by hand."""
    url = environ.get(URL, "memory://")
    if url.lower().startswith("memory:"):
        return MemoryStorage()
    return RedisStorage(url, prefix=environ.get(PREFIX, "demo:"), timeout=2)  # patient: it is about answers, not about speed


def _served(app: App, ask: Ask, answer: Answer) -> Iterator[str]:
    yield from _unlike("status", answer.status, 200)
    yield from _unlike("Content-Type", answer.headers.get("content-type"), TEXT if ask.method == "POST" else app.page)
    if ask.method != "GET":
        yield from _unlike("body", answer.body, ask.body.upper())
    elif f"Hello from {app.name}".encode() not in answer.body:
        yield f"body should say 'Hello from {app.name}', is {answer.body[:200]!r}"


def _denied(answer: Answer) -> Iterator[str]:
    wait = answer.headers.get("retry-after", "")
    yield from _unlike("status", answer.status, 429)
    yield from _unlike("Content-Type", answer.headers.get("content-type"), "application/problem+json")
    yield from _unlike("violated-policies in the body", document(answer).get("violated-policies"), ["minute"])
    if not (wait.isdigit() and 1 <= int(wait) <= 60):
        yield f"Retry-After should be 1 to 60, is {wait!r}"
    elif not answer.headers.get("ratelimit", "").endswith(f";t={wait}"):
        yield f"Retry-After should be the t of RateLimit, is {wait!r}"


def _announced(answer: Answer, budget: Budget) -> Iterator[str]:
    """The fields of draft-ietf-httpapi-ratelimit-headers: `r` is what remains, `t` the seconds until it is full again."""
    yield from _unlike("RateLimit-Policy", answer.headers.get("ratelimit-policy"), '"hour";q=100;w=3600, "minute";q=5;w=60')
    field = answer.headers.get("ratelimit", "")
    found = re.fullmatch(r'"hour";r=(\d+);t=(\d+), "minute";r=(\d+);t=(\d+)', field)
    if not found:
        yield f"RateLimit should say r and t for the hour and the minute, is {field!r}"
        return
    hour, hour_wait, minute, minute_wait = map(int, found.groups())
    yield from _unlike("what RateLimit says remains (hour, minute)", (hour, minute), (budget.hour, budget.minute))
    if not (1 <= hour_wait <= 3600 and 1 <= minute_wait <= 60):
        yield f"t in RateLimit should be within the window, is {field!r}"


def _health(answer: Answer) -> Iterator[str]:
    yield from _unlike("status", answer.status, 200)
    yield from _unlike("Content-Type", answer.headers.get("content-type"), "application/health+json")
    yield from _unlike("RateLimit", answer.headers.get("ratelimit"), None)
    yield from _unlike("status in the body", document(answer).get("status"), "pass")


def document(answer: Answer) -> dict[str, object]:
    """The JSON object that an answer carries; an empty one if it carries none."""
    try:
        found = json.loads(answer.body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _unlike(what: str, got: object, right: object) -> Iterator[str]:
    if got != right:
        yield f"{what} should be {right!r}, is {got!r}"
