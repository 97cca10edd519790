"""Django's `SessionStore`: two shells around each step, one for threads and, with an `a`, one for event loops."""

# mypy: disable-error-code="import-untyped,misc,untyped-decorator"
# (Django ships no types.)

from __future__ import annotations

from typing import Any, TypeVar

from django.conf import settings
from django.contrib.auth.signals import user_logged_in
from django.dispatch import receiver

from ...layers.sessions import Session
from .driving import Steps, adrive, drive
from .lasting import EXPIRY, last_as_set
from .settings import configured
from .steps import SessionSteps

T = TypeVar("T")


def _once_loaded(name: str) -> Any:
    """The async twin of a method that waits for nothing once the session is loaded."""

    async def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        await self._aget_session()
        return getattr(self, name)(*args, **kwargs)

    return method


class SessionStore(SessionSteps):
    """A session of the layer `Sessions` as Django knows sessions: `request.session`, or `SessionStore(session_key)` anywhere.

    It has all that Django's `SessionBase` has, with the `a…` methods in every version of Django. What is different:

    * Keys are text: others raise `TypeError`. Values may be what a `Session` holds, not only JSON; `SESSION_SERIALIZER` is not
      used.
    * A change within a value is noticed: `modified` need not be set.
    * `session_key` is what stands in the cookie, so it is a secret; it has 95 characters. `id` is none, and is what
      `Sessions.list` and `revoke` call the session.
    * `cycle_key`, `create`, `flush` and `bind` are stored at once. Under the key before, a session can still be read for
      `rotation_grace`; of a flushed one there is nothing left.
    * `clear_expired` has nothing to do: a session ends by itself.

    `increment` and `bind` are those of `Session`. What stores raises `SessionEnded` if the session was ended meanwhile,
    `SessionError` if it is too large, `LoginRefused`, and, like what reads, `StorageError`. Belongs to one request.
    """

    # in a thread

    def _get_session(self, no_load: bool = False) -> Session:
        self.accessed = True
        return self._drive(self._beginning(no_load)) if self._known is None else self._known

    _session = property(_get_session)

    def load(self) -> Session:
        """What is stored under the key."""
        return self._drive(self._loading())

    def exists(self, session_key: str | None) -> bool:
        """Whether there is a session under a key. One that was replaced a moment ago, and can still be read, is none."""
        return self._drive(self._existing(session_key))

    def save(self, must_create: bool = False) -> None:
        """Store what was changed. Raises `CreateError` if it `must_create` a session and there is one already."""
        self._drive(self._saving(must_create))

    def create(self) -> None:
        """Store it under a new key. If it was not loaded, there is nothing in it."""
        self._drive(self._renaming(no_load=True))

    def cycle_key(self) -> None:
        """Store it under a new key."""
        self._drive(self._renaming())

    def flush(self) -> None:
        """End it. What is written afterwards begins a new one."""
        self._drive(self._ending())

    def delete(self, session_key: str | None = None) -> None:
        """End what is stored under a key, by default its own."""
        self._drive(self._deleting(session_key))

    def bind(self, user: str, *, device: str | None = None) -> None:
        """Say whose session it is, see `Session.bind`. `auth.login` has it done by itself."""
        self._drive(self._binding(user, device))

    @classmethod
    def clear_expired(cls) -> None:
        """Nothing: a session ends by itself."""

    # in an event loop

    async def _aget_session(self, no_load: bool = False) -> Session:
        self.accessed = True
        return await self._adrive(self._beginning(no_load)) if self._known is None else self._known

    async def aload(self) -> Session:
        """`load` for an event loop."""
        return await self._adrive(self._loading())

    async def aexists(self, session_key: str | None) -> bool:
        """`exists` for an event loop."""
        return await self._adrive(self._existing(session_key))

    async def asave(self, must_create: bool = False) -> None:
        """`save` for an event loop."""
        await self._adrive(self._saving(must_create))

    async def acreate(self) -> None:
        """`create` for an event loop."""
        await self._adrive(self._renaming(no_load=True))

    async def acycle_key(self) -> None:
        """`cycle_key` for an event loop."""
        await self._adrive(self._renaming())

    async def aflush(self) -> None:
        """`flush` for an event loop."""
        await self._adrive(self._ending())

    async def adelete(self, session_key: str | None = None) -> None:
        """`delete` for an event loop."""
        await self._adrive(self._deleting(session_key))

    async def abind(self, user: str, *, device: str | None = None) -> None:
        """`bind` for an event loop."""
        await self._adrive(self._binding(user, device))

    @classmethod
    async def aclear_expired(cls) -> None:
        """Nothing: a session ends by itself."""

    aget = _once_loaded("get")
    aset = _once_loaded("__setitem__")
    apop = _once_loaded("pop")
    aupdate = _once_loaded("update")
    aclear = _once_loaded("clear")
    aincrement = _once_loaded("increment")
    ahas_key = _once_loaded("has_key")
    asetdefault = _once_loaded("setdefault")
    akeys = _once_loaded("keys")
    avalues = _once_loaded("values")
    aitems = _once_loaded("items")
    aset_test_cookie = _once_loaded("set_test_cookie")
    atest_cookie_worked = _once_loaded("test_cookie_worked")
    adelete_test_cookie = _once_loaded("delete_test_cookie")
    aset_expiry = _once_loaded("set_expiry")
    aget_expiry_age = _once_loaded("get_expiry_age")
    aget_expiry_date = _once_loaded("get_expiry_date")
    aget_expire_at_browser_close = _once_loaded("get_expire_at_browser_close")

    # what is in it

    @property
    def id(self) -> str | None:
        """What `Sessions.list` and `revoke` call it; None as long as it is not stored."""
        return self._session.id  # type: ignore[no-any-return]

    def clear(self) -> None:
        """Take out everything that is in it. It stays the same session: `flush` ends it."""
        session = self._get_session()
        for key in list(session):
            del session[key]
        self.modified = True

    def increment(self, key: str, by: int = 1) -> int:
        """Add to a number in the storage, see `Session.increment`."""
        return self._session.increment(key, by)  # type: ignore[no-any-return]

    def get_session_cookie_age(self) -> float:
        """Seconds that a session lasts if nothing else was said: `SESSION_COOKIE_AGE`, or the `idle_timeout` of the edge."""
        return self._sessions.idle_timeout

    def get_expire_at_browser_close(self) -> bool:
        """Whether its cookie ends with the browser."""
        expiry = self.get(EXPIRY)
        return not self._sessions.persistent if expiry is None else bool(expiry == 0)

    # what the middleware looks at

    def is_empty(self) -> bool:
        """Whether there is neither a key nor anything in it, so that the cookie may go. Not while nobody knows, and not if the
        key is another engine's: another request may be making a session of ours of that one.
        """
        session = self._known
        if session is None:
            return not self._given
        if session.state.trouble is not None or session.state.token is not None or session._contents():
            return False
        return not (self._given and not session.state.carried and configured().takes_over)

    @property
    def is_at_edge(self) -> bool:
        """Whether an edge opens and commits it."""
        return self._edge is not None

    @property
    def is_settled(self) -> bool:
        """Whether the end of the request has nothing to wait for."""
        if self._edge is not None:
            return self._old is None
        return not self.modified and not settings.SESSION_SAVE_EVERY_REQUEST

    @property
    def was_refused(self) -> bool:
        """Whether the app was told that the storage is out of reach."""
        return self._known is not None and self._known.state.refused

    @property
    def may_be_lost(self) -> bool:
        """Whether a response may go although this could not be stored: if nothing was changed, and if `on_error` is `"open"`."""
        return not self.modified or (self._known is not None and self._known.state.readable)

    def settle(self) -> None:
        """Make ready what the edge will commit."""
        if self._old is not None:
            self.save()
        elif self._known is not None and self._known.state.trouble is None:
            last_as_set(self._known)

    def _drive(self, steps: Steps[T]) -> T:
        return drive(steps, self._storage)

    async def _adrive(self, steps: Steps[T]) -> T:
        return await adrive(steps, self._storage, here=self._under_wsgi)


@receiver(user_logged_in, dispatch_uid="redis_middleware.contrib.django")
def bind(request: Any, user: Any, **_: Any) -> None:
    """At a login, say whose session it is."""
    store = getattr(request, "session", None)
    if isinstance(store, SessionStore) and user is not None and user.pk is not None and configured().bind_users:
        store.bind(str(user.pk), device=request.META.get("HTTP_USER_AGENT", "")[:256])
