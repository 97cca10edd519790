"""Limits on single views of FastAPI, as a dependency, and of Starlette.

    app.add_middleware(ASGIMiddleware, layers=[Health(), ViewLimits()], storage="redis://localhost:6379/0")

    @app.post("/login", dependencies=[Depends(limit("5/minute"))], responses=responses)
    async def login(): ...

    login_limit = limit("5/minute")

    async def login(request):          # Starlette, which has no dependencies
        await login_limit(request)

A dependency is through before there is a response. So it only begins: the layer `ViewLimits`, which all responses pass, goes
on where it stopped. It is one limiter all the same, and its second half sees what the client gets, an error page too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from ..asgi import request_from
from ..errors import ConfigurationError
from ..flow import Flow, Layer, Next, proceed
from ..http import PHRASES, Request, Response
from ..pump import apump
from ..stack import STORAGE
from ..storage import Storage
from .around import AnyLimit, Limiters, Passage

__all__ = ["ViewLimits", "limit", "responses"]

VIEWS = "redis_middleware.views"
"""Key of the scope: what the limits of views have begun."""

responses: dict[int | str, dict[str, Any]] = {
    429: {
        "description": "Too many requests: wait as many seconds as Retry-After says",
        "headers": {"Retry-After": {"description": "Seconds to wait", "schema": {"type": "integer"}}},
        "content": {
            "application/problem+json": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "type": {"type": "string"},
                        "title": {"type": "string"},
                        "status": {"type": "integer"},
                        "detail": {"type": "string"},
                        "instance": {"type": "string"},
                        "violated-policies": {"type": "array", "items": {"type": "string"}},
                    },
                }
            }
        },
    }
}
"""For a route's `responses=`: what OpenAPI says of the answer to whom a limit denies (RFC 9457)."""


class _Begun:
    """What the limits of views have begun in one request."""

    __slots__ = ("passages", "refusal", "storage")

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.passages: list[Passage] = []
        self.refusal: Response | None = None

    def settled(self, outcome: Response | Exception) -> Response | Exception:
        """The refusal in place of what the app made of it; unless a view has caught it, and answers something else."""
        if self.refusal and (isinstance(outcome, Exception) or outcome.status == self.refusal.status):
            return self.refusal
        return outcome


class ViewLimits(Layer):
    """The layer that ends what `limit(…)` begins in a view; one for all limits, best the innermost.

    Limits of views count in the storage of the ASGIMiddleware that has this layer. One object serves all tasks.
    """

    kinds = frozenset({"http", "websocket"})

    def __call__(self, request: Request, /) -> Flow:
        begun = request.native[VIEWS] = _Begun(request.native[STORAGE])
        outcome: Response | Exception
        try:
            try:
                outcome = yield from proceed()
            except Exception as exc:
                outcome = exc
            outcome = begun.settled(outcome)
            for passage in reversed(begun.passages):
                outcome = yield from _ended(passage, outcome)
        finally:
            for passage in begun.passages:
                passage.close()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def _ended(passage: Passage, outcome: Response | Exception) -> Generator[Any, Any, Response | Exception]:
    """Let a response, or an error, pass a limiter that waits for it."""
    try:
        effect = passage.throw(outcome) if isinstance(outcome, Exception) else passage.send(outcome)
        while True:
            try:
                answer = yield effect
            except Exception as exc:
                effect = passage.throw(exc)
            else:
                effect = passage.send(answer)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    except Exception as exc:
        return exc


def limit(*limits: AnyLimit, **options: Any) -> Callable[[HTTPConnection], Awaitable[None]]:
    """A dependency that limits a view, or every view of a router or app: `Depends(limit("5/minute"))`. It needs `ViewLimits`.

    It takes what `RateLimit` takes, and does what that does as a layer; for WebSockets it limits handshakes. Each view has
    a budget of its own, by the name of its function, so a router's dependency is a budget for each of its views; with
    `name=` it is one for all that are given the same. FastAPI runs dependencies in their order: if `key` needs the user,
    `request.native["state"]` has what an earlier one has put into `request.state`.

    Who is denied gets the limiter's own answer. It is raised as an `HTTPException` and takes the place of what the app
    makes of that. Outside of FastAPI, await it with the request.

    Raises `ConfigurationError` at once for what `RateLimit` does not take, and in a request if there is no `ViewLimits`.
    """
    limiters = Limiters(limits, None, options)

    async def limited(connection: HTTPConnection) -> None:
        begun: _Begun | None = connection.scope.get(VIEWS)
        if begun is None:
            raise ConfigurationError(
                "limit() needs the layer that ends what it begins: app.add_middleware(ASGIMiddleware, layers=[ViewLimits()])"
            )
        request = request_from(connection.scope)  # type: ignore[arg-type]  # a dict in all but its type
        passage = limiters.passage(connection.scope.get("endpoint"), request)
        try:
            effect = await apump(passage, begun.storage)
        except BaseException:
            passage.close()
            raise
        if type(effect) is Next:
            begun.passages.append(passage)
            return
        begun.refusal = effect.value
        raise HTTPException(effect.value.status, PHRASES.get(effect.value.status))

    return limited
