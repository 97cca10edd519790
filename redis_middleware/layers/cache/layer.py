"""The layer: answers from what is stored, or asks the app and stores what it says.

Rules:

* The look-up is one safe read, which leaves with the first ops of the layers outside.
* One request fetches what is missing, under a lead that it holds in the storage; the others wait for it, for a while. Only who
  has the lead may store, so nothing is stored that was purged while it was on its way.
* What is decided is decided by `rfc9111` and `caution`; this only carries it out.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from hashlib import blake2b
from secrets import randbits
from typing import Any, Literal
from urllib.parse import urljoin

import msgspec

from ...errors import ConfigurationError, StorageError, StorageUnavailable
from ...flow import Action, Flow, Layer, body, proceed, sleep
from ...http import Headers, Pulse, Request, Response, content_length, unavailable
from ...ops import Get, Op, gather
from . import answer as answers
from . import entry as entries
from . import rfc9111
from .caution import Caution
from .entry import Entry
from .key import Url, Urls, variant
from .learnt import NOTHING, Hint, Learnt
from .purges import KEPT, MOST, PREFIXES, MarkPrefix, MarkTag, Purged, marks_of, purged, tag_key
from .rfc9111 import Control, Demand
from .steps import Find, Found, Lead, Purge, Release, Store

logger = logging.getLogger("redis_middleware")

VALIDATABLE = 86_400
"""Seconds for which a stale response is kept that the app can be asked about."""

SECOND = 1_000_000

ASKED_FOR = frozenset({206, 304, 412, 416})
"""Answers to the range or the conditions of one request: they say nothing of what others would get."""

MADE = '"rm-'
"""How an entity tag begins that was made here: the app does not know it."""


@dataclass(slots=True)
class Visit:
    """One request on its way through the cache."""

    url: Url
    name: str
    """The digest of the variant that it wants."""
    hint: Hint
    credentials: bool
    demand: Demand
    now: int = 0
    entry: Entry | None = None
    body: bytes | None = None
    stale: bool = False
    """Whether it was purged softly."""
    broken: bool = False
    """Whether it has been said that the entry cannot be read."""
    led: bool = False
    token: int = 0
    """The lead that this request holds; 0 for none."""
    lead: str = ""
    """The digest of the variant whose lead that is."""
    why: str = "uri-miss"
    """Why the app is asked, in the words of RFC 9211 §2.2."""


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
    at most `wait` seconds. `tags_header` names a response's tags for `purge`; clients do not see it. `on_error`: `"open"` asks
    the app when the storage fails, `"closed"` answers 503.

    One object serves all threads and tasks. Raises `ConfigurationError` for options out of range.
    """

    eager = True
    kinds = frozenset({"http"})

    def __init__(
        self,
        *,
        ttl: float | None = None,
        routes: Mapping[str, float] | None = None,
        max_body_bytes: int = 1 << 20,
        max_variants: int = 32,
        private_headers: Iterable[str] = ("authorization", "cookie"),
        vary: Iterable[str] = (),
        ignore: Iterable[str] = (),
        sort: bool = False,
        client_demand: Literal["ignore", "revalidate", "bypass"] = "ignore",
        stale_while_revalidate: float | None = None,
        stale_if_error: float | None = None,
        tags_header: str = "Cache-Tag",
        wait: float = 5,
        lease: float = 5,
        conformance: bool = False,
        on_error: Literal["open", "closed"] = "open",
    ) -> None:
        lifetimes = {"ttl": ttl, "stale_while_revalidate": stale_while_revalidate, "stale_if_error": stale_if_error}
        for name, value in {**lifetimes, **{f"routes[{path!r}]": value for path, value in (routes or {}).items()}}.items():
            if value is not None and not 0 < value <= KEPT:
                raise ConfigurationError(f"{name} must be positive and at most {KEPT} seconds, got {value!r}")
        for name, size in (("max_body_bytes", max_body_bytes), ("max_variants", max_variants)):
            if size < 1:
                raise ConfigurationError(f"{name} must be at least 1, got {size!r}")
        if client_demand not in ("ignore", "revalidate", "bypass"):
            raise ConfigurationError(f"client_demand must be 'ignore', 'revalidate' or 'bypass', got {client_demand!r}")
        if on_error not in ("open", "closed"):
            raise ConfigurationError(f"on_error of ResponseCache must be 'open' or 'closed', got {on_error!r}")
        if not 0 <= wait <= 60 or not 1 <= lease <= 60:
            raise ConfigurationError(f"wait must be 0 to 60 seconds and lease 1 to 60, got {wait!r} and {lease!r}")
        self._ttl = ttl
        self._routes = dict(routes or {})
        self._most_body = max_body_bytes
        self._most_variants = max_variants
        self._caution = Caution(tuple(name.lower() for name in private_headers), frozenset(name.lower() for name in vary))
        self._urls = Urls(ignore, sort)
        self._client_demand = client_demand
        self._while_revalidate = stale_while_revalidate or 0
        self._if_error = stale_if_error or 0
        self._tags_header = tags_header.lower()
        self._wait = wait
        self._lease = round(lease * SECOND)
        self._conformance = conformance
        self._on_error = on_error
        self._learnt = Learnt()

    def __call__(self, request: Request, /) -> Flow:
        if request.method not in ("GET", "HEAD"):
            return (yield from self._unsafe(request))
        request_query = self._urls.cleaned(request.query)
        if request_query != request.query:
            request.amend_query(request_query)
        url = self._urls.of(request)
        if isinstance(url, str) or _has_body(request):
            return self._told((yield from proceed()), f"fwd=bypass; detail={'body' if isinstance(url, Url) else url}")
        visit = self._visit(request, url)
        if self._client_demand == "bypass" and visit.demand.no_store:
            return self._told((yield from proceed()), "fwd=request; detail=no-store")
        try:
            response = yield from self._answered(request, visit)
        except StorageError:
            failed = True
        else:
            failed = False
        if failed:
            if self._on_error == "closed":
                return unavailable()
            return self._told((yield from proceed()), "fwd=bypass; detail=storage")
        if response is not None:
            return response
        return (yield from self._forwarded(request, visit))

    def _visit(self, request: Request, url: Url) -> Visit:
        credentials = not self._conformance and self._caution.has_credentials(request.headers)
        hint = self._learnt.of(url.key, credentials)
        demand = Demand.of(request.headers)
        if self._client_demand == "ignore":
            demand = Demand(only_if_cached=demand.only_if_cached)
        return Visit(url, variant(hint.vary, request.headers), hint, credentials, demand)

    def _answered(self, request: Request, visit: Visit) -> Action[Response | None]:
        """The answer from what is stored; None if the app has to be asked. Waits for who asks it already."""
        yield from self._look(request, visit)
        waited, pause, awaited = 0.0, 0.005, ""
        while True:
            if (response := (yield from self._usable(request, visit))) is not None:
                return response
            if visit.demand.only_if_cached:
                return Response(504, [("cache-status", f"{answers.CACHE}; fwd=request; detail=only-if-cached")])
            if visit.hint.refused or waited >= self._wait or (waited and not visit.led and visit.name == awaited):
                return None  # nothing comes of waiting
            if not visit.led:
                if request.method == "HEAD":
                    return None
                yield from self._look(request, visit, leading=True)
                if visit.token:
                    response = yield from self._usable(request, visit)  # who had the lead before may have stored it
                    if response is not None:
                        self._give_up(request, visit)
                    return response
                continue  # somebody was faster
            if visit.why == "stale" and self._may_be_stale(visit, self._while_revalidate, "stale-while-revalidate"):
                response = yield from self._served(request, visit, "hit; detail=stale-while-revalidate")
                if response is not None:
                    return response
            awaited = visit.name
            yield from sleep(pause)
            waited, pause = waited + pause, min(pause * 1.5, 0.1)
            yield from self._look(request, visit)

    def _look(self, request: Request, visit: Visit, *, leading: bool = False) -> Action[None]:
        """Read what is stored; a second time if it turns out that the first was the wrong question. `leading` tries to take the
        lead before: in the same trip, as what was stored until then has to be seen.
        """
        wanted: str | None = None
        for _ in range(3):
            asked, token, lead = (visit.name, visit.hint.tags), 0, []
            if leading and visit.name != wanted:
                self._give_up(request, visit)  # it was the lead of another variant
                wanted, token = visit.name, randbits(52) + 1
                lead = [Lead((visit.url.key,), (visit.name, token, self._lease, 0))]
            beside = [Get(_body_key(visit))] if visit.hint.beside and _gets_a_body(request, visit.entry) else []
            ops: list[Op[Any]] = [*lead, Find((visit.url.key,), (visit.name,)), *marks_of(visit.hint.tags), *beside]
            results = yield from gather(*ops)
            if lead and results[0]:
                visit.lead, visit.token = visit.name, token
            found, *rest = results[len(lead) :]
            marks, bodies = rest[: 1 + len(visit.hint.tags)], rest[1 + len(visit.hint.tags) :]
            self._note(request, visit, found)
            if (visit.name, visit.hint.tags) == asked:
                visit.body = bodies[0] if bodies else None
                self._judge(visit, marks)
                return
        visit.entry = None  # it changes faster than one can look

    def _note(self, request: Request, visit: Visit, found: Found) -> None:
        """Learn from what was found what to ask for."""
        visit.now, visit.led = found.now, found.led
        vary = tuple(found.vary.split("\n")) if found.vary else ()
        visit.why = "vary-miss" if vary else "uri-miss"
        if vary != visit.hint.vary:
            visit.hint = replace(visit.hint, vary=vary)
            visit.name = variant(vary, request.headers)
        visit.entry = None if found.entry is None else entries.decode(found.entry)
        if found.entry is not None and visit.entry is None and not visit.broken:
            visit.broken = True
            logger.error("an entry of the cache is broken or of another version, and counts as none: %s", visit.url.key)
        if visit.entry is not None:
            refused = visit.hint.refused and visit.credentials and not visit.entry.shared  # it is not for this one
            visit.hint = replace(visit.hint, tags=visit.entry.tags, beside=visit.entry.body is None, refused=refused)
        if visit.hint is not NOTHING:
            self._learnt.note(visit.url.key, visit.credentials, visit.hint)

    def _judge(self, visit: Visit, marks: Iterable[bytes | None]) -> None:
        """Leave only an entry that may be used for this request, be it stale."""
        entry = visit.entry
        if entry is None:
            return
        try:
            last = purged(marks, visit.url.text)
        except ValueError:
            logger.error("what was purged from the cache cannot be read: %s counts as purged", visit.url.key)
            last = Purged(hard=visit.now)
        if last.hard >= entry.began or (visit.credentials and not entry.shared):
            visit.entry, visit.why = None, "miss"
        visit.stale = last.soft >= entry.began

    def _usable(self, request: Request, visit: Visit) -> Action[Response | None]:
        """The answer from the entry, if it is fresh enough for this request (RFC 9111 §4)."""
        entry = visit.entry
        if entry is None:
            return None
        control, left, demand = _control(entry), answers.left(entry, visit.now), visit.demand
        visit.why = "stale"
        if visit.stale or control.validates_always:
            return None
        if left <= 0 and (control.forbids_stale or not demand.max_stale or -left > demand.max_stale or entry.age is None):
            return None
        too_old = demand.max_age is not None and answers.age(entry, visit.now) > demand.max_age
        if demand.no_cache or too_old or (demand.min_fresh and left < demand.min_fresh):
            visit.why = "request"
            return None
        return (yield from self._served(request, visit, f"hit; ttl={int(left)}"))

    def _served(self, request: Request, visit: Visit, status: str) -> Action[Response | None]:
        """The answer from the entry; None if its body is gone."""
        entry = visit.entry
        assert entry is not None
        whole = entry.body
        if whole is None and answers.wants_body(request, entry):
            raw = visit.body if visit.body is not None else (yield from Get(_body_key(visit)))
            whole = None if raw is None else entries.unframed(raw, entry.mark)
            if whole is None:
                visit.entry, visit.body, visit.why = None, None, "miss"
                return None
        return answers.answer(request, entry, whole or b"", visit.now, status, _control(entry).unvalidated_fields)

    def _forwarded(self, request: Request, visit: Visit) -> Flow:
        """Ask the app, and store what it says if this request has the lead."""
        entry = visit.entry
        validating = entry is not None and _can_be_validated(entry) and _has_what_it_takes(request, visit, entry)
        if validating and entry is not None:
            _ask_about(request, entry)
        if visit.token:
            lead = Lead((visit.url.key,), (visit.lead, visit.token, self._lease, 1))
            request.pulses.append(Pulse(lead, self._lease / SECOND / 3))
        try:
            response = yield from proceed()
        except Exception:
            instead = yield from self._instead_of_error(request, visit)
            if instead is None:
                self._give_up(request, visit)
                raise
            return instead
        if response.status >= 500 and (instead := (yield from self._instead_of_error(request, visit))) is not None:
            return instead
        if validating and response.status == 304 and entry is not None:
            return (yield from self._validated(request, visit, response))
        return (yield from self._passed(request, visit, response))

    def _instead_of_error(self, request: Request, visit: Visit) -> Action[Response | None]:
        """The stale entry in place of an error, if it may be used for that (RFC 5861 §4)."""
        if visit.entry is None or not self._may_be_stale(visit, self._if_error, "stale-if-error"):
            return None
        self._give_up(request, visit)
        try:
            return (yield from self._served(request, visit, "hit; detail=stale-if-error"))
        except StorageError:
            return None

    def _may_be_stale(self, visit: Visit, default: float, directive: str) -> bool:
        """Whether the entry may be used stale, for so long (RFC 9111 §4.2.4, RFC 5861)."""
        assert visit.entry is not None
        control = _control(visit.entry)
        said = control.seconds(directive)
        allowed = default if said is None else said
        return not control.forbids_stale and allowed > 0 and -answers.left(visit.entry, visit.now) <= allowed

    def _validated(self, request: Request, visit: Visit, response: Response) -> Action[Response]:
        """The app says that what is stored is still right (RFC 9111 §4.3.4)."""
        entry = visit.entry
        assert entry is not None
        now, tags = visit.now / SECOND, self._tags(response) or entry.tags
        self._untagged(response)
        lines = rfc9111.updated(Headers.received(entry.lines), response.headers)
        headers = Headers.received(lines)
        control = Control.of(headers)
        refused = self._refusal(request, entry.status, headers, control, now)
        visit.stale = False
        visit.entry = msgspec.structs.replace(
            entry,
            lines=lines,
            began=visit.now,
            received=visit.now,
            age=rfc9111.initial_age(response.headers, now, now),
            lifetime=self._lifetime(request, entry.status, headers, control, now) or 0.0,
            tags=tags,
            shared=self._conformance or self._caution.is_shared(control),
        )
        stored = bool(visit.token) and refused is None
        if stored:
            yield from self._store(visit, visit.entry, None, control)
        status = "fwd=stale; fwd-status=304" + ("; stored" if stored else f"; detail={refused or 'collapsed'}")
        try:
            answer = yield from self._served(request, visit, status)
        except StorageError:
            answer = None
        if refused is not None:
            self._drop(request, visit, entry.status)
        return unavailable() if answer is None else answer  # the body went this very moment: the client may ask again

    def _passed(self, request: Request, visit: Visit, response: Response) -> Flow:
        """Pass the app's response on, and store it."""
        received = visit.now / SECOND
        control = Control.of(response.headers)
        tags = self._tags(response)
        self._untagged(response)
        refused = self._refusal(request, response.status, response.headers, control, received)
        if refused is not None or not visit.token:
            lasting = refused is not None and response.status not in ASKED_FOR
            self._learnt.note(visit.url.key, visit.credentials, replace(visit.hint, refused=lasting))
            self._drop(request, visit, response.status if lasting else 0)
            reason = refused or ("head" if request.method == "HEAD" else "collapsed")
            return self._told(response, f"fwd={visit.why}; detail={reason}")
        status, lines = response.status, rfc9111.storable(response.headers, control)
        headers = Headers.received(lines)
        vary = rfc9111.vary(headers)
        self._told(response, f"fwd={visit.why}; stored")
        whole = yield from body(self._most_body)
        if whole is None or (not self._conformance and self._caution.refusal(request, status, headers, control)):
            # cut short, too long, or the app has looked at the session since
            self._learnt.note(visit.url.key, visit.credentials, replace(visit.hint, refused=True))
            yield from _quietly(Release((visit.url.key,), (visit.lead, visit.token)))
            return response
        if "etag" not in headers and status == 200:
            lines.append(("etag", f'{MADE}{blake2b(whole, digest_size=12).hexdigest()}"'))
        entry = Entry(
            status=status,
            lines=lines,
            began=visit.now,
            received=visit.now,
            age=rfc9111.initial_age(response.headers, received, received),
            lifetime=self._lifetime(request, status, headers, control, received) or 0.0,
            size=len(whole),
            body=whole if len(whole) <= entries.INLINE else None,
            mark=randbits(64).to_bytes(8, "big"),
            tags=tags,
            shared=self._conformance or self._caution.is_shared(control),
        )
        visit.entry = entry
        visit.hint = Hint(vary, tags, entry.body is None)
        self._learnt.note(visit.url.key, visit.credentials, visit.hint)
        yield from self._store(visit, entry, whole, control, variant(vary, request.headers))
        return response

    def _store(self, visit: Visit, entry: Entry, whole: bytes | None, control: Control, name: str | None = None) -> Action[None]:
        """Store an entry under its variant; `whole` is its body, None if that is stored already. What fails is not stored."""
        name = visit.name if name is None else name
        fresh = max(answers.left(entry, entry.received), 0)
        stale = max(control.seconds("stale-while-revalidate") or self._while_revalidate, self._if_error)
        stale = max(stale, control.seconds("stale-if-error") or 0)
        if _can_be_validated(entry):
            stale = max(stale, VALIDATABLE)
        ttl = round(min(max(fresh + stale, 1), KEPT) * SECOND)
        args = (visit.lead, visit.token, name, "\n".join(visit.hint.vary), ttl, self._most_variants, entries.encode(entry))
        visit.name = name
        try:
            if entry.body is not None:
                yield from Store((visit.url.key,), args)
                return
            if whole is not None:
                visit.body = entries.framed(whole, entry.mark)
            elif visit.body is None:
                visit.body = yield from Get(_body_key(visit))
            if visit.body is not None:
                yield from Store((visit.url.key, _body_key(visit)), (*args, visit.body))
                return
        except StorageUnavailable as exc:
            logger.debug("a response could not be stored: %s", exc)
            return
        except StorageError as exc:  # there is no room for it
            logger.debug("a response could not be stored: %s", exc)
            self._learnt.note(visit.url.key, visit.credentials, replace(visit.hint, refused=True))
        yield from _quietly(Release((visit.url.key,), (visit.lead, visit.token)))

    def _refusal(self, request: Request, status: int, headers: Headers, control: Control, now: float) -> str | None:
        """Why a response is not stored; None if it may be."""
        authorized = "authorization" in request.headers
        lasting = self._with_ttl(request, headers, control)
        refused = rfc9111.refusal(request.method, status, lasting, Control.of(lasting), authorized=authorized, now=now)
        if refused is not None:
            return refused
        if status in ASKED_FOR:
            return "partial"
        if not self._conformance and (refused := self._caution.refusal(request, status, lasting, control)) is not None:
            return refused
        if headers.get("content-type", "").startswith("text/event-stream"):
            return "stream"  # nobody is to wait for its end
        size = content_length(headers)
        return "size" if size is not None and size > self._most_body else None

    def _with_ttl(self, request: Request, headers: Headers, control: Control) -> Headers:
        """The headers of a response, with the lifetime that the configuration has for those that say nothing."""
        ttl = self._ttl_of(request)
        if ttl is None or control.directives or "expires" in headers:
            return headers
        return Headers.received([*headers, ("cache-control", f"max-age={int(ttl)}")])

    def _ttl_of(self, request: Request) -> float | None:
        for pattern, ttl in self._routes.items():
            if fnmatchcase(request.path, pattern):
                return ttl
        return self._ttl

    def _lifetime(self, request: Request, status: int, headers: Headers, control: Control, received: float) -> float | None:
        ttl = self._ttl_of(request)
        if ttl is not None and not control.directives and "expires" not in headers:
            return ttl
        return rfc9111.lifetime(status, headers, control, received)

    def _tags(self, response: Response) -> tuple[str, ...]:
        lines = response.headers.getall(self._tags_header)
        return tuple(sorted({tag.strip() for line in lines for tag in line.split(",") if tag.strip()}))

    def _untagged(self, response: Response) -> Response:
        response.headers.remove(self._tags_header)
        return response

    def _told(self, response: Response, status: str) -> Response:
        """Say in a response what the cache did (RFC 9211), and nothing that is for the cache alone."""
        self._untagged(response)
        response.headers.add("cache-status", f"{answers.CACHE}; {status}")
        return response

    def _drop(self, request: Request, visit: Visit, status: int) -> None:
        """Give up; and forget the entry whose place was taken by a response that is not stored, so that nobody is led by it."""
        replaced = 200 <= status < 400 or status in (404, 410)
        if replaced and visit.entry is not None and not visit.credentials:
            request.outbox.append(Purge((visit.url.key,)))
            visit.token = 0
        self._give_up(request, visit)

    def _give_up(self, request: Request, visit: Visit) -> None:
        """Let somebody else fetch it."""
        if visit.token:
            request.outbox.append(Release((visit.url.key,), (visit.lead, visit.token)))
            visit.token = 0

    def _unsafe(self, request: Request) -> Flow:
        """A method that may change something: what it succeeds in makes what is stored wrong (RFC 9111 §4.4)."""
        response = yield from proceed()
        if request.method not in ("OPTIONS", "TRACE") and 200 <= response.status < 400:
            url = self._urls.of(request, strict=False)
            if isinstance(url, str):
                return self._told(response, f"fwd=method; detail={url}")
            for other in {url, *self._named(url, response)}:
                request.outbox.append(Purge((other.key,)))
        return self._told(response, "fwd=method")

    def _named(self, url: Url, response: Response) -> Iterable[Url]:
        """The URLs of the same origin that a response names."""
        for name in ("location", "content-location"):
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

        It costs the same however much that is. Raises `ValueError` for a URL that is none.
        """
        how = "soft" if soft else "hard"
        ops: list[Op[Any]] = [MarkTag((tag_key(tag),), (how, KEPT)) for tag in ([tags] if isinstance(tags, str) else tags)]
        if url is not None:
            parsed = self._urls.parse(url)
            ops.append(MarkPrefix((PREFIXES,), (how, KEPT, MOST, parsed.text)) if soft else Purge((parsed.key,)))
        if prefix is not None:
            parsed = self._urls.parse(prefix)
            query = prefix.partition("?")[2]
            text = f"{parsed.scheme}://{parsed.host}{parsed.path}" + (f"?{query}" if "?" in prefix else "")
            if not (prefix.isascii() and prefix.isprintable()):
                raise ValueError(f"expected a prefix of URLs as clients write them, percent-encoded, got {prefix!r}")
            ops.append(MarkPrefix((PREFIXES,), (how, KEPT, MOST, text)))
        if not ops:
            raise TypeError("purge needs tags, a url or a prefix")
        yield from gather(*ops)


def _control(entry: Entry) -> Control:
    return Control.of(Headers.received(entry.lines))


def _body_key(visit: Visit) -> str:
    return f"{visit.url.key}:{visit.name}"


def _has_body(request: Request) -> bool:
    return "transfer-encoding" in request.headers or request.headers.get("content-length", "0").strip("0 ") != ""


def _ask_about(request: Request, entry: Entry) -> None:
    """Ask the app whether what is stored is still right, in place of what the client asked (RFC 9111 §4.3.1)."""
    stored = Headers.received(entry.lines)
    etag = stored.get("etag")
    request.amend("if-none-match", None if etag is None or etag.startswith(MADE) else etag)
    request.amend("if-modified-since", stored.get("last-modified"))
    for name in ("if-match", "if-unmodified-since", "if-range", "range"):
        request.amend(name, None)


def _gets_a_body(request: Request, entry: Entry | None) -> bool:
    """Whether the answer has a body, as far as one can tell while the entry is not known."""
    if entry is not None:
        return answers.wants_body(request, entry)
    return request.method == "GET" and not ("if-none-match" in request.headers or "if-modified-since" in request.headers)


def _can_be_validated(entry: Entry) -> bool:
    """Whether the app can say if what is stored is still right: by a validator of its own."""
    stored = Headers.received(entry.lines)
    return "last-modified" in stored or not stored.get("etag", MADE).startswith(MADE)


def _has_what_it_takes(request: Request, visit: Visit, entry: Entry) -> bool:
    """Whether the answer can be made if the app says that the entry is right: nobody can ask it again."""
    if entry.body is not None or not answers.wants_body(request, entry):
        return True
    return visit.body is not None and entries.unframed(visit.body, entry.mark) is not None


def _quietly(op: Op[Any]) -> Action[None]:
    """Ask for what one can do without."""
    try:
        yield from op
    except StorageError as exc:
        logger.debug("%s: %s", type(op).__name__, exc)
