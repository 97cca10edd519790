"""Limits on single Django views, sync and async, under WSGI and ASGI.

@limit("5/minute", when=lambda request, response: response is None or response.status == 401)
def login(request): ...

@method_decorator(limit("50/hour"), name="dispatch")
class Items(View): ...

path("items", limit("50/hour")(Items.as_view()))
"""

# mypy: disable-error-code="import-untyped"
# (Django ships no types.)

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from inspect import isawaitable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.http import Http404, HttpResponse
from django.http.response import ResponseHeaders

from ... import asgi, wsgi
from ...http import Lines, Request, Response, framed
from ...ops import Op
from ...storage import Storage
from ..around import AnyLimit, Limiters, aaround, around, instance_of

REQUEST = "redis_middleware.django.request"
"""Key of `request.native` under which the callables of a limit find Django's own request."""

STATUSES = {Http404: 404, PermissionDenied: 403, BadRequest: 400, SuspiciousOperation: 400}
"""The errors that Django answers by itself, whatever the project (`django.core.handlers.exception`)."""

View = Callable[..., Any]


def limit(*limits: AnyLimit, storage: Storage | str | None = None, **options: Any) -> Callable[[View], View]:
    """A decorator that limits a view: a function, what `as_view()` returns, or a method by way of `method_decorator`.

    It takes what `RateLimit` takes, and does what that does as a layer. Each view has a budget of its own, and so has each
    class, if it inherits the method or not; views that are given the same `name=` share one. `storage` is a Storage or a
    URL; without it, it is that of the WSGIMiddleware or ASGIMiddleware around the app, which passes it on if it has a layer.

    `key` and other callables find Django's request at `request.native[REQUEST]`: `key=lambda request:
    str(request.native[REQUEST].user.pk)`. The response that `when` and `count` see is what the view returned, or the status
    that Django answers to `Http404`, `PermissionDenied`, `BadRequest` and `SuspiciousOperation`; it is None for every
    other error. Django's own page for an error says nothing of the limit.

    Raises `ConfigurationError` at once for what `RateLimit` does not take, and in a request if there is no storage.
    """
    limiters = Limiters(limits, storage, options)

    def decorator(view: View) -> View:
        if _is_async(view):

            @wraps(view)
            async def limited(request: Any, *args: Any, **kwargs: Any) -> Any:
                return await _alimited(limiters, view, request, args, kwargs)

        else:

            @wraps(view)
            def limited(request: Any, *args: Any, **kwargs: Any) -> Any:
                return _limited(limiters, view, request, args, kwargs)

        return limited

    return decorator


def _is_async(view: Any) -> bool:
    """Whether its result has to be awaited. `dispatch` of a class with async methods looks like a sync function."""
    return iscoroutinefunction(view) or bool(getattr(instance_of(view), "view_is_async", False))


class _Call:
    """One call of a view: what came of it, as a head, and the head put back."""

    def __init__(self, request: Any) -> None:
        self.made: Any = None
        self.raised: Exception | None = None
        self._request = request

    def head(self) -> Response:
        if self.raised is not None:
            status = next(status for kind, status in STATUSES.items() if isinstance(self.raised, kind))
            return Response.begun(status, [])
        cookies = [("Set-Cookie", cookie.OutputString()) for cookie in self.made.cookies.values()]
        return Response.begun(self.made.status_code, [*self.made.items(), *cookies])

    def answer(self, head: Response) -> Any:
        if head.body is not None:
            lines, body = framed(head, self._request.method)
            return HttpResponse(body, status=head.status, headers=_combined(lines))
        if self.raised is not None:
            raise self.raised
        self.made.headers = ResponseHeaders(_combined(head.headers.lines))
        return self.made


def _limited(limiters: Limiters, view: View, request: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    call = _Call(request)

    def run() -> Response:
        try:
            call.made = view(request, *args, **kwargs)
        except tuple(STATUSES) as exc:
            call.raised = exc
        return call.head()

    seen = _seen(request)
    return call.answer(around(limiters.passage(view, seen), limiters.storage(seen.native), run))


async def _alimited(limiters: Limiters, view: View, request: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    call = _Call(request)

    async def run() -> Response:
        try:
            made = view(request, *args, **kwargs)
            call.made = await made if isawaitable(made) else made
        except tuple(STATUSES) as exc:
            call.raised = exc
        return call.head()

    seen = _seen(request)
    storage = limiters.storage(seen.native)
    if not hasattr(request, "scope"):
        storage = _Here(storage)
    return call.answer(await aaround(limiters.passage(view, seen), storage, run))


def _seen(request: Any) -> Request:
    """A view of the request on a copy of its environ or scope: Django's request in the original would be a cycle."""
    if hasattr(request, "scope"):
        query = request.META["QUERY_STRING"].encode()  # Django's AsyncClient has text in the scope, against the specification
        return asgi.request_from({**request.scope, "query_string": query, REQUEST: request})
    return wsgi.request_from({**request.environ, REQUEST: request})


def _combined(lines: Lines) -> dict[str, str]:
    """One value for each name, as Django has it (RFC 9110 §5.3); cookies are elsewhere."""
    combined: dict[str, tuple[str, str]] = {}
    for name, value in lines:
        if name.lower() != "set-cookie":
            before = combined.get(name.lower())
            combined[name.lower()] = (before[0], f"{before[1]}, {value}") if before else (name, value)
    return dict(combined.values())


class _Here(Storage):
    """A storage for an async view under WSGI: Django runs it on a loop of its own, which nobody else waits for, and which
    ends with the request, so that connections opened on it would be opened for each request.
    """

    def __init__(self, inner: Storage) -> None:
        self._inner = inner

    def execute(self, ops: Sequence[Op[Any]], /) -> list[Any]:
        return self._inner.execute(ops)

    async def aexecute(self, ops: Sequence[Op[Any]], /) -> list[Any]:
        return self.execute(ops)
