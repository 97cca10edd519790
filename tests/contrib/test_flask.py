"""Limits on Flask views, sync and async."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, ClassVar

import httpx
import pytest
from flask import Flask, Response, abort, g, session
from flask.views import MethodView

from redis_middleware import ConfigurationError, MemoryStorage, WSGIMiddleware
from redis_middleware.contrib.flask import limit
from redis_middleware.flow import Layer
from redis_middleware.storage import Storage

from ..servers.launch import mounted
from .scenarios import Answer, Behaviour, Idle, Refused, Scenarios, Sites, fine


class FlaskSite:
    def __init__(self, asynchronous: bool, storage: Storage, layers: Sequence[Layer] = ()) -> None:
        self.app = Flask(__name__)
        self.app.wsgi_app = WSGIMiddleware(  # type: ignore[method-assign]  # the place that Flask has for it
            self.app.wsgi_app, layers=layers or [Idle()], storage=storage
        )
        self.asynchronous = asynchronous

    limit = staticmethod(limit)

    def add(self, path: str, limited: Any, behaviour: Behaviour) -> None:
        def view() -> Response:
            try:
                status, headers = behaviour()
            except Refused:
                abort(403)
            return Response("hello", status, headers)

        async def aview() -> Response:
            return view()

        chosen: Callable[[], Any] = aview if self.asynchronous else view
        chosen.__name__ = chosen.__qualname__ = path
        self.app.add_url_rule(f"/{path}", view_func=limited(chosen) if limited else chosen)

    def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        return ask(self.app, f"/{path}", method, headers)


def ask(app: Flask, path: str, method: str = "GET", headers: dict[str, str] | None = None) -> Answer:
    with app.test_client().open(path, method=method, headers=headers) as response:
        return Answer(response.status_code, httpx.Headers(list(response.headers)), response.data)


class TestFlask(Scenarios):
    @pytest.fixture(params=["sync", "async"])
    def sites(self, request: pytest.FixtureRequest) -> Sites:
        return partial(FlaskSite, request.param == "async")


@pytest.fixture
def app() -> Flask:
    app = Flask(__name__)
    app.secret_key = "for the tests"
    return app


def statuses(app: Flask, *paths: str) -> list[int]:
    return [ask(app, path).status for path in paths]


def test_a_storage_of_its_own_wins(app: Flask, storage: Storage) -> None:
    app.add_url_rule("/", view_func=limit("1/minute", storage=storage)(hello))
    assert statuses(app, "/", "/") == [200, 429]
    app.wsgi_app = WSGIMiddleware(app.wsgi_app, layers=[Idle()], storage=MemoryStorage())  # type: ignore[method-assign]
    assert statuses(app, "/") == [429]


def test_a_url_will_do(app: Flask) -> None:
    app.add_url_rule("/", view_func=limit("1/minute", storage="memory://")(hello))
    assert statuses(app, "/", "/") == [200, 429]
    with pytest.raises(ConfigurationError):
        limit("1/minute", storage="mysql://")


def test_without_any_storage_it_says_what_to_do(app: Flask) -> None:
    app.testing = True
    app.add_url_rule("/", view_func=limit("1/minute")(hello))
    with pytest.raises(ConfigurationError, match="wrap the app in WSGIMiddleware"):
        ask(app, "/")


def test_each_class_has_a_budget_of_its_own(app: Flask, storage: Storage) -> None:
    class Limited(MethodView):
        decorators: ClassVar[list[Callable[..., Any]]] = [limit("1/minute", storage=storage)]

        def get(self) -> str:
            return "hello"

    class Other(Limited):
        pass

    app.add_url_rule("/items", view_func=Limited.as_view("items"))
    app.add_url_rule("/users", view_func=Other.as_view("users"))
    assert statuses(app, "/items", "/users", "/items", "/users") == [200, 200, 429, 429]


def test_the_user_may_be_counted(app: Flask, storage: Storage) -> None:
    @app.before_request
    def log_in() -> None:
        g.user = session.get("user")

    @app.get("/login/<user>")
    def login(user: str) -> str:
        session["user"] = user
        return user

    app.add_url_rule("/", view_func=limit("1/minute", key=lambda request: ("user", g.user), storage=storage)(hello))
    found = []
    for user in ("ada", "bob"):
        client = app.test_client()
        client.get(f"/login/{user}")
        found += [client.get("/").status_code for _ in range(2)]
    assert found == [200, 429, 200, 429]


def test_the_page_of_an_http_error_shows_the_limit(app: Flask, storage: Storage) -> None:
    @app.errorhandler(404)
    def missing(error: Exception) -> tuple[str, int]:
        return "nothing here", 404

    @app.get("/")
    @limit("1/minute", storage=storage)
    def front() -> str:
        abort(404)

    answer = ask(app, "/")
    assert (answer.status, answer.body, answer.headers["ratelimit"]) == (404, b"nothing here", '"minute";r=0;t=60')
    assert statuses(app, "/") == [429]


def test_a_stream_passes_in_pieces(app: Flask, storage: Storage) -> None:
    made: list[int] = []

    @app.get("/")
    @limit("1/minute", storage=storage)
    def front() -> Iterator[str]:
        for number in range(3):
            made.append(number)
            yield str(number)

    response = app.test_client().get("/")
    assert made in ([], [0]), "a head does not wait for the body"
    assert response.headers["ratelimit"] == '"minute";r=0;t=60'
    assert response.data == b"012"


def test_the_name_and_the_doc_of_a_view_remain() -> None:
    assert limit("1/minute")(hello).__name__ == "hello"
    assert limit("1/minute")(fine).__doc__ == fine.__doc__


def hello() -> str:
    return "hello"


def test_under_a_real_server(redis_url: str, prefix: str) -> None:
    with mounted("gunicorn gthread", "tests.contrib.apps:flask_app()", REDIS_URL=redis_url, PREFIX=prefix) as running:
        answers = [httpx.get(f"http://{running.address}/{path}") for path in ("limited", "limited", "alimited", "alimited", "")]
        assert "Traceback" not in running.output()
    assert [answer.status_code for answer in answers] == [200, 429, 200, 429, 200]
