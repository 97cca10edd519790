"""The layer: answers from what is stored, or asks the app and stores what it says.

What is decided is decided by `rfc9111`, `caution` and `terms`; `lookup` and `storing` carry it out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import urljoin

from ...errors import ConfigurationError, StorageError
from ...flow import Action, Flow, Layer, proceed
from ...http import Request, Response, unavailable
from ...ops import Op, gather
from . import counts, rfc9111
from .caution import PRIVATE_HEADERS, Caution
from .counts import Statistics
from .fields import is_token
from .key import Url, Urls
from .learnt import Learnt
from .lookup import Lookup, give_up
from .purges import KEPT, MOST, MarkPrefix, MarkTag, prefixes_key, tag_key
from .rfc9111 import Control
from .steps import Purge, Soften
from .storing import Storing
from .terms import Terms
from .visit import Visit
from .warming import BROWSER, Warmth, warm

KNOWN = frozenset(
    {
        "age", "cache-control", "cache-status", "cdn-cache-control", "content-encoding", "content-length", "content-range",
        "content-type", "date", "etag", "expires", "last-modified", "location", "set-cookie", "vary",
    }
)  # fmt: skip
"""Fields that mean something else than tags."""

CONDITIONS = ("if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range", "range")


class ResponseCache(Layer):
    """Stores what the app answers, and answers with it, as RFC 9111 has it of a shared cache.

    What is stored is what the response allows by its `Cache-Control` or `Expires` (or `CDN-Cache-Control`). For responses that
    say nothing, `ttl` is how many seconds they are fresh, or the first of `routes` whose pattern matches the path:
    `{"/menu/*": 600}`. By default there is none. `stale_while_revalidate` and `stale_if_error` hold for responses that do not
    say it themselves, in seconds.

    By default nothing is stored that is likely to be one person's: no response with `Set-Cookie`, none for which the app looked
    at the session, none to a request with one of `private_headers` unless it says `public` or `s-maxage`, none that varies by
    `Cookie` or `User-Agent` (`vary=("user-agent",)` allows it), no errors that do not say for how long. `conformance=True` turns
    that off.

    The key is the URL as the client wrote it. `ignore` are patterns of query parameters that are taken away, from the app too
    (`["utm_*"]`); `sort` puts the others in order. A URL has at most `max_variants` responses; bodies above `max_body_bytes`
    pass and are not stored.

    `client_demand` says how much a client may ask for by its own `Cache-Control`: `"ignore"` (nothing but `only-if-cached`),
    `"revalidate"` (that the app is asked), `"bypass"` (that nothing is stored, too). While one request fetches, others wait for
    at most `wait` seconds; if that one dies, another may after `lease` seconds. `early_renewal` is how eagerly a response is
    renewed before it expires (0 never, 1 as is best): the likelier, the longer the app takes for it. Nobody waits for that.
    `tags_header` names a response's tags for `purge`; clients do not see it. Caches with different `namespace`s share nothing.
    `on_error`: `"open"` asks the app when the storage fails, `"closed"` answers 503.

    One object serves all threads and tasks. Raises `ConfigurationError` for options out of range.
    """

    eager = True
    kinds = frozenset({"http"})
    concern = "cache"

    def __init__(
        self,
        *,
        ttl: float | None = None,
        routes: Mapping[str, float] | None = None,
        max_body_bytes: int = 1 << 20,
        max_variants: int = 32,
        private_headers: Iterable[str] = PRIVATE_HEADERS,
        vary: Iterable[str] = (),
        ignore: Iterable[str] = (),
        sort: bool = False,
        client_demand: Literal["ignore", "revalidate", "bypass"] = "ignore",
        stale_while_revalidate: float | None = None,
        stale_if_error: float | None = None,
        early_renewal: float = 1,
        tags_header: str = "Cache-Tag",
        wait: float = 5,
        lease: float = 2,
        namespace: str = "",
        conformance: bool = False,
        on_error: Literal["open", "closed"] = "open",
    ) -> None:
        self._terms = Terms(
            caution=Caution(_names("private_headers", private_headers), _names("vary", vary)),
            ttl=ttl,
            routes=_routes(routes),
            max_body_bytes=max_body_bytes,
            max_variants=max_variants,
            client_demand=client_demand,
            stale_while_revalidate=stale_while_revalidate,
            stale_if_error=stale_if_error,
            tags_header=_tags_header(tags_header),
            wait=wait,
            lease=lease,
            early_renewal=early_renewal,
            conformance=conformance,
            on_error=on_error,
        )
        if not isinstance(namespace, str) or type(sort) is not bool:
            raise ConfigurationError(f"namespace must be a text and sort True or False, got {namespace!r} and {sort!r}")
        self._urls = Urls(_patterns(ignore), sort, namespace)
        self._namespace = namespace
        learnt = Learnt()
        self._lookup = Lookup(self, self._terms, learnt)
        self._storing = Storing(self._terms, self._lookup, learnt)

    @property
    def on_error(self) -> str:
        """What happens when the storage fails."""
        return self._terms.on_error

    def __call__(self, request: Request, /) -> Flow:
        if request.method not in ("GET", "HEAD"):
            return (yield from self._unsafe(request))
        query = self._urls.cleaned(request.query)
        if query != request.query:
            request.amend_query(query)
        url = self._urls.of(request)
        why = url if isinstance(url, str) else _passes_by(request)
        if why is not None or isinstance(url, str):
            return self._storing.refused((yield from proceed()), request, "bypass", why or "host")
        if request.headers.get("host") != url.host:
            request.amend("host", url.host)  # nothing that is not in the key can be in the answer
        visit = self._lookup.visit(request, url)
        if self._terms.client_demand == "bypass" and visit.demand.no_store:
            return self._storing.refused((yield from proceed()), request, "request", "no-store")
        repeated = request.repeated is not None and request.repeated.layer is self
        try:
            response = yield from self._renewed(request, visit) if repeated else self._lookup.answered(request, visit)
        except StorageError:
            failed = True
        else:
            failed = False
        if failed:
            request.ledger.count("degraded ResponseCache")
            if repeated or self._terms.on_error == "closed":
                return unavailable()
            return self._storing.refused((yield from proceed()), request, "bypass", "storage")
        if response is not None:
            return response
        return (yield from self._storing.forwarded(request, visit))

    def _renewed(self, request: Request, visit: Visit) -> Action[Response | None]:
        """Begin to fetch again what a request was answered with; nothing of it is left to do if somebody else has."""
        for name in CONDITIONS:
            request.amend(name, None)
        yield from self._lookup.look(request, visit, leading=True)
        note = request.repeated.note if request.repeated else None
        if visit.token and visit.entry is not None and visit.entry.began == note:
            return None
        give_up(request, visit)
        return Response(204)

    def _unsafe(self, request: Request) -> Flow:
        """A method that may change something: what it succeeds in makes what is stored wrong (RFC 9111 §4.4)."""
        response = yield from proceed()
        if request.method in ("OPTIONS", "TRACE") or not 200 <= response.status < 400:
            return self._storing.told(response, "fwd=method")
        url = self._urls.of(request, strict=False)
        if isinstance(url, str):
            return self._storing.told(response, f"fwd=method; detail={url}")
        purges = [Purge((other.key,)) for other in {url, *self._named(url, response)}]
        if self._terms.conformance and request.method == "POST" and self._is_for_get(url, response):
            try:
                yield from gather(*purges)
                visit = self._lookup.visit(request, url)
                yield from self._lookup.look(request, visit, leading=True)
            except StorageError:
                pass
            else:
                visit.why = "method"
                return (yield from self._storing.passed(request, visit, response))
        request.outbox += purges
        return self._storing.told(response, "fwd=method")

    def _is_for_get(self, url: Url, response: Response) -> bool:
        """Whether the response to a POST says that it is what a GET would get, and for how long (RFC 9110 §9.3.3)."""
        control = Control.of(response.headers)
        named = self._named(url, response, ("content-location",))
        return response.status == 200 and rfc9111.is_explicit(response.headers, control) and url in named

    def _named(self, url: Url, response: Response, names: Sequence[str] = ("location", "content-location")) -> Iterable[Url]:
        """The URLs of the same origin that a response names."""
        for name in names:
            for line in response.headers.getall(name):
                try:
                    other = self._urls.parse(urljoin(url.text, line))
                except ValueError:
                    continue
                if (other.scheme, other.host) == (url.scheme, url.host):
                    yield other

    def purge(
        self, *, tags: Iterable[str] = (), url: str | None = None, prefix: str | None = None, soft: bool = False
    ) -> Action[None]:
        """An action: what is stored with one of these tags, of this URL, or of the URLs that begin with `prefix` is not used any
        more, on any worker; nor is what is being fetched. URLs are absolute. `soft` makes it stale in place of gone.

        It costs the same however much that is. Raises `ValueError` for a URL that is none and a tag that no response can have.
        """
        how = "soft" if soft else "hard"
        ops: list[Op[Any]] = []
        for tag in [tags] if isinstance(tags, str) else tags:
            if not isinstance(tag, str) or not tag or tag != tag.strip() or "," in tag:
                raise ValueError(f"expected a tag as it stands in {self._terms.tags_header}, without a comma, got {tag!r}")
            ops.append(MarkTag((tag_key(tag, self._namespace),), (how, KEPT)))
        if url is not None:
            key = self._urls.parse(url).key
            ops.append(Soften((key,)) if soft else Purge((key,)))
        if prefix is not None:
            parsed = self._urls.parse(prefix)
            query = prefix.partition("?")[2]
            text = f"{parsed.scheme}://{parsed.host}{parsed.path}" + (f"?{query}" if "?" in prefix else "")
            ops.append(MarkPrefix((prefixes_key(self._namespace),), (how, KEPT, MOST, text)))
        if not ops:
            raise TypeError("purge needs tags, a url or a prefix")
        yield from gather(*ops)

    def warm(
        self,
        app: Any,
        urls: Iterable[str] | str,
        *,
        headers: Sequence[tuple[str, str]] = BROWSER,
        at_once: int = 4,
        progress: Callable[[int, int], object] = lambda done, total: None,
    ) -> Action[Warmth]:
        """An action: fill the cache with the responses of an app to these absolute URLs, or to those of its sitemap if `urls`
        is one URL, of a sitemap in XML or text.

        `app` is the app with the middleware around it. What is outside of the cache, such as a rate limit, does not act; what
        is fresh stays. `headers` are sent, by default the `Accept-Encoding` of browsers: warm once more with others for other
        variants. So many are asked for `at_once`; `progress` is called with how many have been answered, and of how many.
        An ASGI app is started and shut down around that by `run`, but not by `arun`. Raises `ValueError` for what is no
        absolute URL and no sitemap.
        """
        return (yield from warm(self, app, urls, headers=headers, at_once=at_once, progress=progress))

    def stats(self, count: int = 10) -> Action[Statistics]:
        """An action: hits, misses and what else was counted, on all workers; with so many of the paths hit and missed most.

        A worker adds what it has counted with one of its next requests, or within a few seconds.
        """
        return (yield from counts.read(count))


def _names(option: str, names: Iterable[str]) -> frozenset[str]:
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise ConfigurationError(f"{option} must be a list of field names, got {names!r}")
    found = frozenset([name.lower() if isinstance(name, str) else name for name in names])
    for name in found:
        if not isinstance(name, str) or not is_token(name):
            raise ConfigurationError(f"{option} must be names of fields, got {name!r}")
    return found


def _patterns(ignore: Iterable[str]) -> tuple[str, ...]:
    found = () if isinstance(ignore, str) or not isinstance(ignore, Iterable) else tuple(ignore)
    if (not found and ignore not in ((), [])) or not all(isinstance(one, str) for one in found):
        raise ConfigurationError(f"ignore must be a list of patterns such as 'utm_*', got {ignore!r}")
    return found


def _routes(routes: Mapping[str, float] | None) -> dict[str, float]:
    found = dict(routes or {})
    for path in found:
        if not isinstance(path, str) or not path.startswith(("/", "*")):
            raise ConfigurationError(f"routes must be by patterns of paths such as '/menu/*', got {path!r}")
    return found


def _tags_header(name: str) -> str:
    lower = name.lower() if isinstance(name, str) else ""
    if not is_token(lower) or lower in KNOWN:
        raise ConfigurationError(f"tags_header must be the name of a field that has no other use, got {name!r}")
    return lower


def _passes_by(request: Request) -> str | None:
    """Why a request is not for a cache, in a word; None if it is."""
    headers = request.headers
    if "upgrade" in headers:
        return "upgrade"  # to a WebSocket, which may last for hours
    if "transfer-encoding" in headers or headers.get("content-length", "0").strip("0 ") != "":
        return "body"
    return None
