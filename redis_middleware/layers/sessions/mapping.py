"""The session as an app sees it: a dict that knows what was read and what was changed.

Rules:

1. Whatever reads it notes that it was read, as the response then depends on the cookie.
2. What cannot be stored is refused where it is assigned, and not when the response is on its way.
3. Nothing here waits for the storage but `save`, which says so.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Iterator, Mapping
from typing import Any, SupportsIndex

from ...errors import SessionError
from .record import EXACT
from .state import State, encoded

MISSING: Any = object()


class Session(dict[str, Any]):
    """One user agent's session: a dict whose contents are there again with its next request.

    Keys are text. Values are what JSON has, and bytes, datetime, date, UUID, Decimal, sets and tuples; a change within a
    value (`session["cart"].append(…)`) is noticed. What is written is committed before the response goes, and only the keys
    that were changed: other requests of the same session may write others meanwhile, and both stay. For numbers that
    several requests count up, use `increment`.

    An app finds it at `environ["redis_middleware.session"]` and `scope["session"]` (Starlette's `request.session`); it never
    has to make one. Belongs to one request, and so to one thread or task. Raises `StorageUnavailable` where it is used while
    the storage is out of reach (see `on_error` of `Sessions`).
    """

    __slots__ = ("state",)

    def __init__(self, contents: Mapping[str, Any] | Iterable[tuple[str, Any]] = (), /) -> None:
        super().__init__()
        self.state = State()
        self.update(contents)

    @property
    def id(self) -> str | None:
        """What names this session for `Sessions.list` and `revoke`; None as long as it is not stored. It is no secret: nobody
        can make a cookie of it.
        """
        self.state.accessed = True
        return self.state.id

    @property
    def new(self) -> bool:
        """Whether there is no record of it yet."""
        self.state.accessed = True
        return self.state.token is None

    @property
    def accessed(self) -> bool:
        """Whether the app has looked at it during this request."""
        return self.state.accessed

    @accessed.setter
    def accessed(self, value: bool) -> None:
        """Flask says so for every use of `flask.session`. What has been looked at stays so."""
        self.state.accessed = self.state.accessed or bool(value)

    @property
    def modified(self) -> bool:
        """Whether there is something to commit."""
        state = self.state
        return state.rotating or state.user is not None or bool(state.ending) or bool(state.changes(self._contents()))

    @modified.setter
    def modified(self, value: bool) -> None:
        """Frameworks want this to be said after a change within a value. Here it is noticed: nothing happens."""

    @property
    def idle_timeout(self) -> float | None:
        """Seconds after which this session ends if it is not used; None for what `Sessions` says. May be set."""
        return self.state.idle_timeout

    @idle_timeout.setter
    def idle_timeout(self, seconds: float | None) -> None:
        if seconds is not None and not 0 < seconds <= 1e9:
            raise ValueError(f"idle_timeout must be positive (seconds) or None, got {seconds!r}")
        self.state.write()
        if seconds != self.state.idle_timeout:
            self.state.idle_timeout = seconds
            self.state.settings["i"] = "" if seconds is None else round(seconds * 1_000_000)

    @property
    def persistent(self) -> bool | None:
        """Whether the cookie outlives the browser; None for what `Sessions` says. May be set."""
        return self.state.persistent

    @persistent.setter
    def persistent(self, value: bool | None) -> None:
        self.state.write()
        if value != self.state.persistent:
            self.state.persistent = value
            self.state.settings["k"] = "" if value is None else int(value)

    @property
    def permanent(self) -> bool:
        """Flask's word for `persistent`: whether an app has said so. In Flask it also says for how long, see
        `contrib.flask.SessionInterface`.
        """
        return self.state.persistent is True

    @permanent.setter
    def permanent(self, value: bool) -> None:
        if self.state.trouble is not None and self.state.readable:
            return  # apps say it with every request: no reason not to show an empty session
        self.persistent = bool(value)
        if self.state.lifetime is not None:
            self.idle_timeout = self.state.lifetime if value else None

    def increment(self, key: str, by: int = 1) -> int:
        """Add to a number, and what it is now as far as this request knows. The storage adds: nothing that others add
        meanwhile is lost. An absent key counts as 0.

        Raises `TypeError` if the value or `by` is no whole number, `ValueError` for a sum beyond 2^53.
        """
        state = self.state
        state.write()
        before = super().get(key, 0)
        if type(before) is not int or type(by) is not int:
            raise TypeError(f"increment needs whole numbers, session[{key!r}] is {before!r} and by is {by!r}")
        after = before + by
        if abs(after) > EXACT:
            raise ValueError(f"session[{key!r}] would be {after}: a counter has at most 2^53")
        if key in state.assigned or (key in state.saved and not super().__contains__(key)):  # or it was removed just now
            self[key] = after
        else:
            key = _checked(key)
            state.added[key] = state.added.get(key, 0) + by
            super().__setitem__(key, after)
        return after

    def rotate(self) -> None:
        """Give it a new id and keep what is in it. The old one can be read for a moment more, by requests that are under way,
        and then it is dead. To be called whenever somebody's rights change; `bind` does it by itself.
        """
        self.state.rename()
        self.state.rotating = True

    def bind(self, user: str, *, device: str | None = None) -> None:
        """Say whose session it is: at every login. It gets a new id, and a new start of its absolute timeout.

        `user` is what the app knows somebody by, as text; it is stored as a digest. `device` is shown by `Sessions.list`, by
        default what `User-Agent` says. If the user has as many sessions as are allowed, the oldest one ends, or the
        commit raises `TooManySessions`, as `when_full` says: `save()` to have it at once.
        """
        if not isinstance(user, str) or not user:
            raise TypeError(f"bind needs the user as text, got {user!r}: str(user.id)")
        self.state.rename()
        self.state.user = user
        self.state.settings["d"] = (self.state.device() if device is None else device).encode("utf-8", "replace")

    def clear(self) -> None:
        """End it, as at a logout: its record is deleted, and the cookie expires. What is written afterwards begins a new one."""
        self.state.end()
        self.state.clear()
        super().clear()

    def save(self) -> Awaitable[None]:
        """Commit now what was changed: `await session.save()`, for example in a WebSocket or before a long stream. Outside of
        an event loop it is done when this returns.

        Raises `StorageError` if the storage cannot do it, `SessionError` if the session has been ended meanwhile or is too
        large, `TooManySessions` if `bind` was refused.
        """
        if self.state.save is None:
            raise SessionError("this session belongs to no request: there is nowhere to save it")
        return self.state.save(self)

    def __repr__(self) -> str:
        """For who debugs: whoever looks at an environ or a scope does not look at the session."""
        return f"<Session {super().__repr__()}>"

    def __str__(self) -> str:
        self.state.accessed = True
        return repr(self)

    # reading

    def __getitem__(self, key: str) -> Any:
        self.state.read()
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self.state.read()
        return super().get(key, default)

    def __contains__(self, key: object) -> bool:
        self.state.read()
        return super().__contains__(key)

    def __len__(self) -> int:
        self.state.read()
        return super().__len__()

    def __iter__(self) -> Iterator[str]:
        self.state.read()
        return super().__iter__()

    def __reversed__(self) -> Iterator[str]:
        self.state.read()
        return super().__reversed__()

    def __eq__(self, other: object) -> bool:
        self.state.read()
        return super().__eq__(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None  # mutable

    def keys(self) -> Any:  # dict's own view
        self.state.read()
        return super().keys()

    def values(self) -> Any:
        self.state.read()
        return super().values()

    def items(self) -> Any:
        self.state.read()
        return super().items()

    def copy(self) -> dict[str, Any]:
        """A plain dict of what is in it."""
        self.state.read()
        return self._contents()

    def __or__(self, other: Any) -> dict[str, Any]:  # type: ignore[override]
        return self.copy() | dict(other)

    def __ror__(self, other: Any) -> dict[str, Any]:  # type: ignore[override]
        return dict(other) | self.copy()

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        raise TypeError("a session is not pickled: copy() gives a plain dict")

    def __copy__(self) -> dict[str, Any]:
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        from copy import deepcopy

        return deepcopy(self.copy(), memo)

    # writing

    def __setitem__(self, key: str, value: Any) -> None:
        self.state.write()
        key = _checked(key)
        self.state.assigned[key] = encoded(key, value)
        self.state.added.pop(key, None)
        super().__setitem__(key, value)

    def __delitem__(self, key: str) -> None:
        self.state.write()
        super().__delitem__(key)
        self.state.assigned.pop(key, None)
        self.state.added.pop(key, None)

    def pop(self, key: str, default: Any = MISSING) -> Any:
        if key in self:
            value = self[key]
            del self[key]
            return value
        if default is MISSING:
            raise KeyError(key)
        return default

    def popitem(self) -> tuple[str, Any]:
        self.state.write()
        for key in reversed(self):
            return key, self.pop(key)
        raise KeyError("the session is empty")

    def setdefault(self, key: str, default: Any = None) -> Any:
        if key not in self:
            self[key] = default
        return self[key]

    def update(self, *others: Any, **more: Any) -> None:
        for key, value in dict(*others, **more).items():
            self[key] = value

    def __ior__(self, other: Any) -> Session:  # type: ignore[override]
        self.update(other)
        return self

    # for the layer

    def _contents(self) -> dict[str, Any]:
        """What is in it, without looking at it."""
        return dict(super().items())

    def _fill(self, contents: Mapping[str, Any]) -> None:
        """Put in what was read."""
        super().clear()
        super().update(contents)


def _checked(key: str) -> str:
    """The key as plain text; raises for what is no text."""
    if not isinstance(key, str):
        raise TypeError(f"keys of a session are text, got {key!r}")
    key.encode()  # raises UnicodeEncodeError for half a character
    return key if type(key) is str else str.__str__(key)  # an enum's own text is its name
