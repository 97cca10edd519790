"""Asking the app, and storing what it answers.

Only who has the lead may store, so nothing is stored that was purged while it was on its way.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from hashlib import blake2b
from secrets import randbits
from typing import Any

import msgspec

from ...errors import StorageError, StorageUnavailable
from ...flow import Action, Flow, body, proceed
from ...http import Headers, Pulse, Request, Response, content_length, unavailable
from ...ops import Op
from . import answer as answers
from . import counts, parts, rfc9111
from . import entry as entries
from .conditions import Part
from .entry import MADE, Entry
from .key import variant
from .learnt import Hint, Learnt
from .lookup import Lookup, give_up, keep_up_no_longer, release
from .rfc9111 import Control
from .steps import Lead, Purge, Store
from .terms import ASKED_FOR, Terms
from .visit import SECOND, Visit

logger = logging.getLogger("redis_middleware")


BACK_OFF = 5.0
"""Seconds for which nobody waits for what could not be stored, nor renews what could not be renewed."""


class Storing:
    """Asks the app for one cache, and stores. Serves all threads and tasks; `clock` counts seconds."""

    def __init__(
        self,
        terms: Terms,
        lookup: Lookup,
        learnt: Learnt,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._terms = terms
        self._lookup = lookup
        self._learnt = learnt
        self._clock = clock

    def forwarded(self, request: Request, visit: Visit) -> Flow:
        """Ask the app, and store what it says if this request has the lead."""
        entry = visit.entry
        validating = entry is not None and entry.can_be_validated and _has_what_it_takes(request, visit, entry)
        if validating and entry is not None:
            _ask_about(request, entry)
        if visit.token:
            lease = self._terms.lease
            lead = Lead((visit.key,), (visit.lead, visit.token, round(lease * SECOND), 1))
            request.pulses.append(Pulse(lead, lease / 3))
        began = self._clock()
        try:
            response = yield from proceed()
        except Exception:
            instead = yield from self._instead_of_error(request, visit)
            if instead is None:
                self._failed(request, visit)
                raise
            return instead
        if response.status >= 500:
            if (instead := (yield from self._instead_of_error(request, visit))) is not None:
                return instead
            if request.repeated is not None:
                self._failed(request, visit)
                return None
        if entry is not None:
            confirmed = (
                validating and response.status == 304 and rfc9111.is_about(response.headers, Headers.received(entry.lines))
            )
            if confirmed or (request.method == "HEAD" and self._is_shown(response, entry)):
                return (yield from self._validated(request, visit, response, began))
            if validating and response.status == 304:
                return (yield from self._contradicted(request, visit))
        return (yield from self.passed(request, visit, response, began))

    def _is_shown(self, response: Response, entry: Entry) -> bool:
        """Whether the response to a HEAD is the one that is stored (RFC 9111 §4.3.5)."""
        stored = Headers.received(entry.lines)
        length = content_length(response.headers)
        same = response.status == entry.status == 200 and length in (None, entry.size)
        return same and rfc9111.is_about(response.headers, stored) and rfc9111.has_validator(response.headers)

    def _failed(self, request: Request, visit: Visit) -> None:
        """Let the next one try; but nobody is to renew it for a while, if it was for that."""
        give_up(request, visit, failed=0 if request.repeated is None else BACK_OFF)

    def _instead_of_error(self, request: Request, visit: Visit) -> Action[Response | None]:
        """The stale entry in place of an error, if it may be used for that (RFC 5861 §4)."""
        if visit.entry is None or not self._terms.may_be_stale(visit, error=True):
            return None
        self._failed(request, visit)
        counts.hit(request, "stale")
        try:
            return (yield from self._lookup.served(request, visit, "hit; detail=stale-if-error"))
        except StorageError:
            return None

    def _validated(self, request: Request, visit: Visit, response: Response, began: float) -> Action[Response]:
        """The app says that what is stored is still right (RFC 9111 §4.3.4)."""
        entry = visit.entry
        assert entry is not None
        now = visit.now / SECOND
        tags = self._terms.tags(response) or entry.tags
        response.headers.remove(self._terms.tags_header)
        lines = rfc9111.updated(Headers.received(entry.lines), response.headers)
        headers = Headers.received(lines)
        control = Control.of(headers)
        refused = self._terms.refusal(request, entry.status, headers, control, now)
        visit.purged = 0
        visit.found(
            msgspec.structs.replace(
                entry,
                lines=lines,
                began=visit.now,
                received=visit.now,
                age=rfc9111.initial_age(response.headers, now, now),
                lifetime=self._terms.lifetime(request, entry.status, headers, control, now),
                tags=tags,
                shared=self._terms.is_shared(control),
                took=self._clock() - began,
            )
        )
        if refused is None and rfc9111.vary(headers) != rfc9111.vary(Headers.received(entry.lines)):
            refused = "vary"  # it may not be what these requests get (RFC 9111 §4.1)
        stored = bool(visit.token) and refused is None
        if stored:
            yield from self._store(request, visit, None)
        if request.repeated is None:
            counts.hit(request, "revalidated")
        status = "fwd=stale; fwd-status=304" + ("; stored" if stored else f"; detail={refused or 'collapsed'}")
        try:
            answer = yield from self._lookup.served(request, visit, status)
        except StorageError:
            answer = None
        if refused is not None:
            self._drop(request, visit, entry.status)
        return unavailable() if answer is None else answer  # the body went this very moment: the client may ask again

    def _contradicted(self, request: Request, visit: Visit) -> Action[Response]:
        """The app says that another response is still right than the one it was asked about. It is sent once more, as the app
        has sent nothing else, and not kept (RFC 9111 §4.3.4).
        """
        try:
            answer = yield from self._lookup.served(request, visit, "fwd=stale; fwd-status=304; detail=validator")
        except StorageError:
            answer = None
        counts.miss(request, "validator")
        self._drop(request, visit, 200)
        return unavailable() if answer is None else answer

    def passed(self, request: Request, visit: Visit, response: Response, began: float | None = None) -> Flow:
        """Pass the app's response on, and store it. `began` is when the app was asked, if that is to be told."""
        now = visit.now / SECOND
        control = Control.of(response.headers)
        tags = self._terms.tags(response)
        refused = self._terms.refusal(request, response.status, response.headers, control, now)
        if refused is not None or not visit.token or request.method == "HEAD":
            lasting = refused is not None and response.status not in ASKED_FOR
            if request.method != "POST":
                self._learnt.note(visit.key, visit.credentials, replace(visit.hint, refused=lasting))
            self._drop(request, visit, response.status if lasting or request.method == "HEAD" else 0)
            unled = "collapsed" if visit.led else "next-time"
            reason = refused or ("head" if request.method == "HEAD" else unled)
            return self.refused(response, request, visit.why, reason)
        status = response.status
        lines = [line for line in rfc9111.storable(response.headers, control) if line[0].lower() != self._terms.tags_header]
        headers = Headers.received(lines)
        self.told(response, f"fwd={visit.why}; stored")
        if request.repeated is None:
            counts.miss(request)
        took = 0.0 if began is None else self._clock() - began
        keep_up_no_longer(request, visit)  # how long the client takes for the body is no reason for others to wait
        whole = yield from body(self._terms.max_body_bytes)
        if whole is None or self._terms.unwise(request, status, headers, control):
            # cut short, too long, or the app has looked at the session since
            self._learnt.note(visit.key, visit.credentials, replace(visit.hint, refused=True))
            yield from _quietly(release(visit, refused=0 if whole is None else BACK_OFF))
            return response
        kept = self._kept(visit, status, headers, whole)
        if kept is None:
            yield from _quietly(release(visit))
            return response
        status, lines, part, whole = kept
        entry = Entry(
            status=status,
            lines=lines,
            began=visit.now,
            received=visit.now,
            age=rfc9111.initial_age(response.headers, now, now),
            lifetime=self._terms.lifetime(request, status, headers, control, now),
            size=len(whole),
            body=whole if len(whole) <= entries.INLINE else None,
            mark=randbits(64).to_bytes(8, "big"),
            tags=tags,
            shared=self._terms.is_shared(control),
            part=part,
            took=took,
        )
        visit.found(entry)
        visit.hint = Hint(rfc9111.vary(headers), tags, entry.body is None)
        self._learnt.note(visit.key, visit.credentials, visit.hint)
        visit.name = variant(visit.hint.vary, request.headers, plain=self._terms.conformance, seen=visit.seen)
        yield from self._store(request, visit, whole)
        return response

    def _kept(
        self, visit: Visit, status: int, headers: Headers, whole: bytes
    ) -> tuple[int, list[tuple[str, str]], tuple[int, int] | None, bytes] | None:
        """What is kept: status, fields, of what the body is a part, and the body; None if it is not what the response says."""
        lines, place = list(headers), None
        if status == 206:
            part = parts.sent(headers)
            if part is None or part.end - part.start != len(whole):
                return None
            together = self._together(visit, part, whole, headers)
            if together is not None and visit.beside is not None:
                part, whole = together
                lines = rfc9111.updated(Headers.received(visit.beside.lines), headers)  # RFC 9111 §3.4
            lines = [line for line in lines if line[0].lower() not in ("content-range", "content-length")]
            status, place = (200, None) if len(whole) == part.whole else (206, (part.start, part.whole))
        if status == 200 and "etag" not in headers:
            lines.append(("etag", f'{MADE}{blake2b(whole, digest_size=12).hexdigest()}"'))
        return status, lines, place, whole

    def _together(self, visit: Visit, part: Part, piece: bytes, headers: Headers) -> tuple[Part, bytes] | None:
        """A part together with the one that is stored, if that can be, and may be stored."""
        stored = visit.beside
        if stored is None or stored.size + len(piece) > self._terms.max_body_bytes:
            return None
        body = stored.body
        if body is None and visit.body is not None:
            body = entries.unframed(visit.body, stored.mark)
        return None if body is None else parts.joined(stored, body, part, piece, headers)

    def _store(self, request: Request, visit: Visit, whole: bytes | None) -> Action[None]:
        """Store the entry under its variant; `whole` is its body, None if that is stored already. What fails is not stored."""
        entry, control = visit.entry, visit.control
        assert entry is not None
        assert control is not None
        ttl = round(self._terms.kept(entry, control) * SECOND)
        vary, most = "\n".join(visit.hint.vary), self._terms.max_variants
        args = (visit.lead, visit.token, visit.name, vary, ttl, most, entries.encode(entry))
        counts.stored(request, 0 if whole is None else len(whole))
        try:
            if entry.body is not None:
                yield from Store((visit.key,), args)
            elif whole is None:
                yield from Store((visit.key, visit.body_key), args)
            else:
                visit.body = entries.framed(whole, entry.mark)
                yield from Store((visit.key, visit.body_key), (*args, visit.body))
        except StorageUnavailable as exc:
            logger.debug("a response could not be stored: %s", exc)
        except StorageError as exc:  # there is no room for it
            logger.debug("a response could not be stored: %s", exc)
            self._learnt.note(visit.key, visit.credentials, replace(visit.hint, refused=True))
            yield from _quietly(release(visit))

    def refused(self, response: Response, request: Request, why: str, reason: str) -> Response:
        """Say that a response of the app is not stored, and why."""
        counts.miss(request, reason)
        return self.told(response, f"fwd={why}; detail={reason}")

    def told(self, response: Response, status: str) -> Response:
        """Say in a response what the cache did (RFC 9211), and nothing that is for the cache alone."""
        response.headers.remove(self._terms.tags_header)
        response.headers.add("cache-status", f"{answers.CACHE}; {status}")
        return response

    def _drop(self, request: Request, visit: Visit, status: int) -> None:
        """Give up; and forget the entry whose place was taken by a response that is not stored, so that nobody is led by it."""
        replaced = 200 <= status < 400 or status in (404, 410)
        if replaced and visit.entry is not None and not visit.credentials:
            keep_up_no_longer(request, visit)
            request.outbox.append(Purge((visit.key,)))
            visit.token = 0
        give_up(request, visit, refused=BACK_OFF if replaced and not visit.credentials else 0)


def _ask_about(request: Request, entry: Entry) -> None:
    """Ask the app whether what is stored is still right, in place of what the client asked (RFC 9111 §4.3.1)."""
    etag = entry.header("etag")
    request.amend("if-none-match", None if etag is None or etag.startswith(MADE) else etag)
    request.amend("if-modified-since", entry.header("last-modified"))
    for name in ("if-match", "if-unmodified-since", "if-range", "range"):
        request.amend(name, None)


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
