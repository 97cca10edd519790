"""Sessions that another library stored: whoever has its cookie stays logged in."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from redis_middleware import ConfigurationError, MemoryStorage, RedisStorage, Sessions
from redis_middleware.layers.sessions.moving import DjangoDatabase, FlaskSession, Starsessions
from redis_middleware.ops import Foreign, Set

from ...edges import Edge
from .browser import SECRET, Browser, Site
from .test_sessions import look, put

OLD = "0123456789abcdef0123456789abcdef"
FLASK = "Fl4sk_" * 7 + "-"  # as token_urlsafe makes them


@pytest.fixture
def redis_storage(redis_url: str, prefix: str) -> Any:
    storage = RedisStorage(redis_url, prefix=prefix, timeout=5)
    yield storage
    storage.close()


def test_it_gets_a_new_id_and_the_old_record_goes(edge: Edge, redis_storage: RedisStorage, control: Any) -> None:
    control.set("starsessions." + OLD, b'{"user": 42, "__metadata__": {}}')
    site = Site(edge, redis_storage, import_from=[Starsessions()])
    browser = Browser(site, {"session": OLD})
    second = browser.twin()
    assert browser.does(lambda session: session["user"]) == "42"
    assert OLD not in browser.cookies["session"]
    assert 0 < control.pttl("starsessions." + OLD) <= 10_000  # for requests that are under way
    assert browser.does(look) == "{'user': 42}"
    assert second.does(look) == "{'user': 42}"


def test_a_logout_is_final(edge: Edge, redis_storage: RedisStorage, control: Any) -> None:
    control.set("starsessions." + OLD, b'{"user": 42}')
    site = Site(edge, redis_storage, import_from=[Starsessions(cookie="old")])
    browser = Browser(site, {"old": OLD})
    browser.does(lambda session: session.clear())
    assert browser.does(look) == "{}"
    control.set("starsessions." + OLD, b'{"user": 42}')
    browser.does(look)
    browser.does(lambda session: session.clear())
    assert browser.cookies == {"old": OLD}
    assert browser.does(look) == "{}"


def test_no_shared_response_carries_the_cookie_of_one_that_was_taken_over(
    edge: Edge, redis_storage: RedisStorage, control: Any
) -> None:
    control.set("starsessions." + OLD, b'{"user": 42}')
    browser = Browser(Site(edge, redis_storage, import_from=[Starsessions()]), {"session": OLD})
    browser.does(headers=[("cache-control", "public, max-age=3600")])
    assert browser.set_cookies == []
    assert browser.does(look) == "{'user': 42}"


def test_an_app_that_does_not_look_stays_logged_in_too(edge: Edge, redis_storage: RedisStorage, control: Any) -> None:
    control.set("starsessions." + OLD, b'{"user": 42}')
    browser = Browser(Site(edge, redis_storage, import_from=[Starsessions()]), {"session": OLD})
    browser.does()
    assert browser.does(look) == "{'user': 42}"


def test_a_foreign_key_has_no_prefix_and_is_the_same_in_memory(edge: Edge) -> None:
    memory = MemoryStorage()
    memory.execute([Set(Foreign("starsessions." + OLD), b'{"user": 42}', 60)])
    browser = Browser(Site(edge, memory, import_from=[Starsessions()]), {"session": OLD})
    assert browser.does(look) == "{'user': 42}"


@pytest.mark.parametrize("raw", [b"\x80\x04}\x94.", b"not json", b"{" * 100, b'{"a": "' + b"x" * 100_000 + b'"}'])
def test_what_cannot_be_read_is_left_alone_with_a_word(
    edge: Edge, redis_storage: RedisStorage, control: Any, raw: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    control.set("session:" + FLASK, raw)
    site = Site(edge, redis_storage, import_from=[FlaskSession()])
    browser = Browser(site, {"session": FLASK})
    with caplog.at_level(logging.ERROR):
        assert browser.does(look) == "{}"
    assert control.get("session:" + FLASK) == raw
    assert "cannot be taken over" in caplog.text
    assert FLASK not in caplog.text
    browser.does(put(a=1))
    assert browser.does(look) == "{'a': 1}"
    control.delete("session:" + FLASK)


def test_a_record_of_another_type_is_no_trouble_of_the_storage(edge: Edge, redis_storage: RedisStorage, control: Any) -> None:
    control.hset("session:" + FLASK, "a", "b")
    browser = Browser(Site(edge, redis_storage, import_from=[FlaskSession()]), {"session": FLASK})
    browser.does(put(a=1))
    assert browser.does(look) == "{'a': 1}"
    control.delete("session:" + FLASK)


def test_a_reader_of_a_database_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="import_engine"):
        Sessions(SECRET, import_from=[DjangoDatabase("secret")])
