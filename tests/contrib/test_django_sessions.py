"""`request.session` of Django on the layer Sessions: alone and at an edge, for threads and event loops."""

# mypy: disable-error-code="import-untyped,misc"
# (Django ships no types.)

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from django.contrib.sessions.backends.file import SessionStore as OldStore
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, HttpResponseServerError, StreamingHttpResponse
from django.test import override_settings
from django.urls import path as url

from redis_middleware import MemoryStorage, RateLimit, RedisStorage, StorageUnavailable, WSGIMiddleware, run
from redis_middleware.cli.processes import HOST, free_port
from redis_middleware.contrib.django.sessions import SessionStore
from redis_middleware.contrib.django.settings import configured
from redis_middleware.errors import SessionError
from redis_middleware.layers.sessions.moving import FlaskSession
from redis_middleware.storage import Storage

from ..conftest import Clock
from .django_site import SECRET
from .django_ways import DJANGOS, ENGINE, OURS, WAYS, Browser, Deed, Do, Site, Switch, flushes, logs_in, looks, nothing, puts

PAIRS = [(way, "memory") for way in WAYS] + [("alone", "redis"), ("edge", "redis"), ("edge, async", "redis")]

in_each_way = pytest.mark.parametrize(("way", "storage"), PAIRS, indirect=["storage"])


@pytest.fixture
def site(
    way: str, storage: Storage, loop: asyncio.Runner, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Site]:
    monkeypatch.setattr("redis_middleware.contrib.django.lasting.time", SimpleNamespace(time=clock))
    yield Site(way, storage, loop, tmp_path)
    loop.run(storage.aclose())


@pytest.fixture
def switch(site: Site) -> Switch:
    """The storage of the site, which can be switched off."""
    site.storage = Switch()
    return site.storage


@in_each_way
class TestInEachWay:
    def test_what_is_written_is_there_again(self, site: Site) -> None:
        browser = site.browser()
        browser.does(puts("cart", ["tea"]))
        assert browser.does(looks) == "{'cart': ['tea']}"
        assert browser.set_cookies == []
        assert site.browser().does(looks) == "{}"

    def test_a_change_within_a_value_is_noticed(self, site: Site) -> None:
        async def appends(do: Do) -> None:
            (await do("get", "cart")).append("milk")

        browser = site.browser()
        browser.does(puts("cart", ["tea"]))
        browser.does(appends)
        assert browser.does(looks) == "{'cart': ['tea', 'milk']}"

    def test_who_does_not_look_at_it_gets_no_cookie_and_asks_for_nothing(self, site: Site, switch: Switch) -> None:
        browser = site.browser()
        browser.does(nothing)
        browser.does(looks)
        assert (browser.cookies, switch.trips) == ({}, 0)
        browser.does(puts("a", 1))
        before = switch.trips
        browser.does(nothing)
        assert switch.trips - before == (1 if site.at_edge else 0)  # an edge reads it with the other layers' trip
        assert "vary" not in browser.last.headers

    def test_the_response_says_once_that_it_depends_on_the_cookie(self, site: Site) -> None:
        browser = site.browser()
        browser.does(looks)
        assert browser.last.headers["vary"] == "Cookie"

    @pytest.mark.parametrize("key", ["abcdefgh" * 4, "short", "x" * 51 + "." + "y" * 43])
    def test_a_key_that_was_made_up_is_no_key(self, site: Site, switch: Switch, key: str) -> None:
        browser = Browser(site, {"sessionid": key})
        browser.does(looks)
        assert switch.trips == 0
        browser.does(puts("a", 1))
        assert browser.key not in (None, key)

    def test_a_login_gives_another_key_and_keeps_what_was_there(self, site: Site, clock: Clock) -> None:
        seen: list[str] = []

        async def logs_in_and_looks(do: Do) -> None:
            await logs_in(do)
            seen.append(do.session.session_key)

        browser = site.browser()
        browser.does(puts("cart", 1))
        before = browser.twin()
        browser.does(logs_in_and_looks)
        assert browser.key == seen[0] != before.key
        assert browser.does(looks) == "{'_auth_user_id': '7', 'cart': 1}"
        assert before.twin().does(looks) == "{'cart': 1}"  # as requests that are under way need
        clock.move(11)
        assert before.does(looks) == "{}"

    def test_a_login_says_whose_session_it_is(self, site: Site, storage: Storage) -> None:
        browsers = [site.browser(), site.browser()]
        for browser in browsers:
            browser.does(logs_in)
        found = run(site.sessions().list("7"), storage)
        assert [one.device for one in found] == ["Test/1.0", "Test/1.0"]
        assert run(site.sessions().revoke(user="7", keep=found[0].id), storage) == 1
        assert sorted(browser.does(looks) for browser in browsers) == ["{'_auth_user_id': '7'}", "{}"]

    def test_a_login_need_not_say_so(self, site: Site, storage: Storage) -> None:
        site.set(bind_users=False)
        browser = site.browser()
        browser.does(logs_in)
        assert run(site.sessions().list("7"), storage) == []
        assert browser.does(looks) == "{'_auth_user_id': '7'}"

    def test_a_login_may_be_refused(self, site: Site) -> None:
        site.set(max_per_user=1, when_full="refuse")
        site.browser().does(logs_in)
        second = site.browser()
        second.does(puts("cart", 1))
        second.does(logs_in, status=403)
        assert second.does(looks) == "{'cart': 1}"

    def test_a_second_login_at_the_same_time_works(self, site: Site) -> None:
        """As after a double click: it comes with the key that the first has just replaced."""
        browser = site.browser()
        browser.does(puts("cart", 1))
        twin = browser.twin()
        for one in (browser, twin):
            one.does(logs_in)
            assert one.does(looks) == "{'_auth_user_id': '7', 'cart': 1}"
        assert browser.does(looks) == "{'_auth_user_id': '7', 'cart': 1}"

    def test_a_logout_ends_it_at_once(self, site: Site) -> None:
        browser = site.browser()
        browser.does(logs_in)
        stolen = browser.twin()
        browser.does(flushes)
        assert browser.key is None
        assert stolen.does(looks) == "{}"
        assert len(browser.set_cookies) == 1

    def test_a_logout_counts_even_if_the_view_fails_afterwards(self, site: Site) -> None:
        async def fails(do: Do) -> Any:
            await do("flush")
            return HttpResponseServerError()

        browser = site.browser()
        browser.does(logs_in)
        stolen = browser.twin()
        browser.does(fails, status=500)
        assert stolen.does(looks) == "{}"

    def test_what_is_written_after_a_logout_begins_a_new_one(self, site: Site) -> None:
        async def changes_places(do: Do) -> None:
            await do("flush")
            await do("set", "user", "bob")

        browser = site.browser()
        browser.does(puts("user", "ada"))
        before = browser.twin()
        browser.does(changes_places)
        assert browser.key != before.key
        assert (browser.does(looks), before.does(looks)) == ("{'user': 'bob'}", "{}")

    def test_who_was_logged_out_meanwhile_writes_nothing(self, site: Site) -> None:
        async def is_late(do: Do) -> None:
            await do("get", "a")
            await do("flush", on=SessionStore(do.session.session_key))
            await do("set", "a", 2)

        browser = site.browser()
        browser.does(puts("a", 1))
        browser.does(is_late, status=200 if site.at_edge else 400)
        assert browser.does(looks) == "{}"

    def test_nothing_is_stored_by_a_view_that_fails(self, site: Site) -> None:
        async def fails(do: Do) -> Any:
            await do("set", "a", 2)
            return HttpResponseServerError()

        browser = site.browser()
        browser.does(puts("a", 1))
        browser.does(fails, status=500)
        assert browser.does(looks) == "{'a': 1}"

    def test_create_gives_a_visitor_a_key(self, site: Site) -> None:
        seen: list[Any] = []

        async def creates(do: Do) -> None:
            await do("create")
            seen.append(do.session.session_key)

        async def has_a_key(do: Do) -> Any:
            return await do("exists", do.session.session_key)

        browser = site.browser()
        browser.does(creates)
        assert browser.key == seen[0]
        assert browser.does(has_a_key) == "True"

    def test_save_stores_at_once(self, site: Site) -> None:
        async def saves(do: Do) -> Any:
            await do("set", "a", 1)
            await do("save")
            return await do("get", "a", on=SessionStore(do.session.session_key))

        browser = site.browser()
        assert browser.does(saves) == "1"
        assert browser.does(looks) == "{'a': 1}"

    def test_counters_are_added_in_the_storage(self, site: Site) -> None:
        async def counts(do: Do) -> Any:
            await do("get", "n")
            other = SessionStore(do.session.session_key)
            await do("increment", "n", on=other)
            await do("save", on=other)
            return await do("increment", "n")

        browser = site.browser()
        browser.does(puts("n", 1))
        assert browser.does(counts) == "2"
        assert browser.does(looks) == "{'n': 3}"

    def test_clear_takes_everything_out_and_keeps_the_key(self, site: Site) -> None:
        async def clears(do: Do) -> None:
            await do("clear")

        browser = site.browser()
        browser.does(puts("a", 1))
        key = browser.key
        browser.does(clears)
        assert (browser.key, browser.does(looks)) == (key, "{}")

    def test_keys_are_text(self, site: Site) -> None:
        async def refuses(do: Do) -> str:
            with pytest.raises(TypeError, match="text"):
                await do("set", 1, "one")
            with pytest.raises(TypeError, match="object"):
                await do("set", "a", object())
            return "refused"

        assert site.browser().does(refuses) == "'refused'"

    def test_what_is_too_large_is_an_error_of_the_apps(self, site: Site, caplog: pytest.LogCaptureFixture) -> None:
        async def saves(do: Do) -> str:
            await do("set", "a", "x" * 200)
            with pytest.raises(SessionError, match="max_bytes"):
                await do("save")
            await do("pop", "a")
            return "refused"

        site.set(max_bytes=100)
        assert site.browser().does(saves) == "'refused'"

    def test_it_is_readable_while_a_body_streams(self, site: Site) -> None:
        async def streams(do: Do) -> Any:
            await do("get", "a")
            pieces = [str(do.session["a"]).encode(), b"!"]

            async def asynchronous() -> Any:
                for piece in pieces:
                    yield piece

            return StreamingHttpResponse(asynchronous() if site.asgi else iter(pieces))

        browser = site.browser()
        browser.does(puts("a", 1))
        assert browser.does(streams) == "1!"


def lasts(value: Any) -> Deed:
    async def deed(do: Do) -> Any:
        await do("set", "a", 1)
        await do("set_expiry", value)
        return await do("get_expire_at_browser_close")

    return deed


async def age(do: Do) -> Any:
    return await do("get_expiry_age"), await do("get_expire_at_browser_close")


@in_each_way
class TestHowLongItLasts:
    def test_by_default(self, site: Site, clock: Clock) -> None:
        site.set(SESSION_COOKIE_AGE=100)
        browser = site.browser()
        browser.does(puts("a", 1))
        assert "max-age=100;" in browser.set_cookies[0].lower()
        assert browser.does(age) == "(100, False)"
        clock.move(99)
        assert browser.twin().does(looks) == "{'a': 1}"
        clock.move(100)
        assert browser.does(looks) == "{}"

    def test_until_the_browser_ends(self, site: Site) -> None:
        site.set(SESSION_EXPIRE_AT_BROWSER_CLOSE=True)
        browser = site.browser()
        browser.does(puts("a", 1))
        assert "max-age" not in browser.set_cookies[0].lower()
        assert browser.does(lasts(50)) == "False"
        assert "max-age=50;" in browser.set_cookies[0].lower()
        assert browser.does(lasts(None)) == "True"
        assert "max-age" not in browser.set_cookies[0].lower()

    def test_for_so_many_seconds_after_it_was_used(self, site: Site, clock: Clock) -> None:
        browser = site.browser()
        assert browser.does(lasts(50)) == "False"
        assert "max-age=50;" in browser.set_cookies[0].lower()
        assert browser.does(age) == "(50, False)"
        clock.move(40)
        browser.does(puts("b", 2))
        clock.move(40)
        assert browser.twin().does(looks) == "{'_session_expiry': 50, 'a': 1, 'b': 2}"
        clock.move(51)
        assert browser.does(looks) == "{}"

    def test_as_long_as_the_browser(self, site: Site, clock: Clock) -> None:
        site.set(SESSION_COOKIE_AGE=100)
        browser = site.browser()
        assert browser.does(lasts(0)) == "True"
        assert "max-age" not in browser.set_cookies[0].lower()
        assert browser.does(age) == "(100, True)"
        clock.move(101)
        assert browser.does(looks) == "{}"

    @pytest.mark.parametrize("seconds", [150, 20_000])
    def test_until_a_certain_time_however_much_it_is_used(self, site: Site, clock: Clock, seconds: int) -> None:
        site.set(SESSION_COOKIE_AGE=1000)
        browser = site.browser()
        browser.does(lasts(datetime.fromtimestamp(clock.now + seconds, UTC)))
        assert "max-age" in browser.set_cookies[0].lower()
        clock.move(seconds - 50)
        browser.does(puts("b", 2))
        clock.move(49)
        assert "'b': 2" in browser.does(looks)
        clock.move(2)
        assert browser.does(looks) == "{}"

    @pytest.mark.parametrize("value", [timedelta(days=-1), -1])
    def test_not_at_all(self, site: Site, clock: Clock, value: Any) -> None:
        browser = site.browser()
        browser.does(lasts(datetime.fromtimestamp(clock.now, UTC) + value if isinstance(value, timedelta) else value))
        assert browser.does(looks) == "{}"

    def test_as_before_when_that_is_taken_back(self, site: Site, clock: Clock) -> None:
        site.set(SESSION_COOKIE_AGE=1000)
        browser = site.browser()
        browser.does(lasts(datetime.fromtimestamp(clock.now + 50, UTC)))
        browser.does(lasts(None))
        assert browser.does(age) == "(1000, False)"
        clock.move(900)
        assert browser.does(looks) == "{'a': 1}"

    def test_it_stays_so_when_somebody_logs_in(self, site: Site, clock: Clock) -> None:
        browser = site.browser()
        browser.does(lasts(datetime.fromtimestamp(clock.now + 50, UTC)))
        browser.does(logs_in)
        clock.move(51)
        assert browser.does(looks) == "{}"

    def test_it_is_kept_by_every_request_if_django_is_told_to(self, site: Site, clock: Clock) -> None:
        site.set(SESSION_COOKIE_AGE=100, SESSION_SAVE_EVERY_REQUEST=True)
        browser = site.browser()
        browser.does(puts("a", 1))
        for _ in range(3):
            clock.move(60)
            browser.does(looks)
            assert "max-age=100;" in browser.set_cookies[0].lower()
        assert browser.does(looks) == "{'a': 1}"

    def test_an_old_id_is_renewed_when_it_is_stored(self, site: Site, clock: Clock) -> None:
        site.set(renewal_timeout=60)
        browser = site.browser()
        browser.does(puts("a", 1))
        key = browser.key
        clock.move(61)
        browser.does(puts("a", 2))
        assert browser.key != key
        assert browser.does(looks) == "{'a': 2}"


@in_each_way
class TestWithoutTheStorage:
    def test_who_uses_the_session_gets_503_and_stays_logged_in(self, site: Site, switch: Switch) -> None:
        browser = site.browser()
        browser.does(puts("a", 1))
        switch.down = True
        for deed in (looks, puts("a", 2), flushes, logs_in):
            stock = site.way.startswith("Django")
            browser.does(deed, status=500 if stock else 503)
            assert stock or browser.last.headers["retry-after"] == "1"
            assert browser.set_cookies == []
        switch.down = False
        assert browser.does(looks) == "{'a': 1}"

    def test_who_does_not_use_it_is_served(self, site: Site, switch: Switch) -> None:
        browser = site.browser()
        browser.does(puts("a", 1))
        switch.down = True
        browser.does(nothing)
        if not site.way.startswith("Django"):
            site.set(SESSION_SAVE_EVERY_REQUEST=True)
            browser.does(nothing)
        assert browser.set_cookies == []

    def test_a_view_may_do_without(self, site: Site, switch: Switch) -> None:
        async def copes(do: Do) -> str:
            with pytest.raises(StorageUnavailable):
                await do("get", "a")
            return "fine"

        browser = site.browser()
        browser.does(puts("a", 1))
        switch.down = True
        assert browser.does(copes) == "'fine'"
        assert browser.set_cookies == []

    def test_what_cannot_be_stored_is_503(self, site: Site, switch: Switch) -> None:
        async def loses(do: Do) -> None:
            await do("set", "a", 2)
            switch.down = True

        browser = site.browser()
        browser.does(puts("a", 1))
        browser.does(loses, status=500 if site.way.startswith("Django") else 503)
        assert browser.set_cookies == []
        switch.down = False
        assert browser.does(looks) == "{'a': 1}"

    def test_a_login_that_cannot_be_stored_is_503(self, site: Site, switch: Switch) -> None:
        async def loses(do: Do) -> None:
            await do("get", "a")
            switch.down = True
            await logs_in(do)

        browser = site.browser()
        browser.does(puts("a", 1))
        browser.does(loses, status=500 if site.way.startswith("Django") else 503)
        switch.down = False
        assert browser.does(looks) == "{'a': 1}"

    def test_an_empty_one_is_shown_if_that_is_wanted(self, site: Site, switch: Switch) -> None:
        async def loses(do: Do) -> None:
            await do("set", "a", 2)
            switch.down = True

        stock = site.way.startswith("Django")
        site.set(on_error="open", SESSION_SAVE_EVERY_REQUEST=True)
        browser = site.browser()
        browser.does(puts("a", 1))
        browser.does(loses, status=500 if stock else 200)
        assert browser.does(looks) == "{}"
        browser.does(puts("a", 2), status=500 if stock else 503)
        switch.down = False
        assert browser.does(looks) == "{'a': 1}"

    def test_a_redis_that_is_not_there(self, site: Site) -> None:
        browser = Browser(site, {"sessionid": self._key(site)})
        site.storage = RedisStorage(f"redis://{HOST}:{free_port()}/0")
        browser.does(looks, status=500 if site.way.startswith("Django") else 503)
        assert browser.set_cookies == []

    def _key(self, site: Site) -> str:
        browser = site.browser()
        browser.does(puts("a", 1))
        assert browser.key is not None
        return browser.key


@in_each_way
class TestMovingIn:
    @pytest.fixture(autouse=True)
    def _moves(self, site: Site) -> None:
        site.set(import_engine="django.contrib.sessions.backends.file")

    def old(self, site: Site, **contents: Any) -> str:
        """The key of a session of the engine that was there before."""
        with site.on():
            store = OldStore()
            store.update(contents)
            store.save()
            return str(store.session_key)

    def test_who_comes_with_an_old_key_gets_a_new_one(self, site: Site, clock: Clock) -> None:
        browser = Browser(site, {"sessionid": self.old(site, user="ada", _session_expiry=5000)})
        late = browser.twin()
        assert browser.does(looks) == "{'user': 'ada', '_session_expiry': 5000}"
        assert browser.key != late.key
        assert browser.does(looks) == "{'_session_expiry': 5000, 'user': 'ada'}"
        assert browser.does(age) == "(5000, False)"
        key = late.key
        assert late.does(age) == "(5000, False)"  # it was under way
        assert late.key not in (key, browser.key)
        with site.on():
            left = OldStore(key)
            assert left.get_expiry_age() == 10

    def test_who_does_not_look_at_it_keeps_the_old_one(self, site: Site, switch: Switch) -> None:
        browser = Browser(site, {"sessionid": self.old(site, user="ada")})
        browser.does(nothing)
        assert (switch.trips, browser.set_cookies) == (0, [])
        assert browser.does(looks) == "{'user': 'ada'}"

    def test_a_logout_ends_the_old_one_too(self, site: Site) -> None:
        browser = Browser(site, {"sessionid": self.old(site, user="ada")})
        stolen = browser.twin()
        browser.does(flushes)
        assert stolen.does(looks) == "{}"

    def test_who_comes_with_an_old_key_that_is_no_more_keeps_the_cookie(self, site: Site) -> None:
        """Another request may have made a new session of it, and its answer may come first."""
        browser = Browser(site, {"sessionid": "a" * 32})
        assert browser.does(looks) == "{}"
        assert browser.set_cookies == []
        browser.does(puts("a", 1))
        assert browser.does(looks) == "{'a': 1}"

    def test_an_old_one_that_was_ended_meanwhile_stays_ended(self, site: Site) -> None:
        key = self.old(site, user="ada")

        async def is_late(do: Do) -> None:
            await do("get", "user")
            OldStore(key).delete()

        browser = Browser(site, {"sessionid": key})
        browser.does(is_late, status=400)
        assert browser.does(looks) == "{}"

    def test_the_old_one_stays_if_the_new_one_cannot_be_stored(self, site: Site, switch: Switch) -> None:
        browser = Browser(site, {"sessionid": self.old(site, user="ada")})
        switch.down = True
        browser.does(looks, status=500 if site.way.startswith("Django") else 503)
        assert browser.set_cookies == []
        switch.down = False
        assert browser.does(looks) == "{'user': 'ada'}"

    def test_what_cannot_be_stored_is_left_where_it_is(self, site: Site, caplog: pytest.LogCaptureFixture) -> None:
        browser = Browser(site, {"sessionid": self.old(site, user="\ud800")})
        assert browser.does(looks) == "{}"
        assert "django.contrib.sessions.backends.file cannot be taken over" in caplog.text

    def test_records_in_the_same_redis_are_read_without_another_engine(self, site: Site, redis_url: str, control: Any) -> None:
        site.storage = RedisStorage(redis_url, prefix=f"moved{WAYS.index(site.way)}:", timeout=5)
        site.set(
            import_from=[FlaskSession(cookie="session" if not site.way.startswith("Django") else "sessionid")], import_engine=None
        )
        sid = "A" * 43
        control.set(f"session:{sid}", b'{"user": "ada"}')
        browser = Browser(site, {"sessionid" if site.way.startswith("Django") else "session": sid})
        assert browser.does(looks) == "{'user': 'ada'}"
        assert 0 < control.pttl(f"session:{sid}") <= 10_000
        browser.cookies.pop("session", None)
        assert browser.does(looks) == "{'user': 'ada'}"
        site.loop.run(site.storage.aclose())
        site.storage.close()


def kept_of(engine: str, middleware: str, at_edge: bool) -> int:
    """How many of 20 requests at the same time, each of which writes another key and counts, left something behind."""
    everybody = Barrier(20, timeout=10)

    def view(request: Any, key: str) -> HttpResponse:
        request.session.get(key)
        if key != "begin":
            everybody.wait()
        request.session[key] = "written"
        return HttpResponse(request.session.session_key)

    views = (url("<key>", view),)
    with override_settings(MIDDLEWARE=[middleware], SESSION_ENGINE=engine, SECRET_KEY=SECRET, ROOT_URLCONF=views):
        app = get_wsgi_application()
        if at_edge:
            app = WSGIMiddleware(app, layers=[configured().sessions], storage=configured().storage)
        transport = httpx.WSGITransport(app)
        first = httpx.Client(transport=transport, base_url="http://site")
        first.get("/begin")

        def asks(number: int) -> int:
            with httpx.Client(transport=transport, base_url="http://site", cookies=first.cookies) as client:
                return client.get(f"/{number}").status_code

        with ThreadPoolExecutor(20) as pool:
            assert set(pool.map(asks, range(20))) == {200}
        with override_settings(ROOT_URLCONF=(url("", lambda request: HttpResponse(len(request.session.keys()))),)):
            kept = int(first.get("/").text)
        first.close()
    return kept - 1


@pytest.mark.parametrize(("middleware", "at_edge"), [(OURS, False), (DJANGOS, False), (OURS, True)])
def test_requests_at_the_same_time_lose_nothing(storage: Storage, middleware: str, at_edge: bool) -> None:
    with override_settings(REDIS_MIDDLEWARE={"storage": storage}):
        assert kept_of(ENGINE, middleware, at_edge) == 20


def test_djangos_own_engines_lose_them() -> None:
    """What is different about ours."""
    assert kept_of("django.contrib.sessions.backends.cache", DJANGOS, False) == 1


@in_each_way
def test_reading_is_one_trip_and_storing_another(site: Site, switch: Switch) -> None:
    browser = site.browser()
    browser.does(puts("a", 1))
    for deed, trips in ((looks, 1), (puts("a", 2), 2), (flushes, 2)):
        switch.trips = 0
        browser.does(deed)
        assert switch.trips == trips


class Threads(Switch):
    """A storage that event loops must not use."""

    async def aexecute(self, ops: Any, /) -> list[Any]:
        raise AssertionError("a connection for one request")


@pytest.mark.parametrize("way", ["alone, async over WSGI", "edge, async over WSGI"])
def test_the_event_loop_of_one_request_opens_no_connections(way: str, loop: asyncio.Runner, tmp_path: Path) -> None:
    async def stores(do: Do) -> None:
        await do("set", "a", 1)
        await do("save")
        await do("cycle_key")

    browser = Site(way, Threads(), loop, tmp_path).browser()
    browser.does(stores)
    assert browser.does(looks) == "{'a': 1}"


def test_at_an_edge_it_costs_no_trip_of_its_own(loop: asyncio.Runner, tmp_path: Path) -> None:
    switch = Switch()
    site = Site("edge", switch, loop, tmp_path)
    site.layers = [RateLimit("100/minute")]
    browser = site.browser()
    browser.does(puts("a", 1))
    switch.trips = 0
    browser.does(looks)
    assert switch.trips == 1


def test_nothing_is_said_of_a_session_in_the_log(loop: asyncio.Runner, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    site = Site("alone", MemoryStorage(), loop, tmp_path)
    browser = site.browser()
    with caplog.at_level(logging.DEBUG, "redis_middleware"):
        browser.does(logs_in)
        browser.does(flushes)
    assert caplog.text == ""
