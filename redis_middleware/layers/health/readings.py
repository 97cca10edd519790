"""One reading for all who ask at once, and for the second after: probing cannot be used as a lever.

Who comes first reads; the others wait in small steps, which holds no event loop, and take what it has found. If who reads is
cancelled, the next one does.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from threading import Lock

from ...flow import Action, sleep
from .facts import BUDGET, Facts

FRESH = 1.0
"""Seconds for which a reading is as good as a new one."""

STEP = 0.01
"""Seconds between two looks at whether the reading of somebody else is there."""

STUCK = 5.0
"""Seconds after which who reads is taken to have vanished without a word, as in a process that was forked from it."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What was found when; and what was found before that, to see what rises."""

    facts: Facts
    at: float
    before: Facts | None = None


class Readings:
    """The last reading of each kind, and who is reading. Serves all threads and event loops of a process."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = Lock()
        self._last: dict[Hashable, Reading] = {}
        self._reading: dict[Hashable, float] = {}

    def get(self, key: Hashable, look: Callable[[], Action[Facts]]) -> Action[Reading]:
        """An action: a reading that is at most `FRESH` seconds old."""
        for _ in range(round(BUDGET / STEP) + 20):
            last = self._last.get(key)
            if last is not None and 0 <= self._clock() - last.at < FRESH:
                return last
            if self._begin(key):
                return (yield from self._read(key, look))
            yield from sleep(STEP)
        return Reading(Facts({}, trouble="timeout"), self._clock())

    def _begin(self, key: Hashable) -> bool:
        now = self._clock()
        with self._lock:
            if now - self._reading.get(key, -STUCK) < STUCK:
                return False
            self._reading[key] = now
            return True

    def _read(self, key: Hashable, look: Callable[[], Action[Facts]]) -> Action[Reading]:
        before = self._last.get(key)
        try:
            facts = yield from look()
            reading = Reading(facts, self._clock(), None if before is None else before.facts)
            self._last[key] = reading
            return reading
        finally:
            self._reading.pop(key, None)
