"""Limits as they are written, and the policies that come of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from limits import RateLimitItem, parse_many

from ...errors import ConfigurationError
from ...http import Request, Response
from .policy import Policy
from .subjects import Key

Written = str | RateLimitItem
"""One limit or several, in the grammar of the `limits` package (`"200/day; 50/hour"`), or one of its items."""

Dynamic = Callable[[Request], Written | None]
"""What limits a request, by the request: the tier of its API key, say. None: nothing does."""

AlgorithmName = Literal["fixed-window", "moving-window", "sliding-window-counter", "gcra"]
Cost = int | Callable[[Request], int]
When = Callable[[Request, Response | None], bool]
Count = Callable[[Request, Response | None], int]


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit with terms of its own: `Limit("50/hour", name="search", cost=5)`. What is None is as in its `RateLimit`.

    `name` stands in headers and keys: by default the period, `"hour"`, so that a limit whose amount is changed keeps what was
    counted. `key(request)` says who is counted, None for nobody. `algorithm` is one of `limits`' names, or `"gcra"`, for
    which `burst` is how much may come at once. `cost`, a number or a callable, is what a request takes; 0 only looks, and
    a negative one gives back. `when(request, response)` says afterwards whether the request counts, `count(request,
    response)` what it really cost; the response is None if the app raised. `shadow` never denies.
    """

    limit: Written | Dynamic
    name: str | None = None
    key: Key | None = None
    algorithm: AlgorithmName | None = None
    burst: int | None = None
    cost: Cost | None = None
    when: When | None = None
    count: Count | None = None
    shadow: bool | None = None

    def policies(self, written: Written) -> tuple[Policy, ...]:
        """The policies of this limit, written so. Raises `ConfigurationError` for what is no limit."""
        return _policies(written, self.name, self.algorithm or "fixed-window", self.burst, bool(self.shadow))


@lru_cache(maxsize=1024)  # a dynamic limit is written anew for every request
def _policies(written: Written, name: str | None, algorithm: str, burst: int | None, shadow: bool) -> tuple[Policy, ...]:
    items = [written] if isinstance(written, RateLimitItem) else _parsed(written)
    return tuple(
        [
            Policy(_name(item, name, place), item.amount, item.get_expiry() * 1_000_000, algorithm, burst, shadow)
            for place, item in enumerate(items)
        ]
    )


def _parsed(written: str) -> list[RateLimitItem]:
    try:
        items = parse_many(written)
    except (ValueError, TypeError, AttributeError) as exc:
        raise ConfigurationError(f"a limit is written like '50/hour' or '10 per 5 minutes', got {written!r}") from exc
    if any(item.amount < 1 or item.multiples < 1 for item in items):
        raise ConfigurationError(f"a limit allows at least 1 request in at least 1 unit of time, got {written!r}")
    return items


def _name(item: RateLimitItem, name: str | None, place: int) -> str:
    """The name that was given, numbered from the second on; or the period."""
    if name is not None:
        return name if place == 0 else f"{name}-{place + 1}"
    return item.GRANULARITY.name if item.multiples == 1 else f"{item.multiples}{item.GRANULARITY.name}"
