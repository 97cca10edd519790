"""What a rate limit puts into a response: header fields into every one, and whole answers to whom it turns away.

Rules:

* Times are whole seconds, rounded up: to wait as long as any of them says is enough.
* The time shown for a policy is the one *within which the client can use no more than what remains* (draft §4.1.2): until
  its whole quota is back; but if it denied the request, until the request fits. So `Retry-After` never comes before the
  time shown for a policy that denied, as §6 of the draft asks.
* A shadow policy is nowhere: not in a field, a body or a time.

"The draft" is draft-ietf-httpapi-ratelimit-headers-11; it still moves, and `_draft` is the one place that writes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import quote

import msgspec
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from ...errors import ConfigurationError
from ...http import Headers, Lines, Request, Response
from .in_flight import InFlight
from .policy import Decision, Policy, State, check_choice

Mode = Literal["draft", "legacy", "draft-6"] | None
Policies = tuple[Policy, ...]
Body = str | bytes | Callable[[Request, Decision], str | bytes | Response | None] | None

PROBLEM, TEXT = ("content-type", "application/problem+json"), ("content-type", "text/plain; charset=utf-8")
NO_STORE = ("cache-control", "no-store")
QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"  # the draft, §5.1

OFFERS = ("application/problem+json", "application/json", "text/plain", "text/html")  # the earlier one wins a tie
LONGEST_ACCEPT = 300  # browsers send up to 200; werkzeug takes 10 µs an item, and whoever is denied may send thousands


class Fields:
    """Writes the header fields of a rate limit, in the form that the clients of an app know.

    * `"draft"`: `RateLimit-Policy: "hour";q=50;w=3600` and `RateLimit: "hour";r=49;t=3600`, an item a policy. Quota and
      window of `gcra` are its sustained rate; a burst that is not the limit stands beside them as `rm-burst` (§3.1: a
      parameter of one's own has a prefix). There is no partition key: §6.1 warns of telling who is counted, and how.
    * `"legacy"`: `X-RateLimit-Limit`, `-Remaining` and `-Reset`, as Flask-Limiter, slowapi and GitHub send them: the
      reset is a Unix time. It needs the client's clock to be right; `"draft-6"` does not.
    * `"draft-6"`: `RateLimit-Limit`, `-Remaining` and `-Reset`, in seconds from now, and `RateLimit-Policy: 50;w=3600`, as
      draft-ietf-httpapi-ratelimit-headers-06 wrote them.
    * None: nothing.

    The two older forms have room for one policy: the one that denied for the longest, or else the one with the least
    remaining (draft-06, "Server Behavior"), of equals the one that takes longest to be whole again.

    Stateless; serves all threads and tasks. Raises `ConfigurationError` for an unknown mode.
    """

    __slots__ = ("_write",)

    def __init__(self, mode: Mode = "draft") -> None:
        check_choice("headers", mode, tuple(_WRITERS))
        self._write = _WRITERS[mode]

    def lines(self, policies: Policies, decision: Decision, now: float) -> Lines:
        """The header lines, names in lower case; `now` is `time.time()`, and matters to `"legacy"` only."""
        return self._write(policies, decision, now)


class Refusal:
    """Answers whom a limit denied: 429 (RFC 6585 §4), `Retry-After`, `Cache-Control: no-store`, and a body that says why.

    The body is a problem (RFC 9457), or one line of text for who prefers that, as browsers do. `body` replaces it: text or
    bytes (`text/plain`, unless `headers` says otherwise), or a callable of the request and the decision that returns
    either, a whole `Response`, or None for the usual body. `headers` are more lines. What stands in a callable's response
    comes before `headers`, and they before what is set here.

    To wait for `Retry-After` is enough for every policy that denied; it is missing if one of them never lets this
    request pass. Serves all threads and tasks. Raises `ConfigurationError` for a status that is no error, and for a
    header that cannot be sent.
    """

    def __init__(self, status: int = 429, body: Body = None, headers: Iterable[tuple[str, str]] = ()) -> None:
        if not 400 <= status <= 599:
            raise ConfigurationError(f"status must be 400 to 599, got {status}")
        try:
            self._headers = Headers(headers)
        except ValueError as exc:
            raise ConfigurationError(f"headers: {exc}") from exc
        self._status = status
        self._body = body

    def response(self, request: Request, policies: Policies, decision: Decision) -> Response:
        """A response that nobody else holds, without the lines of `Fields`."""
        violated = [pair for pair in _shown(policies, decision) if not pair[1].fits]
        wait = _wait([state for _, state in violated])
        made = self._replaced(request, decision) or self._usual(request, [policy for policy, _ in violated], wait)
        ours = [NO_STORE] if wait is None else [NO_STORE, ("retry-after", str(wait))]
        return Response(made.status, _merged(made.headers, self._headers, ours), made.body or b"")

    def _replaced(self, request: Request, decision: Decision) -> Response | None:
        body = self._body(request, decision) if callable(self._body) else self._body
        if body is None or isinstance(body, Response):
            return body
        lines = [] if "content-type" in self._headers else [TEXT]
        return Response(self._status, lines, body.encode() if isinstance(body, str) else body)

    def _usual(self, request: Request, violated: list[Policy], wait: int | None) -> Response:
        detail = "It costs more than the limit allows; waiting does not help."
        if wait is not None:
            detail = f"Try again in {wait} second{'' if wait == 1 else 's'}."
        elif any(isinstance(policy, InFlight) for policy in violated):
            detail = "Too many at once: wait until another one has ended."
        problem = {"type": QUOTA_EXCEEDED, "title": "Quota Exceeded", "status": self._status, "detail": detail}
        problem |= {"instance": _instance(request), "violated-policies": [policy.name for policy in violated]}
        return _negotiated(request, problem, f"Too many requests. {detail}\n")


def forbidden(request: Request) -> Response:
    """403 for who is on a deny list, in the form that the client prefers. It says no more than that (RFC 9457 §4.2.1)."""
    problem = {"type": "about:blank", "title": "Forbidden", "status": 403, "instance": _instance(request)}
    response = _negotiated(request, problem, "Forbidden.\n")
    response.headers.add(*NO_STORE)
    return response


def seconds(microseconds: int) -> int:
    """Whole seconds, rounded up: to wait so long is always enough."""
    return -(-microseconds // 1_000_000)


def _draft(policies: Policies, decision: Decision, now: float) -> Lines:
    shown = [
        f'"{policy.name}";r={state.remaining};t={seconds(_window(state))}'
        for policy, state in zip(policies, decision.states, strict=True)
        if not policy.shadow
    ]
    return [("ratelimit-policy", _draft_policies(policies)), ("ratelimit", ", ".join(shown))] if shown else []


@lru_cache(maxsize=256)  # limits may depend on the request: as many sets of policies as a service may have plans
def _draft_policies(policies: Policies) -> str:
    return ", ".join([f'"{policy.name}";{_quota(policy)}' for policy in policies if not policy.shadow])


def _quota(policy: Policy) -> str:
    burst = "" if policy.burst in (None, policy.limit) else f";rm-burst={policy.burst}"
    return f"q={policy.limit};w={seconds(policy.window)}{burst}"


def _legacy(policies: Policies, decision: Decision, now: float) -> Lines:
    return _three("x-ratelimit", policies, decision, round(now * 1_000_000))


def _draft_6(policies: Policies, decision: Decision, now: float) -> Lines:
    three = _three("ratelimit", policies, decision, 0)
    return [("ratelimit-policy", _draft_6_policies(policies)), *three] if three else []


@lru_cache(maxsize=256)
def _draft_6_policies(policies: Policies) -> str:
    return ", ".join([f"{policy.limit};w={seconds(policy.window)}" for policy in policies if not policy.shadow])


def _nothing(policies: Policies, decision: Decision, now: float) -> Lines:
    return []


def _three(prefix: str, policies: Policies, decision: Decision, since: int) -> Lines:
    """Limit, remaining and reset of one policy. A burst does not change the limit (draft-06, "Service Limit")."""
    shown = _shown(policies, decision)
    if not shown:
        return []
    policy, state = _tightest(shown)
    return [
        (f"{prefix}-limit", str(policy.limit)),
        (f"{prefix}-remaining", str(state.remaining)),
        (f"{prefix}-reset", str(seconds(since + _window(state)))),
    ]


_WRITERS: dict[Mode, Callable[[Policies, Decision, float], Lines]] = {
    "draft": _draft,
    "legacy": _legacy,
    "draft-6": _draft_6,
    None: _nothing,
}


def _shown(policies: Policies, decision: Decision) -> list[tuple[Policy, State]]:
    return [pair for pair in zip(policies, decision.states, strict=True) if not pair[0].shadow]


def _tightest(shown: list[tuple[Policy, State]]) -> tuple[Policy, State]:
    violated = [pair for pair in shown if not pair[1].fits]
    if violated:
        return max(violated, key=lambda pair: float("inf") if pair[1].retry is None else pair[1].retry)
    return min(shown, key=lambda pair: (pair[1].remaining, -pair[1].reset))


def _window(state: State) -> int:
    """Microseconds within which the client can use no more than what remains."""
    return state.reset if state.fits or state.retry is None else state.retry


def _wait(violated: Sequence[State]) -> int | None:
    """Seconds until none of them denies any more; None if that never comes, or if none did."""
    waits = [state.retry for state in violated if state.retry is not None]
    return seconds(max(waits)) if waits and len(waits) == len(violated) else None


def _merged(*groups: Iterable[tuple[str, str]]) -> Lines:
    """All lines, less those whose name stands in a group before."""
    lines: Lines = []
    for group in groups:
        said = {name.lower() for name, _ in lines}
        lines += [line for line in group if line[0].lower() not in said]
    return lines


def _negotiated(request: Request, problem: dict[str, Any], text: str) -> Response:
    """A problem, or text. `Vary` is not needed, as neither is stored (RFC 9110 §12.5.5)."""
    if _prefers_text(request.headers.get("accept", "")):
        return Response(problem["status"], [TEXT], text.encode())
    return Response(problem["status"], [PROBLEM], msgspec.json.encode(problem))


def _prefers_text(accept: str | None) -> bool:
    """Whether `Accept` prefers text to JSON (RFC 9110 §12.5.1). Who has no preference, or makes no sense, gets JSON."""
    if not accept or len(accept) > LONGEST_ACCEPT:
        return False
    return _best(accept).startswith("text/")


@lru_cache(maxsize=256)  # a few dozen are in use; parsing a browser's takes 80 µs
def _best(accept: str) -> str:
    return parse_accept_header(accept, MIMEAccept).best_match(OFFERS, default=OFFERS[0])


def _instance(request: Request) -> str:
    """The path as a URI reference (RFC 9457 §3.1.5), without the query, which may hold secrets."""
    path = quote(request.root_path + request.path, safe="/!$&'()*+,;=:@~", errors="replace")
    return f"/.{path}" if path.startswith("//") else path  # or it would name another host (RFC 3986 §4.2)
