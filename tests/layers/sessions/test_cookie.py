"""The cookie: attributes, combinations that browsers would refuse, and when a response says something about it."""

from __future__ import annotations

from typing import Any

import pytest

from redis_middleware import ConfigurationError, Request, Sessions
from redis_middleware.layers.sessions.tokens import Keyring
from redis_middleware.storage import Storage

from ...edges import Edge, scope
from .browser import SECRET, Browser, Site
from .test_sessions import look, put


def attributes(line: str) -> set[str]:
    return {part.strip() for part in line.split(";")[1:] if not part.strip().startswith("Expires")}


def test_by_default(edge: Edge, storage: Storage) -> None:
    browser = Site(edge, storage).browser()
    browser.does(put(a=1))
    assert attributes(browser.set_cookies[0]) == {"Max-Age=3600", "HttpOnly", "Path=/", "SameSite=Lax"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"secure": True, "samesite": "none"}, {"Secure", "SameSite=None", "Path=/", "HttpOnly", "Max-Age=3600"}),
        ({"samesite": "strict", "path": "/shop"}, {"SameSite=Strict", "Path=/shop", "HttpOnly", "Max-Age=3600"}),
        ({"domain": "example.org", "persistent": False}, {"SameSite=Lax", "Path=/", "HttpOnly", "Domain=example.org"}),
        (
            {"cookie": "__Host-id", "secure": True, "partitioned": True},
            {"SameSite=Lax", "Path=/", "HttpOnly", "Secure", "Partitioned", "Max-Age=3600"},
        ),
        (
            {"cookie": "__Secure-id", "secure": True, "idle_timeout": 60, "absolute_timeout": 30},
            {"Secure", "Max-Age=30", "HttpOnly", "Path=/", "SameSite=Lax"},
        ),
    ],
)
def test_attributes_are_those_that_were_asked_for_also_when_it_is_expired(
    edge: Edge, storage: Storage, options: dict[str, Any], expected: set[str]
) -> None:
    browser = Site(edge, storage, **options).browser()
    browser.does(put(a=1))
    assert attributes(browser.set_cookies[0]) == expected
    browser.does(lambda session: session.clear())
    [expired] = browser.set_cookies
    assert attributes(expired) == {part for part in expected if not part.startswith("Max-Age")} | {"Max-Age=0"}
    assert expired.partition("=")[2].startswith(";")


@pytest.mark.parametrize(("scheme", "secure"), [("http", False), ("https", True)])
def test_secure_auto_goes_by_the_scheme(storage: Storage, scheme: str, secure: bool) -> None:
    sessions = Sessions(SECRET)
    assert ("Secure" in attributes(sessions.cookie.set("x", 60, scheme))) == secure


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"cookie": "a b"}, "cookie must be a name"),
        ({"cookie": ""}, "cookie must be a name"),
        ({"samesite": "None"}, "samesite must be"),
        ({"secure": "yes"}, "secure must be"),
        ({"domain": "exa mple;"}, "domain must be"),
        ({"path": "shop"}, "path must begin"),
        ({"path": "/;"}, "path must begin"),
        ({"samesite": "none"}, "needs secure=True"),
        ({"samesite": "none", "secure": False}, "needs secure=True"),
        ({"partitioned": True}, "needs secure=True"),
        ({"cookie": "__Secure-id"}, "needs secure=True"),
        ({"cookie": "__host-id"}, "needs secure=True"),
        ({"cookie": "__Host-id", "secure": True, "domain": "example.org"}, "needs path='/' and no domain"),
        ({"cookie": "__Host-id", "secure": True, "path": "/shop"}, "needs path='/' and no domain"),
        ({"secret": ""}, "needs a secret"),
        ({"secret": []}, "needs a secret"),
        ({"idle_timeout": 0}, "idle_timeout must be positive"),
        ({"absolute_timeout": -1}, "absolute_timeout must be positive"),
        ({"renewal_timeout": 0}, "renewal_timeout must be positive"),
        ({"rotation_grace": -1}, "rotation_grace must be 0 or more"),
        ({"max_per_user": 0}, "max_per_user must be at least 1"),
        ({"when_full": "drop"}, "when_full must be"),
        ({"max_bytes": 0}, "max_bytes must be positive"),
        ({"on_error": "fallback"}, "must be 'closed' or 'open'"),
        ({"encryption_keys": ["short"]}, "encryption_keys"),
    ],
)
def test_what_cannot_work_is_refused_at_once(options: dict[str, Any], what: str) -> None:
    with pytest.raises(ConfigurationError, match=what):
        Sessions(options.pop("secret", SECRET), **options)


def test_other_cookies_survive_and_nothing_is_said_when_nothing_changed(edge: Edge, storage: Storage) -> None:
    browser = Site(edge, storage).browser()
    browser.does(put(a=1), headers=[("set-cookie", "theme=dark"), ("set-cookie", "lang=de")])
    assert [line.split("=")[0] for line in browser.set_cookies] == ["theme", "lang", "session"]
    for deed in (look, put(b=2), lambda session: session.increment("n")):
        browser.does(deed)
        assert browser.set_cookies == []


def test_it_lasts_longer_when_the_session_does(edge: Edge, storage: Storage, clock: Any) -> None:
    browser = Site(edge, storage).browser()
    browser.does(put(a=1))
    clock.move(400)
    browser.does(look)
    assert "Max-Age=3600" in attributes(browser.set_cookies[0])
    clock.move(400)
    browser.does(look, headers=[("cache-control", "public, max-age=60")])  # caches would give it to others
    assert browser.set_cookies == []


def test_a_session_may_have_a_timeout_and_a_persistence_of_its_own(edge: Edge, storage: Storage, clock: Any) -> None:
    browser = Site(edge, storage).browser()
    browser.does(put(a=1))

    def remember(session: Any) -> None:
        session.idle_timeout, session.persistent = 7200, True

    def forget(session: Any) -> None:
        session.permanent = False

    browser.does(remember)
    assert "Max-Age=7200" in attributes(browser.set_cookies[0])
    clock.move(7000)
    assert browser.does(lambda session: (session["a"], session.idle_timeout, session.permanent)) == "(1, 7200.0, True)"
    browser.does(forget)
    assert not any(part.startswith("Max-Age") for part in attributes(browser.set_cookies[0]))


def test_of_several_cookies_of_one_name_the_one_that_is_alive_counts(edge: Edge, storage: Storage) -> None:
    site = Site(edge, storage)
    browser = site.browser()
    browser.does(put(a=1))
    dead = [Keyring(SECRET, "session").mint().text, "made up", "A" * 51 + "." + "B" * 43]
    site.deed = look
    cookies = "; ".join([f"session={text}" for text in [*dead, browser.cookies["session"]]])
    assert site.call("/", [("cookie", f"x=y; {cookies}; z=session")]).body == b"{'a': 1}"
    many = "; ".join([f"session={'A' * 51}.{i:043}" for i in range(1000)])
    assert site.call("/", [("cookie", many)]).body == b"{}"


def test_a_response_that_fails_sets_no_cookie(edge: Edge, storage: Storage) -> None:
    browser = Site(edge, storage).browser()
    browser.does(put(a=1), status=500)
    assert browser.set_cookies == []


def test_clear_expires_a_cookie_whose_session_is_gone(edge: Edge, storage: Storage) -> None:
    browser = Browser(Site(edge, storage), {"session": Keyring(SECRET, "session").mint().text})
    browser.does(look)
    assert browser.set_cookies == []
    browser.does(lambda session: session.clear())
    assert "Max-Age=0" in attributes(browser.set_cookies[0])


class TestKeyring:
    def test_a_token_has_256_bits_that_are_not_stored(self) -> None:
        ring = Keyring(SECRET, "session")
        tokens = [ring.mint() for _ in range(200)]
        assert len({token.text for token in tokens}) == len({token.id for token in tokens}) == 200
        assert all(token.text[8:51] not in token.id for token in tokens)

    def test_it_is_read_again_and_nothing_else_is(self) -> None:
        ring = Keyring(["new", "old"], "session")
        token = ring.mint()
        assert ring.read(token.text) == token
        changed = token.text[:20] + ("A" if token.text[20] != "A" else "B") + token.text[21:]
        for text in (changed, "", token.text[:-1], token.text + "=", " " + token.text, token.id, "é" * 95):
            assert ring.read(text) is None
        assert Keyring("other", "session").read(token.text) is None
        assert Keyring(["new", "old"], "another cookie").read(token.text) is None

    def test_keys_rotate(self) -> None:
        token = Keyring("old", "session").mint()
        found = Keyring(["new", "old"], "session").read(token.text)
        assert found is not None
        assert found.id == token.id
        assert not found.newest

    def test_what_is_shown_of_a_token_is_no_cookie(self) -> None:
        token = Keyring(SECRET, "session").mint()
        assert token.text not in repr(token)
        assert token.text[8:51] not in repr(token)


def test_cookies_that_http_2_splits_are_found(storage: Storage) -> None:
    sessions = Sessions(SECRET)
    token = Keyring(SECRET, "session").mint().text
    request = Request(headers=[("cookie", "a=b"), ("cookie", f"session={token}")], native=scope())
    assert sessions.cookie.values(request) == [token]
