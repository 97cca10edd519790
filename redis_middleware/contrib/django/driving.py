"""What waits, written once for threads and event loops: steps, and two shells that do them.

A step is an action (see `flow`), which asks the storage, or a call, which asks something of Django's that blocks, such as the
database. What comes of a step is what the `yield` returns or raises.
"""

# mypy: disable-error-code="import-untyped,untyped-decorator"
# (Django ships no types.)

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.utils.asyncio import async_unsafe

from ...flow import Action
from ...pump import arun, run
from ...storage import Storage

__all__ = ["Call", "Steps", "adrive", "drive"]

T = TypeVar("T")

Call = Callable[[], Any]
Steps = Generator[Action[Any] | Call, Any, T]

IN_A_LOOP = "in an event loop, a session is loaded and stored by its async methods only: await request.session.aget(…)"


def drive(steps: Steps[T], storage: Storage) -> T:
    """Do the steps in this thread. Raises `SynchronousOnlyOperation` if there are any and it has an event loop."""
    try:
        step = next(steps)
        while True:
            try:
                came = _do(step, storage)
            except Exception as exc:
                step = steps.throw(exc)
            else:
                step = steps.send(came)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


async def adrive(steps: Steps[T], storage: Storage, *, here: bool = False) -> T:
    """Do the steps, and let the event loop go on meanwhile; calls are made where Django's connections are.

    `here` asks the storage in this thread all the same: for a loop that serves one request only, under WSGI. Nobody else waits
    for it, and connections that it opened would end with it.
    """
    try:
        step = next(steps)
        while True:
            try:
                if callable(step):
                    came = await sync_to_async(step)()
                else:
                    came = run(step, storage) if here else await arun(step, storage)
            except Exception as exc:
                step = steps.throw(exc)
            else:
                step = steps.send(came)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


@async_unsafe(IN_A_LOOP)
def _do(step: Action[Any] | Call, storage: Storage) -> Any:
    return step() if callable(step) else run(step, storage)
