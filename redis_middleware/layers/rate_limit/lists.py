"""Addresses as text, sets of networks, and lists of who is always let through or never.

Rules:

* An IPv4 address inside IPv6 (`::ffff:192.0.2.1`, RFC 4291 §2.5.5.2) is that IPv4 address, in networks too.
* A zone (`%eth0`, RFC 4007 §11) is of this machine's making and no part of an address.
* What was meant as an address or a network and is none is refused when a list is made: a mistyped line of a `deny=` that
  is kept as something else would let pass what it names.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from ...errors import ConfigurationError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Subject = str | tuple[str, ...]
"""Who is counted: an address, another text, or several texts that are one subject together."""

LONGEST = 100
"""Characters of the longest text that is taken for an address: 45 of IPv6, and room for a zone, brackets and a port."""

_PORT = r":(?:[0-9]{1,5}|_[0-9A-Za-z._-]+)"  # RFC 7239 §6
_with_port = re.compile(rf"\[([^\[\]]*:[^\[\]]*)\](?:{_PORT})?|([0-9.]+){_PORT}").fullmatch
_four_numbers = re.compile(r"[0-9]+(?:\.[0-9]+){3}").fullmatch


def address_of(text: str) -> Address | None:
    """The address in a text, which may have brackets, a port and a zone; None if there is none.

    Reads `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80` and `fe80::1%eth0`.
    """
    return _address_of(text) if len(text) <= LONGEST else None


@lru_cache(maxsize=4096)  # about 1 MB; a miss takes 2 µs
def _address_of(text: str) -> Address | None:
    node = _with_port(text)
    try:
        address = ip_address((node[1] or node[2]) if node else text)
    except ValueError:
        return None
    if isinstance(address, IPv4Address):
        return address
    return address.ipv4_mapped or IPv6Address(int(address))


def network_of(text: str) -> Network:
    """The network in a text like `10.0.0.0/8` or `2001:db8::1`. Raises `ConfigurationError` if there is none."""
    try:
        network = ip_network(text.strip())
    except (ValueError, AttributeError) as exc:
        raise ConfigurationError(f"expected an address or a network like '10.0.0.0/8', got {text!r}: {exc}") from exc
    if isinstance(network, IPv6Network) and network.prefixlen >= 96 and network.network_address.ipv4_mapped:
        return IPv4Network((network.network_address.ipv4_mapped, network.prefixlen - 96))
    return network


class Networks:
    """A set of networks: `text in networks` asks for an address, or for a whole group like `2001:db8::/64`.

    To ask costs O(log n), and nothing if the set is empty. Never changes, so it serves all threads and tasks.
    """

    __slots__ = ("_firsts", "_lasts")

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        self._firsts: list[int] = []  # ascending, and no two networks touch
        self._lasts: list[int] = []
        for first, last in sorted(map(_ends, networks)):
            if self._lasts and first <= self._lasts[-1] + 1:
                self._lasts[-1] = max(self._lasts[-1], last)
            else:
                self._firsts.append(first)
                self._lasts.append(last)

    def __contains__(self, text: str) -> bool:
        ends = _ends_of(text) if self._firsts else None
        if ends is None:
            return False
        place = bisect_right(self._firsts, ends[0]) - 1
        return place >= 0 and ends[1] <= self._lasts[place]

    def __bool__(self) -> bool:
        return bool(self._firsts)


class AccessList:
    """Who is meant by `allow=` or `deny=`: addresses, networks, and subjects.

    An entry that is an address or a network (`"10.0.0.0/8"`) is compared with the client's address, any other text and any
    tuple with the subject, character by character. A text never equals a tuple: what `header("x-api-key")` counts is
    `("header", "x-api-key", "…")`. One text instead of an iterable is one entry.

    Never changes, so it serves all threads and tasks. Raises `ConfigurationError` for what was meant as an address or a
    network and is none, like `10.0.0.0/33`, `10.0.0.1/8` (which of the two?) or `10.0.0.1:80`.
    """

    __slots__ = ("_networks", "_subjects")

    def __init__(self, entries: str | Iterable[Subject] = ()) -> None:
        networks: list[Network] = []
        subjects: set[Subject] = set()
        for entry in [entries] if isinstance(entries, str) else entries:
            if isinstance(entry, str) and _is_meant_as_network(entry.strip()):
                networks.append(network_of(entry))
            elif isinstance(entry, str | tuple):
                subjects.add(entry)
            else:
                raise ConfigurationError(f"an entry is an address, a network or a subject, as text or tuple, got {entry!r}")
        self._networks = Networks(networks)
        self._subjects = frozenset(subjects)

    def __bool__(self) -> bool:
        return bool(self._networks or self._subjects)

    def matches(self, address: str | None, subject: Subject | None) -> bool:
        """Whether the list has the client's address or the subject.

        `address` is best a single one (`ClientAddress.single`). A group, like `2001:db8::/64`, matches if it is in the list
        as a whole, so not by an entry for one address in it. None, and an address that is none, matches no network.
        """
        return subject in self._subjects or (address is not None and address in self._networks)


def _ends(network: Network) -> tuple[int, int]:
    return _place(network.network_address), _place(network.broadcast_address)


def _ends_of(text: str) -> tuple[int, int] | None:
    address = address_of(text)
    if address is not None:
        return _place(address), _place(address)
    try:
        return _ends(network_of(text)) if "/" in text and len(text) <= LONGEST else None
    except ConfigurationError:
        return None


def _place(address: Address) -> int:
    """Where an address stands among those of both versions."""
    return (address.version << 128) + int(address)


def _is_meant_as_network(text: str) -> bool:
    address, _, mask = text.partition("/")
    return not mask.strip("0123456789.") and bool(_four_numbers(address) or address_of(address))
