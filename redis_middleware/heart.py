"""The heart of an edge: while a request lasts, its pulses are sent again and again, so that what it holds does not lapse.

A flow cannot do that by itself, as it stands still while the app runs. All requests of an edge share one heart: one thread,
or one task for each event loop, that lives as long as there is a request with pulses, and sends what is due as one batch.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

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
    """Sends the pulses of the requests that were added, until they are removed. Serves all threads."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._lock = threading.Lock()
        self._pulses = Pulses()
        self._beating = False

    def add(self, request: Request) -> None:
        """Begin with the pulses of a request."""
        with self._lock:
            self._pulses.add(request)
            if not self._beating:
                self._beating = True
                threading.Thread(target=self._beat, name="redis_middleware heart", daemon=True).start()

    def remove(self, request: Request) -> None:
        """The request has ended."""
        with self._lock:
            self._pulses.remove(request)

    def _beat(self) -> None:
        while True:
            time.sleep(BEAT)
            with self._lock:
                if not self._pulses:
                    self._beating = False
                    return
                ops = self._pulses.due()
            if ops:
                try:
                    self._storage.execute(ops)
                except Exception as exc:
                    logger.debug("%d pulses lost: %s", len(ops), exc)


class AsyncHeart:
    """Sends the pulses of the requests of each event loop, until they are removed."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[Pulses, asyncio.Task[None]]] = WeakKeyDictionary()

    @contextmanager
    def beating(self, request: Request) -> Iterator[None]:
        """Send the pulses of a request of the running loop until the block ends."""
        loop = asyncio.get_running_loop()
        pulses, task = self._loops.get(loop, (Pulses(), None))
        pulses.add(request)
        if task is None or task.done():
            self._loops[loop] = pulses, loop.create_task(self._beat(pulses), name="redis_middleware heart")
        try:
            yield
        finally:
            pulses.remove(request)

    async def _beat(self, pulses: Pulses) -> None:
        try:
            while pulses:
                await asyncio.sleep(BEAT)
                ops = pulses.due()
                if ops:
                    await self._send(ops)
        finally:  # the loop is not to be kept alive by what it ran
            self._loops.pop(asyncio.get_running_loop(), None)

    async def _send(self, ops: tuple[Op[Any], ...]) -> None:
        try:
            await self._storage.aexecute(ops)
        except Exception as exc:
            logger.debug("%d pulses lost: %s", len(ops), exc)
