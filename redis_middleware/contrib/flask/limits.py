"""Limits on single Flask views: `limit("5/minute")`.

@app.post("/login")
@limit("5/minute", when=lambda request, response: response is None or response.status == 401)
def login(): ...

class Items(MethodView):
    decorators = [limit("50/hour")]
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from flask import Response as FlaskResponse
from flask import after_this_request, current_app, request
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException

from ...http import Lines, Response, framed
from ...storage import Storage
from ...wsgi import request_from
from ..around import AnyLimit, Limiters, added, around

__all__ = ["limit"]

View = TypeVar("View", bound=Callable[..., Any])


def limit(*limits: AnyLimit, storage: Storage | str | None = None, **options: Any) -> Callable[[View], View]:
    """A decorator that limits a view, sync or async; it stands below `@app.route`, or in `View.decorators`.

    It takes what `RateLimit` takes, and does what that does as a layer. Each view has a budget of its own; views that are
    given the same `name=` share one. `storage` is a Storage or a URL; without it, it is that of the WSGIMiddleware around
    the app, which puts it into the environ if it has a layer.

    `key` and other callables run in Flask's request context, so they may use `flask.g` and `flask.session`. The response
    that `when` and `count` see is what the view returned, or, if it raised an `HTTPException` (`abort(401)`), that one's;
    it is None for every other error, even if the app has a handler for it.

    Raises `ConfigurationError` at once for what `RateLimit` does not take, and in a request if there is no storage.
    """
    limiters = Limiters(limits, storage, options)

    def decorator(view: View) -> View:
        @wraps(view)
        def limited(*args: Any, **kwargs: Any) -> FlaskResponse:
            return _limited(limiters, view, lambda: current_app.ensure_sync(view)(*args, **kwargs))

        return limited  # type: ignore[return-value]  # it is called as the view is

    return decorator


def _limited(limiters: Limiters, view: object, call: Callable[[], Any]) -> FlaskResponse:
    made: Any = None
    raised: HTTPException | None = None

    def head() -> Response:
        nonlocal made, raised
        try:
            made = current_app.make_response(call())
        except HTTPException as exc:
            made, raised = exc.get_response(request.environ), exc
        return Response.begun(made.status_code, list(made.headers))

    seen = request_from(request.environ)
    answer = around(limiters.passage(view, seen), limiters.storage(seen.native), head)
    if answer.body is not None:
        return _native(answer)
    if raised is not None:
        _add_later(added(list(made.headers), answer))  # to what the app makes of the error
        raise raised
    made.headers = Headers(answer.headers.lines)
    return made  # type: ignore[no-any-return]


def _native(answer: Response) -> FlaskResponse:
    lines, body = framed(answer, request.method)
    return current_app.response_class(body, answer.status, lines)


def _add_later(lines: Lines) -> None:
    @after_this_request
    def add(response: Any) -> Any:
        response.headers.extend(lines)
        return response
