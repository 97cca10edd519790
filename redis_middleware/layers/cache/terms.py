"""What a cache was told when it was made: it decides about one response together with `rfc9111` and `caution`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from random import expovariate
from typing import Literal

from ...errors import ConfigurationError
from ...http import Headers, Request, Response, content_length
from . import parts, rfc9111
from .caution import Caution
from .entry import Entry
from .purges import KEPT
from .rfc9111 import Control, Demand
from .visit import Visit

VALIDATABLE = 86_400
"""Seconds for which a stale response is kept that the app can be asked about."""

DISCONNECTED = 60
"""Seconds for which a plain cache serves what is stale while the app fails, as RFC 9111 §4.2.4 permits."""

ASKED_FOR = frozenset({206, 304, 412, 416})
"""Answers to the range or the conditions of one request: they say nothing of what others would get."""


MOST = {"max_body_bytes": 512 << 20, "max_variants": 10_000}
"""What a string of Redis holds, and what one step can look through."""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@dataclass(frozen=True, slots=True)
class Terms:
    """The options of `ResponseCache`, checked. Times are seconds."""

    caution: Caution
    ttl: float | None
    routes: Mapping[str, float]
    max_body_bytes: int
    max_variants: int
    client_demand: Literal["ignore", "revalidate", "bypass"]
    stale_while_revalidate: float | None
    stale_if_error: float | None
    tags_header: str
    wait: float
    lease: float
    early_renewal: float
    conformance: bool
    on_error: Literal["open", "closed"]

    def __post_init__(self) -> None:
        lifetimes: dict[str, float | None] = {f"routes[{path!r}]": value for path, value in self.routes.items()}
        for name in ("ttl", "stale_while_revalidate", "stale_if_error"):
            lifetimes[name] = getattr(self, name)
        for name, value in lifetimes.items():
            if value is not None and not (_is_number(value) and 0 < value <= KEPT):
                raise ConfigurationError(f"{name} must be positive and at most {KEPT} seconds, got {value!r}")
        for name in ("max_body_bytes", "max_variants"):
            most = getattr(self, name)
            if type(most) is not int or not 1 <= most <= MOST[name]:
                raise ConfigurationError(f"{name} must be a whole number from 1 to {MOST[name]}, got {most!r}")
        if type(self.conformance) is not bool:
            raise ConfigurationError(f"conformance must be True or False, got {self.conformance!r}")
        if self.client_demand not in ("ignore", "revalidate", "bypass"):
            raise ConfigurationError(f"client_demand must be 'ignore', 'revalidate' or 'bypass', got {self.client_demand!r}")
        if self.on_error not in ("open", "closed"):
            raise ConfigurationError(f"on_error of ResponseCache must be 'open' or 'closed', got {self.on_error!r}")
        times = (self.wait, self.lease, self.early_renewal)
        if not all(_is_number(time) for time in times):
            raise ConfigurationError(f"wait, lease and early_renewal must be numbers, got {times!r}")
        if not 0 <= self.wait <= 60 or not 1 <= self.lease <= 60:
            raise ConfigurationError(f"wait must be 0 to 60 seconds and lease 1 to 60, got {self.wait!r} and {self.lease!r}")
        if not 0 <= self.early_renewal <= 100:
            raise ConfigurationError(f"early_renewal must be 0 (never) to 100, usually 1, got {self.early_renewal!r}")

    def demand(self, headers: Headers) -> Demand:
        """What a request may ask for of what it asks for."""
        demand = Demand.of(headers)
        return Demand(only_if_cached=demand.only_if_cached) if self.client_demand == "ignore" else demand

    def has_credentials(self, request: Request) -> bool:
        """Whether only what is marked as shared may answer a request."""
        return not self.conformance and self.caution.has_credentials(request)

    def is_shared(self, control: Control) -> bool:
        """Whether a response may answer requests with credentials."""
        return self.conformance or self.caution.is_shared(control)

    def refusal(self, request: Request, status: int, headers: Headers, control: Control, now: float) -> str | None:
        """Why a response is not stored, in a word; None if it may be."""
        authorized = "authorization" in request.headers
        lasting = self._with_ttl(request, headers, control)
        method = "GET" if request.method == "POST" else request.method  # who asks about one has seen to it that it is for GET
        refused = rfc9111.refusal(method, status, lasting, Control.of(lasting), authorized=authorized, now=now)
        if refused is not None:
            return refused
        if status in ASKED_FOR and (status != 206 or parts.sent(headers) is None):
            return "partial"
        if (refused := self.unwise(request, status, lasting, control)) is not None:
            return refused
        if self._is_useless(request, status, headers, control, now):
            return "freshness"
        if headers.get("content-type", "").startswith("text/event-stream"):
            return "stream"  # nobody is to wait for its end
        size = content_length(headers)
        return "size" if size is not None and size > self.max_body_bytes else None

    def unwise(self, request: Request, status: int, headers: Headers, control: Control) -> str | None:
        """Why a response is not stored although it could be; None if it may be."""
        if request.unannounced:
            return "body"
        return None if self.conformance else self.caution.refusal(request, status, headers, control)

    def _is_useless(self, request: Request, status: int, headers: Headers, control: Control, now: float) -> bool:
        """Whether a response can answer no request at all: it is stale as it comes, and nobody can be asked about it."""
        if rfc9111.has_validator(headers):
            return False
        if not control.validates_always and self.lifetime(request, status, headers, control, now) > rfc9111.initial_age(
            headers, now, now
        ):
            return False
        return control.forbids_stale or not (self._while_revalidate(control) or self._if_error(control))

    def lifetime(self, request: Request, status: int, headers: Headers, control: Control, received: float) -> float:
        """For how many seconds a response is fresh from when it was made."""
        ttl = self._ttl(request, headers, control)
        return ttl if ttl is not None else rfc9111.lifetime(status, headers, control, received) or 0.0

    def _with_ttl(self, request: Request, headers: Headers, control: Control) -> Headers:
        """The headers of a response, with the lifetime that the configuration has for it."""
        ttl = self._ttl(request, headers, control)
        return headers if ttl is None else Headers.received([*headers, ("cache-control", f"max-age={int(ttl)}")])

    def _ttl(self, request: Request, headers: Headers, control: Control) -> float | None:
        """The lifetime that the configuration has for responses that say nothing."""
        if control.directives or "expires" in headers:
            return None
        return next((ttl for pattern, ttl in self.routes.items() if fnmatchcase(request.path, pattern)), self.ttl)

    def kept(self, entry: Entry, control: Control) -> float:
        """For how many seconds an entry is kept: while it is fresh, and while it may be of use after that."""
        fresh = max(entry.lifetime - entry.age, 0)
        stale = max(self._while_revalidate(control), self._if_error(control), VALIDATABLE if entry.can_be_validated else 0)
        return min(max(fresh + stale, 1), KEPT)

    def may_be_stale(self, visit: Visit, *, error: bool = False) -> bool:
        """Whether the entry may be used for so long after it went stale: while it is renewed, or in place of an error
        (RFC 9111 §4.2.4, RFC 5861).
        """
        control = visit.control
        if control is None or control.forbids_stale:
            return False
        allowed = self._if_error(control) if error else self._while_revalidate(control)
        return allowed > 0 and -visit.left() <= allowed

    def is_early(self, visit: Visit) -> bool:
        """Whether to renew an entry although it is fresh: the likelier, the sooner it goes stale and the longer the app takes
        (XFetch; Vattani, Chierichetti, Lowenstein: Optimal Probabilistic Cache Stampede Prevention, 2015).
        """
        assert visit.entry is not None
        return visit.left() < visit.entry.took * self.early_renewal * expovariate(1)

    def _while_revalidate(self, control: Control) -> float:
        said = control.seconds("stale-while-revalidate")
        return (self.stale_while_revalidate or 0) if said is None else said

    def _if_error(self, control: Control) -> float:
        said: float | None = control.seconds("stale-if-error")
        if said is None:
            said = self.stale_if_error if self.stale_if_error is not None else DISCONNECTED if self.conformance else 0
        return said

    def tags(self, response: Response) -> tuple[str, ...]:
        """The tags of a response."""
        lines = response.headers.getall(self.tags_header)
        return tuple(sorted({tag.strip() for line in lines for tag in line.split(",") if tag.strip()}))
