"""Who is let in: by address, unless a proxy stands between; by token; and what a browser cannot be made to start."""

from __future__ import annotations

import pytest

from redis_middleware import Request
from redis_middleware.layers.health.access import Access

LOOPBACK = ("127.0.0.0/8", "::1/128")
TOKEN = "s3cret-token"
BEARER = ("authorization", f"Bearer {TOKEN}")
OWN = ("x-redis-middleware", "yes")


def asked(*headers: tuple[str, str], peer: str | None = "127.0.0.1") -> Request:
    return Request("POST", "/api/redis/test", headers=headers, peer=peer)


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_who_sits_on_this_machine_sees_the_details(peer: str) -> None:
    assert Access(LOOPBACK, None).granted(asked(peer=peer)) == "address"


@pytest.mark.parametrize("peer", ["192.0.2.1", "10.0.0.1", "2001:db8::1", "::ffff:192.0.2.1", "testclient", "", None])
def test_others_do_not(peer: str | None) -> None:
    assert Access(LOOPBACK, None).granted(asked(peer=peer)) is None


def test_networks_are_the_users() -> None:
    access = Access(["10.1.0.0/16", "2001:db8::/32"], None)
    assert access.granted(asked(("host", "app.example"), peer="10.1.2.3")) == "address"
    assert access.granted(asked(peer="2001:db8::7")) == "address"
    assert access.granted(asked()) is None
    assert Access("10.0.0.1", None).granted(asked(peer="10.0.0.1")) == "address"
    assert Access((), None).granted(asked()) is None


@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded", "Via", "X-Real-IP", "CF-Connecting-IP", "X-Forwarded-Proto"])
@pytest.mark.parametrize("value", ["127.0.0.1", "", "for=127.0.0.1"])
def test_who_comes_through_a_proxy_on_this_machine_is_no_neighbour(name: str, value: str) -> None:
    assert Access(LOOPBACK, None).granted(asked((name, value))) is None


@pytest.mark.parametrize(
    ("host", "near"),
    [
        ("localhost:8000", True),
        ("127.0.0.1:8000", True),
        ("[::1]:8000", True),
        ("10.0.0.5", True),
        ("evil.example:8000", False),
        ("localhost.evil.example", False),
        ("[::1", False),
    ],
)
def test_a_site_whose_name_was_rebound_to_loopback_is_no_neighbour(host: str, near: bool) -> None:
    assert (Access(LOOPBACK, None).granted(asked(("host", host))) == "address") is near


@pytest.mark.parametrize(
    ("value", "opens"),
    [
        (f"Bearer {TOKEN}", True),
        (f"bearer  {TOKEN} ", True),
        (f"Basic {TOKEN}", False),
        (TOKEN, False),
        (f"Bearer {TOKEN}x", False),
        ("Bearer ", False),
        ("Bearer \xff", False),
        ("", False),
    ],
)
def test_the_token_opens_from_anywhere(value: str, opens: bool) -> None:
    request = asked(("authorization", value), ("x-forwarded-for", "192.0.2.9"), peer="192.0.2.1")
    assert (Access(LOOPBACK, TOKEN).granted(request) == "token") is opens


def test_without_a_token_none_opens() -> None:
    assert Access((), None).granted(asked(("authorization", "Bearer None"))) is None
    assert Access((), None).granted(asked(("authorization", "Bearer "))) is None


def test_a_neighbour_starts_the_test_only_with_a_field_that_no_form_can_send() -> None:
    access = Access(LOOPBACK, TOKEN)
    assert not access.may_start(asked())
    assert access.may_start(asked(OWN))
    assert access.may_start(asked(BEARER, peer="192.0.2.1"))
    assert not access.may_start(asked(OWN, peer="192.0.2.1"))


SAME = [("host", "localhost:8000"), ("origin", "http://localhost:8000")]


@pytest.mark.parametrize(
    ("headers", "starts"),
    [
        (SAME, True),
        ([*SAME, ("sec-fetch-site", "same-origin")], True),
        ([("host", "localhost:8000"), ("origin", "https://public.example"), ("sec-fetch-site", "same-origin")], True),
        ([*SAME, ("sec-fetch-site", "cross-site")], False),
        ([*SAME, ("sec-fetch-site", "same-site")], False),
        ([("host", "localhost:8000"), ("origin", "https://evil.example")], False),
        ([("host", "localhost:8000"), ("origin", "http://localhost:9000")], False),
        ([("host", "localhost:8000"), ("origin", "null")], False),
        ([("host", "localhost:8000"), ("origin", "http://[")], False),
        ([("origin", "https://evil.example")], False),
    ],
)
def test_a_browser_on_another_origin_starts_nothing(headers: list[tuple[str, str]], starts: bool) -> None:
    access = Access(LOOPBACK, TOKEN)
    assert access.may_start(asked(*headers, OWN)) is starts
    assert access.may_start(asked(*headers, BEARER)) is starts
