"""Under which key a response is stored: the URL that was asked for, as the client wrote it.

Whatever the app could tell two requests apart by is in it, so nobody can make one answer be stored for another question: the
scheme, the host, where the app is mounted, the raw path, the query. Where that cannot be known, nothing is stored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from hashlib import blake2b
from urllib.parse import unquote, unquote_plus, urlsplit

from ...http import Headers, Request
from .fields import members

PORTS = {"http": "80", "https": "443"}

NEGOTIATION = ("accept", "accept-charset", "accept-encoding", "accept-language")
"""Lists in which neither case nor space means anything (RFC 9110 §12.5)."""

NO_LISTS = ("authorization", "cookie", "user-agent")
"""Fields in which a comma means nothing."""

_is_host = re.compile(r"([a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?|\[[0-9a-f:.]+\])(?::(\d{1,5}))?", re.ASCII | re.IGNORECASE).fullmatch

FORWARDED = frozenset(
    {
        "forwarded", "front-end-https", "x-forwarded-host", "x-forwarded-port", "x-forwarded-prefix", "x-forwarded-proto",
        "x-forwarded-protocol", "x-forwarded-scheme", "x-forwarded-server", "x-forwarded-ssl", "x-scheme", "x-url-scheme",
    }
)  # fmt: skip
"""Fields in which proxies tell of the URL that they were asked for, and which frameworks believe if told to."""

_forwarded = re.compile(r"(?:^|[;,])[ \t]*((?:host|proto)=[^;,]*)", re.IGNORECASE).findall

TWISTED = ("x-http-method-override", "x-http-method", "x-method-override", "x-original-url", "x-rewrite-url")
"""Fields by which some frameworks take a request for another one than it says it is."""


@dataclass(frozen=True, slots=True)
class Url:
    """What was asked for, in the one form that keys are made of."""

    scheme: str
    host: str
    path: str
    query: str
    namespace: str = ""

    @property
    def key(self) -> str:
        """The key of its entries, with a hash tag: those of one URL are in one slot."""
        return f"c:{{{digest(self.namespace, self.scheme, self.host, self.path, self.query)}}}"

    @property
    def text(self) -> str:
        return f"{self.scheme}://{self.host}{self.path}" + (f"?{self.query}" if self.query else "")


class Urls:
    """Reads URLs off requests. `ignore` are patterns of query parameters that mean nothing (`utm_*`), and are taken away, from
    the app as well; `sort` puts the others in order.
    """

    def __init__(self, ignore: Iterable[str] = (), sort: bool = False, namespace: str = "") -> None:
        self._ignore = tuple(ignore)
        self._sort = sort
        self._namespace = namespace

    def of(self, request: Request, strict: bool = True) -> Url | str:
        """The URL of a request, or why it cannot be known. Unless `strict`, whatever other method or URL its fields may say."""
        for name in TWISTED if strict else ():
            if name in request.headers:
                return name
        hosts = request.headers.getall("host")
        if len(hosts) != 1 or (host := _host(hosts[0], request.scheme)) is None:
            return "host"
        return Url(request.scheme, host, request.raw_path, self.cleaned(request.query), self._namespace)

    def parse(self, text: str) -> Url:
        """The URL that a text is. Raises `ValueError` if it is none, or not absolute."""
        parts = urlsplit(text)
        host = _host(parts.netloc, parts.scheme)
        if parts.scheme not in PORTS or host is None or not (text.isascii() and text.isprintable()) or " " in text:
            raise ValueError(f"expected an absolute URL such as 'https://example.org/menu', percent-encoded, got {text!r}")
        return Url(parts.scheme, host, parts.path or "/", self.cleaned(parts.query), self._namespace)

    def cleaned(self, query: str) -> str:
        """A query without what means nothing."""
        if not query or not (self._ignore or self._sort):
            return query
        parameters = [one for one in query.split("&") if not self._is_ignored(one)]
        return "&".join(sorted(parameters, key=lambda one: one.partition("=")[0]) if self._sort else parameters)

    def _is_ignored(self, parameter: str) -> bool:
        name = unquote_plus(parameter.partition("=")[0])
        return any(fnmatchcase(name, pattern) for pattern in self._ignore)


def variant(vary: Iterable[str], headers: Headers, *, plain: bool = False, seen: Iterable[str] = ()) -> str:
    """The digest of the request's fields that responses vary by, and of what else the app has `seen`; nothing for none
    (RFC 9111 §4.1).

    `plain` believes RFC 9110 §12.5.4 that the order of languages means nothing; some apps take the first of them.
    """
    parts = [part for name in vary for part in (name, _selecting(name, headers, plain))]
    parts += seen
    return digest(*parts) if parts else ""


def seen_otherwise(request: Request) -> list[str]:
    """What the app may take for the URL, other than what the client wrote: mount and path, if something outside has rewritten
    them; and what proxies say, which the app, or something between, may believe.
    """
    seen: list[str] = []
    raw, path = request.raw_path, request.root_path + request.path
    if path not in (raw, unquote(raw)):
        seen += ["path", request.root_path, request.path]
    for name in sorted(FORWARDED & request.headers.names):
        lines = request.headers.getall(name)
        if name == "forwarded":  # who it is for changes no URL (RFC 7239 §5)
            lines = [pair.lower() for line in lines for pair in _forwarded(line)]
        seen += [name, ",".join(lines)]
    return seen


def digest(*parts: str) -> str:
    """One digest of several texts, none of which can pass for a part of another."""
    whole = blake2b(digest_size=16)
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass")
        whole.update(b"%d:" % len(raw) + raw)
    return whole.hexdigest()


def _selecting(name: str, headers: Headers, plain: bool) -> str:
    """A field of a request in a form in which requests that mean the same look the same, if that is known of the field."""
    lines = headers.getall(name)
    if not lines:
        return "-"  # absent is not empty
    line = ", ".join([line.strip(" \t") for line in lines])
    if '"' in line or name in NO_LISTS:
        return "+" + line
    if name not in NEGOTIATION:
        return "+" + re.sub(r"[ \t]*,[ \t]*", ",", line)  # RFC 9110 §5.6.1
    found = [re.sub(r"[ \t]*([;=])[ \t]*", r"\1", member.lower()) for member in members(line)]
    # some apps take the first of the languages or types that are wanted equally (§12.5.4); of codings none does
    in_any_order = name == "accept-encoding" or (plain and name == "accept-language")
    return "+" + ",".join(sorted({*found}) if in_any_order else found)


def _host(text: str, scheme: str) -> str | None:
    """A host in lower case, without the port that its scheme has anyway; None if it is none."""
    match = _is_host(text)
    if match is None:
        return None
    name, port = match[1].lower().removesuffix("."), match[2]
    return name if port is None or port == PORTS.get(scheme) else f"{name}:{port}"
