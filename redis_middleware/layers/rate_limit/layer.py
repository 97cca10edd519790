"""The layer: take by one script before the app runs, answer whom it denies, and settle when the response is known.

Rules:

* Allow beats deny, and deny beats everything else. Who is allowed, exempt, out of scope or nobody's subject costs nothing:
  no op at all.
* What a request costs is taken before the app runs, so that no two requests both find the last one free. `when` and `count`
  correct it afterwards, through the outbox. If the request is cancelled, it stays counted.
* Who was denied a moment ago is told so again without a trip.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from limits import RateLimitItem

from ...counting import First, Top
from ...errors import ConfigurationError, StorageError
from ...flow import Action, Flow, Layer, proceed
from ...flow import body as end_of_body
from ...http import Request, Response, unavailable
from ...ops import Delete, gather
from .answers import Body, Fields, Mode, Refusal, forbidden
from .bans import Ban
from .counter import Counter, OnError, Outcome
from .in_flight import policy_of as in_flight
from .limit import AlgorithmName, Cost, Count, Dynamic, Limit, When, Written
from .lists import AccessList, Subject
from .policy import Decision, Guard, Policy
from .scopes import Scope, scope_name
from .subjects import ClientAddress, Key, bound, client_address


class RateLimit(Layer):
    """Allows each subject so many requests in so much time, and answers 429 to the rest: `RateLimit("200/day; 50/hour")`.

    A limit is a string in the grammar of the `limits` package, a `limits.RateLimitItem`, a callable of the request that
    returns one (or None), or a `Limit` with terms of its own. All limits of a request are decided together: it takes from
    all of them, or, if one denies it, from none.

    Who, and how: `key(request)` is who is counted, by default the client's address; None is not limited. `trusted_proxies`,
    `proxy_header` and `ipv6_prefix` say what that address is, see `ClientAddress`. `algorithm` is `"fixed-window"` (from the
    first hit), `"moving-window"`, `"sliding-window-counter"`, or `"gcra"` with its `burst`. `cost`, `when`, `count` and
    `shadow` are as in `Limit`. `atomic=False` lets limits with different keys be decided by a script each, so that they
    spread over a Cluster; what one of them took of a denied request is then given back a moment later.

    Which requests: `paths`, `methods` and `per_path` are as in `Scope`; `exempt(request)` is true for who is not limited.
    `allow` and `deny` are addresses, networks and subjects (of `key`), for which none of that matters: who is allowed is not
    limited, and who is denied is answered 403, everywhere.

    The answer: `status`, `body` and `response_headers` are as in `Refusal`, `headers` (`"draft"`, `"legacy"`, `"draft-6"`,
    None) as in `Fields`. `ban` shuts out who breaks the limits again and again, see `Ban`.
    `max_in_flight` is how many requests of a subject may run at once; each holds its place until its response has ended, and
    one whose worker was killed loses it after `lease` seconds.

    `name` tells the counts of this limiter from those of others on the same storage; by default `paths` and `methods` do.
    Two limiters of one scope, with limits over the same period, need names. `on_error` says what happens when the
    storage fails: `"fallback"` counts in this process's memory, by `fallback_share` of each limit (with N workers, 1/N keeps
    the sum); `"open"` lets pass, `"closed"` answers 503. `eager=False` if `key` and the like need what a layer outside did.
    `clock` counts the second for which a denial is remembered here without a trip: for tests, where time has to be moved.

    One object serves all threads and tasks. Raises `ConfigurationError` for a limit that does not parse, for two limits of
    one name, and for options out of range.
    """

    kinds = frozenset({"http", "websocket"})
    concern = "limits"

    def __init__(
        self,
        *limits: Written | Dynamic | Limit,
        key: Key = client_address,
        algorithm: AlgorithmName = "fixed-window",
        burst: int | None = None,
        cost: Cost = 1,
        when: When | None = None,
        count: Count | None = None,
        shadow: bool = False,
        paths: str | Iterable[str] | None = None,
        methods: str | Iterable[str] | None = None,
        per_path: bool = False,
        exempt: Callable[[Request], bool] | None = None,
        allow: str | Iterable[Subject] = (),
        deny: str | Iterable[Subject] = (),
        trusted_proxies: str | Iterable[str] = (),
        proxy_header: str = "x-forwarded-for",
        ipv6_prefix: int = 64,
        status: int = 429,
        body: Body = None,
        response_headers: Iterable[tuple[str, str]] = (),
        headers: Mode = "draft",
        max_in_flight: int | None = None,
        lease: float = 30,
        ban: Ban | None = None,
        name: str = "",
        atomic: bool = True,
        on_error: OnError = "fallback",
        fallback_share: float = 1.0,
        eager: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        paths = paths if paths is None or isinstance(paths, str) else tuple(paths)
        methods = methods if methods is None or isinstance(methods, str) else tuple(methods)
        if not callable(key):
            raise ConfigurationError(f"key must be a callable of the request, got {key!r}")
        self._address = ClientAddress(trusted_proxies, ipv6_prefix, proxy_header=proxy_header)
        self._key = bound(key, self._address)
        terms = Limit("", None, self._key, algorithm, burst, cost, when, count, shadow)
        own = [_completed(limit, terms, self._address) for limit in limits]
        if burst is not None and all(limit.algorithm != "gcra" for limit in own):
            raise ConfigurationError("burst belongs to algorithm='gcra', and no limit has it")
        if ban is not None and not atomic:
            raise ConfigurationError("a ban is decided with all limits together: leave atomic=True")
        self._counter = Counter(
            own,
            key=self._key,
            name=name or scope_name(paths, methods),
            atomic=atomic,
            on_error=on_error,
            share=fallback_share,
            clock=clock,
            ban=ban,
            in_flight=None if max_in_flight is None else in_flight(max_in_flight, lease),
        )
        self._scope = Scope(paths, methods, per_path)
        self._exempt = exempt
        self._allow, self._deny = AccessList(allow), AccessList(deny)
        self._refusal = Refusal(status, body, response_headers)
        self._fields = Fields(headers)
        self._on_error = on_error
        self._eager = eager

    @property
    def eager(self) -> bool:
        """Whether its ops depend on the request alone."""
        return self._eager

    @property
    def on_error(self) -> OnError:
        """What happens when the storage fails."""
        return self._on_error

    @property
    def ranking(self) -> str:
        """The name of the ledger's ranking of who was denied most."""
        return self._counter.ranking

    def __repr__(self) -> str:
        return f"RateLimit({', '.join(repr(rule.terms.limit) for rule in self._counter.rules)})"

    def __call__(self, request: Request, /) -> Flow:
        listed = self._listed(request)
        if listed is not None:
            return None if listed else forbidden(request)
        scope = self._counted_in(request)
        asked = [] if scope is None else self._counter.asked(request)
        if scope is None or not asked:
            return None
        outcome = yield from self._counter.decide(asked, scope)
        self._counter.record(outcome, request)
        if outcome is None:
            return None if self._on_error == "open" else unavailable()
        if not outcome.decision.allowed:
            self._counter.refuse(outcome, request)
            return self._shown(self._refusal.response(request, outcome.policies, outcome.decision), outcome)
        held = self._counter.hold(outcome, request)
        try:
            response = yield from proceed()
        except Exception:
            self._counter.settle(outcome, request, None)
            self._counter.release(outcome, request)
            raise
        self._counter.settle(outcome, request, response)
        self._shown(response, outcome)
        if held:
            yield from end_of_body(0)
            self._counter.release(outcome, request)
        return response

    def check(self, who: Request | Subject, cost: int | None = None) -> Action[Decision]:
        """An action: count one more for a request or a subject, as for each message of a WebSocket.

        `decision = await arun(limiter.check(request), storage)`; then see `decision.allowed`. `cost` is what it takes, by
        default what a request does. A request (inside an app: `asgi.request_from(scope)`, `wsgi.request_from(environ)`) is
        treated as on its way in: lists, scope and exemptions hold. A subject is counted by every limit that does not depend
        on the request, outside of `per_path`. If the storage fails, `on_error` decides: `"closed"` raises `StorageError`.
        """
        if isinstance(who, Request):
            listed, scope = self._listed(who), self._counted_in(who)
            if listed is not None or scope is None:
                return Decision(listed is not False, ())
            asked = self._counter.asked(who)
        else:
            asked, scope = self._counter.asked_of(self._address.grouped(who)), ""
        asked = [one for one in asked if not one.token]  # nobody would give a lease back
        if cost is not None:
            asked = [one if isinstance(one.policy, Guard) else replace(one, cost=cost) for one in asked]
        if not asked:
            return Decision(True, ())
        outcome = yield from self._counter.decide(asked, scope)
        if outcome is not None:
            yield from gather(*self._counter.given_back(outcome))
            return outcome.decision
        if self._on_error == "closed":
            raise StorageError("the storage cannot decide, and on_error is 'closed'")
        return Decision(True, ())

    def reset(self, subject: Subject, *, root_path: str = "") -> Action[bool]:
        """An action: forget what was counted for a subject. True if there was something.

        On other workers it holds within a second. `root_path` is where the app is mounted, which matters with `per_path`.
        """
        keys = self._counter.keys(self._address.grouped(subject), self._scope.labels(root_path))
        deletes = [Delete(key) for key in keys]
        self._counter.forget(deletes)
        return any((yield from gather(*deletes)))

    def explain(self, subject: Subject, *, root_path: str = "") -> Action[list[dict[str, object]]]:
        """An action: every policy with its state and its key, for a subject. It takes nothing.

        Limits that depend on the request are not known here, and left out.
        """
        found: list[dict[str, object]] = []
        asked = [replace(one, cost=0) for one in self._counter.asked_of(self._address.grouped(subject))]
        for scope in self._scope.labels(root_path) if asked else ():
            op = self._counter.script(asked, scope)
            decision = yield from op
            for one, key, state in zip(asked, op.keys, decision.states, strict=True):
                found.append(_explained(one.policy, key, state.remaining, state.reset))
        return found

    def top(self, count: int = 10) -> Action[list[tuple[str, int]]]:
        """An action: the subjects that were denied most since midnight (UTC), with how often, most first.

        Addresses are in clear; other subjects are as in their keys, by digest. Workers add what they counted every few seconds.
        """
        return (yield from First((Top(self.ranking).key(),), (count,)))

    def _counted_in(self, request: Request) -> str | None:
        """The label of the budget that a request is counted in; None if it is not counted."""
        if self._exempt is not None and self._exempt(request):
            return None
        return self._scope.of(request)

    def _listed(self, request: Request) -> bool | None:
        """True for who is always allowed, False for who never is, None for everybody else."""
        if not self._allow and not self._deny:
            return None
        address, subject = self._address.single(request), self._key(request)
        if self._allow.matches(address, subject):
            return True
        return False if self._deny.matches(address, subject) else None

    def _shown(self, response: Response, outcome: Outcome) -> Response:
        policies, decision = outcome.policies, outcome.decision
        if any(isinstance(policy, Guard) for policy in policies):
            pairs = zip(policies, decision.states, strict=True)
            shown = [pair for pair in pairs if not isinstance(pair[0], Guard)]
            policies = tuple([policy for policy, _ in shown])
            decision = replace(decision, states=tuple([state for _, state in shown]))
        response.headers.lines += self._fields.lines(policies, decision, time.time())
        return response


def _completed(limit: Written | Dynamic | Limit, terms: Limit, address: ClientAddress) -> Limit:
    """A limit with the terms of the limiter where it has none of its own."""
    if not isinstance(limit, (str, RateLimitItem, Limit)) and not callable(limit):
        raise ConfigurationError(f"a limit is a text, a limits.RateLimitItem, a callable or a Limit, got {limit!r}")
    own = limit if isinstance(limit, Limit) else Limit(limit)
    algorithm = own.algorithm or terms.algorithm
    return Limit(
        own.limit,
        own.name,
        terms.key if own.key is None else bound(own.key, address),
        algorithm,
        terms.burst if own.burst is None and algorithm == "gcra" else own.burst,
        terms.cost if own.cost is None else own.cost,
        own.when or terms.when,
        own.count or terms.count,
        terms.shadow if own.shadow is None else own.shadow,
    )


def _explained(policy: Policy, key: str, remaining: int, reset: int) -> dict[str, object]:
    return {
        "policy": policy.name,
        "limit": policy.limit,
        "window": policy.window / 1_000_000,
        "algorithm": policy.algorithm,
        "shadow": policy.shadow,
        "remaining": remaining,
        "reset": reset / 1_000_000,
        "key": key,
    }
