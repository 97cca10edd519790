"""Who is counted: from a request to a subject, and from a subject to the keys it is counted under.

Rules:

* A header says only what the nearest proxy made sure of. It is read from the right, where trusted proxies have added to it,
  and only as far as they have: nothing that stands left of the client's address changes who the client is.
* What cannot be read ends the walk where it was still good. The request is then counted for the last proxy that is
  known: never for nobody, and never for somebody whom the client names.
* No two subjects have a key in common, and nothing but addresses stands in a key in clear.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import blake2b
from ipaddress import IPv4Address, IPv6Network

from werkzeug.http import unquote_header_value
from werkzeug.sansio.http import parse_cookie  # the one in werkzeug.http raises for bytes that are not UTF-8

from ...errors import ConfigurationError
from ...http import Headers, Request
from .lists import LONGEST, Networks, Subject, address_of, network_of

Key = Callable[[Request], Subject | None]

UNKNOWN = "unknown"
UNIX = "unix"
MOST_HOPS = 32
"""How many hops of a header are looked at; who has more proxies in a row than that?"""

_element = re.compile(r'((?:[^",]++|"(?:[^"]|"\\)*+")*+)(?:,|\Z)').match  # read backwards: an escaped quote is "\
_pair = re.compile(r'[ \t]*([^\s"=;,]+)=("(?:[^"\\]|\\.)*+"|[^\s";,]+)[ \t]*(?:;|\Z)').match  # RFC 7239 §4
_in_clear = re.compile(r"unknown|[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7}(?:/[0-9]{1,3})?").fullmatch
_label_in_clear = re.compile(r"/[0-9A-Za-z_./-]{0,63}").fullmatch


class ClientAddress:
    """The address of the client: `ClientAddress()(request)` is that of the connection's other end, and no header is believed.

    `trusted_proxies` are the addresses and networks of proxies in front; the word `"unix"` stands for connections without an
    address. If the other end is one of them, `proxy_header` is read from the right, and the first address that is not
    trusted is the client's; the leftmost one if all are. Whoever connects from a trusted address can therefore name any
    client: trust proxies, not networks with clients in them.

    `proxy_header` is the one header that the proxy sets or appends to: `"x-forwarded-for"` by default, as AWS ALB and
    Cloudflare do, and nginx and HAProxy are told to; `"forwarded"` (RFC 7239); or one with a single address, like
    `"x-real-ip"`. No other one is looked at: a proxy passes on what it does not know as the client sent it.

    IPv6 addresses are counted by network, as a client has many: as `2001:db8::/64` with an `ipv6_prefix` of 64 bits, the
    default. A site may have a /56 or a /48 (RFC 6177 §2), and a smaller prefix counts that as one; 128 counts each address.
    An IPv4 address inside IPv6 is IPv4. What is no address (a test client's name) stays as it is; connections without one
    are all `"unknown"` and share one budget: nobody is unlimited by accident.

    One object serves all threads and tasks. Raises `ConfigurationError` for what is no network, prefix or header name.
    """

    __slots__ = ("_header", "_ipv6_prefix", "_proxies", "_unix")

    def __init__(
        self, trusted_proxies: str | Iterable[str] = (), ipv6_prefix: int = 64, *, proxy_header: str = "x-forwarded-for"
    ) -> None:
        if not isinstance(ipv6_prefix, int) or not 0 < ipv6_prefix <= 128:
            raise ConfigurationError(f"ipv6_prefix must be 1 to 128 bits, got {ipv6_prefix!r}")
        proxies = [trusted_proxies] if isinstance(trusted_proxies, str) else list(trusted_proxies)
        self._unix = UNIX in proxies
        self._proxies = Networks([network_of(proxy) for proxy in proxies if proxy != UNIX])
        self._ipv6_prefix = ipv6_prefix
        self._header = _name(proxy_header).lower()

    def __call__(self, request: Request, /) -> str:
        return _written(self._found(request), self._ipv6_prefix)

    def grouped(self, subject: Subject) -> Subject:
        """A subject as it is counted: an address by its network, anything else as it is."""
        return _written(subject, self._ipv6_prefix) if isinstance(subject, str) else subject

    def single(self, request: Request) -> str:
        """The address by itself, not its network: to look for in a list of networks."""
        return _written(self._found(request), 128)

    def _found(self, request: Request) -> str:
        client = request.peer or ""
        if not (client in self._proxies if client else self._unix):
            return client or UNKNOWN
        for hop in self._hops(request):
            if address_of(hop) is None:
                break
            client = hop
            if hop not in self._proxies:
                break
        return client or UNKNOWN

    def _hops(self, request: Request) -> Iterator[str]:
        """What each proxy said of who called it, the nearest proxy first."""
        value = request.headers.get(self._header, "") or ""
        if self._header == "forwarded":
            yield from _forwarded(value)
        else:
            for hop in reversed(value.rsplit(",", MOST_HOPS)[-MOST_HOPS:]):
                yield hop.strip(" \t")


def _written(text: str, ipv6_prefix: int) -> str:
    return _canonical(text, ipv6_prefix) if len(text) <= LONGEST else text


@lru_cache(maxsize=4096)
def _canonical(text: str, ipv6_prefix: int) -> str:
    address = address_of(text)
    if address is None:
        return text
    if isinstance(address, IPv4Address) or ipv6_prefix == 128:
        return str(address)
    return str(IPv6Network((address, ipv6_prefix), strict=False))


def _forwarded(value: str) -> Iterator[str]:
    """The `for` of each element of a `Forwarded` header, the last element first; "" where there is none that can be read.

    The header is read backwards: so a quote that a client has opened in front of what the proxies said swallows none of it.
    """
    backwards, place = value[::-1], 0
    for _ in range(MOST_HOPS):
        element = _element(backwards, place)
        if element is None:
            return
        yield _for(element[1][::-1])
        place = element.end()


def _for(element: str) -> str:
    place, values = 0, []
    while place < len(element):
        pair = _pair(element, place)
        if pair is None:
            return ""
        if pair[1].lower() == "for":
            values.append(pair[2])
        place = pair.end()
    return unquote_header_value(values[0]) if len(values) == 1 else ""  # twice is an error (RFC 7239 §4)


def _name(name: str) -> str:
    try:
        Headers([(name, "")])
    except (ValueError, TypeError) as exc:
        raise ConfigurationError(f"expected the name of a header or cookie, got {name!r}") from exc
    return name


client_address = ClientAddress()
"""The default `key`: the address of the connection's other end, or what `trusted_proxies` of the limiter make of it."""


def header(name: str, otherwise: Key | None = client_address) -> Key:
    """A `key` that counts by the value of a header, like an API key: `key=header("x-api-key")`.

    The subject is `("header", name, value)`, so no value can pose as an address, and none stands in a key in clear. Without
    the header, with an empty one, and with one sent twice (servers and frameworks differ in which they take),
    `otherwise(request)` is asked: the client's address. With `otherwise=None` such requests are not limited at all: whoever
    leaves the header out has no limit, so only do that where the app refuses them.

    A client can make up values, and each has a budget of its own: keep a limit by address beside this one, unless what
    stands in front refuses values that it does not know. Raises `ConfigurationError` for what is no header name.
    """
    return _Field("header", _name(name).lower(), _header_values, otherwise)


def cookie(name: str, otherwise: Key | None = client_address) -> Key:
    """A `key` that counts by the value of a cookie. The subject is `("cookie", name, value)`; all else is as with `header`."""
    return _Field("cookie", _name(name), _cookie_values, otherwise)


def bound(key: Key, client: ClientAddress) -> Key:
    """`key`, asking `client` wherever it would ask `client_address`: a limiter's proxies hold for its `header(…)`, too."""
    if key is client_address:
        return client
    if isinstance(key, _Field) and key.otherwise is not None:
        return replace(key, otherwise=bound(key.otherwise, client))
    return key


@dataclass(frozen=True, slots=True)
class _Field:
    kind: str
    name: str
    values: Callable[[Request, str], list[str]]
    otherwise: Key | None

    def __call__(self, request: Request, /) -> Subject | None:
        values = self.values(request, self.name)
        if len(values) == 1 and values[0]:
            return (self.kind, self.name, values[0])
        return self.otherwise(request) if self.otherwise else None


def _header_values(request: Request, name: str) -> list[str]:
    return [value.strip() for value in request.headers.getall(name)]


def _cookie_values(request: Request, name: str) -> list[str]:
    return parse_cookie("; ".join(request.headers.getall("cookie"))).getlist(name)  # HTTP/2 may split it (RFC 9113 §8.2.3)


def keys_of(subject: Subject, names: tuple[str, ...], scope: str = "", tag: str | None = None) -> tuple[str, ...]:
    """The key of each policy for a subject, all with one hash tag, so that one script may use them on a Cluster: the
    subject, or `tag`, which several subjects may share.

    Addresses stay readable; every other subject is put as a digest, as it may be a secret and may have characters with a
    meaning in keys. `scope` is a label (`Scope.of`) that tells the budgets of one subject apart. No two pairs of subject and
    scope have a key in common.
    """
    subject = spelled(subject)
    if scope and not _label_in_clear(scope):
        scope = "#" + _digest(scope)
    if tag is not None:
        return tuple([f"l:{{#{_digest(tag)}}}{subject}{scope}:{name}" for name in names])
    return tuple([f"l:{{{subject}}}{scope}:{name}" for name in names])


def spelled(subject: Subject) -> str:
    """A subject as it stands in keys and lists: addresses in clear, everything else as a digest."""
    if isinstance(subject, tuple):
        return "##" + _digest("".join([f"{len(part)}:{part}" for part in subject]))
    return subject if _in_clear(subject) else "#" + _digest(subject)


def _digest(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
