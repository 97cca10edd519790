"""The layer: answers its own routes, before any other layer does anything, and lets everything else pass.

| route | says | asks the storage |
|---|---|---|
| `GET {prefix}/` | all of it, as a page for people | at most once a second |
| `GET {prefix}/health` | whether the storage works; the checks, to whom it may concern | at most once a second |
| `GET {prefix}/stats` | what is known of it, and advice | at most once a second |
| `GET {prefix}/metrics` | the counts of all workers and the state of the storage, for Prometheus | at most once a second |
| `POST {prefix}/test` | whether each kind of data works | each time |
| `GET /livez` | that the process answers | never |
| `GET /readyz` | whether requests should come here | at most once a second |
| `GET /startupz` | that it has started | until it has answered once |
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal, get_args

from ...errors import ConfigurationError
from ...flow import Action, Flow, Layer
from ...http import Request, Response
from ...stack import ACTING, STORAGE
from .access import UNASKED, Access
from .advisories import Advisory, advisories
from .analytics import Subjects, analytics
from .answers import HEALTH, HTML, JSON, OPENMETRICS, PROMETHEUS, TEXT, Document, Format, chosen, problem
from .checks import Status, Thresholds, checks_of, grouped, timestamp, worst
from .facts import Facts, look
from .page import PAGE
from .readiness import Termination, closed, readiness
from .readings import Reading, Readings
from .selftest import self_test
from .survey import survey

Answer = Generator[Any, Any, Document | Response]
"""A flow that comes to a document, with a `status` in it; or to a refusal."""

Details = Literal["some", "all"]


@dataclass(frozen=True, slots=True)
class Route:
    """One route: its methods, who may ask, how it is answered, and in which formats, the first by default."""

    title: str
    methods: tuple[str, ...]
    answer: Callable[[Request, bool], Answer]
    formats: tuple[Format, ...]
    details: Details = "some"
    """Whether everybody gets something, or who sees no details gets nothing."""
    failed: int = 503
    """The status code of a document whose status is `fail`."""


class Health(Layer):
    """Answers for the state of the storage and the process: `Health()`, outermost of all layers wherever it stands.

    `prefix` is a path below where the app is mounted; with `probes` there are `/livez`, `/readyz` and `/startupz` beside it.
    HEAD too; another method is answered 405. `?format=` or `Accept` choose between health+json, JSON, text and HTML.

    Everybody gets the status. Details are for peers in `allow`, addresses and networks, if no proxy stands between (see
    `access`), and for who sends `Authorization: Bearer` with the `token`. `POST test` is for the same.

    `subjects` says how the subjects that were limited most are told: `"shown"` as the limiter keeps them, addresses in clear and
    others by digest; all of them `"hashed"`; or `"hidden"`.

    `thresholds` say from where on something is a warning, see `Thresholds`. `drain_on_sigterm` makes a SIGTERM call `drain()`,
    and passes it on to the server's own handler `drain_delay` seconds later. `clock` counts the second for which a reading
    serves all who ask: for tests, where time has to be moved.

    Raises `ConfigurationError` for options out of range. One object serves all threads and tasks.
    """

    eager: ClassVar[bool] = True
    kinds: ClassVar[frozenset[str]] = frozenset({"http"})
    outermost: ClassVar[bool] = True

    def __init__(
        self,
        *,
        prefix: str = "/api/redis",
        probes: bool = True,
        token: str | None = None,
        allow: str | Iterable[str] = ("127.0.0.0/8", "::1/128"),
        subjects: Subjects = "shown",
        thresholds: Thresholds = Thresholds(),  # noqa: B008  # it never changes
        drain_on_sigterm: bool = False,
        drain_delay: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not prefix.startswith("/") or prefix.endswith("/"):
            raise ConfigurationError(f"prefix must begin with a slash and not end with one, got {prefix!r}")
        if not 0 <= drain_delay <= 3600:
            raise ConfigurationError(f"drain_delay must be 0 to 3600 seconds, got {drain_delay!r}")
        if subjects not in get_args(Subjects):
            raise ConfigurationError(f"subjects must be one of {', '.join(get_args(Subjects))}, got {subjects!r}")
        self._access = Access(allow, token)
        self._subjects: Subjects = subjects
        self._thresholds = thresholds
        self._readings = Readings(clock)
        self._draining = False
        self._started = False
        self._termination = Termination(self.drain, drain_delay) if drain_on_sigterm else None
        self._routes = dict(self._made(prefix, probes))
        if self._termination is not None:
            self._termination.watch()

    def __repr__(self) -> str:
        return f"Health({', '.join(self._routes)})"

    @property
    def draining(self) -> bool:
        """Whether `drain()` was called."""
        return self._draining

    def drain(self) -> None:
        """Let readiness say no from now on, so that no new requests are sent here; those that come are served as ever."""
        self._draining = True

    def __call__(self, request: Request, /) -> Flow:
        route = self._routes.get(request.path)
        if route is None:
            return None
        refusal, wanted = self._refusal(request, route), chosen(request, route.formats)
        if refusal is not None:
            return refusal
        if wanted is None:
            names = ", ".join([one.name for one in route.formats])
            return problem(400, "Bad Request", f"format must be one of {names}.")
        document = yield from route.answer(request, self._access.granted(request) is not None)
        if isinstance(document, Response):
            return document
        return wanted.response(route.failed if document["status"] == "fail" else 200, route.title, document)

    def _made(self, prefix: str, probes: bool) -> Iterable[tuple[str, Route]]:
        reads, health = ("GET", "HEAD"), (HEALTH, JSON, TEXT, HTML)
        yield f"{prefix}/", Route("Page", reads, self._page, (PAGE,), failed=200)
        yield f"{prefix}/health", Route("Health", reads, self._health, health)
        yield f"{prefix}/stats", Route("Statistics", reads, self._stats, (JSON, TEXT, HTML), "all", failed=200)
        yield f"{prefix}/metrics", Route("Metrics", reads, self._metrics, (OPENMETRICS, PROMETHEUS), "all", failed=200)
        yield f"{prefix}/test", Route("Self-test", ("POST",), self._test, (JSON, TEXT, HTML), "all")
        if probes:
            yield "/livez", Route("Alive", reads, self._livez, health)
            yield "/readyz", Route("Ready", reads, self._readyz, health)
            yield "/startupz", Route("Started", reads, self._startupz, health)

    def _refusal(self, request: Request, route: Route) -> Response | None:
        """405, 401 or 403, for who asks wrongly or may not ask."""
        if request.method not in route.methods:
            allowed = ", ".join(route.methods)
            return problem(405, "Method Not Allowed", f"This route answers {allowed}.", [("allow", allowed)])
        if route.details == "some":
            return None
        if self._access.granted(request) is None:
            if self._access.challenge:
                return problem(401, "Unauthorized", "A token is needed.", [("www-authenticate", "Bearer")])
            return problem(403, "Forbidden", "This is not for everybody.")
        if route.methods == ("POST",) and not self._access.may_start(request):
            return problem(403, "Forbidden", f"Send the field {UNASKED} with any value, and none of another origin's.")
        return None

    def _reading(self, request: Request, deep: bool = False) -> Action[Reading]:
        layers = request.native.get(ACTING, ())
        key = (deep, id(request.native.get(STORAGE)), *map(id, layers))
        return self._readings.get(key, partial(survey, layers) if deep else look)

    def _health(self, request: Request, detailed: bool) -> Action[Document]:
        facts = (yield from self._reading(request)).facts
        checks = checks_of(facts, self._thresholds)
        status = worst([check.status for check in checks])
        if not detailed:
            return {"status": status}
        output = {"output": facts.trouble} if facts.trouble else {}
        return {"status": status, **output, "checks": grouped(checks, facts.time)}

    def _stats(self, request: Request, detailed: bool) -> Action[Document]:
        reading = yield from self._reading(request, deep=True)
        facts = reading.facts
        return {
            "status": worst([check.status for check in checks_of(facts, self._thresholds)]),
            "time": timestamp(facts.time),
            "storage": facts.storage,
            "times": {"ping_ms": _ms(facts.ping), "write_ms": _ms(facts.write)},
            "nodes": facts.nodes,
            "layers": facts.layers,
            "analytics": analytics(facts.counted, facts.layers, self._subjects),
            "advisories": [one.document() for one in _advice(request, reading)],
        }

    def _page(self, request: Request, detailed: bool) -> Answer:
        if not detailed:
            told = yield from self._health(request, detailed)
            return {**told, "challenge": self._access.challenge}
        facts = (yield from self._reading(request, deep=True)).facts
        return {**(yield from self._stats(request, detailed)), "checks": grouped(checks_of(facts, self._thresholds), facts.time)}

    def _metrics(self, request: Request, detailed: bool) -> Answer:
        try:
            from .metrics import Exposition
        except ImportError:
            return problem(501, "Not Implemented", "This needs an extra: pip install 'redis-middleware[prometheus]'.")
        reading = yield from self._reading(request, deep=True)
        return {"status": "pass", "metrics": Exposition(reading.facts, _advice(request, reading))}

    def _test(self, request: Request, detailed: bool) -> Answer:
        return (yield from self_test())

    def _livez(self, request: Request, detailed: bool) -> Answer:
        return {"status": "pass"}
        yield

    def _readyz(self, request: Request, detailed: bool) -> Answer:
        if self._termination is not None:
            self._termination.watch()
        if self._draining:
            return {"status": "fail"} | ({"output": "draining"} if detailed else {})
        facts = (yield from self._reading(request)).facts
        layers = request.native.get(ACTING, ())
        status = readiness(layers, facts.works, self._draining)
        if not detailed:
            return {"status": status}
        output = {"output": facts.trouble} if facts.trouble else {}
        return {"status": status, **output, "checks": _of_layers(layers, facts)}

    def _startupz(self, request: Request, detailed: bool) -> Answer:
        if not self._started:
            self._started = (yield from self._reading(request)).facts.works
        return {"status": "pass" if self._started else "warn"}


def _advice(request: Request, reading: Reading) -> list[Advisory]:
    """Advice for what the layers of a request store."""
    concerns = [layer.concern for layer in request.native.get(ACTING, ()) if hasattr(layer, "concern")]
    return advisories(reading.facts, concerns, reading.before)


def _of_layers(layers: Sequence[Any], facts: Facts) -> Mapping[str, Any]:
    """A check for each layer that says what it does without the storage."""
    found: dict[str, Any] = {}
    for layer in layers:
        if not hasattr(layer, "on_error"):
            continue
        status: Status = "pass" if facts.works else "fail" if closed([layer]) else "warn"
        name = f"{type(layer).__name__}:storage"
        told = {"componentType": "component", "status": status, "time": timestamp(facts.time)}
        found.setdefault(name, []).append(told | ({} if facts.works else {"output": facts.trouble}))
    return found


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
