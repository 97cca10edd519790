"""Flows: how a layer, and an action from outside a request, is written without doing I/O.

A flow is a generator. It yields *effects* and is resumed with their answer:

| the flow says | it yields | it gets |
|---|---|---|
| `value = yield from Get("k")`, `yield from gather(…)` | a tuple of ops | their results; a `StorageError` is raised there |
| `response = yield from proceed()` | `Next` | the response of the rest of the stack and the app, its body still to come |
| `whole = yield from body(limit)` | `Body` | the whole body once it has gone out; None if it was cut short or is too long |
| `yield from sleep(seconds)` | `Sleep` | None, later |
| `answers = yield from ask(app, urls)` | `Ask` | what an app answers; for actions from outside a request |

and it returns the response; or None to step aside before `proceed()`, or to leave the response as it is after it. So a
whole layer is

    class Greeting(Layer):
        eager = True

        def __call__(self, request):
            try:
                name = yield from Get("greeting:name")
            except StorageError:
                return None                                  # serve as if this layer were not there
            response = yield from proceed()
            response.headers.add("x-greeting", (name or b"hello").decode())
            return response

A `StorageError` that a flow does not catch is answered with 503.

Who pumps a flow, and what answers its effects, is in `pump`.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from typing import Any, Protocol, TypeVar

from .asking import Ask
from .errors import StorageError, fresh
from .http import Request, Response
from .ops import Op

__all__ = ["Action", "Effect", "Flow", "Layer", "body", "proceed", "sleep"]

logger = logging.getLogger("redis_middleware")

T = TypeVar("T")


class Next:
    """Effect: run the rest of the stack and the app."""

    __slots__ = ()


class Body:
    """Effect: let the head go, and give the whole body when it has ended, if it has at most `limit` bytes."""

    __slots__ = ("limit",)

    def __init__(self, limit: int) -> None:
        self.limit = limit


class Sleep:
    """Effect: wait."""

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


class Peek:
    """Effect of the stack: give the whole body if the app's next piece is all of it, else None. The head waits."""

    __slots__ = ()


class Done:
    """What a flow has come to: it returned `value`."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class Failed:
    """What a flow has come to: it raised `error`."""

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        self.error = error


NEXT, PEEK = Next(), Peek()

NO_GENERATOR = "a layer's __call__ is a generator function, with a 'yield' in it; it returned {!r}"

Effect = tuple[Op[Any], ...] | Next | Body | Sleep
Flow = Generator[Effect, Any, Response | None]
Action = Generator[Any, Any, T]
"""A flow outside a request: it asks for ops and sleeps, and returns a `T`."""


class Layer(Protocol):
    """The logic of one concern: inherit, and write `__call__`. An object that has all three without inheriting will do, too;
    class attributes are enough: `eager, kinds = True, frozenset({"http"})`.

    One object serves all requests, of all threads and event loops: what belongs to a request is a local of its flow.
    """

    @property
    def eager(self) -> bool:
        """Its first ops depend on the request alone, so they may leave together with those of the layers outside.

        Only ops that are `safe` do. The flow is then started before its turn, and closed again if its turn never comes: it
        must do nothing but compute before its first op. False, the default, if it needs what a layer outside has done.
        """
        return False

    @property
    def kinds(self) -> frozenset[str]:
        """What it acts on: `frozenset({"http"})`, the default, or `frozenset({"http", "websocket"})`."""
        return frozenset({"http"})

    def __call__(self, request: Request, /) -> Flow:
        """The flow of one request."""
        ...


def proceed() -> Generator[Next, Response, Response]:
    """Run the rest of the stack and the app; the response, with its body still to come.

    Raises what the app raised; under many frameworks that is nothing, as they answer 500 themselves. Once only, and never
    inside `except`, where an app's error would get the storage's as its context: note what failed, leave, then proceed.
    """
    return (yield NEXT)


def body(limit: int) -> Generator[Body, bytes | None, bytes | None]:
    """Let the head go, and wait for the end: the whole body, or None if it was cut short or has more than `limit` bytes.

    Cut short means: the app raised, the client left, or the bytes are not as many as `Content-Length` says. An empty body
    is `b""`. The body streams meanwhile; at most `limit` bytes of it are kept. What is put into the outbox now is stored
    before the client has the last byte; a change to the response comes too late and is ignored. If the request is
    cancelled, this never returns: `finally` runs, but no op can.
    """
    return (yield Body(limit))


def sleep(seconds: float) -> Generator[Sleep, None, None]:
    """Wait without holding anything: the thread, or the task, but never the event loop."""
    yield Sleep(seconds)


class Turn:
    """One flow, and what it wants now: an effect, or `Done`, or `Failed`."""

    __slots__ = ("effect", "flow", "results")

    def __init__(self, flow: Generator[Any, Any, Any]) -> None:
        self.flow = flow
        self.results: list[Any] | None = None  # of ops that left before their turn came
        self.effect: Any = None
        try:
            self.effect = flow.send(None)
        except StopIteration as stop:
            self.effect = Done(stop.value)
        except Exception as exc:
            self.effect = Failed(exc if hasattr(flow, "send") else TypeError(NO_GENERATOR.format(flow)))

    def send(self, value: Any) -> None:
        try:
            self.effect = self.flow.send(value)
        except StopIteration as stop:
            self.effect = Done(stop.value)
        except Exception as exc:
            self.effect = Failed(exc)

    def throw(self, error: Exception) -> None:
        try:
            self.effect = self.flow.throw(error)
        except StopIteration as stop:
            self.effect = Done(stop.value)
        except Exception as exc:
            self.effect = Failed(exc)

    def answer(self, results: list[Any]) -> None:
        """Answer its ops; an op that failed is raised where it was asked for, with an error of this flow's own."""
        for result in results:
            if isinstance(result, StorageError):
                self.throw(fresh(result))
                return
        self.send(results)

    def serve(self) -> Generator[Any, Any, Any]:
        """Answer its ops, sleeps and questions until it wants something else, and return that."""
        while True:
            kind = type(self.effect)
            if kind is tuple:
                self.answer((yield from execute(self.effect)))
            elif kind is Sleep or kind is Ask:
                self.send((yield self.effect))
            elif kind in (Next, Body, Done, Failed):
                return self.effect
            else:
                self.throw(TypeError(f"a flow asks for ops with 'yield from op', it yielded {self.effect!r}"))

    def close(self, *, reached: bool = True) -> None:
        """End it where it stands. It may clean up, but an op that it asks for now is not executed.

        One that its request never `reached` has nothing to clean up, so that is no loss.
        """
        end, self.effect = self.effect, None  # what it ended with may refer back to it
        if type(end) is Done or type(end) is Failed:
            return
        for _ in range(9):  # each op that a `finally` asks for ends one attempt
            try:
                self.flow.close()
            except RuntimeError as exc:
                level = logging.WARNING if reached else logging.DEBUG
                logger.log(level, "%s asked for an op after its request had ended: not executed (%s)", self.flow, exc)
            except Exception:
                logger.exception("%s failed while it was closed", self.flow)
                return
            else:
                return


def execute(ops: tuple[Op[Any], ...]) -> Generator[tuple[Op[Any], ...], list[Any], list[Any]]:
    """Have a batch executed; a storage that is out of reach is the result of each of its ops."""
    try:
        results = yield ops
    except StorageError as exc:
        return [exc] * len(ops)
    if len(results) != len(ops):
        return [StorageError(f"the storage gave {len(results)} results for {len(ops)} ops")] * len(ops)
    return results
