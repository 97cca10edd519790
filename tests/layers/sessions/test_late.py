"""What is written while the body streams, and when nothing is to be stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from redis_middleware import Session
from redis_middleware.errors import SessionError
from redis_middleware.storage import Storage

from ...edges import WSGI, Edge, Seen
from .browser import Browser, Deed, Site, session_of
from .test_sessions import look, put


def streaming(site: Site, piece_by_piece: Callable[[Session], Iterator[bytes]], *, length: int | None = None) -> None:
    """The site answers with a stream from now on."""

    def handler(seen: Seen) -> Any:
        headers = [("content-type", "text/plain")] + ([("content-length", str(length))] if length is not None else [])
        return 200, headers, piece_by_piece(session_of(seen))

    site.handler = handler


@pytest.fixture
def browser(edge: Edge, storage: Storage) -> Browser:
    browser = Site(edge, storage).browser()
    browser.does(put(a=1))
    return browser


@pytest.mark.parametrize("length", [None, 3])
def test_changes_made_while_the_body_streams_are_stored(browser: Browser, length: int | None) -> None:
    other = browser.twin()

    def body(session: Session) -> Iterator[bytes]:
        yield b"1"
        session["late"] = 1
        session.increment("n")
        handler, browser.site.handler = browser.site.handler, None
        other.does(put(a=2))  # meanwhile
        browser.site.handler = handler
        yield b"2"
        session["later"] = 2
        yield b"3"

    streaming(browser.site, body, length=length)
    browser.get()
    browser.site.handler = None
    assert browser.does(look) == "{'a': 2, 'late': 1, 'later': 2, 'n': 1}"


def test_a_new_session_after_the_head_says_why_it_cannot_be(edge: Edge, storage: Storage) -> None:
    site = Site(edge, storage)
    said: list[str] = []

    def body(session: Session) -> Iterator[bytes]:
        yield b"1"
        writes: list[Deed] = [put(a=1), lambda session: session.increment("n"), lambda session: session.bind("42")]
        for write in writes:
            with pytest.raises(SessionError, match="the response has begun") as caught:
                write(session)
            said.append(str(caught.value))
        yield b"2"

    streaming(site, body)
    assert site.browser().get().body == b"12"
    assert len(said) == 3


def test_another_id_after_the_head_says_why_it_cannot_be(browser: Browser) -> None:
    def body(session: Session) -> Iterator[bytes]:
        yield b"1"
        renames: list[Deed] = [lambda session: session.rotate(), lambda session: session.bind("42")]
        for rename in renames:
            with pytest.raises(SessionError, match="the response has begun"):
                rename(session)
        yield b"2"

    streaming(browser.site, body)
    assert browser.get().body == b"12"


def test_a_logout_while_the_body_streams(browser: Browser) -> None:
    def body(session: Session) -> Iterator[bytes]:
        yield b"1"
        session.clear()
        yield b"2"

    streaming(browser.site, body)
    browser.get()
    browser.site.handler = None
    assert browser.does(look) == "{}"


def test_an_error_in_the_body_stores_nothing_of_it(browser: Browser) -> None:
    def body(session: Session) -> Iterator[bytes]:
        yield b"1"
        session["a"] = 2
        raise LookupError("on purpose")

    streaming(browser.site, body)
    with pytest.raises(LookupError):
        browser.get()
    browser.site.handler = None
    assert browser.does(look) == "{'a': 1}"


@pytest.mark.parametrize(("save_on_error", "expected"), [(False, "{'a': 1}"), (True, "{'a': 2}")])
def test_errors_store_nothing_unless_told_to(edge: Edge, storage: Storage, save_on_error: bool, expected: str) -> None:
    browser = Site(edge, storage, save_on_error=save_on_error).browser()
    browser.does(put(a=1))
    browser.does(put(a=2), status=500)
    assert browser.does(look) == expected


def test_what_an_app_raises_passes_and_stores_nothing(browser: Browser) -> None:
    def fails(session: Session) -> None:
        session["a"] = 2
        raise LookupError("on purpose")

    with pytest.raises(LookupError):
        browser.does(fails)
    assert browser.does(look) == "{'a': 1}"


@pytest.mark.parametrize("edge", [WSGI], indirect=True)  # how it is awaited is shown with Starlette
def test_save_has_it_stored_at_once(browser: Browser) -> None:
    other = browser.twin()

    def saves(session: Session) -> object:
        session["a"] = 2
        session.save()
        return other.does(look)

    assert browser.does(saves) == repr("{'a': 2}")


@pytest.mark.parametrize("edge", [WSGI], indirect=True)
def test_a_session_that_was_ended_meanwhile_says_so_when_it_is_saved(browser: Browser) -> None:
    other = browser.twin()

    def saves(session: Session) -> object:
        other.does(lambda session: session.clear())
        session["a"] = 2
        with pytest.raises(SessionError, match="ended meanwhile"):
            session.save()
        return session["a"]

    assert browser.does(saves) == "2"
