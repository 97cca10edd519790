"""A limiter around one view: the same layer and the same stack as at an edge, pumped around a call.

Rules:

* A limiter is made once for each view, and counts by itself: its `name` is that of the view, unless one was given.
* The storage is the one that was given, or the one that an edge has put into the environ or scope. There is no other guess.
* The view's head passes the limiter before anything is sent. What the limiter puts right afterwards is sent with it.
* The body is none of its business: who asks for it gets None, as for a body that was cut short.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping, MutableMapping
from contextlib import closing
from typing import Any

from ..errors import ConfigurationError
from ..flow import Next, Sleep
from ..http import Lines, Request, Response
from ..layers.rate_limit import Limit, RateLimit
from ..layers.rate_limit.limit import Dynamic, Written
from ..pump import apump, pump
from ..stack import STORAGE, Drive, Stack
from ..storage import Storage, storage_from

AnyLimit = Written | Dynamic | Limit
Passage = Generator[Any, Any, Response]
"""A stack of one limiter, started for one request. It wants ops and sleeps, and once `Next`; it returns the head to send."""


class Limiters:
    """What one `limit(…)` was given, and the limiter of each view that it is on. Serves all threads and tasks.

    Raises `ConfigurationError` for what `RateLimit` does not take, and for a storage that is none.
    """

    def __init__(self, limits: tuple[AnyLimit, ...], storage: Storage | str | None, options: Mapping[str, Any]) -> None:
        self._limits = limits
        self._options = {name: value for name, value in options.items() if name != "name"}
        self._name: str | None = options.get("name")
        self._storage = None if storage is None else storage_from(storage)
        self._stacks: dict[str, Stack] = {}
        self._stack(self._name or "")  # what is wrong is said here, not when the first view comes

    def passage(self, view: object, request: Request) -> Passage:
        """The limiter of a view, for one request. It has to be closed."""
        stack = self._stack(name_of(view) if self._name is None else self._name)
        return bodiless(stack(request))

    def storage(self, native: MutableMapping[str, Any]) -> Storage:
        """The storage that a request is counted in. Raises `ConfigurationError` if nobody has named one."""
        storage: Storage | None = native.get(STORAGE) if self._storage is None else self._storage
        if storage is None:
            raise ConfigurationError(
                "no storage to count in: wrap the app in WSGIMiddleware or ASGIMiddleware, with at least one layer, "
                "or name a storage, as in limit('5/minute', storage='redis://localhost:6379/0')"
            )
        return storage

    def _stack(self, name: str) -> Stack:
        stack = self._stacks.get(name)
        if stack is None:
            limiter = RateLimit(*self._limits, name=name, **self._options)
            stack = self._stacks.setdefault(name, Stack([limiter]))  # for WebSockets too: it acts on both
        return stack


def name_of(view: Any) -> str:
    """The name of a view, as module and qualified name: of its class if it has one, as it is the class that tells views apart.

    Raises `ConfigurationError` if there is no view.
    """
    if view is None:
        raise ConfigurationError("no view to take the name from: name the limit, as in limit('5/minute', name='login')")
    bound = instance_of(view)
    if bound is not None:
        return f"{type(bound).__module__}.{type(bound).__qualname__}.{view.__name__}"
    named = getattr(view, "view_class", view)
    while not hasattr(named, "__qualname__"):
        named = getattr(named, "func", type(named))
    renamed = named.__qualname__.rpartition(".")[2] != named.__name__  # as Flask does with what as_view(name) makes
    return f"{named.__module__}.{named.__name__ if renamed else named.__qualname__}"


def instance_of(view: Any) -> object | None:
    """The object that a view is a method of, decorated or not; None if it is a function or a class."""
    while view is not None:
        bound = getattr(getattr(view, "func", view), "__self__", None)  # Django's method_decorator makes it a partial
        if bound is not None and not isinstance(bound, type):
            return bound  # type: ignore[no-any-return]
        view = getattr(view, "__wrapped__", None)
    return None


def bodiless(drive: Drive) -> Passage:
    """A stack's drive for who has no body to show: `Next` and the head that was settled are all that is seen of it."""
    head: Response | None = None
    with closing(drive):
        try:
            effect = next(drive)
            while True:
                if type(effect) not in (tuple, Sleep, Next):
                    head = effect if isinstance(effect, Response) else head
                    effect = drive.send(None)
                    continue
                try:
                    answer = yield effect
                except Exception as exc:
                    effect = drive.throw(exc)
                else:
                    effect = drive.send(answer)
        except StopIteration as stop:
            settled = stop.value or head
    assert settled is not None
    return settled


def around(passage: Passage, storage: Storage, view: Callable[[], Response]) -> Response:
    """Run a view, if its limiter lets it, and return the head to send; or the limiter's own answer, which has a body.

    Raises what the view raised. The caller's thread waits.
    """
    with closing(passage):
        effect = pump(passage, storage)
        if type(effect) is Next:
            try:
                head = view()
            except Exception as exc:
                effect = pump(passage, storage, error=exc)
            else:
                effect = pump(passage, storage, head)
        return effect.value  # type: ignore[no-any-return]  # Done: nothing else is wanted twice


async def aaround(passage: Passage, storage: Storage, view: Callable[[], Awaitable[Response]]) -> Response:
    """`around` for an event loop, which is never blocked."""
    with closing(passage):
        effect = await apump(passage, storage)
        if type(effect) is Next:
            try:
                head = await view()
            except Exception as exc:
                effect = await apump(passage, storage, error=exc)
            else:
                effect = await apump(passage, storage, head)
        return effect.value  # type: ignore[no-any-return]  # Done: nothing else is wanted twice


def added(before: Lines, head: Response) -> Lines:
    """The lines that a head has got on its way."""
    return [line for line in head.headers if line not in before]
