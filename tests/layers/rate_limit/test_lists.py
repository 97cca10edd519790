"""Addresses, sets of networks, and the lists of `allow=` and `deny=`."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_middleware import ConfigurationError
from redis_middleware.layers.rate_limit.lists import LONGEST, AccessList, Networks, address_of, network_of

ADDRESSES = st.ip_addresses().map(str)
INSIDE_IPV6 = IPv6Network("::ffff:0:0/96")
NETWORKS = st.one_of(
    st.builds(lambda address, bits: IPv4Network((address, bits), strict=False), st.ip_addresses(v=4), st.integers(0, 32)),
    st.builds(lambda address, bits: IPv6Network((address, bits), strict=False), st.ip_addresses(v=6), st.integers(0, 128)).filter(
        lambda network: not network.overlaps(INSIDE_IPV6)
    ),
)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:5678", "192.0.2.1"),
        ("192.0.2.1:_hidden", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%eth0]:80", "fe80::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::ffff:c000:201", "192.0.2.1"),
        ("[::FFFF:192.0.2.1%1]:80", "192.0.2.1"),
    ],
)
def test_an_address_is_read_however_it_is_written(text: str, address: str) -> None:
    assert str(address_of(text)) == address


NO_ADDRESSES = [
    *("", "unknown", "_hidden", "192.0.2", "192.0.2.256", "192.0.2.01", "0x7f.1", "3232235777", "192.0.2.1/32", "192.0.2.1 "),
    *("192.0.2.1:", "192.0.2.1:123456", "192.0.2.1%eth0", "[192.0.2.1]", "[2001:db8::1", "2001:db8::1]", "[[::1]]", ":::"),
    *("[]:80", "１.2.3.4", "1::2%" + "x" * LONGEST),
]


@pytest.mark.parametrize("text", NO_ADDRESSES)
def test_what_is_no_address_is_none(text: str) -> None:
    assert address_of(text) is None


@given(st.text())
def test_no_text_is_too_strange(text: str) -> None:
    address_of(text)
    assert not AccessList(["192.0.2.1"]).matches(text, text) or address_of(text) == ip_address("192.0.2.1")


@given(st.lists(NETWORKS, max_size=8), ADDRESSES)
def test_a_set_of_networks_has_the_addresses_of_each(networks: list[Any], text: str) -> None:
    address = address_of(text)
    assert address is not None
    assert (text in Networks(networks)) == any(address in network for network in networks)


@given(st.lists(NETWORKS, min_size=1, max_size=8), st.data())
def test_every_network_of_a_set_is_in_it(networks: list[Any], data: st.DataObject) -> None:
    network = data.draw(st.sampled_from(networks))
    assert str(network) in Networks(networks)
    assert str(network.network_address) in Networks(networks)
    assert str(network.broadcast_address) in Networks(networks)


def test_a_group_is_in_a_set_only_as_a_whole() -> None:
    networks = Networks([network_of("2001:db8::/48"), network_of("2001:db8:1::1"), network_of("10.0.0.0/25")])
    assert "2001:db8:0:5::/64" in networks
    assert "2001:db8:1::/64" not in networks
    assert "10.0.0.0/24" not in networks
    assert "10.0.0.0/24" in Networks([network_of("10.0.0.0/25"), network_of("10.0.0.128/25")])


def test_an_ipv4_network_inside_ipv6_is_the_ipv4_network() -> None:
    assert network_of("::ffff:10.0.0.0/104") == IPv4Network("10.0.0.0/8")
    assert "10.1.2.3" in Networks([network_of("::ffff:10.0.0.0/104")])
    assert "::ffff:10.1.2.3" in Networks([network_of("10.0.0.0/8")])
    assert "10.1.2.3" not in Networks([network_of("::/0")])


@pytest.mark.parametrize("entries", [["10.0.0.0/8"], "10.0.0.0/8", (" 10.1.2.3 ",), ["192.0.2.1", "10.1.0.0/255.255.0.0"]])
def test_an_address_is_looked_up_in_the_networks(entries: Any) -> None:
    listed = AccessList(entries)
    assert listed.matches("10.1.2.3", "42")
    assert listed.matches("10.1.2.3", None)
    assert not listed.matches("11.1.2.3", "42")
    assert not listed.matches(None, "42")
    assert not listed.matches("testclient", "42")


def test_a_subject_is_compared_as_it_is() -> None:
    listed = AccessList(["42", "testclient", ("header", "x-api-key", "k1")])
    assert listed.matches("192.0.2.1", "42")
    assert listed.matches(None, "testclient")
    assert listed.matches(None, ("header", "x-api-key", "k1"))
    assert not listed.matches("192.0.2.1", "4")
    assert not listed.matches("192.0.2.1", "k1")
    assert not listed.matches("192.0.2.1", ("42",))
    assert not listed.matches("42", None)


def test_a_subject_that_a_client_names_like_an_allowed_address_is_not_allowed() -> None:
    assert not AccessList(["10.0.0.0/8", "10.0.0.1"]).matches("192.0.2.1", "10.0.0.1")
    assert not AccessList(["10.0.0.1"]).matches("192.0.2.1", ("10.0.0.1",))


def test_an_empty_list_matches_nobody() -> None:
    assert not AccessList()
    assert not AccessList().matches("192.0.2.1", "192.0.2.1")
    assert AccessList(["42"])
    assert AccessList(["::1"])


@pytest.mark.parametrize(
    "entry", ["10.0.0.0/33", "10.0.0.1/8", "10.0.0.256", "10.0.0.1:80", "2001:db8::/129", "[::1]", "10.0.0.0/"]
)
def test_what_was_meant_as_a_network_and_is_none_is_refused(entry: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        AccessList([entry])
    assert entry in str(raised.value)


@pytest.mark.parametrize("entry", [42, None, b"10.0.0.1", ip_address("10.0.0.1")])
def test_an_entry_that_is_no_text_is_refused(entry: Any) -> None:
    with pytest.raises(ConfigurationError, match="an entry is"):
        AccessList([entry])


@pytest.mark.parametrize("entry", ["1.2", "192.0.2.1/login", "a/b", "12:34", "12345", "v1.2.3.4", ""])
def test_other_text_is_a_subject(entry: str) -> None:
    assert AccessList([entry]).matches(None, entry)
