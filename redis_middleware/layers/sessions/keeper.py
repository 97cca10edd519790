"""The keeper: reads a session from its record and commits it, as actions that know nothing of HTTP.

Rules:

1. A session has at most one record. Only `create` makes one, under an id that nobody has seen before; every other step asks
   that the record be there.
2. At a login the session moves into the slot of its user (see `login`).
3. What nobody can read is not overwritten.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Literal

from ...errors import SessionError, StorageError, StorageUnavailable, TooManySessions
from ...flow import Action
from ...ops import Arg, Delete, Foreign, Touch, gather
from .codec import Undecodable, decode, encode
from .login import Claim, Release, Retire
from .mapping import Session
from .record import Change, Fields, flat, key_of
from .sealing import MissingKey, Sealing, context
from .state import State
from .statistics import Tally
from .steps import CORRUPT, Code, Commit, Create, Ended, Load, Rotate, Stored, Written, ends_of
from .steps import Touch as Use
from .tokens import TAG, Keyring, Token

logger = logging.getLogger("redis_middleware")

WhenFull = Literal["evict", "refuse"]

LEASE = 5_000_000
"""Microseconds for which a login may claim a session: far more than its three steps take."""

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
    told: set[str] = field(default_factory=set)
    """The records that the log has a line about."""

    def open(self, session: Session, tokens: Sequence[Token]) -> Action[None]:
        """Read the session that one of these names: the first that is alive."""
        session.state.tokens = tuple(tokens)
        loads = [Load((key_of(token.id),), self.terms.timeouts) for token in tokens]
        waiting = self.tally.due()
        trouble: StorageError | None = None
        try:
            found = yield from gather(*loads, *waiting)
        except StorageError as exc:
            trouble, found = exc, ()
        if trouble is not None and waiting:
            self.tally.put_back(waiting[0])
            if not isinstance(trouble, StorageUnavailable):  # it may have been the counters alone
                try:
                    found = yield from gather(*loads)
                    trouble = None
                except StorageError as exc:
                    trouble = exc
        session.state.trouble = trouble
        for token, stored in zip(tokens, found, strict=False):
            if stored is CORRUPT:
                self._corrupt(token.id, "it is no record")
            elif stored is not None and self._fill(session, token, stored):
                return

    def _fill(self, session: Session, token: Token, stored: Stored) -> bool:
        """Put what was read into the session; false if it cannot be read."""
        fields, state = stored.fields, session.state
        try:
            saved = self._opened(token.tag, fields)
            contents = {key: decode(saved[key]) for key in sorted(saved)}  # a hash has no order
            seen, issued = int(fields["s"]), int(fields["r"])
            bound, before = fields.get("u", b"").decode(), fields.get("p", b"").decode()
            idle = int(fields["i"]) / 1_000_000 if "i" in fields else None
        except MissingKey as exc:
            self._tell("unreadable", stored.id, f"is left as it is: {exc}")
            state.trouble = StorageError(str(exc))
            return True
        except (Undecodable, ValueError, KeyError) as exc:
            self._corrupt(stored.id, str(exc))
            return False
        state.token, state.id, state.saved, state.kept = token, stored.id, saved, stored.kept
        state.now, state.ends, state.seen, state.issued, state.since = stored.now, stored.ends, seen, issued, stored.since
        state.bound, state.before, state.salt = bound, before, fields.get("e", b"").decode("ascii", "replace")
        state.idle_timeout = idle
        state.persistent = fields["k"] == b"1" if "k" in fields else None
        session._fill(contents)
        return True

    def _opened(self, tag: str, fields: Fields) -> dict[str, bytes]:
        """The values of a record by their keys, unsealed, and with what was added to them."""
        salt = fields.get("e", b"").decode("ascii", "replace")
        values = {}
        for name, raw in fields.items():
            if name.startswith("."):
                values[name[1:]] = self.sealing.open(raw, context(tag, salt, name))
        for name, raw in fields.items():
            if name.startswith("+"):
                base = decode(values[name[1:]]) if name[1:] in values else 0
                if type(base) is int:
                    values[name[1:]] = encode(base + int(raw))
        return values

    def _corrupt(self, identity: str, why: str) -> None:
        self._tell("corrupt", identity, f"cannot be read and counts as none: {why}")

    def _tell(self, kind: str, identity: str, what: str) -> None:
        """Count it, and log it once for each record, as its client will come again and again."""
        self.counts[kind] += 1
        if identity not in self.told and len(self.told) < 1000:
            self.told.add(identity)
            logger.error("the session %s %s", identity, what)

    def commit(self, session: Session, *, rename: bool = True) -> Action[bool]:
        """Write what was changed. False if there was something and the session has ended meanwhile.

        `rename` is false if the client could not be told of an id that the app has not asked for. Raises what stands at
        `Session.save`.
        """
        state = session.state
        if state.trouble is not None or not (state.accessed or (state.taken and rename)):
            return True
        yield from self.end(state)
        if state.user is not None:
            return (yield from self._bind(session))
        changes = state.changes(session._contents())
        if state.token is None:
            if state.wanted or any(code != "m" for code, _, _ in changes):
                yield from self._create(session, self.keyring.mint(), changes)
            return True
        if not state.kept:
            return not (changes or state.rotating) or self._gone(state)
        if state.rotating or (rename and self._is_due(state)):
            return (yield from self._rotate(session, changes))
        if changes:
            return (yield from self._write(session, changes))
        if state.stale(self.terms.idle):
            yield from self.use(state)
        return True

    def _is_due(self, state: State) -> bool:
        """Whether the session needs another id: its own is old, or signed with an old key, or the client never got the last."""
        assert state.token is not None
        if state.since is not None:
            return state.now - state.since >= self.terms.grace
        return not state.token.newest or 0 < self.terms.renewal <= state.now - state.issued

    def end(self, state: State) -> Action[None]:
        """End the sessions that were cleared, and delete what they were taken from."""
        if state.ending:
            yield from self.end_all(*state.ending)
            state.ending = ()
        if state.expiring:
            state.expiring, state.cookie = False, "expire"

    def end_all(self, ids: tuple[str, ...], keys: tuple[str, ...]) -> Action[int]:
        """End sessions under whatever ids they have, in whichever slots, and delete records of others. How many there were."""
        args = (*self.terms.timeouts, max(self.terms.grace, LEASE))
        results = yield from gather(*ends_of(ids, args), *[Delete(Foreign(key)) for key in keys])
        ended: list[Ended] = [*results[: len(ids)]]
        elsewhere = tuple(sorted({one for end in ended for one in end.elsewhere}))
        ended += yield from gather(*ends_of(elsewhere, args))
        for end in ended:
            if end.ends:
                self.tally.ended(end.ends, end.now)
        return sum(end.ends > 0 for end in ended)

    def _create(
        self, session: Session, token: Token, changes: list[Change], *, user: str = "", moved: int | None = None
    ) -> Action[None]:
        """A record of these changes. If it `moved` here from another slot, it was to end then there."""
        terms, state = self.terms, session.state
        state.salt = token_hex(8) if self.sealing.keys else ""
        own: list[Change] = [("m", "e", state.salt)] if state.salt else []
        args = (*terms.timeouts, terms.max_bytes, terms.max_per_user, terms.when_full, user)
        left = max(terms.grace, 1_000_000) / 1_000_000  # requests that are under way may still come with the old cookie
        taken = [Touch(Foreign(key), left) for key in state.taken]
        written: Written
        create = Create((key_of(token.id),), (*args, *self._sealed(state, token.tag, [*changes, *own])))
        written, *_ = yield from gather(create, *taken)
        if written.code is Code.FULL:
            state.revert()
            session._fill({key: decode(raw) for key, raw in state.saved.items()})
            raise TooManySessions(CROWDED.format(terms.max_per_user))
        self._raise_for(written)
        if written.code is Code.GONE:
            raise StorageError("a record with this id is there already")  # 256 bits at random do not meet
        if moved:
            self.tally.moved(moved, written.after)
        elif moved is None:
            self.tally.created(written.after, written.now)
        for ends in written.evicted:
            self.tally.ended(ends, written.now)
        state.taken = ()
        state.named(token, user, "")
        state.wrote(written, changes, session._contents())

    def _write(self, session: Session, changes: list[Change]) -> Action[bool]:
        state = session.state
        assert state.token is not None
        args = (*self.terms.timeouts, self.terms.max_bytes, *self._sealed(state, state.token.tag, changes))
        written = yield from Commit((key_of(state.token.id),), args)
        self._raise_for(written)
        if written.code is Code.GONE:
            return self._gone(state)
        self.tally.moved(written.before, written.after)
        tenth = state.idle(self.terms.idle) // 10
        if any(code == "m" for code, _, _ in changes):
            state.cookie = "set"  # it may last for another time
        elif written.now // tenth != state.seen // tenth:
            state.cookie = state.cookie or "renew"
        state.wrote(written, changes, session._contents())
        return True

    def _rotate(self, session: Session, changes: list[Change], *, afresh: bool = False) -> Action[bool]:
        terms, state = self.terms, session.state
        assert state.token is not None
        old, token = state.token, self.keyring.mint(state.token.tag)
        how = "rotate" if state.rotating or afresh else "renew"
        age = terms.renewal if old.newest else 0
        args = (*terms.timeouts, terms.max_bytes, terms.grace, how, age, int(afresh), *self._sealed(state, token.tag, changes))
        written = yield from Rotate((key_of(old.id), key_of(token.id)), args)
        self._raise_for(written)
        state.rotating = False
        if written.code is Code.GONE:
            return self._gone(state)
        self.tally.moved(written.before, written.after)
        if written.code is Code.DONE:
            state.named(token, state.bound, state.id or "")
            state.issued = written.now
        state.wrote(written, changes, session._contents())
        return True

    def use(self, state: State) -> Action[bool]:
        """Let it live on; false if it has ended. If that fails, it ends a little earlier, and nothing is lost."""
        assert state.token is not None
        try:
            written = yield from Use((key_of(state.token.id),), self.terms.timeouts)
        except StorageError as exc:
            logger.debug("a session could not be touched: %s", exc)
            return True
        if written.code is Code.DONE:
            self.tally.moved(written.before, written.after)
            state.wrote(written, [], {})
            state.cookie = state.cookie or "renew"
        return written.code is not Code.GONE

    def _bind(self, session: Session) -> Action[bool]:
        """Make it the session of a user: under another id, in the slot of the user."""
        state, token = session.state, session.state.token
        assert state.user is not None
        user = self.keyring.user(state.user)
        if token is None:
            yield from self._create(session, self.keyring.mint(user[:TAG]), state.changes(session._contents()), user=user)
        elif state.bound == user and state.kept:
            state.user = None
            return (yield from self._rotate(session, state.changes(session._contents()), afresh=True))
        else:
            yield from self._move(session, token, self.keyring.mint(user[:TAG]), user)
        state.user, state.rotating, state.kept = None, False, True
        return True

    def _move(self, session: Session, old: Token, token: Token, user: str) -> Action[None]:
        """Claim, create, retire. Whatever fails in between, the old record is released."""
        state, key, timeouts = session.state, key_of(old.id), self.terms.timeouts
        changes = state.changes(session._contents())
        claimed = yield from Claim((key,), (*timeouts, LEASE))
        failed: Exception
        try:
            values, own = self._merged(old.tag, claimed, changes)
            moved: list[Change] = [*[(".", name, raw) for name, raw in values.items()], *own]
            if claimed is not None and claimed is not CORRUPT:
                moved.append(("m", "p", claimed.id))
            ends = None if claimed is None or not claimed.kept else claimed.ends
            yield from self._create(session, token, moved, user=user, moved=ends)
        except (StorageError, SessionError) as exc:
            failed = exc
        except (MissingKey, Undecodable, ValueError) as exc:
            failed = StorageError(f"the session cannot be moved, as it cannot be read: {exc}")
        else:
            self._moved(session, values, changes)
            if claimed is not None and claimed.kept:
                yield from self._retire(session, key, claimed.id)
            return
        if claimed is not None and claimed.kept:
            try:
                yield from Release((key,), timeouts)
            except StorageError as exc:
                logger.debug("a session could not be given back, its claim will lapse: %s", exc)
        raise failed

    def _merged(self, tag: str, claimed: Stored | None, changes: list[Change]) -> tuple[dict[str, bytes], list[Change]]:
        """What was in the record, with the changes made to it: its values, and its own fields."""
        fields = {} if claimed is None else claimed.fields
        values = self._opened(tag, fields)
        own: dict[str, Arg] = {name: fields[name] for name in ("i", "k", "x") if name in fields}
        for code, key, value in changes:
            if code == "m":
                own[key] = value
            elif code == "-":
                values.pop(key, None)
            elif code == "+":
                base = decode(values[key]) if key in values else 0
                values[key] = encode((base if type(base) is int else 0) + int(value))
            else:
                assert isinstance(value, bytes)
                values[key] = value
        return values, [("m", name, value) for name, value in own.items()]

    def _moved(self, session: Session, values: dict[str, bytes], changes: list[Change]) -> None:
        """The session is what was in its record when it moved. What the app has in its hands stays, if it is the same."""
        contents = session._contents()
        mine = {key for code, key, _ in changes if code in (".", "+")}
        same = {key for key, raw in values.items() if key in mine or (key in contents and encode(contents[key]) == raw)}
        session._fill({key: contents[key] if key in same else decode(values[key]) for key in sorted(values)})
        session.state.moved(values)

    def _retire(self, session: Session, key: str, before: str) -> Action[None]:
        state = session.state
        assert state.token is not None
        try:
            retired = yield from Retire((key,), (*self.terms.timeouts, self.terms.grace, state.token.id))
        except StorageError as exc:
            logger.warning("a session could be moved to its user, and the old one not be ended: %s", exc)
            return
        state.before = before
        if retired.code is Code.GONE:  # somebody has ended it meanwhile, and meant this one, too
            yield from self.end_all((state.token.id,), ())
            state.kept = False

    def _raise_for(self, written: Written) -> None:
        if written.code is Code.TOO_LARGE:
            raise SessionError(LARGE.format(self.terms.max_bytes))
        if written.code is Code.TOO_MANY:
            raise SessionError(COUNTED)

    def _gone(self, state: State) -> bool:
        state.kept = False
        if not state.told:
            state.told = True
            self.counts["refused"] += 1
            logger.info("changes to a session were not stored: it has ended, or got another id, since the request began")
        return False

    def _sealed(self, state: State, tag: str, changes: list[Change]) -> tuple[Arg, ...]:
        """Changes as args; the values and the device are sealed."""
        if self.sealing.keys:
            changes = [self._seal(tag, state.salt, *change) for change in changes]
        return flat(changes)

    def _seal(self, tag: str, salt: str, code: str, key: str, value: Arg) -> Change:
        if not isinstance(value, bytes) or (code == "m" and key != "d"):
            return code, key, value
        return code, key, self.sealing.seal(value, context(tag, salt, key if code == "m" else "." + key))
