"""The pumps: they answer what a flow wants of the storage or a clock, and hand everything else to the edge that called them.

`pump` is for threads and `apump` for event loops: the only two places where sync and async differ. `run` and `arun` pump a
flow outside of a request.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Generator
from typing import Any, TypeVar

from .asking import Ask, aanswered, answered
from .errors import StorageError
from .flow import Action, Done, Failed, Sleep, Turn
from .storage import Storage

__all__ = ["arun", "run"]

logger = logging.getLogger("redis_middleware")

T = TypeVar("T")


def action(flow: Action[T]) -> Action[T]:
    """A flow outside a request, ready to be pumped."""
    turn = Turn(flow)
    try:
        while True:
            end = yield from turn.serve()
            if type(end) is Done:
                return end.value  # type: ignore[no-any-return]
            if type(end) is Failed:
                raise end.error
            turn.throw(RuntimeError("proceed() and body() need a request: this flow runs outside of one"))
    finally:
        turn.close()


def pump(flow: Generator[Any, Any, Any], storage: Storage, value: Any = None, error: Exception | None = None) -> Any:
    """Resume `flow`, answer its ops and sleeps, and return what else it wants; `Done` when it has returned.

    Raises what the flow raises. The caller's thread waits.
    """
    try:
        effect = flow.send(value) if error is None else flow.throw(error)
        while True:
            if type(effect) is tuple:
                try:
                    results = storage.execute(effect)
                except Exception as exc:
                    effect = flow.throw(_as_storage_error(exc, storage))
                else:
                    effect = flow.send(results)
            elif type(effect) is Sleep:
                time.sleep(effect.seconds)
                effect = flow.send(None)
            elif type(effect) is Ask:
                effect = flow.send(answered(effect, storage))
            else:
                return effect
    except StopIteration as stop:
        return Done(stop.value)


async def apump(flow: Generator[Any, Any, Any], storage: Storage, value: Any = None, error: Exception | None = None) -> Any:
    """`pump` for an event loop, which is never blocked. A cancellation leaves the flow where it stands, to be closed."""
    try:
        effect = flow.send(value) if error is None else flow.throw(error)
        while True:
            if type(effect) is tuple:
                try:
                    results = await storage.aexecute(effect)
                except Exception as exc:
                    effect = flow.throw(_as_storage_error(exc, storage))
                else:
                    effect = flow.send(results)
            elif type(effect) is Sleep:
                await asyncio.sleep(effect.seconds)
                effect = flow.send(None)
            elif type(effect) is Ask:
                effect = flow.send(await aanswered(effect))
            else:
                return effect
    except StopIteration as stop:
        return Done(stop.value)


def run(flow: Action[T], storage: Storage) -> T:
    """Run an action outside a request, in this thread: `run(limiter.reset("192.0.2.1"), storage)`.

    Returns what the action returns, and raises what it raises; `StorageError` if the storage cannot do it.
    """
    return pump(action(flow), storage).value  # type: ignore[no-any-return]


async def arun(flow: Action[T], storage: Storage) -> T:
    """`run` for an event loop: `await arun(limiter.reset("192.0.2.1"), storage)`."""
    return (await apump(action(flow), storage)).value  # type: ignore[no-any-return]


def _as_storage_error(exc: Exception, storage: Storage) -> StorageError:
    """What a storage raised, as what it should have raised: the layers' policies know no other error."""
    if isinstance(exc, StorageError):
        return exc
    logger.error("%r raised %s instead of a StorageError", storage, type(exc).__name__, exc_info=exc)
    error = StorageError(f"{type(exc).__name__}: {exc}")
    error.__cause__ = exc
    return error
