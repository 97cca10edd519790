"""RFC 9111 §3, requirement by requirement: what may be stored, and what of it. Names begin with their section."""

from __future__ import annotations

from typing import Any

import pytest

from redis_middleware import ASGIMiddleware, ResponseCache
from redis_middleware.storage import Storage

from ...conftest import Clock
from ...edges import ASGI, Answer, Edge, asgi_call, scope
from .site import Lines, Site, is_hit, is_stored, told

MINUTE = [("cache-control", "max-age=60")]
TAGGED = [*MINUTE, ("etag", '"one"')]
OLD = ("last-modified", "Fri, 15 Jan 2026 08:00:00 GMT")


@pytest.fixture
def site(edge: Edge, storage: Storage) -> Site:
    return Site(edge, storage, MINUTE)


@pytest.fixture
def strict(edge: Edge, storage: Storage) -> Site:
    """The RFC to the letter, and no caution of ours."""
    return Site(edge, storage, conformance=True)


# §3 Storing responses


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "HEAD"])
def test_3_what_answers_another_method_than_get_is_not_stored(strict: Site, method: str) -> None:
    strict.headers = list(MINUTE)
    assert not is_stored(strict.call(method))
    assert not is_hit(strict.get())


@pytest.mark.parametrize("status", [600, 999])
def test_3_a_status_that_is_not_final_or_none_is_not_stored(strict: Site, status: int) -> None:
    strict.status, strict.headers = status, list(MINUTE)
    assert told(strict.get()) == "fwd=uri-miss; detail=status"
    assert not is_hit(strict.get())


def test_3_neither_is_a_304(strict: Site) -> None:
    strict.status, strict.headers = 304, list(MINUTE)
    assert told(strict.get(if_none_match='"one"')) == "fwd=uri-miss; detail=status"
    strict.status = 200
    assert not is_hit(strict.get())


RANGES: list[Lines] = [
    [],
    [("content-range", "bytes */2")],
    [("content-range", "lines 0-0/2")],
    [("content-range", "bytes 0-0/*")],
]


@pytest.mark.parametrize("ranges", [*RANGES, [("content-range", "bytes 0-0/2"), ("content-range", "bytes 1-1/2")]])
def test_3_nor_is_a_206_that_does_not_say_of_what_it_is_a_part(strict: Site, ranges: Lines) -> None:
    strict.status, strict.headers = 206, [*TAGGED, *ranges]
    assert told(strict.get(range="bytes=0-0")) == "fwd=uri-miss; detail=partial"
    assert not is_hit(strict.get(range="bytes=0-0"))


@pytest.mark.parametrize("status", [200, 302, 403, 500, 599])
@pytest.mark.parametrize(
    "headers",
    [
        [("cache-control", "max-age=60")],
        [("cache-control", "s-maxage=60")],
        [("expires", "Fri, 15 Jan 2027 08:01:00 GMT")],
        [("cache-control", "public"), OLD],
    ],
)
def test_3_what_says_that_it_may_be_stored_is(strict: Site, headers: Lines, status: int) -> None:
    strict.status, strict.headers = status, list(headers)
    assert is_stored(strict.get())
    assert is_hit(strict.get())


@pytest.mark.parametrize(("status", "stored"), [(200, True), (404, True), (410, True), (201, False), (302, False), (500, False)])
def test_3_what_says_nothing_is_by_its_status_alone(strict: Site, status: int, stored: bool) -> None:
    strict.status, strict.headers = status, [OLD]
    assert is_stored(strict.get()) is stored
    assert is_hit(strict.get()) is stored


# §3.1 Fields


def test_3_1_all_fields_are_stored_also_unknown_ones_each_line_of_them(site: Site) -> None:
    site.headers += [("x-new", "1"), ("Link", "</a>"), ("Link", "</b>"), ("x-empty", ""), ("x-latin", "caf\xe9")]
    first = site.get()
    answer = site.get()
    assert is_hit(answer)
    for name, _ in site.headers:
        assert answer.headers.getall(name) == first.headers.getall(name) != []


def test_3_1_what_is_of_one_connection_is_not_stored(site: Site) -> None:
    site.headers += [("Connection", "X-Hop, close"), ("X-Hop", "1"), ("Keep-Alive", "5"), ("Upgrade", "h2c"), ("X-Stays", "1")]
    site.get()
    answer = site.get()
    assert is_hit(answer)
    assert answer.headers.get("x-stays") == "1"
    assert not [name for name in ("connection", "x-hop", "keep-alive", "upgrade") if name in answer.headers]


@pytest.mark.parametrize("name", ["Proxy-Authenticate", "Proxy-Authentication-Info", "Proxy-Authorization"])
def test_3_1_what_is_of_one_proxy_is_not_stored(site: Site, name: str) -> None:
    site.headers.append((name, "Basic"))
    site.get()
    answer = site.get()
    assert is_hit(answer)
    assert name not in answer.headers


def test_3_1_trailers_never_become_header_fields(storage: Storage) -> None:
    """ASGI alone has trailers; WSGI knows none."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        head = {"type": "http.response.start", "status": 200, "headers": [(b"cache-control", b"max-age=60")], "trailers": True}
        await send(head)
        await send({"type": "http.response.body", "body": b"hello"})
        await send({"type": "http.response.trailers", "headers": [(b"x-checksum", b"1")]})

    edge = ASGI()
    wrapped = ASGIMiddleware(app, layers=[ResponseCache()], storage=storage)
    request = scope(headers=[("host", "example.org")])
    answers = [edge.runner.run(asgi_call(wrapped, request)) for _ in range(2)]
    assert [is_hit(answer) for answer in answers] == [False, True]
    assert ["x-checksum" in answer.headers for answer in answers] == [False, False]
    assert [answer.body for answer in answers] == [b"hello", b"hello"]
    edge.runner.run(storage.aclose())
    edge.close()


# §3.2 Updating fields


def test_3_2_a_304_puts_its_fields_in_the_place_of_those_stored(site: Site, clock: Clock) -> None:
    site.headers = [*TAGGED, ("x-one", "old"), ("x-one", "older"), ("x-two", "old"), ("expires", "0")]
    site.get()
    clock.move(100)
    site.status = 304
    site.headers = [("cache-control", "max-age=30"), ("x-one", "new"), ("x-three", "new"), ("expires", "1"), ("set-cookie2", "a")]
    for answer in (site.get(), site.get()):
        assert (answer.status, answer.body) == (200, b"1")
        assert answer.headers.getall("cache-control") == ["max-age=30"]
        assert answer.headers.getall("x-one") == ["new"]
        assert answer.headers.getall("x-two") == ["old"]
        assert answer.headers.getall("x-three") == ["new"]
        assert answer.headers.getall("expires") == ["1"]
        assert answer.headers.getall("set-cookie2") == ["a"]
    assert site.runs == 2


@pytest.mark.parametrize(
    ("name", "stored", "sent"),
    [("content-length", "1", "99"), ("content-encoding", "identity", "gzip"), ("content-range", None, "bytes 0-0/9")],
)
def test_3_2_but_not_those_of_the_body_that_is_stored(site: Site, clock: Clock, name: str, stored: str | None, sent: str) -> None:
    site.headers = [*TAGGED, *([("content-encoding", "identity")] if name == "content-encoding" else [])]
    site.get()
    clock.move(100)
    site.status, site.headers = 304, [*MINUTE, (name, sent)]
    for answer in (site.get(), site.get()):
        assert (answer.status, answer.body) == (200, b"1")
        assert answer.headers.get(name) == stored


def test_3_2_nor_those_that_may_not_be_stored(site: Site, clock: Clock) -> None:
    site.headers = list(TAGGED)
    site.get()
    clock.move(100)
    site.status = 304
    site.headers = [("cache-control", 'max-age=60, private="x-mine"'), ("connection", "x-hop"), ("x-hop", "1"), ("x-mine", "1")]
    site.get()
    answer = site.get()
    assert is_hit(answer)
    assert not [name for name in ("connection", "x-hop", "x-mine") if name in answer.headers]


# §3.3, §3.4 Parts


def part(site: Site, first: int, last: int, *headers: tuple[str, str]) -> Answer:
    """A part of ten digits that the app sends, of what has this tag unless `headers` say another."""
    site.status, site.body = 206, b"0123456789"[first : last + 1]
    site.headers = [*(headers or TAGGED), ("content-range", f"bytes {first}-{last}/10")]
    return site.get(range=f"bytes={first}-{last}")


def test_3_3_a_part_answers_for_what_is_in_it_alone_and_says_that_it_is_one(site: Site) -> None:
    assert is_stored(part(site, 0, 4))
    answer = site.get(range="bytes=1-3")
    assert (answer.status, answer.body, answer.headers.get("content-range")) == (206, b"123", "bytes 1-3/10")
    assert is_hit(answer)
    site.status, site.headers, site.body = 200, [("cache-control", "no-store")], b"0123456789"
    for asked in ({"range": "bytes=3-6"}, {"range": "bytes=6-7"}, {"range": "bytes=-2"}, {}):
        answer = site.get(**asked)
        assert (answer.status, is_hit(answer)) == (200, False)
    assert not is_hit(site.head())


def test_3_4_parts_that_are_put_together_have_the_fields_of_the_later(site: Site) -> None:
    part(site, 0, 4, *TAGGED, ("x-one", "old"), ("x-two", "of the first"))
    part(site, 5, 9, *TAGGED, ("x-one", "new"))
    answer = site.get()
    assert (answer.status, answer.body, is_hit(answer)) == (200, b"0123456789", True)
    assert answer.headers.getall("x-one") == ["new"]
    assert answer.headers.getall("x-two") == ["of the first"]


@pytest.mark.parametrize("tags", [('"one"', '"two"'), ('W/"one"', 'W/"one"'), ("", "")])
def test_3_4_they_are_only_if_they_have_one_strong_validator(site: Site, tags: tuple[str, str]) -> None:
    for (first, last), tag in zip(((0, 4), (5, 9)), tags, strict=True):
        part(site, first, last, *MINUTE, *([("etag", tag)] if tag else []))
    site.status, site.headers, site.body = 200, list(MINUTE), b"whole"
    assert (site.get().body, site.runs) == (b"whole", 3)


# §3.5 Authorization


@pytest.mark.parametrize("conformance", [True, False])
@pytest.mark.parametrize(
    "directives", ["max-age=60", "max-age=60, proxy-revalidate", "max-age=60, no-cache", "s-maxage=x, max-age=60"]
)
def test_3_5_what_answers_a_request_with_authorization_answers_no_other(
    edge: Edge, storage: Storage, directives: str, conformance: bool
) -> None:
    site = Site(edge, storage, [("cache-control", directives)], conformance=conformance)
    assert [site.get(authorization=who).body for who in ("Ada", "Bob")] == [b"1", b"2"]
    assert site.get().body == b"3"


@pytest.mark.parametrize("directives", ["public, max-age=60", "must-revalidate, max-age=60", "s-maxage=60"])
def test_3_5_unless_a_directive_says_that_it_may(strict: Site, directives: str) -> None:
    strict.headers = [("cache-control", directives)]
    assert is_stored(strict.get(authorization="Ada"))
    assert is_hit(strict.get(authorization="Bob"))
    assert is_hit(strict.get())


@pytest.mark.parametrize("directives", ["must-revalidate, max-age=60", "s-maxage=60"])
def test_3_5_and_then_that_directive_is_obeyed(edge: Edge, storage: Storage, clock: Clock, directives: str) -> None:
    site = Site(edge, storage, [("cache-control", directives), ("etag", '"one"')], conformance=True, stale_if_error=1000)
    site.get(authorization="Ada")
    clock.move(60)
    site.status = 503
    assert site.get(authorization="Bob").status == 503
