"""What a rate limit says in a response: `RateLimit` and `RateLimit-Policy`, `Retry-After`, and the 429.

The fields follow draft-ietf-httpapi-ratelimit-headers-11: lists of Structured Fields (RFC 9651), an item a policy,
named by a string; `q` its quota, `w` its window, `r` what remains and `t` the seconds until it is full again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...http import Response
from .algorithms import Decision


@dataclass(frozen=True, slots=True)
class Policy:
    """One limit: `limit` requests in `window` microseconds, under a name that stands in headers and keys."""

    name: str
    limit: int
    window: int


def policy_field(policies: Sequence[Policy]) -> str:
    """The value of `RateLimit-Policy`."""
    return ", ".join(f'"{policy.name}";q={policy.limit};w={policy.window // 1_000_000}' for policy in policies)


def limit_field(policies: Sequence[Policy], decision: Decision) -> str:
    """The value of `RateLimit`."""
    states = zip(policies, decision.counts, decision.waits, strict=True)
    return ", ".join([f'"{policy.name}";r={max(policy.limit - count, 0)};t={seconds(wait)}' for policy, count, wait in states])


def too_many(policies: Sequence[Policy], decision: Decision, cost: int) -> Response:
    """429 (RFC 6585 §4). Whoever waits `Retry-After` seconds finds every policy that denied the request open again."""
    states = zip(policies, decision.counts, decision.waits, strict=True)
    wait = max(wait for policy, count, wait in states if count + cost > policy.limit)
    headers = [
        ("content-type", "text/plain; charset=utf-8"),
        ("cache-control", "no-store"),
        ("retry-after", str(seconds(wait))),
    ]
    return Response(429, headers, f"Too many requests. Try again in {seconds(wait)} seconds.\n".encode())


def seconds(microseconds: int) -> int:
    """Whole seconds, rounded up: to wait so long is always enough."""
    return -(-microseconds // 1_000_000)
