"""The sessions of the layer `Sessions`, as `flask.session`.

    app.session_interface = SessionInterface()
    app.wsgi_app = WSGIMiddleware(app.wsgi_app, layers=[Sessions(secret)], storage="redis://localhost:6379/0")

The layer does the work, wherever it stands: at the edge around the app, or, if a request does not come through one, here,
around what Flask calls between `open_session` and `save_session`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from flask import Flask, Request
from flask import Response as FlaskResponse
from flask import request as current_request
from flask.sessions import NullSession, SessionMixin
from flask.sessions import SessionInterface as Interface
from werkzeug.datastructures import Headers

from ...errors import ConfigurationError
from ...http import Response, framed
from ...layers.sessions import Session, Sessions
from ...layers.sessions.layer import SESSION
from ...pump import pump
from ...stack import STORAGE, Stack
from ...storage import Storage, storage_from
from ...wsgi import WSGIMiddleware, request_from
from ..around import Passage, bodiless

__all__ = ["SessionInterface"]

OPENED = "redis_middleware.flask.session"
"""Key of the environ: what was opened here, and is to be committed here."""

NOWHERE = (
    "there is no session: this request came through no WSGIMiddleware with Sessions, and none is to be found in app.wsgi_app; "
    "write app.wsgi_app = WSGIMiddleware(app.wsgi_app, layers=[Sessions(secret)]), or name both: "
    "SessionInterface(Sessions(secret), 'redis://localhost:6379/0')"
)


class _Nowhere(NullSession):
    """Says why there is no session, whatever is done to it."""

    def _fail(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise ConfigurationError(NOWHERE)

    __getitem__ = __contains__ = __iter__ = __len__ = get = keys = values = items = copy = _fail
    __setitem__ = __delitem__ = clear = pop = popitem = update = setdefault = _fail
    del _fail


class SessionInterface(Interface):
    """Makes the sessions of the layer `Sessions` those of Flask: `app.session_interface = SessionInterface()`.

    The WSGIMiddleware in `app.wsgi_app` opens and commits them. Where it is not passed, as by the test client's
    `session_transaction()` and by `app.test_request_context()`, its layer and its storage are found all the same, also behind
    other middleware that has what it wraps as `app`, `wsgi_app` or `application`.

    `sessions` and `storage` (a Storage, a URL, or None as for WSGIMiddleware) name them where they cannot be found, or where
    there is no WSGIMiddleware. Then this object opens the session, and commits it when the response is made: what is changed
    while a body streams is stored by `session.save()` only.

    With `session.permanent = True` the cookie outlives the browser, and the session lasts `PERMANENT_SESSION_LIFETIME` after it
    was last used, in place of the layer's `idle_timeout`; its `absolute_timeout` still holds. All the rest is said to
    `Sessions`: `SECRET_KEY`, `SESSION_COOKIE_…` and `SESSION_REFRESH_EACH_REQUEST` have no effect here. For cookies that end
    with the browser unless the session is permanent, as Flask's own do, that is `Sessions(…, persistent=False)`.

    One object serves all threads. Raises `ConfigurationError` for a storage without sessions, and for what is neither; where
    there is no layer, the session raises it when it is used.
    """

    null_session_class = _Nowhere

    def __init__(self, sessions: Sessions | None = None, storage: Storage | str | None = None) -> None:
        if sessions is None and storage is not None:
            raise ConfigurationError("SessionInterface needs the Sessions that this storage is for")
        if sessions is not None and not isinstance(sessions, Sessions):
            raise ConfigurationError(f"SessionInterface takes a Sessions object, got {type(sessions).__name__}")
        self._named = None if sessions is None else (sessions, storage_from(storage))

    def open_session(self, app: Flask, request: Request) -> SessionMixin:
        """The session that the edge has opened; else one that is opened here; else one that says what is missing."""
        session = request.environ.get(SESSION)
        if not isinstance(session, Session):
            named = self._named or _found(app)
            if named is None:
                return self.make_null_session(app)
            session = _opened(request.environ, *named)
        session.state.lifetime = app.permanent_session_lifetime.total_seconds()
        return session  # type: ignore[return-value]  # it has all that a SessionMixin has

    def save_session(self, app: Flask, session: SessionMixin, response: FlaskResponse) -> None:
        """Commit what was opened here. What the edge has opened, it will commit by itself."""
        opened: _Opened | None = current_request.environ.pop(OPENED, None)
        if opened is None:
            return
        head = Response.begun(response.status_code, list(response.headers))
        answer: Response = pump(opened.passage, opened.storage, head).value
        if answer.body is not None:
            _replace(response, answer)
        else:
            response.headers = Headers(answer.headers.lines)


@dataclass(slots=True)
class _Opened:
    """A session that was opened here: the layer that waits for the response, and its storage."""

    passage: Passage
    storage: Storage


def _opened(environ: dict[str, Any], sessions: Sessions, storage: Storage) -> Session:
    """Open the session of a request, and note in the environ how it goes on."""
    native = {**environ, STORAGE: storage}  # not the storage of an edge without sessions
    passage = bodiless(Stack([sessions])(request_from(native)))
    pump(passage, storage)
    environ[OPENED] = _Opened(passage, storage)
    session: Session = native[SESSION]
    environ[SESSION] = session
    return session


def _found(app: Flask) -> tuple[Sessions, Storage] | None:
    """The layer and the storage of the edge around an app: the innermost, which is the one that the app sees."""
    found = None
    for wrapper in _wrappers(app.wsgi_app):
        if isinstance(wrapper, WSGIMiddleware):
            for layer in wrapper.layers:
                if isinstance(layer, Sessions):
                    found = layer, wrapper.storage
    return found


def _wrappers(app: Any) -> Iterator[Any]:
    """A WSGI app and all that is wrapped in it, outermost first."""
    seen: list[Any] = []
    while app is not None and not any(app is other for other in seen):
        yield app
        seen.append(app)
        names = [name for name in ("app", "wsgi_app", "application") if getattr(app, name, None) is not None]
        app = getattr(app, names[0]) if names else None


def _replace(response: FlaskResponse, answer: Response) -> None:
    """Make the layer's own answer of a response."""
    if hasattr(response.response, "close"):
        response.call_on_close(response.response.close)
    lines, body = framed(answer, current_request.method)
    response.status_code = answer.status
    response.headers = Headers(lines)
    response.response = [body]
    response.direct_passthrough = False
