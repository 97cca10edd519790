"""Sessions as an app and its clients see them, under both edges, in memory and on Redis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from redis_middleware import MemoryStorage, Session, Sessions, run
from redis_middleware.errors import SessionError
from redis_middleware.storage import Storage

from ...conftest import Clock
from ...edges import Edge
from .browser import Browser, Site


def put(**values: Any) -> Callable[[Session], object]:
    return lambda session: session.update(values)


def login(session: Session) -> None:
    session["user"] = 42
    session.bind("42")


def look(session: Session) -> dict[str, Any]:
    return session.copy()


@pytest.fixture
def site(edge: Edge, storage: Storage) -> Site:
    return Site(edge, storage)


def test_what_is_written_is_there_with_the_next_request(site: Site) -> None:
    browser = site.browser()
    browser.does(put(name="Ada", cart=[1, 2]))
    assert browser.does(look) == "{'cart': [1, 2], 'name': 'Ada'}"
    assert site.browser().does(look) == "{}"


def test_a_reader_without_a_session_gets_neither_a_cookie_nor_a_record(edge: Edge, storage: Storage) -> None:
    memory = MemoryStorage()
    browser = Site(edge, memory).browser()
    assert browser.does(look) == "{}"
    assert browser.set_cookies == []
    assert memory.key_count == 0


def test_parallel_requests_that_write_different_keys_both_stay(site: Site) -> None:
    browser = site.browser()
    browser.does(put(a=1))
    other = browser.twin()

    def meanwhile(session: Session) -> None:
        session["b"] = 2
        other.does(put(c=3))

    browser.does(meanwhile)
    assert browser.does(look) == "{'a': 1, 'b': 2, 'c': 3}"


def test_a_read_only_request_writes_nothing_over_a_newer_write(site: Site) -> None:
    browser = site.browser()
    browser.does(put(a=1))
    other = browser.twin()

    def slow(session: Session) -> object:
        before = session["a"]
        other.does(put(a=2))
        return before

    assert browser.does(slow) == "1"
    assert browser.does(look) == "{'a': 2}"


def test_a_logout_is_final(site: Site) -> None:
    browser = site.browser()
    browser.does(put(user=42))
    other = browser.twin()

    def slow(session: Session) -> None:
        session["seen"] = True
        other.does(lambda session: session.clear())

    stolen = browser.twin()
    browser.does(slow)
    assert stolen.does(look) == "{}"
    assert browser.does(look) == "{}"
    assert site.sessions.counts["refused"] == 1


def test_an_id_that_the_client_made_up_is_never_adopted(site: Site) -> None:
    made_up = "A" * 51 + "." + "B" * 43
    browser = Browser(site, {"session": made_up})
    browser.does(put(a=1))
    assert browser.cookies["session"] != made_up
    ours = site.sessions._keyring.mint()  # signed, and never stored
    browser = Browser(site, {"session": ours.text})
    browser.does(put(a=1))
    assert browser.cookies["session"] != ours.text


def test_increments_of_parallel_requests_all_count(site: Site) -> None:
    browser = site.browser()
    browser.does(put(n=5))
    twins = [browser.twin() for _ in range(4)]

    def nested(session: Session) -> object:
        if twins:
            twins.pop().does(nested)
        return session.increment("n")

    browser.does(nested)
    assert browser.does(look) == "{'n': 10}"


def test_changes_within_a_value_are_noticed(site: Site) -> None:
    browser = site.browser()
    browser.does(put(cart={"items": []}))
    browser.does(lambda session: session["cart"]["items"].append("tea"))
    assert browser.does(look) == "{'cart': {'items': ['tea']}}"


def test_rotate_keeps_the_data_and_the_old_id_dies(site: Site, clock: Clock) -> None:
    browser = site.browser()
    browser.does(put(a=1))
    old = browser.twin()

    def rotated(session: Session) -> None:
        session["b"] = 2
        session.rotate()

    browser.does(rotated)
    assert browser.cookies != old.cookies
    assert browser.does(look) == "{'a': 1, 'b': 2}"
    assert old.does(look) == "{'a': 1}"  # for requests that are under way
    old.does(put(a=3))
    assert browser.does(look) == "{'a': 1, 'b': 2}"
    clock.move(10)
    assert old.does(look) == "{}"
    assert browser.does(look) == "{'a': 1, 'b': 2}"


def test_two_parallel_rotates_leave_one_live_id(site: Site, clock: Clock) -> None:
    browser = site.browser()
    browser.does(put(a=1))
    other = browser.twin()

    def both(session: Session) -> None:
        other.does(lambda session: session.rotate())
        session.rotate()

    first = browser.twin()
    first.does(both)
    clock.move(11)
    alive = [one for one in (browser, first, other) if one.does(look) != "{}"]
    assert alive == [other]


def test_rotate_and_clear_kill_both(site: Site) -> None:
    browser = site.browser()
    browser.does(put(a=1))
    old = browser.twin()
    browser.does(lambda session: session.rotate())
    new = browser.twin()
    browser.does(lambda session: session.clear())
    assert old.does(look) == "{}"
    assert new.does(look) == "{}"
    assert browser.cookies == {}


def test_a_logout_under_the_old_id_ends_the_new_one_too(site: Site) -> None:
    browser = site.browser()
    browser.does(put(a=1))
    old = browser.twin()
    browser.does(lambda session: session.rotate())
    old.does(lambda session: session.clear())
    assert browser.does(look) == "{}"


def test_what_is_written_after_clear_begins_a_new_session(site: Site) -> None:
    browser = site.browser()
    browser.does(put(user=42))
    old = browser.twin()

    def logout(session: Session) -> None:
        session.clear()
        session["flash"] = "bye"

    browser.does(logout)
    assert len(browser.set_cookies) == 1
    assert browser.does(look) == "{'flash': 'bye'}"
    assert old.does(look) == "{}"


def test_timeouts(edge: Edge, storage: Storage, clock: Clock) -> None:
    site = Site(edge, storage, idle_timeout=100, absolute_timeout=250)
    browser = site.browser()
    browser.does(put(a=1))
    for _ in range(3):
        clock.move(80)
        assert browser.does(look) == "{'a': 1}"
    clock.move(10)
    assert browser.does(look) == "{}"
    browser.does(put(a=1))
    clock.move(100)
    assert browser.does(look) == "{}"


def test_renewal(edge: Edge, storage: Storage, clock: Clock) -> None:
    site = Site(edge, storage, renewal_timeout=60)
    browser = site.browser()
    browser.does(put(a=1))
    old = browser.twin()
    browser.does(look)
    assert browser.set_cookies == []
    clock.move(60)
    browser.does(look)
    assert browser.cookies != old.cookies
    old.does(put(b=2))  # under way when it was renewed: nothing is lost
    assert browser.does(look) == "{'a': 1, 'b': 2}"
    browser.does(put(c=3))  # so the client knows the new id
    clock.move(10)
    assert old.does(look) == "{}"
    assert browser.does(look) == "{'a': 1, 'b': 2, 'c': 3}"


def test_a_client_that_never_got_its_new_id_gets_another(edge: Edge, storage: Storage, clock: Clock) -> None:
    site = Site(edge, storage, renewal_timeout=60, idle_timeout=600)
    browser = site.browser()
    browser.does(put(a=1))
    clock.move(60)
    browser.twin().does(look)  # the answer of this one is lost
    clock.move(30)
    assert browser.does(look) == "{'a': 1}"
    assert len(browser.set_cookies) == 1
    clock.move(70)
    assert browser.does(put(b=2)) == "None"
    assert browser.does(look) == "{'a': 1, 'b': 2}"


def test_an_old_key_logs_nobody_out(edge: Edge, storage: Storage, clock: Clock) -> None:
    before = Site(edge, storage, Sessions("old key")).browser()
    before.does(put(a=1))
    site = Site(edge, storage, Sessions(["new key", "old key"]))
    browser = Browser(site, before.cookies)
    assert browser.does(look) == "{'a': 1}"
    assert browser.cookies != before.cookies
    after = Browser(Site(edge, storage, Sessions("new key")), browser.cookies)
    assert after.does(look) == "{'a': 1}"


def test_a_response_that_depends_on_the_session_says_so(site: Site) -> None:
    browser = site.browser()
    reads: list[Callable[[Session], object]] = [
        lambda session: "a" in session,
        len,
        list,
        bool,
        lambda session: session.get("a"),
        lambda session: session == {},
        lambda session: [*session.items()],
        dict,
    ]
    for read in reads:
        browser.does(read, headers=[("vary", "Accept")])
        assert browser.last is not None
        assert browser.last.headers.get("vary") == "Accept, Cookie"
        assert browser.last.headers.get("cache-control") == "private, no-store"
    browser.does(len, headers=[("cache-control", "max-age=5"), ("vary", "cookie")])
    assert browser.last is not None
    assert browser.last.headers.getall("vary") == ["cookie"]
    assert browser.last.headers.getall("cache-control") == ["max-age=5"]
    browser.does()
    assert browser.last is not None
    assert "vary" not in browser.last.headers
    assert "cache-control" not in browser.last.headers


def test_nothing_is_stored_by_a_5xx(site: Site) -> None:
    browser = site.browser()
    browser.does(put(a=1))
    browser.does(put(a=2), status=500)
    browser.does(lambda session: session.clear(), status=503)
    assert browser.does(look) == "{'a': 1}"


def test_too_large(site: Site, edge: Edge, storage: Storage) -> None:
    site = Site(edge, storage, max_bytes=100)
    browser = site.browser()
    browser.does(put(a="x"))
    with pytest.raises(SessionError, match="max_bytes=100"):
        browser.does(put(a="x" * 100))
    assert browser.does(look) == "{'a': 'x'}"


def test_users(site: Site, storage: Storage, clock: Clock) -> None:
    one, two = site.browser(), site.browser()
    one.does(put(cart=[1]))
    stale = one.twin()

    one.does(login)
    two.does(login)
    assert one.does(look) == "{'cart': [1], 'user': 42}"
    assert stale.does(look) == "{'cart': [1]}"
    clock.move(400)
    two.does(look)
    listed = run(site.sessions.list("42"), storage)
    assert [entry.device for entry in listed] == ["Test/1.0", "Test/1.0"]
    assert listed[0].id == two.does(lambda session: session.id).strip("'")
    assert (listed[0].last_seen - listed[1].last_seen).total_seconds() == 400
    assert run(site.sessions.revoke(user="43", id=listed[0].id), storage) == 0
    assert run(site.sessions.revoke(user="42", keep=listed[1].id), storage) == 1
    assert two.does(look) == "{}"
    assert run(site.sessions.revoke(user="42"), storage) == 1
    assert one.does(look) == "{}"
    assert run(site.sessions.list("42"), storage) == []


def test_at_most_n_sessions(edge: Edge, storage: Storage, clock: Clock) -> None:
    site = Site(edge, storage, max_per_user=2)
    browsers = []
    for _ in range(3):
        clock.move(1)
        browsers.append(site.browser())
        browsers[-1].does(login)
    assert [browser.does(look) for browser in browsers] == ["{}", "{'user': 42}", "{'user': 42}"]
    site = Site(edge, storage, max_per_user=2, when_full="refuse")
    browser = site.browser()
    browser.does(put(cart=1))
    browser.does(login)
    assert browser.last is not None
    assert browser.last.status == 403
    assert browser.does(look) == "{'cart': 1}"
    browser.does(put(cart=2))
    assert browser.does(look) == "{'cart': 2}"


def test_statistics(site: Site, storage: Storage) -> None:
    browsers = [site.browser() for _ in range(3)]
    for browser in browsers:
        browser.does(put(a=1))
    browsers[0].does(lambda session: session.bind("42"))
    browsers[1].does(lambda session: session.clear())
    found = run(site.sessions.stats(), storage)
    assert found.active == 2
    assert list(found.created.values()) == [3]
    assert list(found.ended.values()) == [1]
