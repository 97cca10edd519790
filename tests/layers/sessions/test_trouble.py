"""The storage in trouble: what an app and its clients see, and that no session is lost by it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import pytest

from redis_middleware import StorageUnavailable
from redis_middleware.layers.sessions.record import key_of
from redis_middleware.ops import Op
from redis_middleware.storage import Storage

from ...edges import Edge
from .browser import Browser, Site
from .test_sessions import look, put


class Switch:
    """A storage that can be out of reach: for all ops, or for some."""

    def __init__(self, inner: Storage) -> None:
        self.inner = inner
        self.down: tuple[str, ...] = ()

    def _check(self, ops: Sequence[Op[Any]]) -> None:
        for op in ops:
            if "all" in self.down or type(op).__name__ in self.down:
                raise StorageUnavailable("switched off")

    def execute(self, ops: Sequence[Op[Any]], /) -> list[Any]:
        self._check(ops)
        return self.inner.execute(ops)

    async def aexecute(self, ops: Sequence[Op[Any]], /) -> list[Any]:
        self._check(ops)
        return await self.inner.aexecute(ops)

    def close(self) -> None:
        self.inner.close()

    async def aclose(self) -> None:
        await self.inner.aclose()


@pytest.fixture
def switch(storage: Storage) -> Switch:
    return Switch(storage)


@pytest.fixture
def browser(edge: Edge, switch: Switch) -> Browser:
    browser = Site(edge, switch).browser()
    browser.does(put(a=1))
    return browser


def test_closed_is_503_where_the_session_is_used_and_the_cookie_is_good_again_afterwards(
    browser: Browser, switch: Switch
) -> None:
    kept = dict(browser.cookies)
    switch.down = ("all",)
    for deed in (look, put(b=2), lambda session: session.clear(), lambda session: session.rotate()):
        browser.does(deed)
        assert browser.last is not None
        assert browser.last.status == 503
        assert browser.last.headers.get("retry-after") == "1"
        assert browser.set_cookies == []
    assert browser.does(lambda session: "untouched") == "'untouched'"
    assert browser.cookies == kept
    switch.down = ()
    assert browser.does(look) == "{'a': 1}"


def test_closed_mints_no_id_while_the_storage_is_in_doubt(edge: Edge, switch: Switch) -> None:
    browser = Site(edge, switch).browser()
    switch.down = ("all",)
    browser.does(put(a=1))
    assert browser.last is not None
    assert browser.last.status == 503
    assert browser.cookies == {}


def test_an_app_that_takes_it_calmly_may_answer_itself(browser: Browser, switch: Switch) -> None:
    switch.down = ("all",)

    def deed(session: Any) -> str:
        try:
            return str(session["a"])
        except StorageUnavailable:
            return "nobody knows"

    assert browser.does(deed) == "'nobody knows'"


def test_open_is_an_empty_session_that_cannot_be_written(edge: Edge, switch: Switch) -> None:
    browser = Site(edge, switch, on_error="open").browser()
    browser.does(put(a=1))
    switch.down = ("all",)
    assert browser.does(look) == "{}"
    browser.does(put(a=2))
    assert browser.last is not None
    assert browser.last.status == 503
    assert browser.set_cookies == []
    switch.down = ()
    assert browser.does(look) == "{'a': 1}"


def test_open_serves_what_could_not_be_stored(edge: Edge, switch: Switch) -> None:
    browser = Site(edge, switch, on_error="open").browser()
    switch.down = ("all",)
    assert browser.does(put(a=1)) == "None"
    assert browser.cookies == {}


@pytest.mark.parametrize("op", ["Commit", "End", "Rotate", "Claim", "Create"])
def test_a_commit_that_fails_is_503_and_changes_nothing(browser: Browser, switch: Switch, op: str) -> None:
    deeds: dict[str, Any] = {
        "Commit": put(a=2),
        "End": lambda session: session.clear(),
        "Rotate": lambda session: session.rotate(),
        "Claim": lambda session: session.bind("42"),
        "Create": lambda session: session.bind("42"),
    }
    switch.down = (op,)
    browser.does(deeds[op])
    assert browser.last is not None
    assert browser.last.status == 503
    assert browser.set_cookies == []
    switch.down = ()
    assert browser.does(look) == "{'a': 1}"
    browser.does(put(a=2))
    assert browser.does(look) == "{'a': 2}"


def test_a_touch_that_fails_changes_nothing(browser: Browser, switch: Switch, clock: Any) -> None:
    clock.move(1000)
    switch.down = ("Touch",)
    assert browser.does(look) == "{'a': 1}"
    assert browser.last is not None
    assert browser.last.status == 200


def test_a_corrupt_record_is_an_empty_session_and_the_next_write_begins_a_new_one(
    edge: Edge, redis_storage: Any, control: Any, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    site = Site(edge, redis_storage)
    for spoil in (
        lambda key: control.hset(key, ".a", b"\xc1"),
        lambda key: control.hset(key, "c", b"soon"),
        lambda key: (control.delete(key), control.set(key, b"text")),
        lambda key: (control.delete(key), control.hset(key, ".a", b"\x01")),
    ):
        browser = site.browser()
        browser.does(put(a=1))
        [key] = control.scan_iter(f"{prefix}s:{{*")
        spoil(key)
        caplog.clear()
        assert browser.does(look) == "{}"
        [line] = [record for record in caplog.records if record.levelno >= logging.ERROR]
        assert "cannot be read" in line.message
        browser.does(put(a=2))
        assert browser.does(look) == "{'a': 2}"
        for one in control.scan_iter(prefix + "*"):
            control.delete(one)
    assert site.sessions.counts["corrupt"] == 8


@pytest.fixture
def redis_storage(redis_url: str, prefix: str) -> Any:
    from redis_middleware import RedisStorage

    storage = RedisStorage(redis_url, prefix=prefix, timeout=5)
    yield storage
    storage.close()


def test_a_record_that_only_a_missing_key_can_read_is_never_overwritten(edge: Edge, storage: Storage) -> None:
    keys = ["k" * 32, "o" * 32]
    browser = Site(edge, storage, encryption_keys=keys[1:]).browser()
    browser.does(put(a="secret"))
    blinded: list[dict[str, Any]] = [{"encryption_keys": keys[:1]}, {}]
    for options in blinded:
        blind = Browser(Site(edge, storage, **options), browser.cookies)
        for deed in (look, put(a=2), lambda session: session.clear()):
            blind.does(deed)
            assert blind.last is not None
            assert blind.last.status == 503
            assert blind.set_cookies == []
    assert Browser(Site(edge, storage, encryption_keys=keys), browser.cookies).does(look) == "{'a': 'secret'}"


def test_encrypted_nothing_of_it_is_in_clear(edge: Edge, redis_storage: Any, control: Any, prefix: str) -> None:
    site = Site(edge, redis_storage, encryption_keys=["k" * 32])
    browser = site.browser()
    browser.does(put(name="Ada Lovelace", n=1))
    browser.does(lambda session: session.increment("n"))
    browser.does(lambda session: session.bind("ada@example.org"))
    assert browser.does(look) == "{'n': 2, 'name': 'Ada Lovelace'}"
    browser.does(lambda session: session.rotate())
    assert browser.does(look) == "{'n': 2, 'name': 'Ada Lovelace'}"
    everything = b""
    for key in control.scan_iter(prefix + "*"):
        everything += key + (b"".join([*control.hgetall(key).values()]) if control.type(key) == b"hash" else b"")
    assert b"Lovelace" not in everything
    assert b"Test/1.0" not in everything
    assert b"example.org" not in everything


def test_ids_at_rest_are_no_cookies(edge: Edge, redis_storage: Any, control: Any, prefix: str) -> None:
    browser = Site(edge, redis_storage).browser()
    browser.does(put(a=1))
    name, signature = browser.cookies["session"].split(".")
    stored = [key.decode() for key in control.scan_iter(prefix + "*")]
    assert stored
    for key in stored:
        assert name[8:] not in key
        assert signature not in key
    identity = browser.does(lambda session: session.id).strip("'")
    assert prefix + key_of(identity) in stored
