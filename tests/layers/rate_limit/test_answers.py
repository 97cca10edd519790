"""What a client reads of a rate limit: the fields in each of their forms, and the answer that turns it away."""

from __future__ import annotations

from typing import Any

import http_sf
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_middleware.errors import ConfigurationError
from redis_middleware.http import Lines, Request, Response, framed
from redis_middleware.layers.rate_limit.answers import Fields, Refusal, forbidden, seconds
from redis_middleware.layers.rate_limit.policy import ALGORITHMS, LONGEST, MOST, Decision, Policy, State

SECOND = 1_000_000
NOW = 1_800_000_000.25

HOUR, MINUTE = Policy("hour", 50, 3600 * SECOND), Policy("minute", 10, 60 * SECOND)
BOTH = (HOUR, MINUTE)
SHADOW = Policy("trial", 1, SECOND, shadow=True)

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"

names = st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters='"\\'), min_size=1)
policies = st.builds(
    Policy, names, st.integers(1, MOST), st.integers(1, LONGEST), st.sampled_from(ALGORITHMS), shadow=st.booleans()
) | st.builds(Policy, names, st.integers(1, MOST), st.integers(1, LONGEST), st.just("gcra"), st.integers(1, MOST))
fitting = st.builds(State, st.just(True), st.integers(0, MOST), st.integers(0, LONGEST), st.none() | st.just(0))
denying = st.builds(State, st.just(False), st.integers(0, MOST), st.integers(1, LONGEST), st.none() | st.integers(1, LONGEST))
pairs = st.lists(st.tuples(policies, fitting | denying), max_size=5)


def fits(remaining: int, reset: float) -> State:
    return State(True, remaining, round(reset * SECOND), None)


def denies(retry: float | None, remaining: int = 0, reset: float = 60) -> State:
    return State(False, remaining, round(reset * SECOND), None if retry is None else round(retry * SECOND))


def decided(*states: State) -> Decision:
    return Decision(all(state.fits for state in states), states)


def split(shown: list[tuple[Policy, State]]) -> tuple[tuple[Policy, ...], Decision]:
    of, states = tuple(policy for policy, _ in shown), tuple(state for _, state in shown)
    return of, Decision(all(state.fits or policy.shadow for policy, state in shown), states)


def lines_of(mode: Any, of: tuple[Policy, ...], decision: Decision) -> dict[str, str]:
    lines = Fields(mode).lines(of, decision, NOW)
    assert len(dict(lines)) == len(lines), "a field twice"
    return dict(lines)


def refused(refusal: Refusal, *states: State, of: tuple[Policy, ...] = BOTH, accept: str | None = None) -> Response:
    return refusal.response(asking(accept), of, decided(*states))


def asking(accept: str | None = None, path: str = "/menu") -> Request:
    return Request(path=path, query="token=secret", headers=[] if accept is None else [("Accept", accept)])


# Policies


@pytest.mark.parametrize("name", ["", 'a"b', "a\\b", "é", "a\n", "\x7f", "\t"])
def test_a_name_is_what_a_structured_string_holds_as_it_is(name: str) -> None:
    with pytest.raises(ConfigurationError, match="printable ASCII"):
        Policy(name, 1, SECOND)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"limit": 0}, "limit must be 1 to 999999999999999, got 0"),
        ({"limit": MOST + 1}, "limit"),
        ({"window": 0}, "window"),
        ({"window": LONGEST + 1}, "window"),
        ({"algorithm": "gcra", "burst": 0}, "burst must be 1"),
        ({"burst": 5}, "burst belongs to algorithm 'gcra'"),
        ({"algorithm": "moving-windows"}, "did you mean 'moving-window'?"),
        ({"algorithm": "leaky"}, "'sliding-window-counter' or 'gcra', got 'leaky'$"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said.replace("?", r"\?")):
        Policy("a", **{"limit": 1, "window": SECOND, **options})


# The fields


@pytest.mark.parametrize(
    ("mode", "allowed", "denied"),
    [
        (
            "draft",
            {
                "ratelimit-policy": '"hour";q=50;w=3600, "minute";q=10;w=60',
                "ratelimit": '"hour";r=12;t=3000, "minute";r=9;t=60',
            },
            {
                "ratelimit-policy": '"hour";q=50;w=3600, "minute";q=10;w=60',
                "ratelimit": '"hour";r=12;t=3000, "minute";r=0;t=18',
            },
        ),
        (
            "legacy",
            {"x-ratelimit-limit": "10", "x-ratelimit-remaining": "9", "x-ratelimit-reset": "1800000060"},
            {"x-ratelimit-limit": "10", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "1800000018"},
        ),
        (
            "draft-6",
            {
                "ratelimit-policy": "50;w=3600, 10;w=60",
                "ratelimit-limit": "10",
                "ratelimit-remaining": "9",
                "ratelimit-reset": "60",
            },
            {
                "ratelimit-policy": "50;w=3600, 10;w=60",
                "ratelimit-limit": "10",
                "ratelimit-remaining": "0",
                "ratelimit-reset": "18",
            },
        ),
        (None, {}, {}),
    ],
)
def test_each_form_of_the_fields(mode: Any, allowed: dict[str, str], denied: dict[str, str]) -> None:
    assert lines_of(mode, BOTH, decided(fits(12, 2999.5), fits(9, 59.5))) == allowed
    assert lines_of(mode, BOTH, decided(fits(12, 2999.5), denies(17.5, reset=59.5))) == denied


@pytest.mark.parametrize(
    ("states", "shown"),
    [
        ((fits(3, 10), fits(2, 10)), "10"),  # the least remaining
        ((fits(2, 11), fits(2, 10)), "50"),  # of equals, the one that takes longest
        ((denies(5, remaining=9), fits(0, 60)), "50"),  # who denied, however much is left
        ((denies(5), denies(6)), "10"),  # who denies for the longest
        ((denies(None), denies(600)), "50"),  # never is longer than anything
    ],
)
@pytest.mark.parametrize(("mode", "field"), [("legacy", "x-ratelimit-limit"), ("draft-6", "ratelimit-limit")])
def test_where_one_policy_is_shown_it_is_the_closest_to_exhaustion(
    mode: Any, field: str, states: tuple[State, State], shown: str
) -> None:
    assert lines_of(mode, BOTH, decided(*states))[field] == shown


def test_a_policy_that_never_fits_the_request_shows_when_its_quota_is_back() -> None:
    denied = decided(denies(None, remaining=7, reset=40))
    assert lines_of("draft", (HOUR,), denied)["ratelimit"] == '"hour";r=7;t=40'
    assert lines_of("draft-6", (HOUR,), denied)["ratelimit-reset"] == "40"


@pytest.mark.parametrize("mode", ["draft", "legacy", "draft-6", None])
def test_a_shadow_is_nowhere(mode: Any) -> None:
    with_it = lines_of(mode, (SHADOW, HOUR), Decision(True, (denies(99), fits(3, 9))))
    assert with_it == lines_of(mode, (HOUR,), decided(fits(3, 9)))
    assert lines_of(mode, (SHADOW,), Decision(True, (denies(99),))) == {}


def test_a_token_bucket_shows_its_sustained_rate_and_its_burst() -> None:
    def shown(burst: int | None, mode: str = "draft") -> str:
        bucket = Policy("api", 10, SECOND, "gcra", burst)
        return lines_of(mode, (bucket,), decided(fits(1, 1)))["ratelimit-policy"]

    assert shown(100) == '"api";q=10;w=1;rm-burst=100'
    assert shown(None) == shown(10) == '"api";q=10;w=1'
    assert shown(100, "draft-6") == "10;w=1"


def test_a_window_of_less_than_a_second_is_shown_as_one() -> None:
    """The draft (§3.1.3) knows whole seconds above 0; the longer one never promises more than there is."""
    assert lines_of("draft", (Policy("a", 5, SECOND // 10),), decided(fits(4, 0.1))) == {
        "ratelimit-policy": '"a";q=5;w=1',
        "ratelimit": '"a";r=4;t=1',
    }


@given(pairs)
def test_the_draft_fields_are_valid_structured_lists_with_the_right_values(shown: list[tuple[Policy, State]]) -> None:
    lines = lines_of("draft", *split(shown))
    visible = [pair for pair in shown if not pair[0].shadow]
    if not visible:
        assert lines == {}
        return
    advertised, current = (http_sf.parse(lines[name].encode(), tltype="list") for name in ("ratelimit-policy", "ratelimit"))
    assert advertised == [
        (policy.name, {"q": policy.limit, "w": seconds(policy.window)} | burst_of(policy)) for policy, _ in visible
    ]
    assert current == [(policy.name, {"r": state.remaining, "t": shown_time(state)}) for policy, state in visible]


@given(pairs)
def test_the_older_fields_are_integers(shown: list[tuple[Policy, State]]) -> None:
    of, decision = split(shown)
    for mode in ("legacy", "draft-6"):
        lines = lines_of(mode, of, decision)
        lines.pop("ratelimit-policy", None)
        assert len(lines) in (0, 3)
        assert all(value.isdigit() for value in lines.values())


def burst_of(policy: Policy) -> dict[str, int]:
    return {} if policy.burst in (None, policy.limit) else {"rm-burst": policy.burst or 0}


def shown_time(state: State) -> int:
    return seconds(state.reset if state.fits or state.retry is None else state.retry)


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("drfat", "headers must be 'draft', 'legacy', 'draft-6' or None, got 'drfat'; did you mean 'draft'"),
        ("draft-06", "did you mean 'draft-6'"),
        ("Legacy", "did you mean 'legacy'"),
        (True, "got True$"),
        (["draft"], "headers must be"),
    ],
)
def test_an_unknown_form_is_refused_with_the_nearest_right_one(mode: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Fields(mode)


@pytest.mark.parametrize(("microseconds", "shown"), [(0, 0), (1, 1), (999_999, 1), (SECOND, 1), (SECOND + 1, 2)])
def test_seconds_are_rounded_up(microseconds: int, shown: int) -> None:
    assert seconds(microseconds) == shown


# The refusal


def test_a_refusal_says_why_and_when_to_come_back() -> None:
    response = refused(Refusal(), fits(12, 3000), denies(17.5))
    assert response.status == 429
    assert response.headers == [
        ("content-type", "application/problem+json"),
        ("cache-control", "no-store"),
        ("retry-after", "18"),
    ]
    assert msgspec.json.decode(response.body or b"") == {
        "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
        "title": "Quota Exceeded",
        "status": 429,
        "detail": "Try again in 18 seconds.",
        "instance": "/menu",
        "violated-policies": ["minute"],
    }


def test_a_browser_gets_a_line_of_text() -> None:
    response = refused(Refusal(), denies(0.5), fits(9, 60), accept=BROWSER)
    assert response.headers.get("content-type") == "text/plain; charset=utf-8"
    assert response.headers.get("retry-after") == "1"
    assert response.body == b"Too many requests. Try again in 1 second.\n"


@given(pairs)
def test_waiting_as_told_is_enough_and_a_second_less_is_not(shown: list[tuple[Policy, State]]) -> None:
    of, decision = split(shown)
    retries = [state.retry for policy, state in shown if not policy.shadow and not state.fits]
    told = Refusal().response(asking(), of, decision).headers.get("retry-after")
    if not retries or None in retries:
        assert told is None
    else:
        needed = max(retry for retry in retries if retry is not None)
        assert (int(told or 0) - 1) * SECOND < needed <= int(told or 0) * SECOND


@given(pairs)
def test_retry_after_is_never_before_the_time_shown_for_who_denied(shown: list[tuple[Policy, State]]) -> None:
    of, decision = split(shown)
    told = Refusal().response(asking(), of, decision).headers.get("retry-after")
    if told is not None:
        assert all(shown_time(state) <= int(told) for policy, state in shown if not policy.shadow and not state.fits)
        assert lines_of("draft-6", of, decision)["ratelimit-reset"] == told


def test_who_asks_for_more_than_there_ever_is_is_not_told_to_wait() -> None:
    response = refused(Refusal(), denies(None), denies(5))
    assert "retry-after" not in response.headers
    assert b"waiting does not help" in (response.body or b"")


def test_a_shadow_is_in_no_refusal() -> None:
    response = refused(Refusal(), denies(900), denies(5), of=(SHADOW, MINUTE))
    assert response.headers.get("retry-after") == "5"
    assert b"trial" not in (response.body or b"")


@pytest.mark.parametrize(
    ("accept", "text"),
    [
        (None, False),
        ("", False),
        ("*/*", False),
        (BROWSER, True),
        ("application/json", False),
        ("application/problem+json", False),
        ("application/json, text/plain, */*", False),  # axios
        ("application/json, text/javascript, */*; q=0.01", False),  # jQuery
        ("text/html, application/json;q=0.9", True),
        ("text/html;q=0.9, application/json", False),
        ("text/plain", True),
        ("text/*", True),
        ("TEXT/HTML", True),
        ("application/problem+json;q=0, */*", False),
        ("image/*", False),  # who wants neither gets the usual one (RFC 9110 §12.5.1)
        ("*/*;q=0", False),
        ("text/html;q=2", False),
        ("nonsense", False),
        ("text/html" + ", a/b" * 1000, False),  # nobody's browser: not worth reading
    ],
)
def test_accept_chooses_between_problem_and_text(accept: str | None, text: bool) -> None:
    expected = "text/plain; charset=utf-8" if text else "application/problem+json"
    assert refused(Refusal(), denies(5), of=(HOUR,), accept=accept).headers.get("content-type") == expected
    assert forbidden(asking(accept)).headers.get("content-type") == expected


soup = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0")) | st.lists(
    st.sampled_from(
        ["text/html", "application/json", "*/*", "*", "/", ";", ";q=", "=", '"', "\\", ",", " ", "q", "*=", "utf-8''%", "\t"]
    )
).map("".join)


@given(soup)
def test_no_accept_header_breaks_an_answer(accept: str) -> None:
    response = forbidden(asking(accept))
    assert response.status == 403
    assert response.headers.get("content-type") in ("application/problem+json", "text/plain; charset=utf-8")


@given(st.text())
def test_any_path_is_a_reference_to_the_same_host(path: str) -> None:
    instance = msgspec.json.decode(forbidden(asking(path="/" + path)).body or b"")["instance"]
    assert instance.isascii()
    assert instance.startswith("/")
    assert not instance.startswith("//")
    assert not set(instance) & set('?#"<>\\ ')


@pytest.mark.parametrize(
    ("path", "instance"),
    [("/menu/é", "/app/menu/%C3%A9"), ("/a b?c#d", "/app/a%20b%3Fc%23d"), ("/\ud800", "/app/%3F"), ("", "/app")],
)
def test_the_instance_is_the_whole_path_without_the_query(path: str, instance: str) -> None:
    request = Request(path=path, root_path="/app", query="token=secret")
    assert msgspec.json.decode(forbidden(request).body or b"")["instance"] == instance


def test_a_path_that_looks_like_a_host_is_none() -> None:
    assert msgspec.json.decode(forbidden(asking(path="//evil.example/x")).body or b"")["instance"] == "/.//evil.example/x"


def test_a_denied_address_learns_nothing_but_that() -> None:
    response = forbidden(asking())
    assert response.status == 403
    assert response.headers == [("content-type", "application/problem+json"), ("cache-control", "no-store")]
    assert msgspec.json.decode(response.body or b"") == {
        "type": "about:blank",
        "title": "Forbidden",
        "status": 403,
        "instance": "/menu",
    }
    assert forbidden(asking("text/html")).body == b"Forbidden.\n"


def test_head_gets_the_length_of_what_get_would_have_got() -> None:
    response = refused(Refusal(), denies(5), of=(HOUR,))
    (head, nothing), (got, body) = framed(response, "HEAD"), framed(response, "GET")
    assert (head, nothing) == (got, b"")
    assert dict(head)["content-length"] == str(len(body))


# What a user puts in its place


def test_status_body_and_headers_are_replaceable() -> None:
    response = refused(Refusal(503, "Später.", [("X-Plan", "free"), ("Link", "<a>"), ("Link", "<b>")]), denies(5), of=(HOUR,))
    assert response.status == 503
    assert response.body == "Später.".encode()
    assert response.headers == [
        ("content-type", "text/plain; charset=utf-8"),
        ("X-Plan", "free"),
        ("Link", "<a>"),
        ("Link", "<b>"),
        ("cache-control", "no-store"),
        ("retry-after", "5"),
    ]


def test_another_status_stands_in_the_problem_too() -> None:
    assert msgspec.json.decode(refused(Refusal(503), denies(5), of=(HOUR,)).body or b"")["status"] == 503


@pytest.mark.parametrize("body", [b"{}", "{}", lambda request, decision: b"{}", lambda request, decision: "{}"])
def test_a_body_says_its_type_in_headers(body: Any) -> None:
    response = refused(Refusal(body=body, headers=[("Content-Type", "application/json")]), denies(5), of=(HOUR,))
    assert response.body == b"{}"
    assert response.headers.getall("content-type") == ["application/json"]


def test_a_callable_sees_the_request_and_the_decision() -> None:
    refusal = Refusal(body=lambda request, decision: f"{request.path} {decision.states[0].retry}")
    assert refused(refusal, denies(5), of=(HOUR,)).body == b"/menu 5000000"


def test_a_callable_may_leave_it_at_the_usual_answer() -> None:
    response = refused(Refusal(body=lambda request, decision: None), denies(5), of=(HOUR,))
    assert response.headers.get("content-type") == "application/problem+json"


def test_a_callables_response_comes_first_then_headers_then_the_usual() -> None:
    own: Lines = [("Cache-Control", "private"), ("X-Plan", "theirs")]
    shared = Response(418, own, b"teapot")
    refusal = Refusal(body=lambda request, decision: shared, headers=[("x-plan", "free"), ("retry-after", "7")])
    for _ in range(2):
        response = refused(refusal, denies(5), of=(HOUR,))
        assert (response.status, response.body) == (418, b"teapot")
        assert response.headers == [*own, ("retry-after", "7")]
        response.headers.add("ratelimit", "as the layer does")
    assert shared.headers == own, "a response that a user keeps is not written to"


@pytest.mark.parametrize("status", [200, 302, 399, 600, 0])
def test_a_status_that_is_no_error_is_refused(status: int) -> None:
    with pytest.raises(ConfigurationError, match=f"status must be 400 to 599, got {status}"):
        Refusal(status)


@pytest.mark.parametrize("line", [("a b", "c"), ("a", "b\r\nc: d"), ("a", "\u20ac")])
def test_a_header_that_cannot_be_sent_is_refused(line: tuple[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="headers: "):
        Refusal(headers=[line])
