"""What clients try: to have a response stored for others that is theirs, to keep others waiting, to fill the storage."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from redis_middleware import ASGIMiddleware, ConfigurationError, ResponseCache, StorageError, WSGIMiddleware, run
from redis_middleware.layers.cache.purges import TAG_KEYS, tag_key
from redis_middleware.storage import Storage

from ...conftest import Clock
from ...edges import ASGI, WSGI, Edge, Seen, asgi_app, asgi_call, environ, scope, wsgi_app, wsgi_call
from .site import Site, Watch, header, is_hit, is_stored, told

MINUTE = [("cache-control", "max-age=60")]


@pytest.fixture
def site(edge: Edge, storage: Storage) -> Site:
    return Site(edge, storage, MINUTE, early_renewal=0)


def echo(seen: Seen, *names: str) -> bytes:
    return repr([header(seen, name) for name in names]).encode()


# Unkeyed input


@pytest.mark.parametrize("host", ["example.org:80", "example.org.", "EXAMPLE.org"])
def test_the_app_sees_the_host_of_the_key(site: Site, host: str) -> None:
    site.act = lambda seen: echo(seen, "host")
    assert site.call(host=host).body == b"['example.org']"
    answer = site.get()
    assert (answer.body, is_hit(answer)) == (b"['example.org']", True)


@pytest.mark.parametrize("name", ["x-forwarded-host", "x-forwarded-proto", "x-forwarded-prefix", "x-scheme", "forwarded"])
def test_what_proxies_say_of_the_url_makes_a_variant(site: Site, name: str) -> None:
    site.act = lambda seen: echo(seen, name)
    evil = 'proto=https;host="evil.example"'
    assert site.call(headers=[(name, evil)]).body == repr([evil]).encode()
    assert site.get().body == b"[None]"
    assert is_hit(site.call(headers=[(name, evil)]))
    site.purge(url="http://example.org/")
    assert not is_hit(site.call(headers=[(name, evil)]))


def test_for_whom_a_proxy_asks_makes_none(site: Site) -> None:
    site.call(headers=[("forwarded", "for=192.0.2.1;proto=https"), ("x-forwarded-for", "192.0.2.1")])
    assert is_hit(site.call(headers=[("forwarded", "For=192.0.2.2; Proto=https"), ("x-forwarded-for", "192.0.2.2")]))


def test_a_parameter_that_is_ignored_is_nowhere(storage: Storage) -> None:
    seen: list[Any] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.extend([environ["QUERY_STRING"], environ["RAW_URI"], environ["REQUEST_URI"]])
        start_response("200 OK", MINUTE)
        return [b""]

    wrapped = WSGIMiddleware(app, layers=[ResponseCache(ignore=["utm_*"])], storage=storage)
    asked = environ(path="/a?utm_x=evil&b=1", headers=[("host", "example.org")])
    wsgi_call(wrapped, asked | {"RAW_URI": "/a?utm_x=evil&b=1", "REQUEST_URI": "/a?utm_x=evil&b=1"})
    assert seen == ["b=1", "/a?b=1", "/a?b=1"]


def test_paths_that_are_no_utf_8_are_different(storage: Storage) -> None:
    """Where a server tells nothing but the decoded path."""
    wrapped = WSGIMiddleware(
        lambda environ, start: [start("200 OK", MINUTE), environ["PATH_INFO"].encode("latin-1")][1:],
        layers=[ResponseCache()],
        storage=storage,
    )
    asked = environ(headers=[("host", "example.org")])
    assert [wsgi_call(wrapped, asked | {"PATH_INFO": path}).body for path in ("/\xfe", "/\xff")] == [b"/\xfe", b"/\xff"]


def test_a_rewritten_path_is_purged_with_its_url(storage: Storage) -> None:
    cache = ResponseCache()
    wrapped = WSGIMiddleware(wsgi_app(lambda seen: (200, MINUTE, [seen.path.encode()])), layers=[cache], storage=storage)
    asked = environ(headers=[("host", "example.org")]) | {"PATH_INFO": "/de/menu", "RAW_URI": "/menu"}
    for _ in range(2):
        answer = wsgi_call(wrapped, dict(asked))
    assert is_hit(answer)
    run(cache.purge(url="http://example.org/menu"), storage)
    assert is_stored(wsgi_call(wrapped, dict(asked)))


def test_a_304_that_varies_by_more_ends_what_is_stored(site: Site, clock: Clock) -> None:
    site.headers.append(("etag", '"one"'))
    site.get(accept_language="en")
    clock.move(100)
    site.status = 304
    site.headers.append(("vary", "accept-language"))
    assert site.get(accept_language="en").body == b"1"
    site.status = 200
    assert site.get(accept_language="de").body == b"3"


# Bodies that nobody announced (RFC 9113 §8.1)


def test_a_get_with_a_body_that_no_field_tells_of_is_not_stored_asgi(storage: Storage) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = (await receive())["body"]
        await send({"type": "http.response.start", "status": 200, "headers": [(b"cache-control", b"max-age=60")]})
        await send({"type": "http.response.body", "body": b"you said " + body})

    edge = ASGI()
    wrapped = ASGIMiddleware(app, layers=[ResponseCache()], storage=storage)
    asked = {**scope(headers=[("host", "example.org")]), "http_version": "2"}
    answer = edge.runner.run(asgi_call(wrapped, asked, b"poison"))
    assert (answer.body, told(answer)) == (b"you said poison", "fwd=uri-miss; detail=body")
    answers = [edge.runner.run(asgi_call(wrapped, asked)) for _ in range(2)]
    assert [answer.body for answer in answers] == [b"you said ", b"you said "]
    assert is_stored(answers[1])
    edge.runner.run(storage.aclose())
    edge.close()


def test_a_get_with_a_body_that_no_field_tells_of_is_not_stored_wsgi(storage: Storage) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        stream = environ["wsgi.input"]
        body = stream.read(1) + stream.readline() + b"".join(stream.readlines()) + b"".join(stream)
        start_response("200 OK", MINUTE)
        return [b"you said ", body]

    wrapped = WSGIMiddleware(app, layers=[ResponseCache()], storage=storage)
    asked = environ(headers=[("host", "example.org")]) | {"SERVER_PROTOCOL": "HTTP/2"}
    answer = wsgi_call(wrapped, asked | {"wsgi.input": io.BytesIO(b"poi\nson\n")})
    assert (answer.body, told(answer)) == (b"you said poi\nson\n", "fwd=uri-miss; detail=body")
    answers = [wsgi_call(wrapped, asked | {"wsgi.input": io.BytesIO()}) for _ in range(2)]
    assert [answer.body for answer in answers] == [b"you said ", b"you said "]


# Who it is, said in other ways


@pytest.mark.parametrize("name", ["x-api-key", "x-forwarded-user", "proxy-authorization"])
def test_fields_by_which_one_says_who_one_is(site: Site, name: str) -> None:
    assert told(site.call(headers=[(name, "ada")])) == "fwd=uri-miss; detail=credentials"
    assert is_stored(site.get())
    assert not is_hit(site.call(headers=[(name, "bob")]))


@pytest.mark.parametrize(
    "found",
    [
        {"REMOTE_USER": "ada"},
        {"SSL_CLIENT_S_DN": "CN=ada"},
        {"user": type("User", (), {"is_authenticated": True})()},
        {"extensions": {"tls": {"client_cert_name": "CN=ada"}}},
    ],
    ids=lambda found: next(iter(found)),
)
def test_whom_the_server_or_a_middleware_outside_has_let_in(storage: Storage, found: dict[str, Any]) -> None:
    edge = ASGI()
    wrapped = ASGIMiddleware(asgi_app(lambda seen: (200, MINUTE, [b"mine"])), layers=[ResponseCache()], storage=storage)
    asked = scope(headers=[("host", "example.org")])
    assert told(edge.runner.run(asgi_call(wrapped, asked | found))) == "fwd=uri-miss; detail=credentials"
    assert is_stored(edge.runner.run(asgi_call(wrapped, asked)))
    assert not is_hit(edge.runner.run(asgi_call(wrapped, asked | found)))
    edge.runner.run(storage.aclose())
    edge.close()


def test_caches_of_different_namespaces_share_nothing(edge: Edge, storage: Storage, clock: Clock) -> None:
    shop, blog = (Site(edge, storage, [*MINUTE, ("cache-tag", "a")], namespace=name) for name in ("shop", "blog"))
    assert is_stored(shop.get())
    assert is_stored(blog.get())
    clock.move(1)
    for what in ({"tags": ["a"]}, {"url": "http://example.org/"}, {"prefix": "http://example.org/"}):
        blog.purge(**what)
        assert is_hit(shop.get())
        assert is_stored(blog.get())
        clock.move(1)


# Keeping others waiting


def test_who_reads_slowly_keeps_nobody_waiting_for_longer_than_a_lease(storage: Storage, clock: Clock) -> None:
    """Here somebody who has taken the first piece, and no more."""

    def pieces() -> Iterator[bytes]:
        yield b"half"
        yield b"half"

    runs: list[int] = []

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        runs.append(1)
        start_response("200 OK", MINUTE)
        return pieces()

    wrapped = WSGIMiddleware(app, layers=[ResponseCache(lease=2)], storage=storage)
    asked = environ(headers=[("host", "example.org")])
    slow = wrapped(dict(asked), lambda status, headers, exc_info=None: lambda piece: None)
    assert next(iter(slow)) == b"half"
    for _ in range(4):  # the heart has nothing to send for it
        assert not wrapped.heart._pulses.due()
        clock.move(1)
    assert is_stored(wsgi_call(wrapped, dict(asked)))
    assert is_hit(wsgi_call(wrapped, dict(asked)))
    assert b"".join(slow) == b"half"
    slow.close()  # type: ignore[attr-defined]
    assert is_hit(wsgi_call(wrapped, dict(asked)))
    assert len(runs) == 2


def test_a_websocket_is_no_page(site: Site) -> None:
    for _ in range(2):
        assert told(site.call(headers=[("upgrade", "websocket"), ("connection", "upgrade")])) == "fwd=bypass; detail=upgrade"
    assert site.runs == 2


@pytest.mark.parametrize("control", ["max-age=0", "max-age=0, must-revalidate", "no-cache"])
def test_what_can_answer_nobody_is_not_stored(site: Site, control: str) -> None:
    site.headers = [("cache-control", control)]
    assert told(site.get()) == "fwd=uri-miss; detail=freshness"


@pytest.mark.parametrize("control", ["max-age=0", "no-cache"])
def test_nobody_waits_for_what_each_has_to_ask_about(storage: Storage, control: str) -> None:
    both = threading.Barrier(2, timeout=10)
    told_first = threading.Event()

    def app(environ: Any, start_response: Any) -> list[bytes]:
        if told_first.is_set():
            both.wait()  # until both are in the app
        start_response("200 OK", [("cache-control", control), ("etag", '"one"')])
        return [b"page"]

    wrapped = WSGIMiddleware(app, layers=[ResponseCache()], storage=storage)

    def get(number: int) -> bytes:
        return wsgi_call(wrapped, environ(headers=[("host", "example.org")])).body

    get(0)
    told_first.set()
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(get, range(2))) == [b"page", b"page"]


def test_if_the_leader_fails_another_one_leads(storage: Storage) -> None:
    running, most, runs, lock = [0], [0], [0], threading.Lock()

    def app(environ: Any, start_response: Any) -> list[bytes]:
        with lock:
            runs[0] += 1
            running[0] += 1
            most[0] = max(most[0], running[0])
            first = runs[0] == 1
        try:
            if first:
                while watch.asked.count("Find") < 12:
                    threading.Event().wait(0.001)
                raise ZeroDivisionError
            start_response("200 OK", MINUTE)
            return [b"page"]
        finally:
            running[0] -= 1

    watch = Watch(storage)
    wrapped = WSGIMiddleware(app, layers=[ResponseCache()], storage=watch)

    def get(number: int) -> bytes:
        try:
            return wsgi_call(wrapped, environ(headers=[("host", "example.org")])).body
        except ZeroDivisionError:
            return b"failed"

    with ThreadPoolExecutor(10) as pool:
        assert sorted(pool.map(get, range(10))) == [b"failed", *[b"page"] * 9]
    assert (runs[0], most[0]) == (2, 1)


def test_two_caches_one_in_the_other_do_not_wait_for_each_other(edge: Edge, storage: Storage) -> None:
    site = Site(edge, storage, MINUTE, inside=[ResponseCache()])
    inner, outer = site.get().headers.getall("cache-status")
    assert ("detail=" in inner, outer) == (True, "redis_middleware; fwd=uri-miss; stored")
    site.get()
    assert site.runs == 1


def test_a_file_that_is_not_stored_leaves_nothing_behind(storage: Storage) -> None:
    class Wrapper:
        def __init__(self, file: Any, size: int = 8192) -> None:
            self._file = file

        def __iter__(self) -> Iterator[bytes]:
            return iter(lambda: self._file.read(8192), b"")

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("cache-control", "no-store")])
        return environ["wsgi.file_wrapper"](io.BytesIO(b"file"))

    wrapped = WSGIMiddleware(app, layers=[ResponseCache()], storage=storage)
    asked = environ(headers=[("host", "example.org")]) | {"wsgi.file_wrapper": Wrapper}
    answer = wrapped(asked, lambda status, headers, exc_info=None: lambda piece: None)
    assert (type(answer), b"".join(answer)) == (Wrapper, b"file")
    assert not wrapped.heart._pulses


# Purges


def test_a_soft_purge_of_a_url_is_of_that_one_alone(site: Site, clock: Clock) -> None:
    for path in ("/", "/menu", "/menu2", "/menu?a"):
        site.get(path)
    clock.move(1)
    site.purge(url="http://example.org/menu", soft=True)
    site.purge(url="http://example.org/", soft=True)
    assert [is_hit(site.get(path)) for path in ("/", "/menu", "/menu2", "/menu?a")] == [False, False, True, True]


def test_a_response_from_the_future_is_not_used(site: Site, clock: Clock) -> None:
    """The clock went back: nobody can tell what was purged since."""
    site.get()
    clock.move(-10)
    assert not is_hit(site.get())


def test_marks_of_tags_have_a_bound() -> None:
    keys = {tag_key(f"product-{number}") for number in range(100_000)}
    assert TAG_KEYS * 0.99 < len(keys) <= TAG_KEYS


@pytest.mark.parametrize(
    "what", [{"tags": ["a,b"]}, {"tags": [" a"]}, {"tags": [""]}, {"url": "http://example.org/é"}, {"url": "http://x/a b"}]
)
def test_what_no_response_can_have_is_not_purged(what: Any, storage: Storage) -> None:
    with pytest.raises(ValueError, match="expected"):
        run(ResponseCache().purge(**what), storage)


# Options


@pytest.mark.parametrize(
    "options",
    [
        {"private_headers": ["Authorization "]},
        {"private_headers": [""]},
        {"private_headers": None},
        {"private_headers": "cookie"},
        {"conformance": "false"},
        {"ttl": True},
        {"ttl": "60"},
        {"ttl": float("nan")},
        {"max_body_bytes": 1.5},
        {"max_body_bytes": True},
        {"max_variants": 10**9},
        {"routes": {1: 5}},
        {"routes": {"menu": 5}},
        {"routes": {"/menu": 0}},
        {"ignore": [1]},
        {"ignore": "utm_*"},
        {"ignore": None},
        {"tags_header": "cache-control"},
        {"tags_header": ""},
        {"tags_header": None},
        {"wait": None},
        {"lease": "2"},
        {"sort": "no"},
        {"namespace": 1},
    ],
    ids=repr,
)
def test_an_option_that_cannot_be_meant(options: Any) -> None:
    with pytest.raises(ConfigurationError):
        ResponseCache(**options)


def test_a_storage_without_room_is_no_error(edge: Edge, storage: Storage) -> None:
    class Full(Watch):
        def _check(self, ops: Any) -> None:
            super()._check(ops)
            if any(type(op).__name__ == "Store" for op in ops):
                raise StorageError("OOM")

    site = Site(edge, Full(storage), MINUTE)
    assert [site.get().status for _ in range(3)] == [200] * 3
    assert WSGI.name == "wsgi"
