"""Rules: the limits of a limiter with all their terms, and what they ask of one request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...errors import ConfigurationError
from ...http import Request, Response
from .algorithms import ALGORITHMS
from .bans import Ban, policy_of
from .decide import numbers
from .limit import Count, Limit
from .lists import Subject
from .policy import Policy

MOST_DYNAMIC = 4
"""How many limits a callable may name at once."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A limit with all its terms, and its policies if they do not depend on the request."""

    terms: Limit
    policies: tuple[Policy, ...]

    def policies_for(self, request: Request) -> tuple[Policy, ...]:
        """The policies of a request; none if nothing limits it."""
        if not callable(self.terms.limit):
            return self.policies
        written = self.terms.limit(request)
        policies = () if written is None else self.terms.policies(written)
        if len(policies) > MOST_DYNAMIC:
            raise ConfigurationError(f"a callable names at most {MOST_DYNAMIC} limits, got {written!r}")
        return policies

    def names(self) -> list[str]:
        """The names of all keys that it may count in, for one subject."""
        if not callable(self.terms.limit):
            return [key_name(policy) for policy in self.policies]
        code = ALGORITHMS[self.terms.algorithm or "fixed-window"].code
        return [f"{self.terms.name}{place}:{code}" for place in ("", *[f"-{n}" for n in range(2, MOST_DYNAMIC + 1)])]


@dataclass(frozen=True, slots=True)
class Asked:
    """One policy of one request: who is counted, what it costs, and the terms it came with."""

    policy: Policy
    subject: Subject
    cost: int
    terms: Limit
    token: int = 0
    """The lease that it takes, if it is about requests at once."""


def rules_of(limits: Sequence[Limit]) -> tuple[Rule, ...]:
    """The rules of limits. Raises `ConfigurationError` for what cannot be counted, and for a name that is used twice."""
    rules: list[Rule] = []
    names: set[str] = set()
    for limit in limits:
        if not callable(limit.cost):
            _configured(limit)
        if callable(limit.limit):
            name = limit.name or ("dynamic" if not rules else f"dynamic-{len(rules) + 1}")
            rules.append(Rule(replace(limit, name=name), ()))
            continue
        policies = limit.policies(limit.limit)
        for policy in policies:
            numbers(policy)  # can it be counted exactly?
            if policy.name in names:
                raise ConfigurationError(f"two limits are named {policy.name!r}: name one, as in Limit('5/hour', name='login')")
            names.add(policy.name)
        rules.append(Rule(limit, policies))
    return tuple(rules)


def _configured(limit: Limit) -> None:
    if limit.cost is not None and type(limit.cost) is not int:
        raise ConfigurationError(f"cost must be a whole number or a callable, got {limit.cost!r}")


def rule_of(ban: Ban) -> Rule:
    """A ban as the last rule: a request costs it nothing, but one that `when` finds is a breach."""
    when = ban.when
    count: Count = (lambda request, response: 0) if when is None else (lambda request, response: int(when(request, response)))
    return Rule(Limit("", "ban", cost=0, count=count), (policy_of(ban),))


def key_name(policy: Policy) -> str:
    """The algorithm is part of it, so that a change of algorithm meets no state of another kind."""
    return f"{policy.name}:{numbers(policy)[0]}"


def real_cost(asked: Asked, request: Request, response: Response | None) -> int:
    """What a request cost in the end."""
    terms = asked.terms
    if terms.when is not None and not terms.when(request, response):
        return 0
    return asked.cost if terms.count is None else whole("count", terms.count(request, response))


def whole(what: str, number: object) -> int:
    """A cost as the user's callable gave it."""
    if type(number) is not int:
        raise TypeError(f"{what} must give a whole number, got {number!r}")
    return number


def subject_of(given: object) -> Subject | None:
    """A subject as the user's key gave it; numbers, such as user ids, are text here."""
    if given is None or isinstance(given, (str, tuple)):
        return given
    if type(given) is int:
        return str(given)
    raise TypeError(f"key must give text, a number, a tuple of texts or None, got {given!r}")
