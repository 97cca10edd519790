"""Who was denied a moment ago: to be told so again takes no trip to the storage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import inf
from threading import Lock

from .lists import Subject
from .policy import Decision, Policy, State
from .rules import Asked

MOMENT = 1.0
"""Seconds for which a denial is believed. An administrator's reset is so seen on every worker within that time."""

MOST = 10_000
"""How many denials are remembered. The oldest go first: they only cost a trip again."""


class Denials:
    """Remembers denials that came from a server, for at most a moment and never beyond their retry time.

    Bounded; serves all threads and tasks. `clock` counts seconds and need not know the date.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = Lock()
        self._denied: dict[str, tuple[Sequence[Asked], float, float, Decision]] = {}  # by the first key of a script

    def remember(self, key: str, asked: Sequence[Asked], decision: Decision) -> None:
        """Note what was decided, if it is worth it."""
        if decision.allowed or not decision.remote:
            return
        retries = [inf if state.retry is None else state.retry / 1_000_000 for state in decision.states if not state.fits]
        now = self._clock()
        with self._lock:
            if len(self._denied) >= MOST:
                del self._denied[next(iter(self._denied))]
            self._denied[key] = (asked, now, now + min(MOMENT, max(retries)), decision)

    def recall(self, key: str, asked: Sequence[Asked]) -> Decision | None:
        """The denial of the same a moment ago, with its times as of now; None if there was none."""
        if not self._denied:
            return None
        now = self._clock()
        before, then, until, decision = self._denied.get(key, (asked, now, now, None))
        if decision is None or _what(before) != _what(asked):
            return None
        if now < until:
            return replace(decision, states=_aged(decision.states, int((now - then) * 1_000_000)))
        self.forget(key)
        return None

    def forget(self, key: str) -> None:
        """Forget a denial whose first key this is: something was given back, or an administrator has reset it."""
        if self._denied:
            with self._lock:
                self._denied.pop(key, None)


def _what(asked: Sequence[Asked]) -> list[tuple[Policy, Subject, int]]:
    """What was asked for whom, whichever lease came with it."""
    return [(one.policy, one.subject, one.cost) for one in asked]


def _aged(states: tuple[State, ...], elapsed: int) -> tuple[State, ...]:
    return tuple(
        [
            State(
                state.fits,
                state.remaining,
                max(state.reset - elapsed, 0),
                None if state.retry is None else max(state.retry - elapsed, 0),
            )
            for state in states
        ]
    )
