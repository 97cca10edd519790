"""The keeper: reads a session from its record and commits it, as actions that know nothing of HTTP.

Rules:

1. A session has at most one record. Only `create` makes one, under an id that nobody has seen before; every other step asks
   that the record be there.
2. At a login the session moves into the slot of its user, by two steps: it is claimed, which makes the old record one that
   can only be read, and created anew with what was in it then. If the second does not come about, the first is undone.
3. What nobody can read is not overwritten.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from ...errors import SessionError, StorageError, StorageUnavailable, TooManySessions
from ...flow import Action
from ...ops import Arg, Delete, Foreign, Get, gather
from .codec import Undecodable, decode, encode
from .mapping import Session
from .moving import Reader, Unreadable
from .record import Change, Fields, flat, key_of
from .sealing import MissingKey, Sealing
from .state import State
from .statistics import Tally
from .steps import CORRUPT, Claim, Code, Commit, Create, End, Load, Release, Rotate, Stored, Touch, Written
from .tokens import Keyring, Token

logger = logging.getLogger("redis_middleware")

WhenFull = Literal["evict", "refuse"]

SECOND = 1_000_000

LARGE = "the session would be larger than max_bytes={}: nothing was stored, and what was there before still is"
COUNTED = "a counter of the session would be beyond 2^53: nothing was stored"
CROWDED = "the user has max_per_user={} sessions already: one of them has to end first"


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for all sessions of a layer; times are microseconds."""

    idle: int
    absolute: int
    renewal: int
    grace: int
    max_bytes: int
    max_per_user: int
    when_full: WhenFull

    @property
    def timeouts(self) -> tuple[int, int]:
        return self.idle, self.absolute


@dataclass(slots=True)
class Keeper:
    """One for each layer; serves all threads and tasks."""

    keyring: Keyring
    sealing: Sealing
    terms: Terms
    tally: Tally
    counts: Counter[str] = field(default_factory=Counter)
    """What happened in this process that somebody may want to know of."""

    def open(self, session: Session, tokens: Sequence[Token]) -> Action[None]:
        """Read the session that one of these names: the first that is alive."""
        loads = [Load((key_of(token.id),), self.terms.timeouts) for token in tokens]
        waiting = self.tally.due()
        trouble: StorageError | None = None
        try:
            found = yield from gather(*loads, *waiting)
        except StorageError as exc:
            trouble, found = exc, ()
        if trouble is not None and waiting:  # it may have been the counters alone
            self.tally.put_back(waiting[0])
            try:
                found = yield from gather(*loads)
            except StorageError as exc:
                trouble = exc
            else:
                trouble = None
        session.state.trouble = trouble
        for token, stored in zip(tokens, found, strict=False):
            if stored is CORRUPT:
                self._corrupt(token, "it is no record")
            elif stored is not None and self._fill(session, token, stored):
                return

    def _fill(self, session: Session, token: Token, stored: Stored) -> bool:
        state = session.state
        try:
            saved = self._opened(token.tag, stored.fields)
            contents = {key: decode(saved[key]) for key in sorted(saved)}  # a hash has no order
        except Undecodable as exc:
            self._corrupt(token, str(exc))
            return False
        except MissingKey as exc:
            self.counts["unreadable"] += 1
            logger.error("the session %s is left as it is: %s", token.id, exc)
            state.trouble = StorageError(str(exc))
            return True
        fields = stored.fields
        state.token, state.saved, state.kept = token, saved, stored.kept
        state.now, state.ends = stored.now, stored.ends
        state.seen, state.issued = int(fields["s"]), int(fields["r"])
        state.bound, state.before = _text(fields.get("u")), _text(fields.get("p"))
        if "i" in fields:
            state.idle_timeout = int(fields["i"]) / 1_000_000
        if "k" in fields:
            state.persistent = fields["k"] == b"1"
        session._fill(contents)
        return True

    def _opened(self, tag: str, fields: Fields) -> dict[str, bytes]:
        """The values of a record by their keys, unsealed, and with what was added to them."""
        values = {name[1:]: self.sealing.open(raw, context(tag, name[1:])) for name, raw in fields.items() if name[0] == "."}
        for name, raw in fields.items():
            if name[0] == "+":
                base = decode(values[name[1:]]) if name[1:] in values else 0
                if type(base) is int:
                    values[name[1:]] = encode(base + int(raw))
        return values

    def _corrupt(self, token: Token, why: str) -> None:
        self.counts["corrupt"] += 1
        logger.error("the session %s cannot be read and counts as none: %s", token.id, why)

    def take_over(self, session: Session, left: Sequence[tuple[Reader, str]]) -> Action[None]:
        """Fill the session with what another library stored, to be committed as a new one. The old record goes with that."""
        for reader, key in left:
            try:
                raw = yield from Get(Foreign(key))
            except StorageUnavailable as exc:
                session.state.trouble = exc
                return
            except StorageError as exc:  # it is no text: not what the reader's library stores
                logger.error("a session of another library cannot be read by %r: %s", reader, exc)
                continue
            if raw is not None and self._taken(session, reader, key, raw):
                return

    def _taken(self, session: Session, reader: Reader, key: str, raw: bytes) -> bool:
        try:
            contents = reader.decode(raw)
            size = sum(len(name.encode()) + len(encode(value)) for name, value in contents.items())
            if size > self.terms.max_bytes:
                raise Unreadable(LARGE.format(self.terms.max_bytes))
        except (Unreadable, TypeError, ValueError) as exc:
            self.counts["corrupt"] += 1
            logger.error("a session of another library cannot be taken over by %r: %s", reader, exc)
            return False
        session.update(contents)
        session.state.taken, session.state.accessed = (key,), False
        return True

    def commit(self, session: Session, *, rename: bool = True) -> Action[bool]:
        """Write what was changed. False if there was something and the session has ended meanwhile.

        `rename` is false if the client could not be told of another id. Raises what stands at `Session.save`.
        """
        state = session.state
        if state.trouble is not None or not (state.accessed or state.taken):
            return True
        if state.ending is not None:
            yield from self._end(state)
        if state.user is not None:
            return (yield from self._bind(session))
        changes = state.changes(dict(session._raw_items()))
        if state.token is None:
            if any(code != "m" for code, _, _ in changes):
                yield from self._create(session, self.keyring.mint(), changes)
            return True
        if not state.kept:
            return (not changes and not state.rotating) or self._gone(state)
        if state.rotating or (rename and state.accessed and self._is_due(state)):
            return (yield from self._rotate(session, changes))
        if changes:
            return (yield from self._write(session, changes))
        if state.accessed and state.stale(self.terms.idle):
            yield from self._touch(state)
        return True

    def _is_due(self, state: State) -> bool:
        """Whether the session needs another id because its own is old, or signed with an old key."""
        assert state.token is not None
        return not state.token.newest or 0 < self.terms.renewal <= state.now - state.issued

    def _end(self, state: State) -> Action[None]:
        assert state.ending is not None
        token, before = state.ending
        elsewhere = [Delete(key_of(before))] if before is not None and before[: len(token.tag)] != token.tag else []
        ended, *_ = yield from gather(End((key_of(token.id),), self.terms.timeouts), *elsewhere)
        state.ending = None
        if ended.ends:
            self.tally.ended(ended.ends, ended.now)

    def _create(
        self,
        session: Session,
        token: Token,
        changes: list[Change],
        *,
        user: str = "",
        moved: int = 0,
        values: dict[str, bytes] | None = None,
    ) -> Action[None]:
        """A record of what is in the session; or of `values`, if it `moved` here from another slot, where it was to end then."""
        terms, state = self.terms, session.state
        stored = self._sealed(token.tag, changes)
        args = (*terms.timeouts, terms.max_bytes, terms.max_per_user, terms.when_full, user, 0, *stored)
        taken = [Delete(Foreign(key)) for key in state.taken]
        written, *_ = yield from gather(Create((key_of(token.id),), args), *taken)
        if written.code is Code.FULL:
            self._revert(session)
            raise TooManySessions(CROWDED.format(terms.max_per_user))
        self._raise_for(written)
        if written.code is Code.GONE:
            raise StorageError("a record with this id is there already")  # 256 bits at random do not meet
        state.taken = ()
        if moved:
            self.tally.moved(moved, written.after)
        else:
            self.tally.created(written.after, written.now)
        for ends in written.evicted:
            self.tally.ended(ends, written.now)
        state.token, state.bound, state.before = token, user or None, None
        state.cookie = "set"
        self._wrote(state, written)
        state.issued = written.now
        state.settle(changes, dict(session._raw_items())) if values is None else self._moved(session, values)

    def _write(self, session: Session, changes: list[Change]) -> Action[bool]:
        state = session.state
        assert state.token is not None
        args = (*self.terms.timeouts, self.terms.max_bytes, *self._sealed(state.token.tag, changes))
        written = yield from Commit((key_of(state.token.id),), args)
        self._raise_for(written)
        if written.code is Code.GONE:
            return self._gone(state)
        self.tally.moved(written.before, written.after)
        if any(code == "m" for code, _, _ in changes):
            state.cookie = "set"  # it may last for another time
        elif state.stale(self.terms.idle):
            state.cookie = state.cookie or "renew"
        self._wrote(state, written)
        state.settle(changes, dict(session._raw_items()))
        return True

    def _rotate(self, session: Session, changes: list[Change], *, afresh: bool = False) -> Action[bool]:
        terms, state = self.terms, session.state
        assert state.token is not None
        old, token = state.token, self.keyring.mint(state.token.tag)
        how = "rotate" if state.rotating or afresh else "renew"
        age = terms.renewal if old.newest else 0
        stored = self._sealed(token.tag, changes)
        args = (*terms.timeouts, terms.max_bytes, terms.grace, how, age, int(afresh), *stored)
        written = yield from Rotate((key_of(old.id), key_of(token.id)), args)
        self._raise_for(written)
        state.rotating = False
        if written.code is Code.GONE:
            return self._gone(state)
        self.tally.moved(written.before, written.after)
        if written.code is Code.DONE:
            state.token, state.before, state.issued, state.cookie = token, old.id, written.now, "set"
        self._wrote(state, written)
        state.settle(changes, dict(session._raw_items()))
        return True

    def _touch(self, state: State) -> Action[None]:
        """Let it live on. If that fails, it ends a little earlier, and nothing is lost."""
        assert state.token is not None
        try:
            written = yield from Touch((key_of(state.token.id),), self.terms.timeouts)
        except StorageError as exc:
            logger.warning("a session could not be touched: %s", exc)
            return
        if written.code is Code.DONE:
            self.tally.moved(written.before, written.after)
            self._wrote(state, written)
            state.cookie = state.cookie or "renew"

    def _bind(self, session: Session) -> Action[bool]:
        """Make it the session of a user: under another id, in the slot of the user."""
        state, token = session.state, session.state.token
        assert state.user is not None
        name, device = state.user
        user = self.keyring.user(name)
        fresh = self.keyring.mint(user[:8])
        state.settings["d"] = self.sealing.seal(device.encode("utf-8", "replace"), context(fresh.tag, "")) if device else ""
        changes = state.changes(dict(session._raw_items()))
        if token is None:
            yield from self._create(session, fresh, changes, user=user)
        elif state.bound == user and state.kept and token.newest:
            state.user = None
            return (yield from self._rotate(session, changes, afresh=True))
        else:
            yield from self._move(session, token, fresh, changes, user)
        state.user, state.rotating, state.kept = None, False, True
        return True

    def _move(self, session: Session, old: Token, token: Token, changes: list[Change], user: str) -> Action[None]:
        key, timeouts = key_of(old.id), self.terms.timeouts
        claimed = yield from Claim((key,), (*timeouts, max(self.terms.grace, SECOND)))
        values = {} if claimed is None or claimed is CORRUPT else self._opened(old.tag, claimed.fields)
        _apply(changes, values)
        everything: list[Change] = [(".", name, value) for name, value in values.items()]
        if claimed is not None:
            everything += [("m", name, claimed.fields[name]) for name in ("i", "k") if name in claimed.fields]
        everything += [change for change in changes if change[0] == "m"]
        everything.append(("m", "p", old.id))
        mine = claimed is not None and claimed.kept
        moved = claimed.ends if claimed is not None and mine else 0
        try:
            yield from self._create(session, token, everything, user=user, moved=moved, values=values)
        except (StorageError, SessionError) as exc:
            failed = exc
        else:
            session.state.before = old.id
            if not self.terms.grace:
                yield from Delete(key)
            return
        if mine:
            try:
                yield from Release((key,), timeouts)
            except StorageError as exc:
                logger.warning("a session could not be given back: %s", exc)
        raise failed

    def _moved(self, session: Session, values: dict[str, bytes]) -> None:
        """The session is what was in its record when it moved, and what this request changed."""
        state, contents = session.state, dict(session._raw_items())
        session._fill({key: contents[key] if key in contents else decode(raw) for key, raw in values.items()})
        state.saved = values
        state.assigned.clear()
        state.added.clear()
        state.settings.clear()

    def _revert(self, session: Session) -> None:
        """Nothing of what this request changed is to be stored any more."""
        state = session.state
        for pending in (state.assigned, state.added, state.settings):
            pending.clear()
        state.user, state.rotating = None, False
        session._fill({key: decode(raw) for key, raw in state.saved.items()})

    def _raise_for(self, written: Written) -> None:
        if written.code is Code.TOO_LARGE:
            raise SessionError(LARGE.format(self.terms.max_bytes))
        if written.code is Code.TOO_MANY:
            raise SessionError(COUNTED)

    def _gone(self, state: State) -> bool:
        state.kept = False
        self.counts["refused"] += 1
        logger.info("changes to a session were not stored: it has ended, or got another id, since the request began")
        return False

    def _wrote(self, state: State, written: Written) -> None:
        state.now = state.seen = written.now
        state.ends = written.after

    def _sealed(self, tag: str, changes: list[Change]) -> tuple[Arg, ...]:
        if self.sealing.keys:
            changes = [change if change[0] != "." else self._seal(tag, *change) for change in changes]
        return flat(changes)

    def _seal(self, tag: str, code: str, key: str, value: Arg) -> Change:
        assert isinstance(value, bytes)
        return code, key, self.sealing.seal(value, context(tag, key))


def _apply(changes: Sequence[Change], values: dict[str, bytes]) -> None:
    """Make the changes to values that are not sealed."""
    for code, key, value in changes:
        if code == "-":
            values.pop(key, None)
        elif code == ".":
            assert isinstance(value, bytes)
            values[key] = value
        elif code == "+":
            base = decode(values[key]) if key in values else 0
            values[key] = encode((base if type(base) is int else 0) + int(value))


def context(tag: str, key: str) -> bytes:
    """What a sealed value belongs to, so that nobody can move it: the slot, and the key."""
    return f"{tag}.{key}".encode()


def _text(raw: bytes | None) -> str | None:
    return None if raw is None else raw.decode()
