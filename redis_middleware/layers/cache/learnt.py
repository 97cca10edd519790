"""What this process remembers of URLs, so that the next request for one asks the right thing at once.

It is only a hint: what is forgotten or wrong costs a trip, and never a wrong answer. Bounded; serves all threads and tasks.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock

MOST = 10_000
"""How many URLs are remembered."""


@dataclass(frozen=True, slots=True)
class Hint:
    """Of one URL: what its responses vary by, their tags, whether bodies stand beside, and whether none is ever stored."""

    vary: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    beside: bool = False
    refused: bool = False


NOTHING = Hint()


class Learnt:
    """Hints by URL and by whether the request has credentials; the least recently used go first."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._lock = Lock()
        self._hints: OrderedDict[tuple[str, bool], Hint] = OrderedDict()

    def of(self, key: str, credentials: bool) -> Hint:
        """What is remembered of a URL."""
        with self._lock:
            hint = self._hints.get((key, credentials))
            if hint is None:
                return NOTHING
            self._hints.move_to_end((key, credentials))
            return hint

    def note(self, key: str, credentials: bool, hint: Hint) -> None:
        """Remember something of a URL."""
        with self._lock:
            self._hints[(key, credentials)] = hint
            self._hints.move_to_end((key, credentials))
            if len(self._hints) > self._most:
                self._hints.popitem(last=False)
