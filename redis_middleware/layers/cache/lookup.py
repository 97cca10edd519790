"""Finding what is stored for a request, and answering with it.

The look-up is one safe read, which leaves with the first ops of the layers outside. What is missing is fetched by one request,
under a lead that it holds in the storage; the others wait for it, for a while.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from math import floor
from secrets import randbits
from typing import Any

from ...flow import Action, sleep
from ...http import Headers, Repeat, Request, Response
from ...ops import Get, Op, gather
from . import answer as answers
from . import counts, parts
from . import entry as entries
from .entry import Entry
from .key import Url, seen_otherwise, variant
from .learnt import NOTHING, Learnt
from .purges import Purged, marks_of, purged
from .steps import Find, Found, Lead, Release
from .terms import Terms
from .visit import SECOND, Visit

logger = logging.getLogger("redis_middleware")

LEADS = "redis_middleware.leads"
"""Key of the environ or scope: the keys of what this request fetches already, in a cache further outside."""

PAUSE, LONGEST_PAUSE = 0.005, 0.1
"""Seconds between two looks at whether what is waited for has come: at first, and at most."""


class Lookup:
    """Finds responses for one cache. Serves all threads and tasks."""

    def __init__(self, cache: object, terms: Terms, learnt: Learnt) -> None:
        self._cache = cache
        self._terms = terms
        self._learnt = learnt

    def visit(self, request: Request, url: Url) -> Visit:
        """What a request wants, as far as it is known before one looks."""
        credentials = self._terms.has_credentials(request)
        key = url.key
        hint = self._learnt.of(key, credentials)
        seen = seen_otherwise(request)
        name = variant(hint.vary, request.headers, plain=self._terms.conformance, seen=seen)
        return Visit(url, key, name, seen, hint, credentials, self._terms.demand(request.headers))

    def answered(self, request: Request, visit: Visit) -> Action[Response | None]:
        """The answer from what is stored; None if the app has to be asked. Waits for who asks it already."""
        yield from self.look(request, visit)
        waited, pause = 0.0, PAUSE
        while True:
            if (response := (yield from self._usable(request, visit))) is not None:
                return response
            if visit.demand.only_if_cached:
                return Response(504)  # RFC 9111 §5.2.1.7; without a Cache-Status, as it is made here (RFC 9211 §2)
            if waited >= self._terms.wait or (waited and visit.refused) or self._asks_for_itself(request, visit):
                return None
            if not visit.led:
                yield from self.look(request, visit, leading=True)
                if visit.token:
                    response = yield from self._usable(request, visit)  # who had the lead before may have stored it
                    if response is not None:
                        give_up(request, visit)
                    return response
                continue  # somebody was faster
            visit.collapsed = visit.collapsed or visit.why
            yield from sleep(pause)
            waited, pause = waited + pause, min(pause * 1.5, LONGEST_PAUSE)
            yield from self.look(request, visit, waiting=True)

    def _asks_for_itself(self, request: Request, visit: Visit) -> bool:
        """Whether nothing comes of waiting for others, or of fetching for them."""
        if visit.hint.refused or visit.key in request.native.get(LEADS, ()):
            return True  # what comes is not stored; or a cache further outside stores it
        if visit.led and visit.entry is not None and visit.control is not None:
            return visit.control.validates_always or visit.entry.lifetime <= 0  # each has to ask about it
        return request.method == "HEAD" and visit.entry is None  # its answer would not be stored

    def look(self, request: Request, visit: Visit, *, leading: bool = False, waiting: bool = False) -> Action[None]:
        """Read what is stored; a second time if it turns out that the first was the wrong question. `leading` tries to take the
        lead before: in the same trip, as what was stored until then has to be seen. Who is `waiting` moves no body.
        """
        wanted: str | None = None
        for _ in range(3):
            asked, token, lead = (visit.name, visit.hint.tags), 0, []
            if leading and visit.name != wanted:
                give_up(request, visit)  # it was the lead of another variant
                wanted, token = visit.name, randbits(52) + 1
                lead = [Lead((visit.key,), (visit.name, token, self._lease, 0))]
            had = (visit.entry.mark, visit.body) if visit.entry is not None and visit.body is not None else None
            moved = visit.hint.beside and not (waiting or had) and _gets_a_body(request, visit.entry)
            found, *rest = yield from self._read(visit, lead, [Get(visit.body_key)] if moved else [])
            if lead and rest.pop(0):
                visit.lead, visit.token = visit.name, token
                request.native[LEADS] = (*request.native.get(LEADS, ()), visit.key)
            marks, bodies = rest[: 1 + len(visit.hint.tags)], rest[1 + len(visit.hint.tags) :]
            self._note(request, visit, found)
            if (visit.name, visit.hint.tags) == asked:
                visit.body = bodies[0] if bodies else None
                if had is not None and visit.entry is not None and visit.entry.mark == had[0]:
                    visit.body = had[1]
                self._judge(request, visit, marks)
                return
        visit.found(None)  # it changes faster than one can look

    @property
    def _lease(self) -> int:
        return round(self._terms.lease * SECOND)

    def _read(self, visit: Visit, lead: list[Lead], beside: list[Get]) -> Action[list[Any]]:
        """What is found, whether the lead was got, marks and body, in one trip."""
        marks = marks_of(visit.hint.tags, visit.url.namespace)
        ops: list[Op[Any]] = [*lead, Find((visit.key,), (visit.name,)), *marks, *beside]
        results = yield from gather(*ops)
        leads, found, rest = results[: len(lead)], results[len(lead)], results[len(lead) + 1 : len(ops)]
        return [found, *leads, *rest]

    def _note(self, request: Request, visit: Visit, found: Found) -> None:
        """Learn from what was found what to ask for."""
        visit.now, visit.led, visit.refused, visit.failed = found.now, found.led, found.refused, found.failed
        visit.purged = found.softly
        vary = tuple(found.vary.split("\n")) if found.vary else ()
        visit.why = "vary-miss" if vary else "uri-miss"
        if vary != visit.hint.vary:
            visit.hint = replace(visit.hint, vary=vary)
            visit.name = variant(vary, request.headers, plain=self._terms.conformance, seen=visit.seen)
        entry = None if found.entry is None else entries.decode(found.entry)
        visit.found(entry)
        if found.entry is not None and entry is None and not visit.broken:
            visit.broken = True
            logger.error("an entry of the cache is broken or of another version, and counts as none: %s", visit.key)
        if entry is not None:
            refused = visit.hint.refused and visit.credentials and not entry.shared  # it is not for this one
            visit.hint = replace(visit.hint, tags=entry.tags, beside=entry.body is None, refused=refused)
        if visit.hint is not NOTHING:
            self._learnt.note(visit.key, visit.credentials, visit.hint)

    def _judge(self, request: Request, visit: Visit, marks: Iterable[bytes | None]) -> None:
        """Leave only an entry that may be used for this request, be it stale."""
        entry = visit.entry
        if entry is None:
            return
        try:
            last = purged(marks, visit.url.text)
        except ValueError:
            logger.error("what was purged from the cache cannot be read: %s counts as purged", visit.key)
            last = Purged(hard=visit.now)
        if last.hard >= entry.began or entry.began > visit.now or (visit.credentials and not entry.shared):
            visit.found(None)
            visit.why = "miss"
        elif entry.part is not None and parts.asked(request, entry) is None:
            visit.found(None)
            visit.beside, visit.why = entry, "partial"
        softly = max(last.soft, visit.purged)
        visit.purged = softly if softly >= entry.began else 0

    def _usable(self, request: Request, visit: Visit) -> Action[Response | None]:
        """The answer from the entry, if it is fresh enough for this request (RFC 9111 §4)."""
        entry, control = visit.entry, visit.control
        if entry is None or control is None:
            return None
        left, demand = visit.left(), visit.demand
        visit.why = "stale"
        if control.validates_always:
            return None
        too_old = demand.max_age is not None and answers.age(entry, visit.now) > demand.max_age
        if demand.no_cache or too_old or (demand.min_fresh and left < demand.min_fresh):
            visit.why = "request"
            return None
        if left > 0:
            if self._terms.early_renewal and not (visit.led or visit.failed) and self._terms.is_early(visit):
                self._renew(request, visit)
            return (yield from self._hit(request, visit))
        if self._terms.may_be_stale(visit):
            if not (visit.led or visit.failed):
                self._renew(request, visit)
            return (yield from self._hit(request, visit, "stale-while-revalidate"))
        if not visit.purged and not control.forbids_stale and demand.max_stale >= -left and demand.max_stale:
            return (yield from self._hit(request, visit, "max-stale"))
        return None

    def _hit(self, request: Request, visit: Visit, stale: str = "") -> Action[Response | None]:
        """Answer with the entry; `stale` is why it may be used although it has expired."""
        how = f"fwd={visit.collapsed}; collapsed" if visit.collapsed else "hit"
        status = f"{how}; ttl={floor(visit.left())}" + (f"; detail={stale}" if stale else "")
        response = yield from self.served(request, visit, status)
        if response is not None:
            counts.hit(request, "stale" if stale else "")
        return response

    def _renew(self, request: Request, visit: Visit) -> None:
        """Have the entry renewed when this request has been answered."""
        assert visit.entry is not None
        request.repeats.append(Repeat(self._cache, f"{visit.key}:{visit.name}", visit.entry.began))

    def served(self, request: Request, visit: Visit, status: str) -> Action[Response | None]:
        """The answer from the entry; None if its body is gone."""
        entry, control = visit.entry, visit.control
        assert entry is not None
        assert control is not None
        whole = entry.body
        if whole is None and answers.wants_body(request, entry):
            raw = visit.body if visit.body is not None else (yield from Get(visit.body_key))
            whole = None if raw is None else entries.unframed(raw, entry.mark)
            if whole is None:
                visit.found(None)
                visit.body, visit.why = None, "miss"
                request.repeats[:] = [repeat for repeat in request.repeats if repeat.layer is not self._cache]
                return None
        return answers.answer(request, entry, whole or b"", visit.now, status, control.unvalidated_fields)


def give_up(request: Request, visit: Visit, *, refused: float = 0, failed: float = 0) -> None:
    """Let somebody else fetch it. For so many seconds nobody is to wait for it, as it was `refused`, or to renew it, as that
    has `failed`.
    """
    if visit.token:
        keep_up_no_longer(request, visit)
        request.outbox.append(release(visit, refused=refused, failed=failed))
        visit.token = 0


def release(visit: Visit, *, refused: float = 0, failed: float = 0) -> Release:
    """The op that gives the lead back."""
    return Release((visit.key,), (visit.lead, visit.token, round(refused * SECOND), round(failed * SECOND)))


def keep_up_no_longer(request: Request, visit: Visit) -> None:
    """Let the lead lapse when its time is over."""
    request.pulses[:] = [pulse for pulse in request.pulses if not (isinstance(pulse.op, Lead) and pulse.op.keys == (visit.key,))]


def _gets_a_body(request: Request, entry: Entry | None) -> bool:
    """Whether the answer has a body, as far as one can tell while the entry is not known."""
    if entry is not None:
        return answers.wants_body(request, entry)
    headers: Headers = request.headers
    return request.method == "GET" and not ("if-none-match" in headers or "if-modified-since" in headers)
