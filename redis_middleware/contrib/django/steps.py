"""What is done with a session of Django's, as steps: each thing once, for threads and event loops."""

# mypy: disable-error-code="import-untyped,misc"
# (Django ships no types.)

from __future__ import annotations

from typing import Any

from django.contrib.sessions.backends.base import CreateError, SessionBase, UpdateError
from django.contrib.sessions.exceptions import SessionInterrupted
from django.core.exceptions import PermissionDenied

from ...errors import StorageError, TooManySessions
from ...flow import Action
from ...http import Request
from ...layers.sessions import Session, Sessions
from ...pump import run
from ...storage import Storage
from . import old_engine
from .driving import Steps
from .lasting import last_as_set
from .settings import configured

__all__ = ["CreateError", "LoginRefused", "SessionEnded", "SessionSteps", "UpdateError"]

USER = "_auth_user_id"
"""Where `django.contrib.auth` keeps who is logged in."""

ENDED = "the session has ended, or got another key, since the request began: nothing was stored"


class SessionEnded(UpdateError, SessionInterrupted):
    """The session was ended, or got another key, by another request. Django answers 400."""


class LoginRefused(TooManySessions, PermissionDenied):
    """The user has as many sessions as `max_per_user` allows, and `when_full` is `"refuse"`. Django answers 403."""


class SessionSteps(SessionBase):
    """One session, which is loaded when it is first used, or was opened by an edge. Belongs to one request."""

    def __init__(self, session_key: str | None = None) -> None:
        self._edge: tuple[Sessions, Storage] | None = None
        self._opened: Session | None = None  # by the edge
        self._headers: list[tuple[str, str]] | None = None
        self._under_wsgi = False
        self._old: Any = None  # the session of another engine that this one was made of
        self._touched = False
        self._forgiven: Any = None  # what was to be stored when somebody said that nothing is modified
        super().__init__(session_key)

    def belongs_to(self, request: Any) -> None:
        """Say which request of Django's it is in."""
        self._under_wsgi = not hasattr(request, "scope")
        found = [("cookie", request.META.get("HTTP_COOKIE")), ("user-agent", request.META.get("HTTP_USER_AGENT"))]
        self._headers = [(name, value) for name, value in found if value]

    def was_opened(self, session: Session, sessions: Sessions, storage: Storage) -> None:
        """Say that an edge has opened it, and will commit it."""
        self._edge, self._opened = (sessions, storage), session
        if self._old_one(session) is None:
            self._session_cache = session

    @property
    def session_key(self) -> str | None:
        """What names it to the client; None as long as it is not stored."""
        session = self._known
        if session is None or session.state.trouble is not None:
            return self._given
        return None if session.state.token is None else session.state.token.text

    @property
    def _session_key(self) -> str | None:
        return self.session_key

    @_session_key.setter
    def _session_key(self, value: str | None) -> None:
        self._given = value if self._validate_session_key(value) else None
        self.__dict__.pop("_session_cache", None)

    @property
    def modified(self) -> bool:
        """Whether there is something to store, or was. Set to True it is stored even so, to False what was changed is not."""
        return self._touched or self._pending() != self._forgiven

    @modified.setter
    def modified(self, value: bool) -> None:
        self._touched = bool(value)
        self._forgiven = self._pending()

    # what each of these does

    def _beginning(self, no_load: bool) -> Steps[Session]:
        if self._known is None:
            named = self._given or self._headers or self._opened is not None
            self._session_cache = (yield from self._loading()) if named and not no_load else self._new()
        return self._session_cache

    def _loading(self) -> Steps[Session]:
        session: Session = (yield self._sessions.open(self._request())) if self._opened is None else self._opened
        old, state = self._old_one(session), session.state
        if old is not None and (yield from old_engine.take_over(session, old)):
            self._old = old
        if state.token is None and state.trouble is None and (state.carried or not configured().takes_over):
            self._given = None
        return session

    def _existing(self, key: str | None) -> Steps[bool]:
        if not key:
            return False
        session = yield self._sessions.open(self._asking(key))
        session.state.write()  # raises if nobody knows
        return session.state.token is not None and session.state.kept

    def _saving(self, must_create: bool = False) -> Steps[None]:
        key = self.session_key if must_create else None
        if key is not None and (self._known is not None or (yield from self._existing(key))):
            raise CreateError
        session = yield from self._beginning(no_load=must_create)
        state = session.state
        state.read()
        if state.trouble is not None:
            return  # it was shown as an empty one, so nothing was changed
        state.wanted = state.token is None
        if not (yield from self._committing(session)):
            raise SessionEnded(ENDED)

    def _renaming(self, no_load: bool = False) -> Steps[None]:
        """A visitor's session that another request has renamed meanwhile is begun anew, as Django does; a user's has ended."""
        session = yield from self._beginning(no_load)
        state = session.state
        state.rename()
        state.wanted, state.rotating = state.token is None, state.token is not None
        if not (yield from self._committing(session)):
            contents = session.copy()
            if state.bound or USER in contents:
                raise SessionEnded(ENDED)
            session.clear()
            state.ending, state.wanted = (), True  # what the other request has made of it stays
            session.update(contents)
            yield from self._committing(session)
        self._touched = True

    def _ending(self) -> Steps[None]:
        session = yield from self._beginning(no_load=False)
        session.clear()
        yield from self._committing(session)
        if self._old is not None:
            yield self._old.delete
        self._given = self._old = None
        self.accessed = self._touched = True

    def _deleting(self, key: str | None) -> Steps[None]:
        key = key or self.session_key
        if key is not None:
            session = yield self._sessions.open(self._asking(key))
            session.clear()
            yield self._sessions.commit(session)

    def _binding(self, user: str, device: str | None) -> Steps[None]:
        session = yield from self._beginning(no_load=False)
        session.bind(user, device=device)
        yield from self._saving()

    def _committing(self, session: Session) -> Steps[bool]:
        """Store it. False if it has ended meanwhile."""
        touched, key = self.modified, self.session_key
        last_as_set(session)
        try:
            kept: bool = yield self._sessions.commit(session)
        except TooManySessions as exc:
            raise LoginRefused(*exc.args) from exc
        except StorageError:
            session.state.refused = True
            raise
        self._touched = touched or self.session_key != key
        self._forgiven = self._pending()
        if self._old is not None and session.state.token is not None:
            yield from self._letting_go()
        return kept

    def _letting_go(self) -> Steps[None]:
        old, self._old = self._old, None
        try:
            yield from old_engine.let_go(old)
        except UpdateError as exc:  # somebody has ended it, and meant this one, too
            yield from self._deleting(None)
            raise SessionEnded(ENDED) from exc

    # what these ask

    @property
    def _known(self) -> Session | None:
        return self.__dict__.get("_session_cache")

    @property
    def _sessions(self) -> Sessions:
        return configured().sessions if self._edge is None else self._edge[0]

    @property
    def _storage(self) -> Storage:
        return configured().storage if self._edge is None else self._edge[1]

    def _request(self) -> Request:
        """What the key came in."""
        headers = self._headers
        return self._asking(self._given) if headers is None else Request(headers=lambda: headers)

    def _asking(self, key: str | None) -> Request:
        """A request with this key in its cookie."""
        return Request(headers=lambda: [] if key is None else [("cookie", f"{self._sessions.cookie.name}={key}")])

    def _new(self) -> Session:
        opening: Action[Session] = self._sessions.open(Request())
        return run(opening, self._storage)  # there is no key, so it asks for nothing

    def _old_one(self, session: Session) -> Any:
        state = session.state
        known = state.token is not None or state.trouble is not None or state.taken or self._old is not None
        return None if known else old_engine.named_by(self._given)

    def _pending(self) -> Any:
        """What there is to store."""
        session = self._known
        if session is None or session.state.trouble is not None:
            return None
        state = session.state
        pending = (state.rotating, state.user, state.ending, state.changes(session._contents()))
        return pending if any(pending) else None
