"""When a storage is left alone, so that an outage costs the first requests a moment, and the others nothing: a breaker.

Rules:

* It opens on `IN_A_ROW` failures in a row, or if half of at least `LEAST` trips within `WINDOW` seconds have failed. A trip that
  succeeds, but takes longer than it may, is a failure.
* While it is open, nobody makes a trip, and nobody waits.
* It is closed by a probe in the background, and never by a request. Probes come after 1 second, then 2, each at a random
  moment of that time, so that not all workers come back at once.

That a pool is exhausted is no failure. The longest pause is short, as who has recovered is to be back within two seconds; one
small question in that time, from each process, is no burden.
"""

from __future__ import annotations

import os
import random
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable

IN_A_ROW = 3
LEAST, SHARE, WINDOW = 10, 0.5, 10.0
FIRST, LONGEST = 1.0, 2.0


class Breaker:
    """Says whether a storage is to be asked. Serves all threads and event loops.

    `probe` asks the storage whether it works, blocks for a moment at most, and never raises; it is called in a thread of the
    breaker's own. `slow` is how many seconds a trip may take.
    """

    def __init__(
        self,
        probe: Callable[[], bool],
        slow: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], float] = lambda longest: random.uniform(0, longest),  # noqa: S311  # nobody gains by knowing it
    ) -> None:
        self._probe = weakref.WeakMethod(probe) if hasattr(probe, "__self__") else lambda: probe
        self._slow = slow
        self._clock = clock
        self._pause = pause
        self._lock = threading.Lock()
        self._trips: deque[tuple[float, bool]] = deque(maxlen=1000)
        self._in_a_row = 0
        self._ended: threading.Event | None = None  # set while it is open: to be set when nobody need probe any more
        self._pid = os.getpid()

    @property
    def is_open(self) -> bool:
        """Whether the storage is to be left alone."""
        if self._ended is None:
            return False
        if self._pid != os.getpid():  # a child has no thread of its parent's: it finds out for itself
            self.reset()
        return self._ended is not None

    def succeeded(self, seconds: float) -> None:
        """A trip has succeeded, after so long."""
        if seconds > self._slow:
            self.failed()
        else:
            self._in_a_row = 0
            if self._trips:  # only since something has failed is it of interest
                self._trips.append((self._clock(), True))

    def failed(self) -> None:
        """A trip has failed."""
        with self._lock:
            self._in_a_row += 1
            now = self._clock()
            self._trips.append((now, False))
            while self._trips and self._trips[0][0] < now - WINDOW:
                self._trips.popleft()
            lost = sum(not succeeded for _, succeeded in self._trips)
            often = len(self._trips) >= LEAST and lost >= SHARE * len(self._trips)
            if self._ended is None and (self._in_a_row >= IN_A_ROW or often):
                self._ended, self._pid = threading.Event(), os.getpid()
                name = "redis_middleware probe"
                threading.Thread(target=_probe, args=(weakref.ref(self), self._ended), name=name, daemon=True).start()

    def reset(self) -> None:
        """Forget everything: it is closed, and nobody probes."""
        with self._lock:
            self._in_a_row = 0
            self._trips.clear()
            ended, self._ended = self._ended, None
        if ended is not None:
            ended.set()

    def works(self) -> bool:
        """Whether the storage works, as far as a probe can tell."""
        probe = self._probe()
        return probe is None or probe()

    def pause(self, longest: float) -> float:
        """How long to wait for the next probe."""
        return self._pause(longest)


def _probe(breaker: weakref.ref[Breaker], ended: threading.Event) -> None:
    """Probe until it works, or nobody has the storage any more."""
    longest = FIRST
    while (one := breaker()) is not None:
        pause = one.pause(longest)
        del one
        if ended.wait(pause):
            return
        if (one := breaker()) is None or one.works():
            if one is not None:
                one.reset()
            return
        longest = min(longest * 2, LONGEST)
