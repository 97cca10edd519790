"""Nobody gets what was made for somebody else, whatever clients send and apps forget to say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from redis_middleware import ASGIMiddleware, MemoryStorage, ResponseCache, Sessions, WSGIMiddleware, run
from redis_middleware.storage import Storage

from ...conftest import Clock
from ...edges import ASGI, EDGES, Edge, Seen, asgi_app, asgi_call, environ, scope, wsgi_app, wsgi_call
from .site import Lines, Site, header, is_hit, is_stored, query, told

SECRET = "a secret of more than thirty-two bytes, for tests"
MINUTE = [("cache-control", "max-age=60")]


@pytest.fixture
def site(edge: Edge, storage: Storage) -> Site:
    return Site(edge, storage, MINUTE)


def session_of(seen: Seen) -> Any:
    return seen.native["redis_middleware.session"]


# What is one person's


def test_a_response_that_sets_a_cookie_is_not_stored(site: Site) -> None:
    site.headers += [("set-cookie", "a=1")]
    assert told(site.get()) == "fwd=uri-miss; detail=set-cookie"
    site.headers[0] = ("cache-control", "public, s-maxage=60")
    assert [site.get().body for _ in range(2)] == [b"2", b"3"]


@pytest.mark.parametrize("reads", [lambda session: session.get("a"), lambda session: session.update(a=1), len])
def test_a_response_for_which_the_session_was_used_is_not_stored(edge: Edge, storage: Storage, reads: Any) -> None:
    site = Site(edge, storage, [("cache-control", "public, max-age=60")], inside=[Sessions(SECRET)])
    site.act = lambda seen: reads(session_of(seen)) and None
    assert "stored" not in told(site.get())
    assert site.get().body == b"2"


def test_a_response_for_which_the_session_was_not_used_is_stored(edge: Edge, storage: Storage) -> None:
    site = Site(edge, storage, MINUTE, inside=[Sessions(SECRET)])
    assert is_stored(site.get())
    assert is_hit(site.get())


def test_a_session_that_is_used_while_the_body_streams_counts_too(edge: Edge, storage: Storage) -> None:
    site = Site(edge, storage, MINUTE, inside=[Sessions(SECRET)])

    def act(seen: Seen) -> Any:
        def pieces() -> Iterator[bytes]:
            yield b"hello "
            yield repr(session_of(seen).get("user")).encode()

        return 200, [*MINUTE, ("content-type", "text/plain")], pieces()

    site.act = act
    assert site.get().body == b"hello None"
    assert not is_hit(site.get())


def test_a_session_that_is_used_to_validate_counts_too(edge: Edge, storage: Storage, clock: Clock) -> None:
    site = Site(edge, storage, [*MINUTE, ("etag", '"one"')], inside=[Sessions(SECRET)])
    site.get()
    clock.move(100)
    site.status, site.headers, site.act = 304, [], lambda seen: session_of(seen).update(user="Ada")
    mine = site.get()
    assert (mine.status, mine.body, "set-cookie" in mine.headers) == (200, b"1", True)
    assert told(mine) == "fwd=stale; fwd-status=304; detail=no-store"
    site.status, site.headers, site.act = 200, list(MINUTE), lambda seen: None
    for _ in range(2):
        yours = site.get()
        assert "set-cookie" not in yours.headers
        assert yours.body == b"3"


@pytest.mark.parametrize("line", [("set-cookie", "a=1"), ("cache-control", "private"), ("cache-control", "no-store")])
def test_a_304_that_is_one_persons_refreshes_nothing(site: Site, clock: Clock, line: tuple[str, str]) -> None:
    site.headers += [("etag", '"one"')]
    site.get()
    clock.move(100)
    site.status, site.headers = 304, [line]
    mine = site.get()
    assert (mine.status, mine.body, mine.headers.get(line[0])) == (200, b"1", line[1])
    assert "stored" not in told(mine)
    site.status, site.headers = 200, list(MINUTE)
    yours = site.get()
    assert not is_hit(yours)
    assert yours.headers.get(line[0]) != line[1]


@pytest.mark.parametrize("field", ["authorization", "cookie"])
def test_what_is_made_for_who_says_who_they_are_is_not_stored(site: Site, field: str) -> None:
    assert told(site.get(**{field: "Ada"})).startswith("fwd=uri-miss; detail=")
    assert site.get(**{field: "Ada"}).body == b"2"
    assert site.get().body == b"3"
    assert is_hit(site.get())
    assert site.get(**{field: "Ada"}).body == b"4"


@pytest.mark.parametrize("field", ["authorization", "cookie"])
@pytest.mark.parametrize("control", ["public, max-age=60", "s-maxage=60"])
def test_what_says_that_it_is_for_everybody_is(site: Site, field: str, control: str) -> None:
    site.headers = [("cache-control", control)]
    assert is_stored(site.get(**{field: "Ada"}))
    assert is_hit(site.get(**{field: "Bob"}))
    assert is_hit(site.get())


@pytest.mark.parametrize("control", ["public, must-revalidate", "must-revalidate, max-age=60", 'public="x", max-age=60'])
def test_must_revalidate_alone_is_no_word_for_everybody(site: Site, control: str) -> None:
    site.headers = [("cache-control", control)]
    site.get(authorization="Ada")
    assert not is_hit(site.get(authorization="Bob"))


def test_private_headers_are_the_users_to_say(edge: Edge, storage: Storage) -> None:
    site = Site(edge, storage, MINUTE, private_headers=["X-User", "Authorization"])
    assert is_stored(site.get(cookie="tracking=1"))
    assert is_hit(site.get(cookie="tracking=2"))
    assert not is_hit(site.get(x_user="Ada"))


def test_what_is_validated_stops_being_for_everybody(site: Site, clock: Clock) -> None:
    site.headers = [("cache-control", "public, max-age=60"), ("etag", '"one"')]
    site.get()
    assert is_hit(site.get(cookie="a"))
    clock.move(100)
    site.status, site.headers = 304, list(MINUTE)
    assert is_stored(site.get())
    assert is_hit(site.get())
    site.status = 200
    assert not is_hit(site.get(cookie="a"))


# What is one request's


def test_requests_with_bodies_pass(site: Site) -> None:
    site.get()
    assert told(site.get(transfer_encoding="chunked")) == "fwd=bypass; detail=body"
    assert site.get(transfer_encoding="chunked").body == b"3"
    assert site.get("/other", transfer_encoding="chunked").body == b"4"
    assert site.get("/other").body == b"5"


@pytest.mark.parametrize("status", [400, 412, 413, 416, 429, 431, 500, 502, 503, 504])
def test_errors_that_one_client_makes_are_not_stored_whatever_they_say(site: Site, status: int) -> None:
    site.status = status
    assert [site.get().body for _ in range(3)] == [b"1", b"2", b"3"]


def test_other_errors_are_if_they_say_for_how_long(site: Site) -> None:
    site.status = 404
    assert is_stored(site.get())
    assert is_hit(site.get())
    site.headers = [("last-modified", "Fri, 15 Jan 2000 08:00:00 GMT")]
    assert told(site.get("/b")) == "fwd=uri-miss; detail=status"


@pytest.mark.parametrize("field", ["cookie", "user-agent"])
def test_what_varies_by_person_is_not_stored(site: Site, field: str) -> None:
    site.headers.append(("Vary", f"Accept, {field.title()}"))
    assert told(site.get()) == f"fwd=uri-miss; detail=vary-{field}"
    assert site.get().body == b"2"


def test_500_user_agents_leave_no_more_variants_than_are_allowed(edge: Edge, storage: Storage) -> None:
    site = Site(edge, storage, [*MINUTE, ("vary", "user-agent")], vary=["User-Agent"], max_variants=8)
    for place in range(500):
        assert site.get(user_agent=f"Test/{place}").body == str(place + 1).encode()
    last = [site.get(user_agent=f"Test/{place}") for place in range(499, 479, -1)]
    assert sum(is_hit(answer) for answer in last) <= 8
    if isinstance(storage, MemoryStorage):
        assert storage.key_count <= 2


@pytest.mark.parametrize("host", ["", "a b", "a/b", "example.org:", "example.org:80:80", "user@example.org", "a,b", "[::1", "é"])
def test_where_the_host_is_in_doubt_nothing_is_stored(site: Site, host: str) -> None:
    assert told(site.call(host=host)) == "fwd=bypass; detail=host"
    assert site.call(host=host).body == b"2"


def test_two_hosts_are_none(storage: Storage) -> None:
    edge = ASGI()
    site = Site(edge, storage, MINUTE)
    assert is_stored(site.get())
    assert told(site.call(headers=[("host", "example.net")])) == "fwd=bypass; detail=host"
    edge.close()


FIELDS = ["x-http-method-override", "x-http-method", "x-method-override", "x-original-url", "x-rewrite-url"]


@pytest.mark.parametrize("field", FIELDS)
def test_who_makes_a_request_another_one_stores_nothing_and_gets_nothing_stored(site: Site, field: str) -> None:
    assert told(site.get(**{field: "/admin"})) == f"fwd=bypass; detail={field}"
    site.get()
    assert is_hit(site.get())
    assert not is_hit(site.get(**{field: "/admin"}))


@pytest.mark.parametrize("edge", EDGES, indirect=True)
def test_a_path_that_was_rewritten_outside_is_another_one(edge: Edge, storage: Storage) -> None:
    """Such as by a middleware outside that puts a language into the path, and knows of no `raw_path`."""

    def handler(seen: Seen) -> Any:
        return 200, [*MINUTE, ("content-type", "text/plain")], [seen.path.encode()]

    def get(language: str) -> bytes:
        inner = {"path": f"/{language}/menu", "raw_path": b"/menu"}
        if edge.name == "wsgi":
            wsgi = WSGIMiddleware(wsgi_app(handler), layers=[cache], storage=storage)
            changed = {"PATH_INFO": inner["path"], "RAW_URI": "/menu"}
            return wsgi_call(wsgi, environ(headers=[("host", "example.org")]) | changed).body
        asgi = ASGIMiddleware(asgi_app(handler), layers=[cache], storage=storage)
        runner = edge.runner  # type: ignore[attr-defined]
        body: bytes = runner.run(asgi_call(asgi, scope(headers=[("host", "example.org")]) | inner)).body
        runner.run(storage.aclose())
        return body

    cache = ResponseCache()
    assert [get(language) for language in ("de", "en")] == [b"/de/menu", b"/en/menu"]


# What was cut short


def test_a_body_that_breaks_off_is_not_stored(site: Site) -> None:
    def broken() -> Iterator[bytes]:
        yield b"half of "
        raise ZeroDivisionError

    def act(seen: Seen) -> Any:
        return (200, [*MINUTE, ("content-type", "text/plain")], broken()) if site.runs == 1 else None

    site.act = act
    with pytest.raises(ZeroDivisionError):
        site.get()
    assert site.get().body == b"2"


@pytest.mark.parametrize("size", [4, 6])
def test_a_body_of_another_length_than_was_announced_is_not_stored(site: Site, size: int) -> None:
    def act(seen: Seen) -> Any:
        return (200, [*MINUTE, ("content-type", "text/plain"), ("content-length", "5")], iter([b"x" * size]))

    site.act = act
    site.get()
    assert not is_hit(site.get())


def test_a_body_that_the_client_did_not_wait_for_is_not_stored(storage: Storage) -> None:
    runs = []

    def handler(seen: Seen) -> Any:
        runs.append(seen)
        return 200, [*MINUTE, ("content-type", "text/plain")], iter([b"one", b"two", b"three"])

    app = WSGIMiddleware(wsgi_app(handler), layers=[ResponseCache()], storage=storage)
    leaves = app(environ(headers=[("host", "example.org")]), lambda *head: lambda piece: None)
    assert next(iter(leaves)) == b"one"
    leaves.close()  # type: ignore[attr-defined]
    for _ in range(2):
        assert wsgi_call(app, environ(headers=[("host", "example.org")])).body == b"onetwothree"
    assert len(runs) >= 2


# The RFC to the letter


def test_conformance_lifts_all_of_that(edge: Edge, storage: Storage) -> None:
    site = Site(edge, storage, MINUTE, conformance=True)
    assert is_stored(site.get(cookie="a=1"))
    assert is_hit(site.get(cookie="a=2"))
    site.headers = [*MINUTE, ("set-cookie", "a=1")]
    site.get("/cookie")
    assert is_hit(site.get("/cookie"))
    site.headers = [*MINUTE, ("vary", "cookie")]
    site.get("/vary", cookie="a=1")
    assert is_hit(site.get("/vary", cookie="a=1"))
    assert not is_hit(site.get("/vary", cookie="a=2"))
    site.headers = [("cache-control", "must-revalidate, max-age=60")]
    site.get("/auth", authorization="Ada")
    assert is_hit(site.get("/auth", authorization="Bob"))
    site.status = 500
    site.get("/500")
    assert is_hit(site.get("/500"))


def test_conformance_does_not_lift_the_rfc(edge: Edge, storage: Storage) -> None:
    site = Site(edge, storage, MINUTE, conformance=True)
    assert told(site.get(authorization="Ada")) == "fwd=uri-miss; detail=authorization"
    site.headers = [("cache-control", "private, max-age=60")]
    assert told(site.get("/b")) == "fwd=uri-miss; detail=private"


# Whatever two users do

STYLES: dict[str, Lines] = {
    "silent": [],
    "fresh": [("cache-control", "max-age=60")],
    "tagged": [("cache-control", "max-age=60, stale-if-error=1000, stale-while-revalidate=1000")],
    "asks": [("cache-control", "no-cache")],
    "old": [("cache-control", "max-age=0")],
    "varies": [("cache-control", "max-age=60"), ("vary", "accept-language")],
    "modified": [("last-modified", "Fri, 15 Jan 2000 08:00:00 GMT")],
}

VISITS = st.lists(
    st.fixed_dictionaries(
        {
            "user": st.sampled_from(["Ada", "Bob"]),
            "by": st.sets(st.sampled_from(["cookie", "authorization", "session"])),
            "method": st.sampled_from(["GET", "GET", "GET", "HEAD", "POST"]),
            "path": st.sampled_from(["/", "/session", "/?style=varies"]),
            "style": st.sampled_from([*STYLES]),
            "tag": st.booleans(),
            "fails": st.sampled_from([False, False, False, True]),
            "wait": st.sampled_from([0, 0, 1, 61]),
            "extra": st.sampled_from([(), (("if-none-match", "*"),), (("range", "bytes=0-"),), (("cache-control", "no-cache"),)]),
        }
    ),
    min_size=2,
    max_size=8,
)


@pytest.mark.parametrize("made", EDGES)
@pytest.mark.parametrize("client_demand", ["ignore", "bypass"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(visits=VISITS)
def test_two_users_never_get_each_others_answers(made: Any, client_demand: Any, visits: list[dict[str, Any]]) -> None:
    clock = Clock()
    edge: Edge = made()
    site = Site(
        edge, MemoryStorage(clock=clock), inside=[Sessions(SECRET)], ttl=60, stale_if_error=600, client_demand=client_demand
    )
    site.act = lambda seen: session_of(seen).update(user=query(seen)) if seen.path == "/login" else None
    sessions = {user: site.get(f"/login?{user}").headers.get("set-cookie", "").partition(";")[0] for user in ("Ada", "Bob")}
    assert all(sessions.values())
    now: dict[str, Any] = {}

    def identity(seen: Seen) -> bytes:
        """Who the app takes it to be."""
        who = header(seen, "authorization") or ""
        for pair in (header(seen, "cookie") or "").split("; "):
            name, _, value = pair.partition("=")
            who = who or (value if name == "who" else "")
        if seen.path == "/session":
            who = who or session_of(seen).get("user", "")
        return (who or "nobody").encode()

    def act(seen: Seen) -> Any:
        who = identity(seen)
        tag = f'"{who.decode()}"'
        headers = [*STYLES[now["style"]], *([("etag", tag)] if now["tag"] else [])]
        if now["fails"]:
            return 500, [*headers, ("content-type", "text/plain")], [b""]
        asked = header(seen, "if-none-match")
        if asked is not None and (asked == "*" or tag in asked):
            return 304, headers, []
        return (
            200,
            [*headers, ("content-type", "text/plain"), ("content-length", str(len(who)))],
            [b"" if seen.method == "HEAD" else who],
        )

    site.act = act
    try:
        for visit in visits:
            now.update(visit)
            clock.move(visit["wait"])
            who, by = visit["user"], visit["by"]
            cookies = [f"who={who}"] * ("cookie" in by) + [sessions[who]] * ("session" in by)
            headers = [("cookie", "; ".join(cookies))] if cookies else []
            headers += [("authorization", who)] * ("authorization" in by)
            known = "cookie" in by or "authorization" in by or ("session" in by and visit["path"] == "/session")
            answer = site.call(visit["method"], visit["path"], [*headers, *visit["extra"]])
            expected = who.encode() if known else b"nobody"
            assert answer.body in (expected, b"")
            assert answer.headers.get("etag", '"rm-')[:4] in ('"rm-', f'"{expected.decode()}"'[:4])
            length = answer.headers.get("content-length")
            if visit["method"] == "HEAD" and answer.status == 200:
                assert length == str(len(expected))
            assert "set-cookie" not in answer.headers
    finally:
        edge.close()
        site.storage.close()


def test_a_flow_of_ours_is_no_way_around(edge: Edge, storage: Storage) -> None:
    """A purge of somebody else's origin forgets nothing here."""
    site = Site(edge, storage, MINUTE)
    site.get()
    run(site.cache.purge(url="http://example.net/"), storage)
    assert is_hit(site.get())
