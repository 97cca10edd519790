"""The stack: the flows of one request as one generator, which fuses, speculates and unwinds without I/O.

Its rules, in the order in which they apply to a request:

1. *Inwards.* The outermost layer starts; each following one starts too while it is eager. Their first ops leave as one
   batch: all of the layer whose turn it is, and of each inner one only if every op in it is safe. A layer that answers
   early ends the way in: the flows inside it are closed and what they read is forgotten.
2. *Outwards.* The app's head passes each layer, innermost first. A layer that wants the body steps aside until its end.
   If the app or a layer raises, the error is thrown through the remaining layers, which may answer or clean up.
3. *The head.* The outbox is flushed, the head goes. If the body comes in one known piece, its readers are served first,
   and there is one flush for both.
4. *The end.* Those who wait for the body are resumed, innermost first, and the outbox is flushed before the last byte
   is passed on. A body cut short is None.
5. Whatever happens, every flow that was started is closed.

An edge drives it: it answers `Next` with the app's head (or throws what the app raised), and `Peek` and `Body` as they say.
It takes a `Response` as the head to send; one that the stack *returns* is sent too, and the body needs no watching then.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable, MutableMapping, Sequence
from typing import Any

from .errors import ConfigurationError, StorageError
from .flow import NEXT, PEEK, Body, Done, Failed, Layer, Next, Turn, execute
from .http import Request, Response, unavailable

logger = logging.getLogger("redis_middleware")

Drive = Generator[Any, Any, Response | None]

KINDS = frozenset({"http", "websocket"})

ACTING = "redis_middleware.layers"
"""Key of the environ or scope: the layers that act on the request already."""

STORAGE = "redis_middleware.storage"
"""Key of the environ or scope: the storage of the layers, for what acts inside of the app."""


ENTRY = "redis_middleware.entry"
"""Key of the environ or scope: the layer at which the request enters, if it is not the outermost. Nobody else can set it."""

REPEATED = "redis_middleware.repeated"
"""Key of the environ or scope of a repeat: the `Repeat`."""


class Stack:
    """Layers, outermost first, that act on one kind of connection. One object serves all threads and event loops."""

    __slots__ = ("layers",)

    def __init__(self, layers: Iterable[Layer], kind: str = "http") -> None:
        self.layers: tuple[Layer, ...] = tuple(layer for layer in layers if kind in layer.kinds)

    def entered(self, native: MutableMapping[str, Any]) -> Stack:
        """Those of the layers that act on a request. One that acts on it already, because it was installed twice, acts once;
        and those outside of the one at which it enters do not act.
        """
        acting: tuple[Layer, ...] = native.get(ACTING, ())
        entry = native.get(ENTRY)
        if not acting and entry is None:
            return self
        stack = Stack(())
        stack.layers = tuple(layer for layer in self.layers if not any(layer is other for other in acting))
        if entry is not None:
            place = next((place for place, layer in enumerate(stack.layers) if layer is entry), None)
            stack.layers = () if place is None else stack.layers[place:]  # it may be in an edge further inside
            if place is not None:
                native[ENTRY] = None
        return stack

    def __call__(self, request: Request) -> Drive:
        """Drive one request; see the module."""
        turns: list[Turn] = []
        readers: list[Turn] = []
        answer: Any = None
        outcome: Any = None
        try:
            answer = yield from _inwards(self.layers, request, turns)
            outcome = yield from _outwards(turns, answer, readers)
            if readers and isinstance(outcome, Response):
                yield from _send(request, outcome, readers)
                return None
            if request.outbox:
                yield from _flush(request)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome  # type: ignore[no-any-return]  # a Response: see above
        finally:
            answer = outcome = None  # an error refers to this frame: no cycle
            for turn in reversed(turns):
                turn.close()
            if request.outbox:
                logger.warning("%d writes lost: the request was cancelled", len(request.outbox))


def checked(layers: Iterable[Layer]) -> tuple[Layer, ...]:
    """The layers, if that is what they are; else `ConfigurationError`. Those that are `outermost` come first."""
    layers = tuple(layers)
    for layer in layers:
        name = layer.__name__ if isinstance(layer, type) else type(layer).__name__
        if isinstance(layer, type):
            raise ConfigurationError(f"layers are objects: write {name}(), not {name}")
        if not callable(layer) or not isinstance(getattr(layer, "eager", None), bool):
            raise ConfigurationError(f"{name} is no layer: it needs eager (a bool), kinds and __call__(request)")
        if not getattr(layer, "kinds", None) or not KINDS.issuperset(layer.kinds):
            raise ConfigurationError(f"{name}.kinds must be a frozenset of {sorted(KINDS)}")
    return tuple(sorted(layers, key=lambda layer: not getattr(layer, "outermost", False)))


def _inwards(layers: Sequence[Layer], request: Request, turns: list[Turn]) -> Generator[Any, Any, Response | Exception]:
    """Go in until a layer answers or the app does; `turns` are then the flows that the answer has to pass."""
    for place, layer in enumerate(layers):
        if place == len(turns):
            turns.append(_turn(layer, request))
        turn = turns[place]
        if type(turn.effect) is tuple:
            if turn.results is None:
                yield from _fuse(layers, request, turns, place)
            turn.answer(turn.results or [])
        if type(turn.effect) is Next:
            continue
        end = yield from _until_next(turn)
        if type(end) is Next or (type(end) is Done and end.value is None):
            continue
        while len(turns) > place + 1:
            turns.pop().close(reached=False)
        return _outcome(end)
    try:
        response: Response = yield NEXT
    except Exception as exc:
        return exc
    return response


def _turn(layer: Layer, request: Request) -> Turn:
    """Start the flow of a layer; one that fails before it is a flow fails in its turn, too."""
    try:
        return Turn(layer(request))
    except Exception as exc:
        return Turn(_failing(exc))


def _failing(error: Exception) -> Generator[Any, Any, None]:
    raise error
    yield


def _fuse(layers: Sequence[Layer], request: Request, turns: list[Turn], place: int) -> Generator[Any, Any, None]:
    """Send the first ops of the layer at `place` with those of the eager layers inside it that are safe."""
    batch = turns[place].effect
    together = [turns[place]]
    for inner, layer in enumerate(layers[place + 1 :], place + 1):
        if inner == len(turns):
            if not layer.eager:
                break
            turns.append(_turn(layer, request))
        turn = turns[inner]
        effect = turn.effect
        if type(effect) is tuple:
            if turn.results is None and all(op.safe for op in effect):
                batch += effect
                together.append(turn)
        elif type(effect) is not Next and not (type(effect) is Done and effect.value is None):
            break  # it answered, or failed: nothing inside it is likely to be reached
    counted = request.ledger.due()
    results = yield from execute(batch + counted)
    if counted and any(isinstance(result, StorageError) for result in results[len(batch) :]):
        request.ledger.put_back(counted)
    start = 0
    for turn in together:
        end = start + len(turn.effect)
        turn.results = results[start:end]
        start = end


def _until_next(turn: Turn) -> Generator[Any, Any, Any]:
    """Serve a flow on the way in, until it proceeds or ends."""
    while True:
        end = yield from turn.serve()
        if type(end) is not Body:
            return end
        turn.throw(RuntimeError("body() before proceed(): there is no response yet"))


def _outwards(
    turns: Sequence[Turn], outcome: Response | Exception, readers: list[Turn]
) -> Generator[Any, Any, Response | Exception]:
    """Let a response, or an error, pass the flows that wait in `proceed()`; those that want its body become readers."""
    for turn in reversed(turns):
        if type(turn.effect) is not Next:
            continue  # it stepped aside, or is the one that answered
        if isinstance(outcome, Exception):
            turn.throw(outcome)
        else:
            turn.send(outcome)
        end: Any = turn.effect
        if type(end) is not Done:
            end = yield from _until_body(turn, outcome)
        if type(end) is Body:
            readers.append(turn)
            continue
        after = _outcome(end, outcome)
        if after is not outcome:
            yield from _read(readers, None)  # what they were to read will never be sent
            outcome = after
    return outcome


def _until_body(turn: Turn, outcome: Response | Exception) -> Generator[Any, Any, Any]:
    """Serve a flow on the way out, until it wants a body that is still to come, or ends."""
    while True:
        end = yield from turn.serve()
        if type(end) is Next:
            turn.throw(RuntimeError("proceed() twice: the app runs once for a request"))
        elif type(end) is not Body:
            return end
        elif isinstance(outcome, Exception):
            turn.throw(RuntimeError("body() after an error: there is no response"))
        elif outcome.body is None:
            return end
        else:
            turn.send(_at_most(outcome.body, end.limit))


def _outcome(end: Done | Failed, before: Response | Exception | None = None) -> Response | Exception:
    """What the layers outside see of a flow that has ended: its answer, its error, or what it was given."""
    if type(end) is Failed:
        if isinstance(end.error, StorageError) and end.error is not before:
            logger.warning("a layer left a %s undecided: answering 503", type(end.error).__name__, exc_info=end.error)
            return unavailable()
        return end.error
    value = end.value  # type: ignore[union-attr]
    if isinstance(value, Response):
        return value
    if value is None and before is not None:
        return before
    return TypeError(f"a flow returns a Response or None, got {type(value).__name__}")


def _send(request: Request, response: Response, readers: list[Turn]) -> Generator[Any, Any, None]:
    """Send the head, and resume the readers when the body has ended."""
    try:
        if _comes_at_once(request, response):
            whole = yield PEEK
            if whole is not None:
                yield from _read(readers, whole)
        yield from _flush(request)
        yield response
        if readers:
            whole = yield Body(max(turn.effect.limit for turn in readers))
            yield from _read(readers, whole)
            yield from _flush(request)
    except Exception as exc:
        request.failed = not (request.left or isinstance(exc, OSError))  # as what is sent to nobody raises
        yield from _read(readers, None)
        yield from _flush(request)
        raise


def _comes_at_once(request: Request, response: Response) -> bool:
    """Whether the head may wait for the first piece of the body: not for a stream, which says no length."""
    bodiless = request.method == "HEAD" or response.status in (204, 304)
    return request.kind == "http" and (bodiless or "content-length" in response.headers)


def _read(readers: list[Turn], whole: bytes | None) -> Generator[Any, Any, None]:
    """Give the readers their body. The response is out of their hands: what they return or raise changes nothing."""
    while readers:
        turn = readers.pop(0)
        turn.send(_at_most(whole, turn.effect.limit))
        while type(end := (yield from turn.serve())) is not Done:
            if type(end) is Failed:
                logger.error("%s failed after the head had gone", turn.flow, exc_info=end.error)
                break
            turn.throw(RuntimeError("proceed() or body() after the body has ended"))
        if type(end) is Done and isinstance(end.value, Response) and end.value.body is not None:
            logger.error("%s returned another response after the head had gone", turn.flow)


def _flush(request: Request) -> Generator[Any, Any, None]:
    """Send the outbox. What is lost is logged; the request goes on."""
    if request.outbox:
        batch = tuple(request.outbox)
        request.outbox.clear()
        lost = [result for result in (yield from execute(batch)) if isinstance(result, StorageError)]
        if lost:
            logger.warning("%d of %d writes lost: %s", len(lost), len(batch), lost[0])


def _at_most(whole: bytes | None, limit: int) -> bytes | None:
    return whole if whole is not None and len(whole) <= limit else None
