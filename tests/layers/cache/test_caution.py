"""What is not stored by default although RFC 9111 lets it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from redis_middleware import Request
from redis_middleware.http import Headers
from redis_middleware.layers.cache.caution import SESSION, Caution
from redis_middleware.layers.cache.rfc9111 import Control

Lines = Sequence[tuple[str, str]]


def refusal(
    lines: Lines = (), *, asked: Lines = (), status: int = 200, native: object = None, caution: Caution | None = None
) -> str | None:
    headers = Headers(lines)
    request = Request("GET", "/", headers=asked, native={} if native is None else {SESSION: native})
    return (caution or Caution()).refusal(request, status, headers, Control.of(headers))


def said(directives: str) -> list[tuple[str, str]]:
    return [("cache-control", directives)]


def test_a_cookie_that_is_set_is_for_one_client() -> None:
    assert refusal([*said("public, max-age=60"), ("Set-Cookie", "a=b")]) == "set-cookie"


@dataclass
class Session:
    accessed: bool


def test_a_response_for_which_the_app_looked_at_the_session_is_somebodys() -> None:
    assert refusal(said("public, max-age=60"), native=Session(accessed=True)) == "session"
    assert refusal(said("max-age=60"), native=Session(accessed=False)) is None


@pytest.mark.parametrize("name", ["Authorization", "Cookie"])
@pytest.mark.parametrize(
    ("directives", "expected"),
    [
        ("max-age=60", "credentials"),
        ("must-revalidate, max-age=60", "credentials"),  # RFC 9111 §3.5 would do with it
        ("public=1, max-age=60", "credentials"),
        ("s-maxage=x", "credentials"),
        ("s-maxage=1, s-maxage=2", "credentials"),
        ("public, max-age=60", None),
        ("s-maxage=60", None),
    ],
)
def test_a_response_to_somebody_is_theirs_unless_it_says_that_it_is_for_all(
    name: str, directives: str, expected: str | None
) -> None:
    assert refusal(said(directives), asked=[(name, "x")]) == expected


def test_the_fields_that_say_who_asks_can_be_chosen() -> None:
    caution = Caution(private_headers=frozenset({"x-key"}))
    assert refusal(said("max-age=60"), asked=[("X-Key", "1")], caution=caution) == "credentials"
    assert refusal(said("max-age=60"), asked=[("Cookie", "1")], caution=caution) is None


@pytest.mark.parametrize("status", [400, 413, 429, 431, 500, 503])
def test_what_went_wrong_for_one_client_or_for_a_minute_is_not_for_all(status: int) -> None:
    assert refusal(said("public, max-age=60"), status=status) == "status"


@pytest.mark.parametrize("status", [404, 405, 410])
def test_other_errors_have_to_say_for_how_long(status: int) -> None:
    assert refusal([("etag", '"a"')], status=status) == "status"
    assert refusal(said("max-age=60"), status=status) is None


def test_nobody_means_to_share_by_cookie_or_browser() -> None:
    assert refusal([("vary", "accept, Cookie, User-Agent")]) == "vary-cookie"
    assert refusal([("vary", "user-agent")]) == "vary-user-agent"
    assert refusal([("vary", "user-agent")], caution=Caution(vary=frozenset({"user-agent"}))) is None
    assert refusal([("vary", "accept-encoding")]) is None
