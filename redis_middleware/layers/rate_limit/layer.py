"""The layer: decide with one script before the app runs, and say so in the response."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, ClassVar, Literal

from limits import RateLimitItem, parse_many

from ...errors import ConfigurationError, StorageError
from ...flow import Flow, Layer, proceed
from ...http import Request, Response, unavailable
from ...storage.memory import MemoryStorage
from .algorithms import Decision, FixedWindow
from .fields import Policy, limit_field, policy_field, too_many
from .subjects import client_address, keys_of

OnError = Literal["open", "closed", "fallback"]


class RateLimit(Layer):
    """Allows each subject so many requests in so much time, and answers 429 to the rest: `RateLimit("200/day; 50/hour")`.

    A limit is a string in the grammar of the `limits` package or a `limits.RateLimitItem`. All limits of a request are
    decided together: it takes from all of them, or, if one denies it, from none. Windows begin with the first hit.

    `key(request)` names who is counted: by default the address of the connection's other end; None is not limited.
    `name` tells the counts of this limiter from those of others on the same storage. `on_error` says what happens when
    the storage fails: `"fallback"` counts in this process's memory, `"open"` lets pass, `"closed"` answers 503.

    One object serves all threads and tasks. Raises `ConfigurationError` for a limit that does not parse, for two limits
    over the same window, and for an unknown `on_error`.
    """

    eager: ClassVar[bool] = True
    kinds: ClassVar[frozenset[str]] = frozenset({"http", "websocket"})

    def __init__(
        self,
        *limits: str | RateLimitItem,
        key: Callable[[Request], str | None] = client_address,
        name: str = "",
        on_error: OnError = "fallback",
    ) -> None:
        if on_error not in ("open", "closed", "fallback"):
            raise ConfigurationError(f"on_error must be 'open', 'closed' or 'fallback', got {on_error!r}")
        self._policies = _policies(limits)
        self._key = key
        self._names = tuple(f"{name}.{policy.name}" if name else policy.name for policy in self._policies)
        self._args = (1, *(number for policy in self._policies for number in (policy.limit, policy.window)))
        self._policy_field = policy_field(self._policies)
        self._on_error = on_error
        self._local = MemoryStorage()

    def __repr__(self) -> str:
        return f"RateLimit({self._policy_field})"

    def __call__(self, request: Request, /) -> Flow:
        subject = self._key(request)
        if subject is None:
            return None
        decision = yield from self._decide(FixedWindow(keys_of(subject, self._names), self._args))
        if not isinstance(decision, Decision):
            return decision
        response = (yield from proceed()) if decision.allowed else too_many(self._policies, decision, cost=1)
        response.headers.add("ratelimit-policy", self._policy_field)
        response.headers.add("ratelimit", limit_field(self._policies, decision))
        return response

    def _decide(self, script: FixedWindow) -> Generator[Any, Any, Decision | Response | None]:
        """The decision; or, if the storage fails, what `on_error` says: the same script here, a 503, or no limit."""
        try:
            return (yield from script)
        except StorageError as exc:
            if self._on_error == "open":
                return None
            if self._on_error == "closed":
                return unavailable()
            [decision] = self._local.execute([script])
            if isinstance(decision, Decision):
                return decision
            raise decision from exc


def _policies(limits: tuple[str | RateLimitItem, ...]) -> tuple[Policy, ...]:
    policies: dict[str, Policy] = {}
    for item in [item for limit in limits for item in _items(limit)]:
        window = item.get_expiry()
        policy = Policy(_name(item), item.amount, window * 1_000_000)
        if policy.name in policies:
            raise ConfigurationError(f"two limits over one {policy.name}: the smaller one would always decide, leave one")
        policies[policy.name] = policy
    if not policies:
        raise ConfigurationError("RateLimit needs at least one limit, as in RateLimit('200/day; 50/hour')")
    return tuple(policies.values())


def _items(limit: str | RateLimitItem) -> list[RateLimitItem]:
    if isinstance(limit, RateLimitItem):
        return [limit]
    try:
        items = parse_many(limit)
    except (ValueError, TypeError) as exc:
        raise ConfigurationError(f"a limit is written like '50/hour' or '10 per 5 minutes', got {limit!r}") from exc
    if any(item.amount < 1 or item.multiples < 1 for item in items):
        raise ConfigurationError(f"a limit allows at least 1 request in at least 1 unit of time, got {limit!r}")
    return items


def _name(item: RateLimitItem) -> str:
    """The period, which is what stays when the amount of a limit is changed."""
    return item.GRANULARITY.name if item.multiples == 1 else f"{item.multiples}{item.GRANULARITY.name}"
