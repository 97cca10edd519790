"""One request on its way through the cache: what it wants, and what has been found for it so far."""

from __future__ import annotations

from dataclasses import dataclass

from ...http import Headers
from . import answer
from .entry import Entry
from .key import Url
from .learnt import Hint
from .rfc9111 import Control, Demand

SECOND = 1_000_000


@dataclass(slots=True)
class Visit:
    """Times are microseconds of the storage's clock."""

    url: Url
    key: str
    """The key of the URL's entries."""
    name: str
    """The digest of the variant that it wants."""
    seen: list[str]
    """What the app may take for the URL, other than what the client wrote."""
    hint: Hint
    credentials: bool
    demand: Demand
    now: int = 0
    entry: Entry | None = None
    control: Control | None = None
    """What the entry says about caching."""
    beside: Entry | None = None
    """What is stored, but is a part that does not answer this request."""
    body: bytes | None = None
    purged: int = 0
    """When the entry was purged softly, if it was."""
    broken: bool = False
    """Whether it has been said that the entry cannot be read."""
    led: bool = False
    refused: bool = False
    """Whether the last response could not be stored."""
    failed: bool = False
    """Whether renewing has failed a moment ago."""
    token: int = 0
    """The lead that this request holds; 0 for none."""
    lead: str = ""
    """The digest of the variant whose lead that is."""
    collapsed: str = ""
    """Why the app would have been asked, had this request not waited for another one (RFC 9211 §2.6)."""
    why: str = "uri-miss"
    """Why the app is asked, in the words of RFC 9211 §2.2."""

    @property
    def body_key(self) -> str:
        """Where the body is, if it stands beside its entry."""
        return f"{self.key}:{self.name}"

    def found(self, entry: Entry | None) -> None:
        """Take an entry as what is stored for this request."""
        self.entry = entry
        self.control = None if entry is None else Control.of(Headers.received(entry.lines))

    def left(self) -> float:
        """For how many seconds the entry is fresh yet; not more than 0 if it is stale, for how long then (RFC 9111 §4.2)."""
        assert self.entry is not None
        left = answer.left(self.entry, self.now)
        return min(left, (self.purged - self.now) / SECOND) if self.purged else left
