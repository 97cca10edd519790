"""The heart of an edge: it sends what no request sends.

* While a request lasts, its pulses are sent again and again, so that what the request holds does not lapse. A flow cannot do
  that by itself, as it stands still while the app runs.
* What was counted and has waited for too long, as there was no request to go along with.

All requests of an edge share one heart: one thread, or one task for each event loop, that lives as long as there is something
to send, and sends what is due as one batch.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from weakref import WeakKeyDictionary

from .counting import Ledger
from .http import Request
from .ops import Op
from .storage import Storage

logger = logging.getLogger("redis_middleware")

BEAT = 0.25
"""Seconds between two looks at what is due. A pulse comes so much late at most, and is meant to leave room for that."""


class Pulses:
    """What is due when. Not safe for use by several threads at once."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due: dict[Request, list[float]] = {}

    def __bool__(self) -> bool:
        return bool(self._due)

    def add(self, request: Request) -> None:
        """From now on the pulses of a request are due, each for the first time after its own interval."""
        now = self._clock()
        self._due[request] = [now + pulse.every for pulse in request.pulses]

    def remove(self, request: Request) -> None:
        """The request has ended."""
        self._due.pop(request, None)

    def due(self) -> tuple[Op[Any], ...]:
        """The ops that are due now; they are due again after their interval."""
        now, ops = self._clock(), []
        for request, times in self._due.items():
            for place, pulse in enumerate(request.pulses):
                if times[place] <= now:
                    times[place] = now + pulse.every
                    ops.append(pulse.op)
        return tuple(ops)


class Heart:
    """Beats in a thread. Serves all threads."""

    def __init__(self, storage: Storage, ledger: Ledger) -> None:
        self._storage = storage
        self._ledger = ledger
        self._lock = threading.Lock()
        self._pulses = Pulses()
        self._beating = False
        self._registered = False

    def add(self, request: Request) -> None:
        """Begin with the pulses of a request."""
        with self._lock:
            self._pulses.add(request)
        self.watch()

    def remove(self, request: Request) -> None:
        """The request has ended."""
        with self._lock:
            self._pulses.remove(request)

    def watch(self) -> None:
        """See to it that what is there to send is sent."""
        if self._beating or not (self._pulses or self._ledger):
            return
        with self._lock:
            if not self._beating:
                self._beating = True
                if not self._registered:
                    self._registered = True
                    atexit.register(_last, weakref.ref(self))
                name = "redis_middleware heart"
                threading.Thread(target=_beat, args=(weakref.ref(self),), name=name, daemon=True).start()

    def beat(self) -> bool:
        """Send what is due; False if there is nothing left that will be."""
        with self._lock:
            if not (self._pulses or self._ledger):
                self._beating = False
                return False
            pulses = self._pulses.due()
        self._send(pulses, self._ledger.take() if self._ledger.is_overdue else ())
        return True

    def flush(self) -> None:
        """Send what was counted, however young."""
        self._send((), self._ledger.take())

    def _send(self, pulses: tuple[Op[Any], ...], counted: tuple[Op[Any], ...]) -> None:
        if pulses or counted:
            try:
                self._storage.execute(pulses + counted)
            except Exception as exc:
                logger.debug("%d ops lost that no request sends: %s", len(pulses), exc)
                self._ledger.put_back(counted)


def _last(heart: weakref.ref[Heart]) -> None:
    """The process ends: send what was counted."""
    beating = heart()
    if beating is not None:
        beating.flush()


def _beat(heart: weakref.ref[Heart]) -> None:
    """Beat until there is nothing to send, or nobody has the edge any more."""
    while True:
        time.sleep(BEAT)
        beating = heart()
        if beating is None or not beating.beat():
            return
        del beating


class AsyncHeart:
    """Beats in a task of each event loop."""

    def __init__(self, storage: Storage, ledger: Ledger) -> None:
        self._storage = storage
        self._ledger = ledger
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[Pulses, asyncio.Task[None]]] = WeakKeyDictionary()

    @contextmanager
    def beating(self, request: Request) -> Iterator[None]:
        """Send the pulses of a request of the running loop until the block ends."""
        pulses = self._begin()
        pulses.add(request)
        try:
            yield
        finally:
            pulses.remove(request)

    def watch(self) -> None:
        """See to it that what was counted is sent."""
        if not self._ledger:
            return
        with suppress(RuntimeError):  # nobody runs a loop: not a server's way to call an app
            if asyncio.get_running_loop() not in self._loops:
                self._begin()

    async def aclose(self) -> None:
        """Send what was counted, and end what beats in the running loop."""
        _, task = self._loops.pop(asyncio.get_running_loop(), (None, None))
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await self.flush()

    async def flush(self) -> None:
        """Send what was counted, however young."""
        await self._send((), self._ledger.take())

    def _begin(self) -> Pulses:
        loop = asyncio.get_running_loop()
        pulses, task = self._loops.get(loop, (Pulses(), None))
        if task is None or task.done():
            self._loops[loop] = pulses, loop.create_task(self._beat(pulses), name="redis_middleware heart")
        return pulses

    async def _beat(self, pulses: Pulses) -> None:
        try:
            await asyncio.sleep(BEAT)
            while pulses or self._ledger:
                await self._send(pulses.due(), self._ledger.take() if self._ledger.is_overdue else ())
                await asyncio.sleep(BEAT)
        finally:  # the loop is not to be kept alive by what it ran
            self._loops.pop(asyncio.get_running_loop(), None)

    async def _send(self, pulses: tuple[Op[Any], ...], counted: tuple[Op[Any], ...]) -> None:
        if pulses or counted:
            try:
                await self._storage.aexecute(pulses + counted)
            except Exception as exc:
                logger.debug("%d ops lost that no request sends: %s", len(pulses), exc)
                self._ledger.put_back(counted)
