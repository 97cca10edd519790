"""Purges: by tag, by URL, by prefix, for good or as stale; at once, on every worker, and for what is on its way."""

from __future__ import annotations

from typing import Any

import pytest

from redis_middleware import run
from redis_middleware.storage import Storage

from ...conftest import Clock
from ...edges import Edge
from .site import Site, header, is_hit, is_stored, told

HOUR = [("cache-control", "max-age=3600"), ("etag", '"one"')]
ORIGIN = "http://example.org"


@pytest.fixture
def site(edge: Edge, storage: Storage) -> Site:
    return Site(edge, storage, HOUR)


@pytest.fixture
def filled(site: Site, clock: Clock) -> Site:
    """Some resources with tags, all of them stored."""
    for path, tags in (("/menu/1", "menu, one"), ("/menu/2", "menu,two"), ("/menu/2?full", "menu"), ("/about", "")):
        site.headers = [*HOUR, *([("cache-tag", tags)] if tags else [])]
        assert is_stored(site.get(path))
    clock.move(1)
    return site


PATHS = ["/menu/1", "/menu/2", "/menu/2?full", "/about"]


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize(
    ("what", "gone"),
    [
        ({"tags": ["menu"]}, PATHS[:3]),
        ({"tags": "menu"}, PATHS[:3]),
        ({"tags": ["one", "two"]}, PATHS[:2]),
        ({"tags": ["nothing"]}, []),
        ({"url": ORIGIN + "/menu/2?full"}, PATHS[2:3]),
        ({"url": ORIGIN + "/menu/1"}, PATHS[:1]),
        ({"url": "http://EXAMPLE.org:80/about"}, PATHS[3:]),
        ({"url": "https://example.org/about"}, []),
        ({"prefix": ORIGIN + "/menu/"}, PATHS[:3]),
        ({"prefix": ORIGIN + "/menu/2"}, PATHS[1:3]),
        ({"prefix": ORIGIN + "/menu/2?"}, PATHS[2:3]),
        ({"prefix": "HTTP://Example.ORG"}, PATHS),
        ({"prefix": "http://example.net/"}, []),
        ({"tags": ["one"], "url": ORIGIN + "/about"}, [PATHS[0], PATHS[3]]),
    ],
)
def test_what_is_purged_is_not_used_any_more(filled: Site, soft: bool, what: dict[str, Any], gone: list[str]) -> None:
    filled.purge(**what, soft=soft)
    answers = {path: filled.get(path) for path in PATHS}
    assert [path for path in PATHS if not is_hit(answers[path])] == gone
    for path in gone:
        assert told(answers[path]).startswith("fwd=stale" if soft else "fwd=")


def test_what_is_fetched_afterwards_is_used(filled: Site, clock: Clock) -> None:
    for what in ({"tags": ["menu"]}, {"prefix": ORIGIN}, {"url": ORIGIN + "/menu/1"}):
        filled.purge(**what)
        clock.move(1)
        assert not is_hit(filled.get("/menu/1"))
        clock.move(1)
        assert is_hit(filled.get("/menu/1"))


def test_what_is_purged_softly_is_validated(filled: Site, clock: Clock) -> None:
    filled.purge(tags=["menu"], soft=True)
    clock.move(1)
    filled.status = 304
    answer = filled.get("/menu/1")
    assert (answer.status, answer.body, told(answer)) == (200, b"1", "fwd=stale; fwd-status=304; stored")
    assert header(filled.seen[-1], "if-none-match") == '"one"'
    assert is_hit(filled.get("/menu/1"))
    filled.purge(tags=["one"])
    clock.move(1)
    assert not is_hit(filled.get("/menu/1"))


def test_what_is_purged_softly_is_there_in_need(edge: Edge, storage: Storage, clock: Clock) -> None:
    site = Site(edge, storage, HOUR, stale_if_error=60)
    site.get()
    clock.move(1)
    site.purge(url=ORIGIN + "/", soft=True)
    site.status = 500
    assert told(site.get()) == "hit; detail=stale-if-error"
    site.purge(url=ORIGIN + "/")
    assert site.get().status == 500


def test_other_tags_after_validation(site: Site, clock: Clock) -> None:
    site.headers = [("cache-control", "max-age=60"), ("etag", '"one"'), ("cache-tag", "old")]
    site.get()
    clock.move(100)
    site.status, site.headers = 304, [("cache-tag", "new")]
    site.get()
    clock.move(1)
    site.purge(tags=["old"])
    assert is_hit(site.get())
    site.purge(tags=["new"])
    site.status = 200
    assert not is_hit(site.get())


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("what", [{"tags": ["a"]}, {"url": ORIGIN + "/"}, {"prefix": ORIGIN + "/"}])
def test_another_worker_sees_it_at_once(edge: Edge, storage: Storage, clock: Clock, what: dict[str, Any], soft: bool) -> None:
    site, other = (Site(edge, storage, [*HOUR, ("cache-tag", "a")]) for _ in range(2))
    site.get()
    assert is_hit(site.get())
    assert is_hit(other.get())
    clock.move(1)
    other.purge(**what, soft=soft)
    clock.move(1)
    assert not is_hit(site.get())
    clock.move(1)
    assert is_hit(site.get())
    assert is_hit(other.get())


def test_another_worker_sees_new_tags(edge: Edge, storage: Storage, clock: Clock) -> None:
    """What a worker remembers of tags is a hint: another one may have stored others since."""
    site, other = (Site(edge, storage, [*HOUR, ("cache-tag", "old")]) for _ in range(2))
    site.get()
    assert is_hit(site.get())
    clock.move(1)
    other.purge(tags=["old"])
    clock.move(1)
    other.headers = [*HOUR, ("cache-tag", "new")]
    other.get()
    clock.move(1)
    assert is_hit(site.get())
    other.purge(tags=["new"])
    assert not is_hit(site.get())


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("what", [{"tags": ["a"]}, {"url": ORIGIN + "/"}, {"prefix": ORIGIN}])
def test_what_was_on_its_way_when_the_purge_came_is_not_used(site: Site, clock: Clock, what: dict[str, Any], soft: bool) -> None:
    site.headers.append(("cache-tag", "a"))

    def act(seen: Any) -> None:
        clock.move(1)
        if site.runs == 1:
            run(site.cache.purge(**what, soft=soft), site.storage)
        clock.move(1)

    site.act = act
    assert [site.get().body for _ in range(3)] == [b"1", b"2", b"2"]


def test_what_was_on_its_way_when_it_was_changed_is_not_used(site: Site, clock: Clock) -> None:
    def act(seen: Any) -> bytes | None:
        if seen.method == "GET" and site.runs == 1:
            run(site.cache.purge(url=ORIGIN + "/"), site.storage)  # what a POST does at its end
        return None

    site.act = act
    assert [site.get().body for _ in range(3)] == [b"1", b"2", b"2"]


@pytest.mark.parametrize("size", [10, 100_000])
def test_all_variants_and_bodies_go(site: Site, clock: Clock, size: int, storage: Any) -> None:
    site.headers, site.body = [*HOUR, ("vary", "accept-language")], b"x" * size
    for language in ("de", "en"):
        site.get(accept_language=language)
    clock.move(1)
    site.purge(url=ORIGIN + "/")
    if hasattr(storage, "key_count"):
        assert storage.key_count == 0
    for language in ("de", "en"):
        assert not is_hit(site.get(accept_language=language))


def test_many_prefixes_forget_too_much_and_never_too_little(filled: Site, clock: Clock) -> None:
    filled.purge(prefix=ORIGIN + "/menu/1")
    for place in range(300):
        clock.move(1)
        filled.purge(prefix=f"{ORIGIN}/shop/{place}")
    assert not is_hit(filled.get("/menu/1"))
    clock.move(1)
    assert is_hit(filled.get("/menu/1"))
    filled.purge(prefix=f"{ORIGIN}/shop/again")
    assert is_hit(filled.get("/menu/1"))


@pytest.mark.parametrize(
    "what",
    [
        {"url": "/menu"},
        {"url": "example.org/menu"},
        {"url": "ftp://example.org/"},
        {"prefix": "/menu"},
        {"prefix": ""},
        {"prefix": "http://example.org/a\nb"},
        {"prefix": "http://example.org/ü"},
    ],
)
def test_what_is_no_absolute_url_is_an_error(site: Site, what: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        site.purge(**what)


def test_nothing_to_purge_is_an_error(site: Site) -> None:
    nothings: list[dict[str, Any]] = [{}, {"tags": []}, {"soft": True}]
    for what in nothings:
        with pytest.raises(TypeError):
            site.purge(**what)
