"""The words of a rate limit: a policy as configured, its state after a request, and the decision over all of them.

Times are integer microseconds. What is shown of them is for `answers` to say; what is counted, for `algorithms`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from ...errors import ConfigurationError

ALGORITHMS = ("fixed-window", "moving-window", "sliding-window-counter", "gcra")

MOST = 999_999_999_999_999  # the largest integer of a structured field (RFC 9651 §3.3.1), and below Lua's 2^53
LONGEST = 2**52  # 142 years: added to a clock that counts from 1970, it stays below 2^53 until 2112

_name = re.compile(r"[ !#-\[\]-~]+").fullmatch  # what a string may hold without escapes (RFC 9651 §3.3.3)


@dataclass(frozen=True, slots=True)
class Policy:
    """One limit: `limit` in `window` microseconds, under a name that stands in headers and keys.

    `burst` is how much `gcra` allows at once; None means `limit`. A `shadow` policy never denies: it counts what it would
    have done, and no client learns of it. Immutable, and hashed by value.

    Raises `ConfigurationError` for a name that is empty or has a quote, a backslash or anything but printable ASCII in it,
    for a number out of range, for an unknown algorithm, and for a burst where the algorithm knows none.
    """

    name: str
    limit: int
    window: int
    algorithm: str = "fixed-window"
    burst: int | None = None
    shadow: bool = False
    _hash: int = field(init=False, repr=False, compare=False, default=0)  # asked for several times a request

    def __hash__(self) -> int:
        return self._hash

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash((type(self), self.name, self.limit, self.window, self.algorithm, self.burst)))
        if not _name(self.name):
            raise ConfigurationError(f"a name is printable ASCII without quote and backslash, got {self.name!r}")
        check_choice("algorithm", self.algorithm, ALGORITHMS)
        _check_range("limit", self.limit, MOST)
        _check_range("window", self.window, LONGEST)
        if self.burst is not None:
            _check_range("burst", self.burst, MOST)
            if self.algorithm != "gcra":
                raise ConfigurationError(f"burst belongs to algorithm 'gcra', got it with {self.algorithm!r}")


@dataclass(frozen=True, slots=True)
class Guard(Policy):
    """A policy that is no quota which a client could keep to: a ban, a number of requests at once. No field shows it."""


@dataclass(slots=True)
class State:
    """What a script says of one policy after a decision."""

    fits: bool
    """Whether this policy alone would have let the request pass."""

    remaining: int
    """How much is left; never below 0, also where the limit was lowered since."""

    reset: int
    """Microseconds until the whole quota is back."""

    retry: int | None
    """If the request does not fit: microseconds until it does. None if it never will, as it costs more than the limit."""


@dataclass(slots=True)
class Decision:
    """What was decided over all policies of a request together."""

    allowed: bool
    states: tuple[State, ...]
    """One for each policy, in their order."""

    now: int = 0
    """When, in microseconds of the storage's clock."""

    @property
    def retry_after(self) -> float | None:
        """Seconds until every policy that denied lets the request pass; None if that never comes, or none denied."""
        retries = [state.retry for state in self.states if not state.fits]
        known = [retry for retry in retries if retry is not None]
        return max(known) / 1_000_000 if known and len(known) == len(retries) else None

    remote: bool = field(default=False, compare=False)
    """Whether it took a trip to a server."""


def check_choice(option: str, value: object, choices: Sequence[str | None]) -> None:
    """Raises `ConfigurationError`, with the nearest right value, unless `value` is one of `choices`."""
    if value in choices:
        return
    nearest = get_close_matches(str(value), [choice for choice in choices if choice is not None], 1, cutoff=0.5)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    *others, last = map(repr, choices)
    raise ConfigurationError(f"{option} must be {', '.join(others)} or {last}, got {value!r}{hint}")


def _check_range(option: str, value: int, most: int) -> None:
    if not 1 <= value <= most:
        raise ConfigurationError(f"{option} must be 1 to {most}, got {value}")
