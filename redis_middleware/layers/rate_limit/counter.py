"""Counting: from a request to a decision, by the storage or without it, and what is put right afterwards.

A limiter with one key counts each subject in a slot of its own. With several keys, all that it counts stands in one slot,
so that one script can decide about all of it, on a Cluster too; unless `atomic` is False: then each subject has its slot and
its script, they leave in one trip, and what one of them took of a request that another denied is given back afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ...errors import ConfigurationError, StorageError
from ...http import Pulse, Request, Response
from ...ops import Delete, Op, gather
from ...storage.memory import MemoryStorage
from .bans import Ban, Banned
from .decide import NUMBERS, Decide, numbers
from .denials import Denials
from .in_flight import InFlight, token
from .limit import Limit
from .lists import Subject
from .policy import Decision, Policy, State, check_choice
from .rules import Asked, key_name, real_cost, rule_of, rules_of, subject_of, whole
from .subjects import Key, keys_of, spelled

OnError = Literal["open", "closed", "fallback"]

LEASE = Limit("", "in-flight")
"""The terms of a lease: nothing about it is settled later."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was decided about a request: a decision for each group of policies, and all of it as one."""

    groups: list[list[Asked]]
    decisions: list[Decision]
    scope: str
    local: bool
    """Whether this process decided by itself, as the storage failed."""

    @property
    def policies(self) -> tuple[Policy, ...]:
        return tuple([one.policy for group in self.groups for one in group])

    @property
    def decision(self) -> Decision:
        if len(self.decisions) == 1:
            return self.decisions[0]
        states: tuple[State, ...] = sum((decision.states for decision in self.decisions), ())
        return Decision(all(decision.allowed for decision in self.decisions), states)


class Counter:
    """Counts requests by limits that have all their terms. Serves all threads and tasks.

    Raises `ConfigurationError` for no limit, one that cannot be counted, two of one name, and options out of range.
    """

    def __init__(
        self,
        limits: Sequence[Limit],
        *,
        key: Key,
        name: str,
        atomic: bool,
        on_error: OnError,
        share: float,
        clock: Callable[[], float],
        ban: Ban | None,
        in_flight: InFlight | None,
    ) -> None:
        check_choice("on_error", on_error, ("open", "closed", "fallback"))
        if not 0 < share <= 1:
            raise ConfigurationError(f"fallback_share must be more than 0 and at most 1, got {share!r}")
        self.rules = rules_of(limits)
        if not self.rules and in_flight is None:
            raise ConfigurationError("RateLimit needs at least one limit, as in RateLimit('200/day; 50/hour')")
        self._in_flight = in_flight
        self._key = key
        self._who = list(dict.fromkeys([rule.terms.key or key for rule in self.rules])) or [key]
        self._ban = None if ban is None else rule_of(ban)
        self._settles = any(rule.terms.when or rule.terms.count for rule in self.rules) or bool(ban and ban.when)
        self._name = name
        self.ranking = f"denied:{name}"
        self._together = atomic or len(self._who) == 1
        self._tag = (name or "limits") if atomic and len(self._who) > 1 else None
        self._on_error = on_error
        self._share = share
        self._local = MemoryStorage()
        self._denials = Denials(clock)

    def asked(self, request: Request) -> list[Asked]:
        """What a request is asked: for each policy who is counted, and how much."""
        subjects = {key: subject_of(key(request)) for key in self._who}
        asked = []
        for rule in self.rules:
            terms = rule.terms
            subject = subjects[terms.key or self._key]
            if subject is not None:
                cost = whole("cost", terms.cost(request)) if callable(terms.cost) else terms.cost or 0
                asked += [Asked(policy, subject, cost, terms) for policy in rule.policies_for(request)]
        return self._guarded(asked, subjects[self._who[0]], 1)

    def asked_of(self, subject: Subject) -> list[Asked]:
        """The same for a subject without a request: what depends on one is left out, and costs that do are 1."""
        costs = [1 if callable(rule.terms.cost) else rule.terms.cost or 0 for rule in self.rules]
        rules = zip(self.rules, costs, strict=True)
        asked = [Asked(policy, subject, cost, rule.terms) for rule, cost in rules for policy in rule.policies]
        return self._guarded(asked, subject, 0)

    def decide(self, asked: list[Asked], scope: str) -> Generator[Any, Any, Outcome | None]:
        """Decide, by the storage; if that fails, by this process alone or, if `on_error` says otherwise, not at all."""
        groups = self._groups(asked)
        scripts = [self.script(group, scope) for group in groups]
        if any(one.cost < 0 for one in asked):
            self._denials.forget(scripts[0].keys[0])
        known = self._denials.recall(scripts[0].keys[0], asked) if len(scripts) == 1 else None
        if known is not None:
            return Outcome(groups, [known], scope, local=False)
        try:
            decisions = list((yield from gather(*scripts)))
        except StorageError:
            if self._on_error != "fallback":
                return None
            return Outcome(groups, [self._alone(one) for one in scripts], scope, local=True)
        if len(scripts) == 1 and self._lasts(asked, decisions[0]):
            self._denials.remember(scripts[0].keys[0], asked, decisions[0])
        return Outcome(groups, decisions, scope, local=False)

    def record(self, outcome: Outcome | None, request: Request) -> None:
        """Count what was decided: whether it was allowed, and each policy that would not have let it pass."""
        ledger = request.ledger
        if outcome is None or outcome.local:
            ledger.count("degraded RateLimit")
        if outcome is None:
            return
        allowed = True
        for group, decision in zip(outcome.groups, outcome.decisions, strict=True):
            if decision.allowed and not any([one.policy.shadow for one in group]):
                continue
            allowed = allowed and decision.allowed
            for one, state in zip(group, decision.states, strict=True):
                if not state.fits:
                    ledger.count(f"limit {'shadow' if one.policy.shadow else 'denied'}:{one.policy.name}")
        ledger.count("limit allowed" if allowed else "limit denied")

    def settle(self, outcome: Outcome, request: Request, response: Response | None) -> None:
        """Put right what each policy was charged, now that the response is known; None if the app raised."""
        if self._settles:
            for group, decision in zip(outcome.groups, outcome.decisions, strict=True):
                costs = [real_cost(one, request, response) - one.cost for one in group]
                request.outbox += self._charges(outcome, group, costs, decision.now)

    def hold(self, outcome: Outcome, request: Request) -> bool:
        """Keep the lease of a request while it lasts; whether it has one, which is then to be released."""
        if self._in_flight is None:
            return False
        for group, decision in zip(outcome.groups, outcome.decisions, strict=True):
            leases = [int(bool(one.token)) for one in group]
            if any(leases) and not outcome.local:
                renewal = self.script(group, outcome.scope, leases, decision.now)
                request.pulses.append(Pulse(renewal, self._in_flight.window / 3_000_000))
        return True

    def release(self, outcome: Outcome, request: Request) -> None:
        """Give the lease of a request back."""
        request.pulses.clear()
        for group, decision in zip(outcome.groups, outcome.decisions, strict=True):
            leases = [-int(bool(one.token)) for one in group]
            request.outbox += self._charges(outcome, group, leases, decision.now)

    def refuse(self, outcome: Outcome, request: Request) -> None:
        """Count a denial, and give back what some scripts took of a request that another one denied."""
        denied = next(group for group, decision in zip(outcome.groups, outcome.decisions, strict=True) if not decision.allowed)
        request.ledger.rank(self.ranking, spelled(denied[0].subject))
        request.ledger.rank("denied paths", request.path)
        request.outbox += self.given_back(outcome)

    def given_back(self, outcome: Outcome) -> list[Op[Any]]:
        """The ops that give back what some scripts took of a request that another one denied."""
        ops: list[Op[Any]] = []
        for group, decision in zip(outcome.groups, outcome.decisions, strict=True):
            if decision.allowed and not outcome.decision.allowed:
                ops += self._charges(outcome, group, [-one.cost for one in group], decision.now)
        return ops

    def script(self, asked: Sequence[Asked], scope: str, costs: Sequence[int] | None = None, at: int = 0) -> Decide:
        """The script that decides about these policies; or settles, if it is told what was decided when."""
        args: list[str | int] = [at]
        for one, cost in zip(asked, costs or [one.cost for one in asked], strict=True):
            code, limit, window, shadow, unit, weight = numbers(one.policy)
            args += (code, limit, window, cost, shadow, unit, one.token or weight)
        return Decide(self._keys(asked, scope), tuple(args))

    def keys(self, subject: Subject, scopes: Iterable[str]) -> list[str]:
        """All keys in which a subject may be counted."""
        names = [self._full(name) for rule in self.rules for name in rule.names()]
        guards = [*(self._ban.policies if self._ban else ()), *([self._in_flight] if self._in_flight else ())]
        names += [self._full(key_name(guard)) for guard in guards]
        return [key for scope in scopes for key in keys_of(subject, tuple(names), scope, self._tag)]

    def forget(self, deletes: Sequence[Delete]) -> None:
        """Forget here, at once, what is being deleted in the storage."""
        for delete in deletes:
            self._denials.forget(delete.key)
        self._local.execute(deletes)

    def _guarded(self, asked: list[Asked], subject: Subject | None, leases: int) -> list[Asked]:
        """With what guards the first one who is counted: so many leases, and the ban at the end."""
        if subject is not None and self._in_flight is not None:
            asked.append(Asked(self._in_flight, subject, leases, LEASE, token()))
        if subject is not None and self._ban is not None:
            asked.append(Asked(self._ban.policies[0], subject, 0, self._ban.terms))
        return asked

    def _lasts(self, asked: list[Asked], decision: Decision) -> bool:
        """Whether a denial is one that need not be asked for again: breaches count, and requests end, at any time."""
        if self._ban is not None:
            return not decision.states[-1].fits
        return self._in_flight is None or all(
            state.fits for one, state in zip(asked, decision.states, strict=True) if isinstance(one.policy, InFlight)
        )

    def _groups(self, asked: list[Asked]) -> list[list[Asked]]:
        """What is decided by one script each."""
        if self._together:
            return [asked]
        groups: dict[Subject, list[Asked]] = {}
        for one in asked:
            groups.setdefault(one.subject, []).append(one)
        return list(groups.values())

    def _keys(self, asked: Sequence[Asked], scope: str) -> tuple[str, ...]:
        if len(self._who) == 1:
            return keys_of(asked[0].subject, tuple([self._full(key_name(one.policy)) for one in asked]), scope)
        return tuple([keys_of(one.subject, (self._full(key_name(one.policy)),), scope, self._tag)[0] for one in asked])

    def _full(self, name: str) -> str:
        return f"{self._name}.{name}" if self._name else name

    def _alone(self, shared: Decide) -> Decision:
        """The same script, on this process's memory and its share of the limits."""
        args = list(shared.args)
        for place in range(2, len(args), NUMBERS + 1):
            if args[place - 1] != Banned.code:
                args[place] = max(int(int(args[place]) * self._share), 1)
        [decision] = self._local.execute([Decide(shared.keys, tuple(args))])
        if isinstance(decision, Decision):
            return decision
        raise decision

    def _charges(self, outcome: Outcome, group: list[Asked], costs: list[int], at: int) -> list[Op[Any]]:
        """What is to be sent to charge so much more, or less; nothing if this process counts alone: then it is done here."""
        if not any(costs):
            return []
        op = self.script(group, outcome.scope, costs, at)
        if min(costs) < 0:
            self._denials.forget(op.keys[0])
        if outcome.local:
            self._local.execute([op])
            return []
        return [op]
