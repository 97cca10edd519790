"""Whether this process should get requests: what its layers need, and whether it is about to end.

Rules:

* Alive is who answers. A storage that is away is no reason to restart a process: `/livez` never asks it, and `/startupz` asks
  until it has answered once, so that connections are open, but never says no for it.
* Ready is who can do its work: not so only if a layer that is `on_error="closed"` cannot, or if the process drains.
* Draining comes first and shutdown afterwards: a load balancer needs a moment to see it, in which everything is still served.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

from .checks import Status


def closed(layers: Sequence[Any]) -> list[Any]:
    """The layers that cannot work without the storage, as they say by `on_error`."""
    return [layer for layer in layers if getattr(layer, "on_error", None) == "closed"]


def readiness(layers: Sequence[Any], works: bool, draining: bool) -> Status:
    """Whether requests should come here."""
    if draining or (not works and closed(layers)):
        return "fail"
    return "pass" if works else "warn"


class Termination:
    """Tells of a SIGTERM, and passes it on to whoever handled it before, `delay` seconds later.

    Python lets only the main thread set a handler, and a server may set its own after the app was made: so `watch` is called
    again and again, and does something only where it is needed.
    """

    def __init__(self, tell: Callable[[], None], delay: float) -> None:
        self._tell = tell
        self._delay = delay
        self._before: Any = None
        self._told = False
        self._later: threading.Timer | None = None

    def watch(self) -> None:
        """Handle SIGTERM from now on, if this is the main thread and somebody else does."""
        if self._told or threading.current_thread() is not threading.main_thread():
            return
        current = signal.getsignal(signal.SIGTERM)
        if current != self._handle:
            self._before = current
            signal.signal(signal.SIGTERM, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        first, self._told = not self._told, True
        self._tell()
        if self._later is not None:
            self._later.cancel()
        if first and self._delay:
            self._later = threading.Timer(self._delay, os.kill, (os.getpid(), number))  # the handler runs again, and passes it on
            self._later.daemon = True
            self._later.start()
        elif callable(self._before):
            self._before(number, frame)
        elif self._before != signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
