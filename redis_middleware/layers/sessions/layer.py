"""The layer: opens the session on the way in, and commits it and sets its cookie on the way out.

Rules:

* The cookie is checked by shape and signature before the storage is asked. A session that is there is read with the first
  reads of the other layers; one that is not there costs nothing until something is written.
* It is committed before the head goes, so the client's next request sees it; what is changed while the body streams, or in
  a WebSocket, is committed at the end.
* While the storage is in doubt, no cookie is set and none is expired: the one that the client has is good again afterwards.
* A response that was made with a look at the session belongs to one client, and says so to caches, unless the app decided
  otherwise.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from ...counting import Ledger
from ...errors import ConfigurationError, SessionError, StorageError, TooManySessions
from ...flow import Action, Flow, Layer, body, proceed
from ...http import Headers, Request, Response, unavailable
from ...ops import gather
from ...pump import arun, run
from ...stack import STORAGE
from .codec import Undecodable
from .cookie import LIMIT, Cookie, SameSite, Secure
from .keeper import Keeper, Terms, WhenFull
from .mapping import Session
from .moving import DjangoDatabase, Reader
from .record import index_of
from .sealing import MissingKey, Sealing, context
from .statistics import Read, Statistics, Tally, width_of
from .taking_over import left_by_others, take_over
from .tokens import SHAPE, TAG, Keyring, Token, is_id
from .users import List, Listed, Revoke, UserSession

if TYPE_CHECKING:
    from ...storage import Storage

logger = logging.getLogger("redis_middleware")

SESSION = "redis_middleware.session"
"""Key of the environ or scope: the session."""

MOST_SECONDS = 1e9
"""Longer than anybody lives: what is above is a mistake."""

CROWDED = b"You are logged in as often as is allowed. Please log out somewhere else first.\n"


class Sessions(Layer):
    """Server-side sessions: the app reads and writes a dict, the client has a cookie, and the storage has the contents.

    `secret` signs the cookies and keys the digests under which sessions are stored: one key, or several, newest first, so
    that it can be changed without a logout. 32 random bytes: `secrets.token_urlsafe(32)`.

    The cookie: `cookie` is its name; `secure` is `"auto"` (where the request came by https), True or False; `samesite` is
    `"lax"`, `"strict"` or `"none"`; `domain`, `path` and `partitioned` are as in RFC 6265bis. It is always `HttpOnly`. It lasts
    as long as the session if `persistent`, else until the browser ends.

    Time, in seconds, counted by the storage's clock: a session ends `idle_timeout` after it was last used (used means that the
    app looked at it, exact to a tenth), and `absolute_timeout` after it was created or bound. It gets another id when the id is
    older than `renewal_timeout`. For `rotation_grace` an id that was replaced can still be read.

    Users: at most `max_per_user` sessions of one that `Session.bind` named. If there are more, `when_full` says what happens:
    `"evict"` ends the oldest, `"refuse"` answers 403 to the login.

    What is stored: at most `max_bytes` a session; encrypted if `encryption_keys` are given (newest first, of 32 random bytes),
    for which `redis-middleware[encryption]` has to be installed. `accept_plain` reads what was stored before that, too.
    `import_from` are readers of what other libraries stored, see `redis_middleware.layers.sessions.moving`.

    `on_error` says what happens when the storage fails: `"closed"` answers 503 if the session is used, `"open"` shows an empty
    one that cannot be written. If the app raises or answers 5xx, nothing is stored unless `save_on_error`.

    One object serves all threads and tasks. Raises `ConfigurationError` for options out of range, and for cookies that
    browsers would refuse.
    """

    eager = True
    kinds = frozenset({"http", "websocket"})
    concern = "sessions"

    def __init__(
        self,
        secret: str | bytes | Sequence[str | bytes],
        *,
        cookie: str = "session",
        idle_timeout: float = 3600,
        absolute_timeout: float | None = None,
        renewal_timeout: float | None = None,
        rotation_grace: float = 10,
        persistent: bool = True,
        secure: Secure = "auto",
        samesite: SameSite = "lax",
        domain: str | None = None,
        path: str = "/",
        partitioned: bool = False,
        max_per_user: int | None = None,
        when_full: WhenFull = "evict",
        encryption_keys: Sequence[str | bytes] = (),
        accept_plain: bool = False,
        import_from: Iterable[Reader] = (),
        max_bytes: int = 64 << 10,
        save_on_error: bool = False,
        on_error: Literal["closed", "open"] = "closed",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if max_per_user is not None and (type(max_per_user) is not int or max_per_user < 1):
            raise ConfigurationError(f"max_per_user must be at least 1, or None, got {max_per_user!r}")
        if when_full not in ("evict", "refuse"):
            raise ConfigurationError(f"when_full must be 'evict' or 'refuse', got {when_full!r}")
        if max_bytes < 1:
            raise ConfigurationError(f"max_bytes must be positive, got {max_bytes!r}")
        if on_error not in ("closed", "open"):
            raise ConfigurationError(f"on_error of Sessions must be 'closed' or 'open', got {on_error!r}")
        self.cookie = Cookie(cookie, SHAPE, secure=secure, samesite=samesite, domain=domain, path=path, partitioned=partitioned)
        self._keyring = Keyring(secret, cookie)
        self._sealing = Sealing(encryption_keys, accept_plain=accept_plain)
        terms = Terms(
            idle=_microseconds("idle_timeout", idle_timeout),
            absolute=_microseconds("absolute_timeout", absolute_timeout, or_none=True),
            renewal=_microseconds("renewal_timeout", renewal_timeout, or_none=True),
            grace=_microseconds("rotation_grace", rotation_grace, least=0),
            max_bytes=max_bytes,
            max_per_user=max_per_user or 0,
            when_full=when_full,
        )
        self._width = width_of(idle_timeout)
        self._statistics = f"s:statistics:{cookie}"
        self._tally = Tally(self._statistics, self._width, clock)
        self._keeper = Keeper(self._keyring, self._sealing, terms, self._tally)
        self._readers = tuple(import_from)
        if any(isinstance(reader, DjangoDatabase) for reader in self._readers):
            raise ConfigurationError("DjangoDatabase reads what is in a database: import_engine of contrib.django does that")
        self._timeouts = terms.timeouts
        self.idle_timeout = idle_timeout
        self.persistent = persistent
        self._save_on_error = save_on_error
        self._on_error = on_error

    @property
    def on_error(self) -> Literal["closed", "open"]:
        """What happens when the storage fails."""
        return self._on_error

    def __repr__(self) -> str:
        return f"Sessions(cookie={self.cookie.name!r})"

    def __call__(self, request: Request, /) -> Flow:
        session = yield from self.open(request)
        _offer(request, session)
        state = session.state
        loaded = state.token
        if state.trouble is not None:
            request.ledger.count("degraded Sessions")
        elif loaded is not None:
            request.ledger.count("session loaded")
        try:
            response = yield from proceed()
        except Exception:
            if state.refused:
                return unavailable()
            raise
        if response.status >= 500 and (state.refused or not self._save_on_error):
            if state.refused:
                return unavailable()
            self.set_cookie(response, session, request.scheme)  # of what was saved before
            return _private(response, state.accessed)
        try:
            yield from self._commit(request, session, response)
        except TooManySessions:
            return Response(403, [("content-type", "text/plain; charset=utf-8"), ("cache-control", "no-store")], CROWDED)
        except StorageError as exc:
            if self._on_error == "closed" or state.ending:  # nobody is told that a logout worked that did not
                return unavailable()
            state.trouble = state.trouble or exc
        else:
            _record(request, loaded, state.token)
            self.set_cookie(response, session, request.scheme)
        if not state.tokens:
            request.outbox += self._tally.due()
        _private(response, state.accessed)
        state.head_gone = True
        if state.token is None:
            return response
        yield from body(0)
        if not request.failed or self._save_on_error:
            self._take_back(request, session)
            yield from self._keeper.commit(session, rename=False)
        return response

    def _commit(self, request: Request, session: Session, response: Response) -> Action[None]:
        self._take_back(request, session)
        state = session.state
        if request.kind == "websocket" and response.status != 101:  # a refusal sets no cookie
            state.rotating, state.user = False, None
            if state.token is None and not state.ending:
                return
        rename = _is_private(response) and (request.kind == "http" or response.status == 101)
        if not (yield from self._keeper.commit(session, rename=rename)):
            request.ledger.count("session conflict")  # it has ended meanwhile

    def _take_back(self, request: Request, session: Session) -> None:
        """Take over what an app has put in the session's place: a dict is its new contents, None and the like its end."""
        for name in ("session", SESSION):
            found = request.native.get(name, session)
            if found is session or (name == "session" and "wsgi.version" in request.native):
                continue
            if type(found) is dict:
                for key in [key for key in session if key not in found]:
                    del session[key]
                session.update(found)
            elif not isinstance(found, Mapping):
                session.clear()
            else:
                self._foreign(found)
            return

    def _foreign(self, found: Mapping[str, Any]) -> None:
        self._keeper.counts["foreign"] += 1
        if self._keeper.counts["foreign"] == 1:
            logger.warning("%s is another library's session: only one of the two should be installed", type(found).__qualname__)

    def open(self, request: Request) -> Action[Session]:
        """An action: the session of a request. It is not committed by itself then: see `Session.save`."""
        session = Session()
        state = session.state
        texts = self.cookie.values(request)
        tokens = [token for text in texts if (token := self._keyring.read(text)) is not None][:LIMIT]
        state.carried = bool(texts)
        state.readable = self._on_error == "open"
        state.device = partial(_device, request.headers)  # nothing that leads back to the session: no cycle
        if STORAGE in request.native:
            state.save = partial(self._save, request.native[STORAGE])
        if tokens:
            yield from self._keeper.open(session, tokens)
        if self._readers:
            state.foreign = partial(_keys, self._readers, request.headers)
            if state.token is None and state.trouble is None and (left := left_by_others(self._readers, request.headers)):
                yield from take_over(session, left, self._keeper)
        return session

    def commit(self, session: Session) -> Action[bool]:
        """An action: store what was changed in a session, for who sets the cookie by other means. False if it has ended
        meanwhile; raises what stands at `Session.save`.
        """
        return self._keeper.commit(session)

    def set_cookie(self, response: Response, session: Session, scheme: str = "http") -> None:
        """Say in a response what there is to say about the cookie, once."""
        state = session.state
        if state.cookie == "renew" and not _is_private(response):
            state.cookie = None
        elif state.cookie in ("set", "renew") and state.token is not None:
            persistent = self.persistent if state.persistent is None else state.persistent
            age = (state.ends - state.now) / 1_000_000 if persistent else None
            response.headers.add("set-cookie", self.cookie.set(state.token.text, age, scheme))
        elif state.cookie == "expire" and state.token is None:
            response.headers.add("set-cookie", self.cookie.expire(scheme))
        if state.cookie is not None:
            state.accessed, state.cookie = True, None

    def _save(self, storage: Storage, session: Session) -> Awaitable[None]:
        flow = self._saved(session)
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            run(flow, storage)
            return _Done()
        return arun(flow, storage)

    def _saved(self, session: Session) -> Action[None]:
        state, before = session.state, session.state.now
        stored = yield from self._keeper.commit(session, rename=False)
        if stored and state.token is not None and state.kept and state.now == before:
            stored = yield from self._keeper.use(state)  # a WebSocket may last for longer than a session that nobody uses
        if not stored:
            raise SessionError("the session has ended meanwhile, or got another id: nothing was stored")

    def list(self, user: str) -> Action[list[UserSession]]:
        """An action: the sessions of a user that `Session.bind` named, the last seen first."""
        digest = self._keyring.user(user)
        return [self._shown(digest[:TAG], one) for one in (yield from List((index_of(digest),), self._timeouts))]

    def revoke(self, *, user: str | None = None, keep: str | None = None, id: str | None = None) -> Action[int]:  # noqa: A002
        """An action: end all sessions of a `user`, or all but the one with the id `keep`, or the one with an `id`. How many
        there were.

        With both `user` and `id`, the session is ended if it is that user's: for ids that come from a client. A request of
        theirs that is under way cannot store anything any more. Raises `TypeError` if there is neither.
        """
        if user is None and id is None:
            raise TypeError("revoke needs a user, an id, or both")
        digest = "" if user is None else self._keyring.user(user)
        if id is not None:
            if not is_id(id) or not id.startswith(digest[:TAG]):
                return 0
            ended = yield from self._keeper.end_all((id,), ())
            yield from _count_revoked(ended)
            return ended
        revoked = yield from Revoke((index_of(digest),), (*self._timeouts, (keep or "")[TAG:]))
        for ends in revoked.ends:
            self._tally.ended(ends, revoked.now)
        yield from _count_revoked(len(revoked.ends))
        return len(revoked.ends)

    def stats(self) -> Action[Statistics]:
        """An action: how many sessions are active, and how many were created, ended and timed out in each of the last hours.

        What other workers have counted since they last had a request with a session may be missing.
        """
        waiting = self._tally.take()
        try:
            if waiting:
                yield from gather(*waiting)  # before it is read: a script that the server does not know yet comes last in a batch
            read = yield from Read((self._statistics,), (self._width,))
        except StorageError:
            for op in waiting:
                self._tally.put_back(op)
            raise
        return read

    @property
    def counts(self) -> Mapping[str, int]:
        """What happened to sessions in this process: `corrupt` and `unreadable` records, `refused` changes to ended ones, and
        `foreign` sessions, which another library has put in the place of ours.
        """
        return self._keeper.counts

    def _shown(self, tag: str, one: Listed) -> UserSession:
        try:
            device = self._sealing.open(one.device, context(tag, one.salt, "d")) if one.device else b""
        except (MissingKey, Undecodable):
            device = b""
        times = (_time(one.created), _time(one.seen), _time(one.ends))
        return UserSession(tag + one.digest, device.decode("utf-8", "replace"), *times)


class _Done:
    """An awaitable of what is done already."""

    def __await__(self) -> Generator[Any, Any, None]:
        return
        yield


def _offer(request: Request, session: Session) -> None:
    """Put the session where apps look for it."""
    request.native[SESSION] = session
    if "wsgi.version" not in request.native:
        request.native["session"] = session


def _private(response: Response, accessed: bool) -> Response:
    """Say that a response depends on the cookie and belongs to one client (RFC 9110 §12.5.5, RFC 9111 §5.2.2)."""
    if accessed:
        named = [name.strip().lower() for name in response.headers.get("vary", "").split(",")]
        if "cookie" not in named and "*" not in named:
            response.headers.add("vary", "Cookie")
        if "cache-control" not in response.headers:
            response.headers.add("cache-control", "private, no-store")
    return response


def _count_revoked(number: int) -> Action[None]:
    """Count what was ended from outside of a request, where there is no ledger."""
    ledger = Ledger()
    ledger.count("session revoked", number)
    if number:
        with suppress(StorageError):  # what counts is that they have ended
            yield from gather(*ledger.take())


def _record(request: Request, before: Token | None, after: Token | None) -> None:
    """Count what became of a session."""
    if before is None and after is not None:
        request.ledger.count("session created")
    elif before is not None and after is None:
        request.ledger.count("session ended")
    elif before is not None and after is not None and before.id != after.id:
        request.ledger.count("session rotated")


def _is_private(response: Response) -> bool:
    """Whether caches will keep a response from others: then it may carry a cookie that the app did not ask for."""
    directives = response.headers.get("cache-control", "private").lower()
    return "private" in directives or "no-store" in directives


def _keys(readers: Sequence[Reader], headers: Headers) -> tuple[str, ...]:
    return tuple([key for _, key in left_by_others(readers, headers)])


def _device(headers: Headers) -> str:
    return headers.get("user-agent", "")[:256]


def _microseconds(name: str, seconds: float | None, *, least: float = 0.001, or_none: bool = False) -> int:
    if seconds is None and or_none:
        return 0
    if seconds is None or not least <= seconds <= MOST_SECONDS:
        wanted = "0 or more" if least == 0 else "positive"
        raise ConfigurationError(f"{name} must be {wanted} (seconds, at most 1e9){' or None' * or_none}, got {seconds!r}")
    return round(seconds * 1_000_000)


def _time(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds / 1_000_000, UTC)
