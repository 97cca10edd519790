"""Django's session engine without a request, and what Django's settings say about it."""

# mypy: disable-error-code="import-untyped,misc"
# (Django ships no types.)

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.sessions.middleware import SessionMiddleware as DjangosMiddleware
from django.core.exceptions import ImproperlyConfigured, SynchronousOnlyOperation
from django.http import HttpResponse
from django.test import Client, override_settings
from django.urls import path as url

from redis_middleware import MemoryStorage, Session, run
from redis_middleware.cli.processes import free_port
from redis_middleware.contrib.django.sessions import (
    CreateError,
    LoginRefused,
    SessionEnded,
    SessionMiddleware,
    SessionStore,
    UpdateError,
)
from redis_middleware.contrib.django.settings import configured
from redis_middleware.storage import Storage

from ..conftest import Clock
from .django_site import SECRET
from .django_ways import ENGINE, OURS


@pytest.fixture
def alone(storage: Storage, clock: Clock) -> Iterator[Storage]:
    """The engine with a storage, and no request."""
    options = {"SESSION_ENGINE": ENGINE, "SECRET_KEY": SECRET, "REDIS_MIDDLEWARE": {"storage": storage}}
    with override_settings(**options, MIDDLEWARE=[OURS]):
        yield storage


@pytest.mark.usefixtures("alone")
class TestTheEngine:
    def test_anywhere(self) -> None:
        store = SessionStore()
        store["a"] = 1
        store.create()
        again = SessionStore(session_key=store.session_key)
        assert (again["a"], again.get("b"), again.is_empty()) == (1, None, False)
        with pytest.raises(KeyError):
            again["b"]

    def test_it_is_a_session_of_the_layer(self, alone: Storage) -> None:
        store = SessionStore()
        store.bind("7", device="a test")
        assert [(one.id, one.device) for one in run(configured().sessions.list("7"), alone)] == [(store.id, "a test")]
        assert isinstance(store.load(), Session)
        run(configured().sessions.revoke(id=store.id), alone)
        assert not store.exists(store.session_key)

    def test_one_that_must_be_created_must_not_be_there(self) -> None:
        store = SessionStore()
        store["a"] = 1
        store.save(must_create=True)
        for other in (store, SessionStore(store.session_key)):
            with pytest.raises(CreateError):
                other.save(must_create=True)

    def test_one_that_is_unknown_is_created_under_a_key_of_its_own(self) -> None:
        ended = SessionStore()
        ended.create()
        key = ended.session_key
        ended.delete()
        for made_up in (key, "abcdefgh" * 4, "1"):
            store = SessionStore(made_up)
            store.save(must_create=True)
            assert store.session_key not in (None, made_up)

    def test_one_that_has_ended_is_not_brought_back(self) -> None:
        store = SessionStore()
        store["_auth_user_id"] = "7"
        store.save()
        SessionStore(store.session_key).delete()
        for late in (store.save, store.cycle_key, store.create):
            store["a"] = 1
            with pytest.raises(SessionEnded) as caught:
                late()
            assert isinstance(caught.value, UpdateError)
        assert SessionStore(store.session_key).load() == {}

    def test_a_visitors_is_begun_anew(self) -> None:
        store = SessionStore()
        store["cart"] = 1
        store.save()
        SessionStore(store.session_key).delete()
        before = store.session_key
        store.cycle_key()
        assert store.session_key != before
        assert SessionStore(store.session_key)["cart"] == 1

    def test_what_was_modified_may_be_forgiven(self) -> None:
        store = SessionStore()
        store["a"] = 1
        assert (store.accessed, store.modified) == (True, True)
        store.modified = False
        assert not store.modified
        store["a"] = 2
        assert store.modified
        store.save()
        assert store.modified  # the cookie is still to be set

    def test_a_user_whose_limit_is_reached_is_refused(self) -> None:
        limits = {"max_per_user": 1, "when_full": "refuse"}
        with override_settings(REDIS_MIDDLEWARE={"storage": MemoryStorage(), "sessions": limits}):
            SessionStore().bind("7")
            with pytest.raises(LoginRefused):
                SessionStore().bind("7")

    def test_expired_ones_need_not_be_cleared(self, loop: asyncio.Runner) -> None:
        SessionStore.clear_expired()
        loop.run(SessionStore.aclear_expired())

    def test_an_event_loop_is_not_blocked(self, loop: asyncio.Runner) -> None:
        store = SessionStore()
        store["a"] = 1
        store.save()

        async def reads() -> None:
            again = SessionStore(store.session_key)
            with pytest.raises(SynchronousOnlyOperation, match="aget"):
                again["a"]
            assert await again.aget("a") == 1
            assert again["a"] == 1
            again["a"] = 2
            with pytest.raises(SynchronousOnlyOperation, match="aget"):
                again.save()
            await again.asave()

        loop.run(reads())
        loop.run(configured().storage.aclose())
        assert SessionStore(store.session_key)["a"] == 2

    def test_the_test_client_works(self) -> None:
        def view(request: Any) -> HttpResponse:
            request.session["seen"] = request.session.get("seen", 0) + 1
            return HttpResponse(request.session["seen"])

        with override_settings(ROOT_URLCONF=(url("", view),)):
            client = Client()
            session = client.session
            session["seen"] = 5
            session.save()
            assert client.get("/").content == b"6"
            assert client.session["seen"] == 6

    def test_djangos_test_cookie(self) -> None:
        store = SessionStore()
        store.set_test_cookie()
        store.save()
        again = SessionStore(store.session_key)
        assert again.test_cookie_worked()
        again.delete_test_cookie()
        assert not again.test_cookie_worked()


class TestSettings:
    def made(self, **sessions: Any) -> Any:
        with override_settings(REDIS_MIDDLEWARE={"sessions": sessions}):
            return configured()

    @pytest.mark.parametrize(
        ("setting", "words"),
        [
            ([], "must be a dict"),
            ({"session": {}}, "has no 'session': did you mean 'sessions'"),
            ({"zzz": {}}, "there are sessions, storage"),
            ({"sessions": []}, "must be a dict of options"),
            ({"sessions": {"idle_timout": 5}}, "SESSION_COOKIE_AGE|has no 'idle_timout'"),
            ({"sessions": {"absolute_timout": 5}}, "did you mean 'absolute_timeout'"),
            ({"sessions": {"cookie": "a"}}, "'cookie'. is SESSION_COOKIE_NAME in Django: set that"),
            ({"sessions": {"idle_timeout": 5}}, "SESSION_COOKIE_AGE"),
            ({"sessions": {"max_per_user": 0}}, "max_per_user must be at least 1"),
            ({"sessions": {"bind_users": "no"}}, "True or False"),
            ({"sessions": {"import_engine": "nowhere.to.be.found"}}, "no session engine"),
            ({"sessions": {"import_engine": "os"}}, "no session engine"),
            ({"sessions": {"import_engine": 5}}, "no session engine"),
            ({"sessions": {"import_engine": ENGINE}}, "name the one of before"),
            ({"sessions": {"import_engine": "django.contrib.sessions.backends.cache"}}, "caches pickle"),
            ({"sessions": {"import_engine": "django.contrib.sessions.backends.cached_db"}}, "import the rows"),
            ({"sessions": {"import_engine": "django.contrib.sessions.backends.signed_cookies"}}, "cannot be ended"),
        ],
    )
    def test_what_makes_no_sense_is_refused_when_django_starts(self, setting: Any, words: str) -> None:
        said = pytest.raises(ImproperlyConfigured, match=words)
        with override_settings(REDIS_MIDDLEWARE=setting, SESSION_ENGINE=ENGINE), said:
            SessionMiddleware(lambda request: HttpResponse())

    def test_pickle_is_refused(self) -> None:
        with override_settings(SESSION_SERIALIZER="somebody.PickleSerializer"), pytest.raises(ImproperlyConfigured, match="JSON"):
            self.made(import_engine="django.contrib.sessions.backends.db")

    def test_a_storage_that_is_none(self) -> None:
        for given in ("http://x", 5):
            with override_settings(REDIS_MIDDLEWARE={"storage": given}), pytest.raises(ImproperlyConfigured, match="storage"):
                _ = configured().storage

    def test_a_storage_is_made_once_for_each_url(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("REDIS_URL", "redis://localhost:2/0")
        seen = []
        for setting in ({"storage": "redis://localhost:1/0"}, {"storage": "redis://localhost:1/0", "sessions": {}}, {}):
            with override_settings(REDIS_MIDDLEWARE=setting):
                seen.append(configured().storage)
        assert seen[0] is seen[1]
        assert "localhost:2/0" in repr(seen[2])
        with override_settings(REDIS_URL="redis://localhost:3/0"):
            assert "localhost:3/0" in repr(configured().storage)

    def test_many_threads_get_the_same(self) -> None:
        with override_settings(REDIS_MIDDLEWARE={"storage": f"redis://localhost:{free_port()}/0"}), ThreadPoolExecutor(8) as pool:
            made = list(pool.map(lambda _: (id(configured()), id(configured().storage)), range(32)))
        assert len(set(made)) == 1

    def test_djangos_settings_are_taken_over(self) -> None:
        options = {"NAME": "own", "SECURE": True, "SAMESITE": "Strict", "DOMAIN": "example.org", "PATH": "/app"}
        with override_settings(**{f"SESSION_COOKIE_{name}": value for name, value in options.items()}):
            line = configured().sessions.cookie.set("x", 5, "http")
        for part in ("own=x", "Secure", "SameSite=Strict", "Domain=example.org", "Path=/app"):
            assert part in line

    def test_a_key_is_good_as_long_as_its_secret_is_a_fallback(self) -> None:
        with override_settings(REDIS_MIDDLEWARE={"storage": MemoryStorage()}):
            with override_settings(SECRET_KEY="o" * 40):
                store = SessionStore()
                store.create()
            with override_settings(SECRET_KEY="n" * 40, SECRET_KEY_FALLBACKS=["o" * 40]):
                again = SessionStore(store.session_key)
                again["a"] = 1
                again.save()
                assert again.session_key != store.session_key
            with override_settings(SECRET_KEY="n" * 40):
                assert SessionStore(again.session_key)["a"] == 1
                assert SessionStore(store.session_key).load() == {}

    def test_with_another_engine_the_middleware_is_djangos(self) -> None:
        def view(request: Any) -> HttpResponse:
            request.session["seen"] = True
            return HttpResponse(type(request.session).__module__)

        with override_settings(MIDDLEWARE=[OURS], ROOT_URLCONF=(url("", view),)):
            answer = Client().get("/")
        assert (answer.content, "sessionid" in answer.cookies) == (b"django.contrib.sessions.backends.signed_cookies", True)
        assert issubclass(SessionMiddleware, DjangosMiddleware)
