"""`flask.session` on the layer Sessions: at an edge around the app, and by the interface alone."""

# mypy: disable-error-code="import-untyped,method-assign"
# (Flask-Login ships no types, and `app.wsgi_app` is the place that Flask has for an edge.)

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import flask
import pytest
from flask import Blueprint, Flask, Response, abort, flash, get_flashed_messages, session, stream_with_context, url_for
from flask.testing import FlaskClient
from flask_login import (
    LoginManager,
    UserMixin,
    current_user,
    fresh_login_required,
    login_required,
    login_user,
    logout_user,
    user_logged_in,
)
from markupsafe import Markup
from werkzeug.middleware.proxy_fix import ProxyFix

from redis_middleware import ConfigurationError, MemoryStorage, Session, Sessions, StorageUnavailable, WSGIMiddleware, run
from redis_middleware.contrib.flask import SessionInterface
from redis_middleware.errors import SessionError
from redis_middleware.ops import Op
from redis_middleware.storage import Storage

from ..conftest import Clock

SECRET = "a secret of more than thirty-two bytes, for tests"

Make = Callable[..., Flask]


class Switch(MemoryStorage):
    """A storage that can be out of reach, and counts what is asked of it."""

    down = False
    trips = 0

    def execute(self, ops: Any, /) -> list[Op[Any]]:
        self.trips += 1
        if self.down:
            raise StorageUnavailable("switched off")
        return super().execute(ops)


def at_edge(storage: Storage, **options: Any) -> Flask:
    app = Flask(__name__)
    app.session_interface = SessionInterface()
    app.wsgi_app = WSGIMiddleware(app.wsgi_app, layers=[Sessions(SECRET, **options)], storage=storage)
    return app


def alone(storage: Storage, **options: Any) -> Flask:
    app = Flask(__name__)
    app.session_interface = SessionInterface(Sessions(SECRET, **options), storage)
    return app


@pytest.fixture(params=[at_edge, alone])
def make(request: pytest.FixtureRequest) -> Make:
    """Makes an app, in each way."""
    made: Make = request.param
    return made


@pytest.fixture
def app(make: Make, storage: Storage) -> Flask:
    return with_views(make(storage))


def with_views(app: Flask) -> Flask:
    """Views to write, to read, and to leave the session alone."""

    @app.get("/put/<key>/<int:value>")
    def put(key: str, value: int) -> str:
        session[key] = value
        return "put"

    @app.get("/look")
    def look() -> dict[str, Any]:
        return dict(session)

    @app.get("/clear")
    def clear() -> str:
        session.clear()
        return "cleared"

    @app.get("/plain")
    def plain() -> str:
        return "plain"

    return app


def does(app: Flask, deed: Callable[[], Any], path: str = "/does") -> Callable[[FlaskClient], Any]:
    """A view that does something; what it is called with does it there, and returns what came of it."""
    came: list[Any] = []

    def view() -> str:
        came.append(deed())
        return "done"

    app.add_url_rule(path, path, view)

    def call(client: FlaskClient) -> Any:
        assert client.get(path).status_code == 200
        return came.pop()

    return call


def seen(client: FlaskClient, **headers: str) -> Any:
    return client.get("/look", headers=headers).json


def test_what_a_view_writes_is_there_with_the_next_request(app: Flask) -> None:
    assert app.secret_key is None
    client = app.test_client()
    client.get("/put/a/1")
    client.get("/put/b/2")
    assert seen(client) == {"a": 1, "b": 2}
    assert seen(app.test_client()) == {}
    client.get("/clear")
    assert client.get_cookie("session") is None
    assert seen(client) == {}


def test_a_page_without_a_look_at_the_session_may_be_cached(app: Flask, tmp_path: Path) -> None:
    (tmp_path / "a.css").write_text("a")
    app.static_folder = str(tmp_path)
    client = app.test_client()
    client.get("/put/a/1")
    for path in ("/plain", "/static/a.css"):
        with client.get(path) as response:
            assert "Vary" not in response.headers
            assert response.headers.get("Cache-Control") in (None, "no-cache")  # that is Flask's own
    looked = client.get("/look")
    assert looked.headers["Vary"] == "Cookie"
    assert looked.headers["Cache-Control"] == "private, no-store"


def test_a_page_without_a_look_at_the_session_waits_for_nothing(make: Make) -> None:
    storage = Switch()
    client = with_views(make(storage)).test_client()
    assert client.get("/plain").status_code == 200
    assert seen(client) == {}
    assert storage.trips == 0
    client.get("/put/a/1")
    storage.trips = 0
    client.get("/look")
    assert storage.trips == 1


def test_a_change_within_a_value_is_stored_without_saying_so(app: Flask) -> None:
    start = does(app, lambda: session.update(cart=[1]), "/start")
    append = does(app, lambda: session["cart"].append(2), "/append")
    client = app.test_client()
    start(client)
    append(client)
    assert seen(client) == {"cart": [1, 2]}


def test_new_modified_and_accessed_are_true_when_they_should_be(app: Flask) -> None:
    def life() -> list[tuple[bool, bool]]:
        lives = [(session.new, session.modified)]
        session["a"] = 1
        return [*lives, (session.new, session.modified)]

    def accessed() -> list[bool]:
        own = flask.request.environ["redis_middleware.session"]
        return [own.accessed, bool(session), own.accessed]

    live, look = does(app, life, "/life"), does(app, accessed)
    client = app.test_client()
    assert live(client) == [(True, False), (True, True)]
    assert live(client) == [(False, False), (False, False)]  # the value that it has already
    assert look(client) == [False, True, True]


def test_flash(app: Flask) -> None:
    @app.get("/flash")
    def flashes() -> str:
        flash("saved")
        flash(Markup("<b>bold</b>"), "warning")
        return "flashed"

    @app.get("/flashed")
    def flashed() -> str:
        return flask.render_template_string(
            "{% for c, m in get_flashed_messages(with_categories=True) %}{{ c }}: {{ m }} {{ '<i>' }}\n{% endfor %}"
        )

    only = does(app, lambda: get_flashed_messages(category_filter=["warning"]))
    client = app.test_client()
    client.get("/flash")
    assert client.get("/flashed").text == "message: saved &lt;i&gt;\nwarning: <b>bold</b> &lt;i&gt;\n"
    assert client.get("/flashed").text == ""
    client.get("/flash")
    client.get("/flash")
    assert only(client) == ["<b>bold</b>"] * 2


class TestPermanent:
    """`session.permanent` and `PERMANENT_SESSION_LIFETIME`."""

    def test_it_lasts_as_long_as_flask_says(self, app: Flask, clock: Clock) -> None:
        app.permanent_session_lifetime = timedelta(days=2)
        remember = does(app, lambda: setattr(session, "permanent", True), "/remember")
        forget = does(app, lambda: setattr(session, "permanent", False), "/forget")
        permanent = does(app, lambda: session.permanent)
        client = app.test_client()
        client.get("/put/a/1")
        assert age(client) == timedelta(hours=1)  # the layer's own idle_timeout
        assert not permanent(client)
        remember(client)
        assert age(client) == timedelta(days=2)
        for _ in range(2):
            clock.move(47 * 3600)
            assert seen(client) == {"a": 1}
            assert permanent(client)
        forget(client)
        assert not permanent(client)
        clock.move(3601)
        assert seen(client) == {}
        client.get("/put/a/1")
        remember(client)
        clock.move(48 * 3600 + 1)
        assert seen(client) == {}

    def test_said_with_every_request_it_is_written_once(self, make: Make) -> None:
        storage = Switch()
        app = with_views(make(storage))
        app.before_request(lambda: setattr(session, "permanent", True))
        client = app.test_client()
        client.get("/plain")
        assert client.get_cookie("session") is None
        client.get("/put/a/1")
        storage.trips = 0
        assert "Set-Cookie" not in client.get("/look").headers
        assert storage.trips == 1
        app.permanent_session_lifetime = timedelta(hours=7)
        client.get("/look")
        assert age(client) == timedelta(hours=7)

    def test_the_layers_absolute_timeout_still_holds(self, make: Make, storage: Storage, clock: Clock) -> None:
        app = with_views(make(storage, absolute_timeout=7200))
        remember = does(app, lambda: session.update(a=1) or setattr(session, "permanent", True))  # type: ignore[func-returns-value]
        client = app.test_client()
        remember(client)
        assert age(client) == timedelta(hours=2)
        clock.move(7201)
        assert seen(client) == {}

    def test_only_permanent_sessions_outlive_the_browser_if_the_layer_says_so(self, make: Make, storage: Storage) -> None:
        app = with_views(make(storage, persistent=False))
        remember = does(app, lambda: setattr(session, "permanent", True))
        client = app.test_client()
        client.get("/put/a/1")
        assert age(client) is None
        remember(client)
        assert age(client) == timedelta(days=31)

    def test_it_is_no_reason_to_fail_while_the_storage_is_out_of_reach(self, make: Make) -> None:
        storage = Switch()
        app = with_views(make(storage, on_error="open"))
        app.before_request(lambda: setattr(session, "permanent", True))
        client = app.test_client()
        client.get("/put/a/1")
        storage.down = True
        assert seen(client) == {}
        storage.down = False
        assert seen(client) == {"a": 1}


def age(client: FlaskClient) -> timedelta | None:
    cookie = client.get_cookie("session")
    assert cookie is not None
    return None if cookie.max_age is None else timedelta(seconds=cookie.max_age)


class TestSessionTransaction:
    """`test_client().session_transaction()`, and what else has a context without a request."""

    def test_it_writes_and_reads_what_views_do(self, app: Flask) -> None:
        client = app.test_client()
        with client.session_transaction() as before:
            before["a"] = 1
        client.get("/put/b/2")
        assert seen(client) == {"a": 1, "b": 2}
        with client.session_transaction() as after:
            assert after == {"a": 1, "b": 2}
            del after["a"]
        assert seen(client) == {"b": 2}
        with client.session_transaction() as last:
            last.clear()
        assert client.get_cookie("session") is None

    def test_an_error_in_it_stores_nothing(self, app: Flask) -> None:
        client = app.test_client()

        def fails() -> None:
            with client.session_transaction() as before:
                before["a"] = 1
                raise LookupError

        with pytest.raises(LookupError):
            fails()
        assert seen(client) == {}

    def test_it_takes_what_a_request_takes(self, app: Flask) -> None:
        client = app.test_client()
        with client.session_transaction(base_url="https://localhost") as before:
            before["a"] = 1
        cookie = client.get_cookie("session")
        assert cookie is not None
        assert cookie.secure

    def test_other_middleware_may_stand_around_the_edge_and_in_it(self, storage: Storage) -> None:
        app = with_views(Flask(__name__))
        app.session_interface = SessionInterface()
        app.wsgi_app = ProxyFix(app.wsgi_app)
        app.wsgi_app = WSGIMiddleware(app.wsgi_app, layers=[Sessions(SECRET)], storage=storage)
        app.wsgi_app = WSGIMiddleware(app.wsgi_app, layers=[Sessions(SECRET, cookie="outer")], storage=MemoryStorage())
        app.wsgi_app = ProxyFix(app.wsgi_app)
        client = app.test_client()
        with client.session_transaction() as before:
            before["a"] = 1
        assert seen(client) == {"a": 1}

    def test_behind_what_cannot_be_followed_they_are_named(self, storage: Storage) -> None:
        sessions = Sessions(SECRET)
        app = with_views(Flask(__name__))
        inner = WSGIMiddleware(app.wsgi_app, layers=[sessions], storage=storage)
        app.wsgi_app = lambda environ, start_response: inner(environ, start_response)
        app.session_interface = SessionInterface()
        client = app.test_client()
        with client.session_transaction() as before, pytest.raises(ConfigurationError, match="SessionInterface"):
            before["a"] = 1
        app.session_interface = SessionInterface(sessions, storage)
        with client.session_transaction() as before:
            before["a"] = 1
        assert seen(client) == {"a": 1}

    def test_a_session_that_outlives_its_request_in_the_test(self, app: Flask) -> None:
        with app.test_client() as client:
            client.get("/put/a/1")
            assert session["a"] == 1
            client.get("/put/a/2")
            assert session["a"] == 2

    def test_a_request_context_of_ones_own(self, app: Flask) -> None:
        with app.test_request_context():
            session["a"] = 1
            assert session == {"a": 1}
            assert session.new

    def test_it_can_be_saved_where_it_was_opened(self, app: Flask) -> None:
        with app.test_request_context():
            assert isinstance(session, Session)
            session["a"] = 1
            session.save()
            assert not session.new


class TestNowhere:
    """No layer, and none that was named."""

    @pytest.fixture
    def client(self) -> FlaskClient:
        app = with_views(Flask(__name__))
        app.session_interface = SessionInterface()
        app.testing = True
        return app.test_client()

    @pytest.mark.parametrize("path", ["/look", "/put/a/1", "/clear"])
    def test_the_session_says_what_is_missing(self, client: FlaskClient, path: str) -> None:
        with pytest.raises(ConfigurationError, match=r"WSGIMiddleware\(app\.wsgi_app, layers=\[Sessions\(secret\)\]\)"):
            client.get(path)

    def test_who_does_not_use_it_does_not_care(self, client: FlaskClient) -> None:
        assert client.get("/plain").text == "plain"
        with client.application.test_request_context():
            assert url_for("plain") == "/plain"

    @pytest.mark.parametrize(
        "arguments", [(None, "memory://"), (Flask(__name__),), (Sessions(SECRET), "mysql://"), (Sessions(SECRET), 1)]
    )
    def test_what_makes_no_sense_is_refused_at_once(self, arguments: Any) -> None:
        with pytest.raises(ConfigurationError):
            SessionInterface(*arguments)


def test_a_view_that_fails_stores_nothing(app: Flask) -> None:
    @app.get("/fails/<int:status>")
    def fails(status: int) -> str:
        session["a"] = 2
        flash("never seen")
        if status == 0:
            raise LookupError
        abort(status)

    @app.errorhandler(500)
    def sorry(error: Exception) -> tuple[str, int]:
        session["b"] = 3
        return "sorry", 500

    client = app.test_client()
    client.get("/put/a/1")
    for status, answered in ((0, 500), (500, 500), (503, 503)):
        response = client.get(f"/fails/{status}")
        assert response.status_code == answered
        assert response.headers["Vary"] == "Cookie"
        assert seen(client) == {"a": 1}
    assert client.get("/fails/404").status_code == 404  # an answer like others
    assert seen(client)["a"] == 2


def test_an_error_that_passes_through_flask_stores_nothing(app: Flask) -> None:
    app.testing = True

    def fails() -> None:
        session["a"] = 2
        raise LookupError

    failing = does(app, fails)
    client = app.test_client()
    client.get("/put/a/1")
    with pytest.raises(LookupError):
        failing(client)
    assert seen(client) == {"a": 1}


def test_a_stream_reads_the_session_and_writes_it(app: Flask) -> None:
    @app.get("/stream")
    def stream() -> Response:
        def pieces() -> Iterator[str]:
            yield str(session["a"])
            session["a"] = 2
            flash("streamed")
            assert isinstance(session, Session)
            session.save()  # at an edge, the end of the stream would do
            yield str(session["a"])

        return Response(stream_with_context(pieces()))

    client = app.test_client()
    client.get("/put/a/1")
    assert client.get("/stream").text == "12"
    assert seen(client) == {"a": 2, "_flashes": [["message", "streamed"]]}


def test_a_stream_cannot_begin_a_session(app: Flask) -> None:
    said = []

    @app.get("/stream")
    def stream() -> Response:
        def pieces() -> Iterator[str]:
            yield "1"
            with pytest.raises(SessionError) as caught:
                session["a"] = 1
            said.append(str(caught.value))
            yield "2"

        return Response(stream_with_context(pieces()))

    assert app.test_client().get("/stream").text == "12"
    assert said[0].startswith("the response has begun")


def test_at_an_edge_what_a_stream_writes_is_stored_at_its_end(storage: Storage) -> None:
    app = with_views(at_edge(storage))

    @app.get("/stream")
    def stream() -> Response:
        def pieces() -> Iterator[str]:
            yield "1"
            session["late"] = True
            yield "2"

        return Response(stream_with_context(pieces()))

    client = app.test_client()
    client.get("/put/a/1")
    assert client.get("/stream").text == "12"
    assert seen(client) == {"a": 1, "late": True}


def test_what_runs_around_a_view_sees_it(app: Flask) -> None:
    seen_at_the_end: list[Any] = []
    blueprint = Blueprint("shop", __name__, url_prefix="/shop")

    @blueprint.before_request
    def before() -> None:
        session["visits"] = session.get("visits", 0) + 1

    @blueprint.after_request
    def after(response: Response) -> Response:
        session["status"] = response.status_code
        return response

    @blueprint.teardown_request
    def teardown(error: BaseException | None) -> None:
        seen_at_the_end.append(dict(session))

    @blueprint.get("/")
    def shop() -> dict[str, Any]:
        return dict(session)

    app.register_blueprint(blueprint)
    client = app.test_client()
    assert [client.get("/shop/").json for _ in range(2)] == [{"visits": 1}, {"visits": 2, "status": 200}]
    assert seen_at_the_end == [{"visits": 1, "status": 200}, {"visits": 2, "status": 200}]
    assert seen(client) == {"visits": 2, "status": 200}


def test_below_a_root(make: Make, storage: Storage) -> None:
    app = with_views(make(storage, path="/app"))
    app.config["APPLICATION_ROOT"] = "/app"
    client = app.test_client()
    with client.session_transaction() as before:
        before["a"] = 1
    client.get("/put/b/2")
    assert seen(client) == {"a": 1, "b": 2}
    assert client.get_cookie("session", path="/app") is not None


def test_async_views(app: Flask) -> None:
    @app.get("/aput")
    async def aput() -> str:
        assert isinstance(session, Session)
        session["a"] = 1
        await session.save()
        session["b"] = session.id is not None
        return "put"

    client = app.test_client()
    client.get("/aput")
    assert seen(client) == {"a": 1, "b": True}


class TestTrouble:
    """What the layer says in place of the app, also where it does not stand around it."""

    def test_where_the_session_is_used_it_is_503(self, make: Make) -> None:
        storage = Switch()
        app = with_views(make(storage))
        client = app.test_client()
        client.get("/put/a/1")
        kept = client.get_cookie("session")
        storage.down = True
        for path in ("/look", "/put/a/2", "/clear"):
            response = client.get(path)
            assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
            assert response.text == "Service temporarily unavailable, please try again.\n"
        assert client.head("/look").data == b""
        assert app.test_client().get("/put/a/1").status_code == 503
        assert client.get("/plain").status_code == 200
        assert client.get_cookie("session") == kept
        storage.down = False
        assert seen(client) == {"a": 1}

    def test_a_login_too_many_is_403(self, make: Make, storage: Storage, tmp_path: Path) -> None:
        app = with_views(make(storage, max_per_user=1, when_full="refuse"))
        (tmp_path / "large").write_bytes(b"1" * 100_000)

        @app.get("/login")
        def login() -> Response:
            assert isinstance(session, Session)
            session.bind("42")
            return flask.send_file(tmp_path / "large")

        with app.test_client().get("/login") as first:
            assert len(first.data) == 100_000
        with app.test_client().get("/login") as crowded:
            assert crowded.status_code == 403
            assert (
                crowded.get_data(as_text=True)
                == "You are logged in as often as is allowed. Please log out somewhere else first.\n"
            )
            assert crowded.headers["Content-Length"] == str(len(crowded.data))
            assert "Set-Cookie" not in crowded.headers

    def test_what_is_too_large_is_an_error_of_the_app(self, make: Make, storage: Storage) -> None:
        app = with_views(make(storage, max_bytes=100))
        app.testing = True
        large = does(app, lambda: session.update(a="x" * 200))
        client = app.test_client()
        client.get("/put/a/1")
        with pytest.raises(SessionError, match="max_bytes=100"):
            large(client)
        assert seen(client) == {"a": 1}


class TestFlaskLogin:
    """Flask-Login, which knows nothing of this package."""

    class User(UserMixin):  # type: ignore[misc]
        def __init__(self, name: str) -> None:
            self.id = name

    @pytest.fixture(params=["basic", "strong"])
    def protection(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.fixture
    def client(self, app: Flask, protection: str) -> FlaskClient:
        manager = LoginManager(app)
        manager.session_protection = protection
        manager.user_loader(self.User)

        @app.get("/login/<name>")
        def login(name: str) -> str:
            login_user(self.User(name))
            return "welcome"

        @app.get("/me")
        @login_required  # type: ignore[untyped-decorator]
        def me() -> str:
            return str(current_user.id)

        @app.get("/safe")
        @fresh_login_required  # type: ignore[untyped-decorator]
        def safe() -> str:
            return str(current_user.id)

        @app.get("/logout")
        def logout() -> str:
            logout_user()
            return "bye"

        return app.test_client()

    def test_log_in_and_out(self, client: FlaskClient) -> None:
        assert client.get("/me").status_code == 401
        client.get("/login/ada")
        assert [client.get(path).text for path in ("/me", "/safe")] == ["ada", "ada"]
        assert client.application.test_client().get("/me").status_code == 401
        client.get("/logout")
        assert client.get("/me").status_code == 401

    def test_its_protection_of_a_session_that_is_used_from_elsewhere(self, client: FlaskClient, protection: str) -> None:
        client.get("/login/ada")
        elsewhere = {"User-Agent": "of a thief"}
        assert client.get("/safe", headers=elsewhere).status_code == 401
        assert client.get("/me").status_code == (200 if protection == "basic" else 401)

    def test_it_remembers_who_was_here_before(self, client: FlaskClient) -> None:
        app = client.application
        app.secret_key = "for the cookie of Flask-Login"
        remember = does(app, lambda: login_user(self.User("ada"), remember=True))
        remember(client)
        client.delete_cookie("session")
        assert client.get("/me").text == "ada"
        assert client.get("/safe").status_code == 401
        client.get("/logout")
        assert client.get("/me").status_code == 401

    def test_a_login_may_bind_the_session_so_that_it_has_another_id_and_can_be_revoked(
        self, client: FlaskClient, storage: Storage, clock: Clock
    ) -> None:
        def bind(app: Flask, user: TestFlaskLogin.User) -> None:
            assert isinstance(session, Session)
            session.bind(user.get_id())

        sessions = Sessions(SECRET)
        with client.session_transaction() as before:
            before["cart"] = [1]
        planted = client.get_cookie("session")
        assert planted is not None
        with user_logged_in.connected_to(bind, client.application):
            client.get("/login/ada")
        assert seen(client)["cart"] == [1]
        assert client.get("/me").text == "ada"
        thief = client.application.test_client()
        thief.set_cookie("session", planted.value)
        assert thief.get("/me").status_code == 401
        assert [one.device.partition("/")[0] for one in run(sessions.list(user="ada"), storage)] == ["Werkzeug"]
        run(sessions.revoke(user="ada"), storage)
        assert client.get("/me").status_code == 401
