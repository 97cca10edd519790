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
from .steps import Written
from .tokens import Token

UNCHANGING = frozenset({str, int, float, bool, bytes, NoneType})
"""Types whose values cannot change without being assigned anew."""

Ending = tuple[tuple[str, ...], tuple[str, ...]]

TOO_LATE = (
    "the response has begun, or the WebSocket has been accepted, so the cookie of {} cannot be set any more: begin it before, "
    "for example by session['seen'] = True"
)


@dataclass(slots=True)
class State:
    """Of one session in one request. Belongs to one thread or task."""

    tokens: tuple[Token, ...] = ()
    """All that the request came with."""
    token: Token | None = None
    """The one that named its record; None as long as there is no record."""
    id: str | None = None
    """Its record's id, which may be another than the token's: that may be an alias."""
    since: int | None = None
    """When the token became an alias."""
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
    user: str | None = None
    """Who is to be bound to it."""
    bound: str = ""
    """The digest of the user that it is bound to, or nothing."""
    before: str = ""
    """The id that it had before, or nothing."""
    salt: str = ""
    """What its sealed values are bound to, beside the tag."""
    issued: int = 0
    seen: int = 0
    ends: int = 0
    now: int = 0
    """When it was read, by the storage's clock."""

    rotating: bool = False
    wanted: bool = False
    """Whether there is to be a record even if there is nothing in it."""
    ending: Ending | tuple[()] = ()
    """The ids of the sessions that were cleared, and the keys of other libraries' records that go with them."""
    expiring: bool = False
    """Whether the cookie is to go when that has been done."""
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
    foreign: Callable[[], tuple[str, ...]] = tuple
    """The keys of other libraries' records that the request names."""
    told: bool = False
    """Whether it was said that changes were not stored."""
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

    def clear(self) -> None:
        """The app has ended the session: forget everything but that."""
        ids = {token.id for token in self.tokens} | ({self.token.id} if self.token is not None else set())
        keys = {*self.taken, *self.foreign()}
        if self.ending:
            ids, keys = ids | {*self.ending[0]}, keys | {*self.ending[1]}
        self.ending = (tuple(sorted(ids)), tuple(sorted(keys))) if ids or keys else ()
        self.expiring, self.cookie = self.carried or self.token is not None, None
        self.token = self.id = self.since = self.idle_timeout = self.persistent = None
        self.before = self.bound = ""
        self.tokens, self.taken, self.kept = (), (), True
        self.revert()
        self.saved.clear()

    def revert(self) -> None:
        """What the app has changed is not to be stored any more."""
        for pending in (self.assigned, self.added, self.settings):
            pending.clear()
        self.user, self.rotating, self.wanted = None, False, False

    def named(self, token: Token, bound: str, before: str) -> None:
        """The record has another name now, of which the client has to be told."""
        self.token, self.id, self.since, self.wanted = token, token.id, None, False
        self.bound, self.before, self.cookie = bound, before, "set"

    def wrote(self, written: Written, changes: list[Change], contents: dict[str, Any]) -> None:
        """The record has been written, with these changes."""
        self.now = self.seen = written.now
        self.ends = written.after
        self._settle(changes, contents)

    def moved(self, values: dict[str, bytes]) -> None:
        """The record is a new one, with these values."""
        self.saved = values
        self.revert()

    def idle(self, idle: int) -> int:
        """Its idle timeout in microseconds, by default `idle`."""
        return idle if self.idle_timeout is None else round(self.idle_timeout * 1_000_000)

    def stale(self, idle: int) -> bool:
        """Whether a tenth of its idle timeout (by default `idle` microseconds) has passed since it was last seen."""
        return self.now - self.seen >= self.idle(idle) / 10

    def changes(self, contents: dict[str, Any]) -> list[Change]:
        """What has changed, as the scripts take it (see `record`)."""
        made: list[Change] = []
        for key, value in contents.items():
            if key in self.added:
                made.append(("+", key, self.added[key]))
                continue
            raw = self.assigned.get(key) if type(value) in UNCHANGING else encoded(key, value)
            if raw is not None and raw != self.saved.get(key):
                made.append((".", key, raw))
        made += [("-", key, "") for key in self.saved if key not in contents]
        made += [("m", name, setting) for name, setting in self.settings.items()]
        return made

    def _settle(self, changes: list[Change], contents: dict[str, Any]) -> None:
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
                if key in contents:
                    self.saved[key] = encode(contents[key])
                left = self.added.pop(key, 0) - int(value)
                if left:
                    self.added[key] = left
            elif self.settings.get(key) == value:
                del self.settings[key]


def encoded(key: str, value: Any) -> bytes:
    """A value as it is stored. Raises `TypeError` or `ValueError` that says which one cannot be."""
    try:
        return encode(value)
    except (TypeError, ValueError) as exc:
        raise type(exc)(f"session[{key!r}]: {exc}") from None
