"""What is known about one session during one request, beside its contents: what was read, and what is to be written.

Nothing here asks the storage for anything. The layer fills it, the mapping notes in it what the app wants, and the layer
reads that off when it commits.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import NoneType
from typing import Any, Literal

from ...errors import SessionError, StorageError, fresh
from ...ops import Arg
from .codec import encode
from .record import Change
from .tokens import Token

UNCHANGING = frozenset({str, int, float, bool, bytes, NoneType})
"""Types whose values cannot change without being assigned anew."""

TOO_LATE = (
    "the response has begun, or the WebSocket has been accepted, so the cookie of {} cannot be set any more: begin it before, "
    "for example by session['seen'] = True"
)


@dataclass(slots=True)
class State:
    """Of one session in one request. Belongs to one thread or task."""

    token: Token | None = None
    """Its record's name; None as long as there is no record."""
    saved: dict[str, bytes] = field(default_factory=dict)
    """Each value as it is stored, encoded."""
    assigned: dict[str, bytes] = field(default_factory=dict)
    """Each value that was assigned, encoded; what has been in it since then may have changed."""
    added: dict[str, int] = field(default_factory=dict)
    """What was added to numbers that were not assigned."""
    settings: dict[str, Arg] = field(default_factory=dict)
    """Fields of the record's own that are to be written; "" removes one."""
    idle_timeout: float | None = None
    persistent: bool | None = None
    lifetime: float | None = None
    """Seconds that a permanent session lasts, if the framework says."""
    user: tuple[str, str] | None = None
    """Who is to be bound to it, and on what device."""
    bound: str | None = None
    """The digest of the user that it is bound to."""
    before: str | None = None
    issued: int = 0
    seen: int = 0
    ends: int = 0
    now: int = 0
    """When it was read, by the storage's clock."""

    rotating: bool = False
    ending: tuple[Token, str | None] | None = None
    """The session that was cleared, and the id that it had before."""
    kept: bool = True
    """False if the record may be read and not written: it was rotated a moment ago, or has ended meanwhile."""
    trouble: StorageError | None = None
    """Why nobody knows what is in it."""
    readable: bool = False
    """Whether it may be read as an empty one nevertheless."""
    refused: bool = False
    """Whether the app has been told of the trouble."""
    accessed: bool = False
    head_gone: bool = False
    carried: bool = False
    """Whether the request came with a cookie of ours."""
    cookie: Literal["set", "renew", "expire"] | None = None
    """What the response has to say about the cookie; `renew` if that can wait: it lasts longer now."""
    device: Callable[[], str] = str
    """What the client says it is."""
    taken: tuple[str, ...] = ()
    """Keys of other libraries' records that its contents were taken from."""
    save: Callable[[Any], Awaitable[None]] | None = None
    """Commits the session that it is given."""

    def read(self) -> None:
        """The app looks at the session."""
        self.accessed = True
        if self.trouble is not None and not self.readable:
            self._refuse(self.trouble)

    def write(self) -> None:
        """The app is about to change the session."""
        self.accessed = True
        if self.trouble is not None:
            self._refuse(self.trouble)
        if self.head_gone and self.token is None and self.kept:
            raise SessionError(TOO_LATE.format("a new session"))

    def end(self) -> None:
        """The app is about to end the session."""
        self.accessed = True
        if self.trouble is not None:
            self._refuse(self.trouble)

    def rename(self) -> None:
        """The app wants another id."""
        self.write()
        if self.head_gone:
            raise SessionError(TOO_LATE.format("another id"))

    def _refuse(self, trouble: StorageError) -> None:
        self.refused = True
        raise fresh(trouble)

    def stale(self, idle: int) -> bool:
        """Whether a tenth of its idle timeout (by default `idle` microseconds) has passed since it was last seen."""
        own = idle if self.idle_timeout is None else self.idle_timeout * 1_000_000
        return self.now - self.seen >= own / 10

    def changes(self, contents: dict[str, Any]) -> list[Change]:
        """What has changed, as the scripts take it (see `record`)."""
        made: list[Change] = []
        for key, value in contents.items():
            if key in self.added:
                made.append(("+", key, self.added[key]))
                continue
            raw = self.assigned.get(key) if type(value) in UNCHANGING else encode(value)
            if raw is not None and raw != self.saved.get(key):
                made.append((".", key, raw))
        made += [("-", key, "") for key in self.saved if key not in contents]
        made += [("m", name, setting) for name, setting in self.settings.items()]
        return made

    def settle(self, changes: list[Change], contents: dict[str, Any]) -> None:
        """The changes have been stored. What was changed since they were made is still to be."""
        for code, key, value in changes:
            if code == "-":
                self.saved.pop(key, None)
            elif code == ".":
                assert isinstance(value, bytes)
                self.saved[key] = value
                if self.assigned.get(key) == value:
                    del self.assigned[key]
            elif code == "+":
                self.saved[key] = encode(contents[key])
                self.added[key] -= int(value)
                if not self.added[key]:
                    del self.added[key]
            elif self.settings.get(key) == value:
                del self.settings[key]
