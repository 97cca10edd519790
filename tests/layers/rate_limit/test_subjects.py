"""Who is counted, and under which keys."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from redis_middleware import ConfigurationError, Request
from redis_middleware.layers.rate_limit.lists import Subject
from redis_middleware.layers.rate_limit.subjects import (
    MOST_HOPS,
    ClientAddress,
    Key,
    bound,
    client_address,
    cookie,
    header,
    keys_of,
)

PROXY, CLIENT = "10.0.0.1", "203.0.113.9"
PROXIES = ["10.0.0.0/8", "fd00::/8"]

latin1 = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"))
grammar = st.text('",;=\\ []:%_.10afor:', max_size=40)
addresses = st.ip_addresses().map(str)
soup = st.one_of(latin1, grammar, st.lists(st.one_of(addresses, addresses.map("for={}".format), grammar)).map(",".join))
subjects: st.SearchStrategy[Subject] = st.one_of(
    st.text(), addresses, st.lists(st.one_of(st.text(), addresses)).map(tuple), st.text("0123456789:#/}", max_size=6)
)


def asked(peer: str | None = PROXY, forwarded_for: str | None = None, **others: str) -> Request:
    headers = list(others.items())
    return Request(peer=peer, headers=[("x-forwarded-for", forwarded_for), *headers] if forwarded_for is not None else headers)


def behind(value: str | None, **options: Any) -> str:
    """The client of a request that comes from a trusted proxy with this `X-Forwarded-For`."""
    return ClientAddress(PROXIES, **options)(asked(forwarded_for=value))


def told(value: str) -> str:
    """The client of a request that comes from a trusted proxy with this `Forwarded`."""
    return ClientAddress(PROXIES, proxy_header="Forwarded")(asked(forwarded=value))


# without proxies


@pytest.mark.parametrize(
    ("peer", "subject"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("2001:DB8:0:1:ffff::2", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
        ("x" * 10_000, "x" * 10_000),
        (None, "unknown"),
        ("", "unknown"),
    ],
)
def test_the_client_is_the_other_end(peer: str | None, subject: str) -> None:
    assert client_address(asked(peer)) == subject


@given(soup, soup)
def test_without_trusted_proxies_no_header_changes_the_client(forwarded_for: str, forwarded: str) -> None:
    for address in (client_address, ClientAddress(proxy_header="forwarded")):
        for peer, subject in ((CLIENT, CLIENT), (None, "unknown")):
            assert address(asked(peer, forwarded_for, forwarded=forwarded)) == subject


@pytest.mark.parametrize(
    ("prefix", "subject"),
    [
        (128, "2001:db8:1:203:405::6"),
        (64, "2001:db8:1:203::/64"),
        (56, "2001:db8:1:200::/56"),
        (48, "2001:db8:1::/48"),
        (1, "::/1"),
    ],
)
def test_ipv6_is_counted_by_network(prefix: int, subject: str) -> None:
    address = ClientAddress(ipv6_prefix=prefix)
    assert address(asked("2001:0db8:1:203:405::6")) == subject
    assert address(asked("192.0.2.1")) == "192.0.2.1"
    assert address.single(asked("2001:0db8:1:203:405::6")) == "2001:db8:1:203:405::6"


# behind proxies


def test_the_first_address_from_the_right_that_is_no_proxy_is_the_client() -> None:
    assert behind(f"{CLIENT}") == CLIENT
    assert behind(f"{CLIENT}, 10.0.0.2,fd00::1,  10.9.9.9 ") == CLIENT
    assert behind(f"198.51.100.1, {CLIENT}, 10.0.0.2") == CLIENT
    assert behind(f"10.0.0.7, {CLIENT}") == CLIENT


def test_a_peer_that_is_no_trusted_proxy_is_the_client_itself() -> None:
    assert ClientAddress(PROXIES)(asked(CLIENT, "198.51.100.1")) == CLIENT
    assert ClientAddress(PROXIES)(asked("testclient", "198.51.100.1")) == "testclient"
    assert ClientAddress(PROXIES)(asked(None, "198.51.100.1")) == "unknown"


def test_a_unix_socket_is_a_trusted_proxy_if_it_is_named() -> None:
    address = ClientAddress(["unix"])
    assert address(asked(None, CLIENT)) == CLIENT
    assert address(asked("", CLIENT)) == CLIENT
    assert address(asked(None, "garbage")) == "unknown"
    assert address(asked(None)) == "unknown"
    assert address(asked("192.0.2.1", CLIENT)) == "192.0.2.1"
    assert ClientAddress("unix")(asked(None, CLIENT)) == CLIENT


def test_if_all_hops_are_proxies_the_leftmost_one_is_the_client() -> None:
    assert behind("10.0.0.9, 10.0.0.2") == "10.0.0.9"
    assert behind(None) == PROXY


@pytest.mark.parametrize(
    "garbage", ["", "garbage", "unknown", "_hidden", "unix:", "1.2.3", "1.2.3.4.5", "10.0.0.0/8", "é", "[::1", "::1]"]
)
def test_garbage_ends_the_walk_at_the_last_proxy(garbage: str) -> None:
    assert behind(garbage) == PROXY
    assert behind(f"{CLIENT}, {garbage}") == PROXY
    assert behind(f"{CLIENT}, {garbage}, 10.0.0.2") == "10.0.0.2"
    assert behind(f"{garbage}, {CLIENT}, 10.0.0.2") == CLIENT


@pytest.mark.parametrize(
    ("hop", "subject"),
    [
        ("203.0.113.9:5678", CLIENT),
        ("::ffff:203.0.113.9", CLIENT),
        ("::ffff:cb00:7109", CLIENT),
        ("[2001:db8::1]:443", "2001:db8::/64"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::2%eth0", "2001:db8::/64"),
    ],
)
def test_one_client_is_one_subject_however_it_is_written(hop: str, subject: str) -> None:
    assert behind(hop) == subject
    assert told(f'for="{hop}"') == subject


def test_a_proxy_is_known_however_it_is_written() -> None:
    assert behind(f"{CLIENT}, ::ffff:10.0.0.2, 10.0.0.3:80, [fd00::2]:80") == CLIENT
    assert ClientAddress(["::ffff:10.0.0.1"])(asked("10.0.0.1", CLIENT)) == CLIENT
    assert ClientAddress(["10.0.0.1"])(asked("::ffff:a00:1", CLIENT)) == CLIENT
    assert ClientAddress("10.0.0.1")(asked("10.0.0.1", CLIENT)) == CLIENT


def test_trust_is_about_the_address_not_about_the_network_it_is_counted_by() -> None:
    address = ClientAddress(["2001:db8::1"])
    assert address(asked("2001:db8::1", CLIENT)) == CLIENT
    assert address(asked("2001:db8::2", CLIENT)) == "2001:db8::/64"


def test_several_lines_are_one_header() -> None:
    request = Request(peer=PROXY, headers=[("x-forwarded-for", "198.51.100.1"), ("X-Forwarded-For", f"{CLIENT}, 10.0.0.2")])
    assert ClientAddress(PROXIES)(request) == CLIENT


def test_the_header_that_the_proxy_does_not_set_is_not_looked_at() -> None:
    assert ClientAddress(PROXIES)(asked(forwarded_for=CLIENT, forwarded="for=198.51.100.1")) == CLIENT
    assert ClientAddress(PROXIES)(asked(forwarded="for=198.51.100.1")) == PROXY
    by_rfc = ClientAddress(PROXIES, proxy_header="Forwarded")
    assert by_rfc(asked(forwarded_for="198.51.100.1", forwarded=f"for={CLIENT}")) == CLIENT
    assert by_rfc(asked(forwarded_for="198.51.100.1")) == PROXY


def test_a_proxy_may_set_a_header_of_its_own() -> None:
    request = Request(peer=PROXY, headers=[("X-Real-IP", CLIENT), ("x-forwarded-for", "198.51.100.1")])
    assert ClientAddress(PROXIES, proxy_header="x-real-ip")(request) == CLIENT


@pytest.mark.parametrize(
    ("value", "subject"),
    [
        ("for=203.0.113.9", CLIENT),
        ("For=203.0.113.9;proto=http;by=203.0.113.43", CLIENT),
        ('by=10.0.0.9 ; FOR="203.0.113.9:4711";host="a;b,c\\"d"', CLIENT),
        ("for=198.51.100.1, for=203.0.113.9, for=10.0.0.2", CLIENT),
        ('for=203.0.113.9;host="x, for=198.51.100.1"', CLIENT),
        ('for=203.0.113.9;host="x, for=198.51.100.1;a=";proto="http"', CLIENT),
        ('for="[2001:db8:cafe::17]:4711"', "2001:db8:cafe::/64"),
        ('for="\\203.0.113.9"', CLIENT),
        ("for=unknown", PROXY),
        ("for=_gazonk", PROXY),
        ('for="_gazonk:80"', PROXY),
        ("for=198.51.100.1, for=unknown", PROXY),
        ("for=198.51.100.1, for=_secret, for=10.0.0.2", "10.0.0.2"),
        ("for=10.0.0.3;for=198.51.100.1", PROXY),
        ("proto=http", PROXY),
        ("203.0.113.9", PROXY),
        ("for=203.0.113.9 by=10.0.0.1", PROXY),
        ("for*=UTF-8''203.0.113.9", PROXY),
        ('for="203.0.113.9', PROXY),
        ('for="198.51.100.1, for=203.0.113.9', CLIENT),
        ("", PROXY),
        (",", PROXY),
        ('"', PROXY),
    ],
)
def test_forwarded_is_read_as_rfc_7239_writes_it(value: str, subject: str) -> None:
    assert told(value) == subject


@given(st.lists(soup), st.lists(soup), st.sampled_from([PROXY, CLIENT, None, "testclient", "x" * 1000]))
def test_no_header_ever_raises(forwarded_for: list[str], forwarded: list[str], peer: str | None) -> None:
    lines = [*(("x-forwarded-for", value) for value in forwarded_for), *(("forwarded", value) for value in forwarded)]
    request = Request(peer=peer, headers=lambda: lines)
    for name in ("x-forwarded-for", "forwarded"):
        address = ClientAddress([*PROXIES, "unix"], proxy_header=name)
        assert isinstance(address(request), str)
        assert isinstance(address.single(request), str)


@given(soup, addresses, st.lists(st.sampled_from(["10.1.2.3", "fd00::7", "::ffff:10.0.0.4"]), max_size=3))
def test_what_a_client_puts_in_front_never_changes_who_it_is(forged: str, client: str, proxies: list[str]) -> None:
    assume(client not in ClientAddress(PROXIES)._proxies)
    hops = [client, *proxies]
    assert behind(", ".join([forged, *hops])) == behind(", ".join(hops)) == client_address(asked(client))
    quoted = [f'for="[{hop}]:80"' if ":" in hop else f"for={hop};proto=https" for hop in hops]
    assert told(", ".join([forged, *quoted])) == told(", ".join(quoted)) == client_address(asked(client))


def test_only_so_many_hops_are_looked_at() -> None:
    many = ",".join([CLIENT] + ["10.0.0.2"] * MOST_HOPS)
    assert behind(many) == "10.0.0.2"
    assert behind(",".join([CLIENT] + ["10.0.0.2"] * (MOST_HOPS - 1))) == CLIENT
    assert told(",".join([f"for={CLIENT}"] + ["for=10.0.0.2"] * MOST_HOPS)) == "10.0.0.2"


@pytest.mark.parametrize("piece", [",", '"', '\\"', 'for="', 'for="\\', "for=1,", ' \t;="', "a=b;", "[", "1.", '=",'])
def test_a_long_header_is_read_in_time_linear_in_its_length(piece: str) -> None:
    whole = piece * 200_000  # a second at most; quadratic time would be hours
    for value in (whole, whole + '"', f"for={CLIENT}, {whole}"):
        assert behind(value) == PROXY
        assert told(value) == PROXY


@pytest.mark.parametrize("proxy", ["10.0.0.0/33", "10.0.0.1/8", "localhost", "", "*", "10.0.0.1:80", 10, None])
def test_a_proxy_that_is_no_network_is_refused_by_name(proxy: Any) -> None:
    with pytest.raises(ConfigurationError) as raised:
        ClientAddress(["10.0.0.1", proxy])
    assert repr(proxy) in str(raised.value)


@pytest.mark.parametrize(
    "options", [{"ipv6_prefix": 0}, {"ipv6_prefix": 129}, {"ipv6_prefix": "64"}, {"proxy_header": "x forwarded"}]
)
def test_other_options_that_make_no_sense_are_refused(options: Any) -> None:
    with pytest.raises(ConfigurationError):
        ClientAddress(**options)


# headers and cookies


def test_a_header_is_a_subject_that_no_address_can_be() -> None:
    by_key = header("X-API-Key")
    assert by_key(Request(headers=[("x-api-key", " k1 ")])) == ("header", "x-api-key", "k1")
    posing = by_key(Request(headers=[("x-api-key", CLIENT)]))
    assert posing is not None
    assert keys_of(posing, ("hour",)) != keys_of(CLIENT, ("hour",))


@pytest.mark.parametrize("lines", [[], [("x-api-key", "")], [("x-api-key", " ")], [("x-api-key", "k1"), ("X-API-Key", "k2")]])
def test_without_one_header_the_address_is_counted(lines: Any) -> None:
    assert header("x-api-key")(Request(peer=CLIENT, headers=lines)) == CLIENT
    assert header("x-api-key", otherwise=None)(Request(peer=CLIENT, headers=lines)) is None


@pytest.mark.parametrize(
    ("lines", "value"),
    [
        (["id=s1"], "s1"),
        (["a=b; id=s1; c=d"], "s1"),
        (["a=b", "id=s1"], "s1"),  # as HTTP/2 may send them
        (['id="s\\"1"'], 's"1'),
        (["id=\xff"], "\xff"),
        (["ID=s1"], None),
        (["id=s1; id=s2"], None),
        (["id=s1", "id=s2"], None),
        (["id="], None),
        (["id"], None),
        ([], None),
    ],
)
def test_a_cookie_is_a_subject(lines: list[str], value: str | None) -> None:
    request = Request(peer=CLIENT, headers=[("cookie", line) for line in lines])
    assert cookie("id")(request) == (CLIENT if value is None else ("cookie", "id", value))
    assert cookie("id", otherwise=None)(request) == (None if value is None else ("cookie", "id", value))


@given(st.lists(st.one_of(latin1, st.text('id="\\;= 1%\xff'))))
def test_no_cookie_ever_raises(values: list[str]) -> None:
    cookie("id")(Request(headers=lambda: [("cookie", value) for value in values]))


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\n", 5])
@pytest.mark.parametrize("kind", [header, cookie])
def test_a_name_that_is_none_is_refused(kind: Any, name: Any) -> None:
    with pytest.raises(ConfigurationError):
        kind(name)


@pytest.mark.parametrize("key", [client_address, header("x-api-key"), cookie("id"), header("x-api-key", cookie("id"))])
def test_a_limiter_s_proxies_hold_for_whatever_falls_back_to_the_address(key: Key) -> None:
    request = asked(forwarded_for=CLIENT)
    assert key(request) == PROXY
    assert bound(key, ClientAddress(PROXIES))(request) == CLIENT


def test_a_key_of_the_user_s_own_stays_as_it_is() -> None:
    def key(request: Request) -> str:
        return "me"

    own = ClientAddress(ipv6_prefix=48)
    assert bound(key, ClientAddress(PROXIES)) is key
    assert bound(own, ClientAddress(PROXIES)) is own
    assert bound(header("x-api-key", None), ClientAddress(PROXIES))(Request()) is None


# keys


@pytest.mark.parametrize("subject", ["192.0.2.1", "2001:db8::/64", "2001:db8::1", "::1", "::/64", "unknown"])
def test_addresses_are_readable_in_keys(subject: str) -> None:
    assert keys_of(subject, ("hour", "api.minute")) == (f"l:{{{subject}}}:hour", f"l:{{{subject}}}:api.minute")


@pytest.mark.parametrize(
    "secret", ["k-123", "12345678", "0123456789abcdef" * 2, "alice", ("header", "x-api-key", "k-123"), ("192.0.2.1",)]
)
def test_nothing_else_is(secret: Subject) -> None:
    [key] = keys_of(secret, ("hour",))
    assert not any(part in key for part in ([secret] if isinstance(secret, str) else secret))
    assert len(key) < 48


def test_composite_subjects_are_told_apart() -> None:
    alike: list[Subject] = [
        ("a/b", "c"),
        ("a", "b/c"),
        ("a", "b", "c"),
        ("ab", "c"),
        ("1:a",),
        ("a",),
        "a",
        "1:a",
        (),
        "",
        ("",),
        ("", ""),
    ]
    assert len({keys_of(subject, ("hour",)) for subject in alike}) == len(alike)


@given(subjects, subjects)
def test_no_two_subjects_have_a_key_in_common(one: Subject, other: Subject) -> None:
    assume(one != other)
    assert not set(keys_of(one, ("hour", "day"))) & set(keys_of(other, ("hour", "day")))


@given(subjects, st.text(), st.text(), st.text("/:#ab"), st.text("/:#ab"))
def test_no_two_scopes_and_names_have_a_key_in_common(subject: Subject, scope: str, other: str, name: str, second: str) -> None:
    assume((scope, name) != (other, second))
    assert keys_of(subject, (name,), scope) != keys_of(subject, (second,), other)
    assert keys_of(subject, (name,), name) != keys_of(subject, (second,), second) or name == second


@given(subjects, st.text())
def test_all_keys_of_a_subject_have_its_hash_tag(subject: Subject, scope: str) -> None:
    keys = [*keys_of(subject, ("hour", "d}ay{"), scope), *keys_of(subject, ("hour",))]
    [tag] = {key[key.index("{") + 1 : key.index("}")] for key in keys}  # the first braces (Redis Cluster specification)
    assert tag


def test_a_scope_stays_readable_if_it_is_a_plain_path() -> None:
    assert keys_of("192.0.2.1", ("hour",), "/login") == ("l:{192.0.2.1}/login:hour",)
    [key] = keys_of("192.0.2.1", ("hour",), "/items/{id}")
    assert key.startswith("l:{192.0.2.1}#")
