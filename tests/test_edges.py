"""Each scenario once, over both edges and both storages, with a checker on each side of the edge."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import redis_middleware
from redis_middleware import Health, RateLimit, Response, proceed, run
from redis_middleware.ops import Get, Set
from redis_middleware.storage import Storage

from .edges import ASGI, WSGI, Edge, Seen, hello
from .toys import Gate, Keeper, Lock, Reader, Rescue, Writer


def test_an_app_is_passed_through_as_it_is(edge: Edge, storage: Storage) -> None:
    def teapot(seen: Seen) -> Any:
        return 418, [("content-type", "text/plain"), ("set-cookie", "a=1"), ("set-cookie", "b=2")], [b"short ", b"stout"]

    answer = edge.wrap(teapot, [Health()], storage)("POST", "/pot")
    assert answer.status == 418
    assert answer.headers.getall("set-cookie") == ["a=1", "b=2"]
    assert answer.body == b"short stout"


def test_a_layer_reads_before_and_writes_after_the_app(edge: Edge, storage: Storage) -> None:
    storage.execute([Set("a", b"stored", ttl=60)])
    answer = edge.wrap(hello, [Reader("a"), Writer()], storage)()
    assert answer.headers.get("x-a") == "stored"
    assert storage.execute([Get("written")]) == [b"yes"]


def test_a_body_is_kept_before_the_client_has_it_all(edge: Edge, storage: Storage) -> None:
    seen_by_client: list[Any] = []

    def two_pieces(seen: Seen) -> Any:
        return 200, [("content-type", "text/plain"), ("content-length", "4")], iter([b"ab", b"cd"])

    call = edge.wrap(two_pieces, [Keeper()], storage)
    first = call()
    seen_by_client.append(storage.execute([Get("kept:/")]))
    second = call()
    assert first.body == second.body == b"abcd"
    assert second.headers.get("x-kept") == "yes"
    assert second.headers.get("content-length") == "4"
    assert seen_by_client == [[b"abcd"]]


def test_a_stream_without_a_length_is_kept_at_its_end(edge: Edge, storage: Storage) -> None:
    def stream(seen: Seen) -> Any:
        return 200, [("content-type", "text/plain")], iter([b"a", b"", b"b", b"c"])

    keeper = Keeper()
    answer = edge.wrap(stream, [keeper], storage)()
    assert answer.body == b"abc"
    assert keeper.bodies == [b"abc"]
    assert storage.execute([Get("kept:/")]) == [b"abc"]


def test_a_body_longer_than_the_limit_passes_and_is_not_kept(edge: Edge, storage: Storage) -> None:
    def long(seen: Seen) -> Any:
        return 200, [("content-type", "text/plain")], (b"x" * 100 for _ in range(100))

    keeper = Keeper(limit=9_999)
    answer = edge.wrap(long, [keeper], storage)()
    assert len(answer.body) == 10_000
    assert keeper.bodies == [None]


@pytest.mark.parametrize("length", ["3", "5"])
def test_a_body_of_another_length_than_announced_is_not_kept(edge: Edge, storage: Storage, length: str) -> None:
    def wrong(seen: Seen) -> Any:
        return 200, [("content-type", "text/plain"), ("content-length", length)], iter([b"ab", b"cd"])

    keeper = Keeper()
    edge.wrap(wrong, [keeper], storage)()
    assert keeper.bodies == [None]


def test_a_body_cut_short_by_an_error_is_none_and_the_error_is_the_servers(edge: Edge, storage: Storage) -> None:
    def breaks(seen: Seen) -> Any:
        def pieces() -> Iterator[bytes]:
            yield b"ab"
            raise ZeroDivisionError

        return 200, [("content-type", "text/plain")], pieces()

    keeper = Keeper()
    with pytest.raises(ZeroDivisionError):
        edge.wrap(breaks, [keeper], storage)()
    assert keeper.bodies == [None]


def raises(seen: Seen) -> Any:
    raise ZeroDivisionError


def test_an_apps_error_is_pumped_through_the_layers_to_the_server(edge: Edge, storage: Storage) -> None:
    lock = Lock()
    with pytest.raises(ZeroDivisionError):
        edge.wrap(raises, [lock, lock], storage)()
    assert lock.released == 2
    assert storage.execute([Get("lock")]) == [None]


def test_a_layer_may_answer_for_an_app_that_raised(edge: Edge, storage: Storage) -> None:
    answer = edge.wrap(raises, [Rescue(), Lock()], storage)()
    assert (answer.status, answer.body, answer.headers.get("x-rescued")) == (500, b"rescued", "yes")
    assert answer.headers.get("content-length") == "7"


def test_an_early_answer_has_one_right_length(edge: Edge, storage: Storage) -> None:
    call = edge.wrap(raises, [Gate(lambda: Response(200, [("content-type", "text/plain")], b"early"))], storage)
    answer = call()
    assert answer.headers.getall("content-length") == ["5"]
    assert answer.body == b"early"
    head = call("HEAD")
    assert head.headers.getall("content-length") == ["5"]
    assert head.body == b""


@pytest.mark.parametrize("status", [204, 304])
def test_an_early_answer_without_a_body(edge: Edge, storage: Storage, status: int) -> None:
    answer = edge.wrap(raises, [Gate(lambda: Response(status, [], b"never sent"))], storage)()
    assert answer.status == status
    assert answer.body == b""
    assert "content-length" not in answer.headers


def test_a_layer_that_replaces_the_response_closes_the_apps(edge: Edge, storage: Storage) -> None:
    class Replace:
        eager, kinds = True, frozenset({"http"})

        def __call__(self, request: Any) -> Any:
            yield from proceed()
            return Response(200, [("content-type", "text/plain")], b"mine")

    keeper = Keeper()
    answer = edge.wrap(hello, [Replace(), keeper], storage)()
    assert (answer.body, answer.headers.getall("content-length")) == (b"mine", ["4"])
    assert keeper.bodies == [None], "what the inner layer waited for was never sent"


def test_the_answer_to_head_keeps_its_length(edge: Edge, storage: Storage) -> None:
    answer = edge.wrap(hello, [Keeper()], storage)("HEAD")
    assert answer.headers.getall("content-length") == ["5"]
    assert answer.body == b""


def test_installed_twice_it_acts_once(edge: Edge, storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = RateLimit("10/hour")
    monkeypatch.setattr("tests.edges.WSGIMiddleware", twice("WSGIMiddleware"))
    monkeypatch.setattr("tests.edges.ASGIMiddleware", twice("ASGIMiddleware"))
    answer = edge.wrap(hello, [limit], storage)()
    assert answer.headers.getall("ratelimit") == ['"hour";r=9;t=3600']


def twice(name: str) -> Any:
    middleware = getattr(redis_middleware, name)

    def install(app: Any, **options: Any) -> Any:
        return middleware(middleware(app, **options), **options)

    return install


def test_two_different_middlewares_both_act(edge: Edge, storage: Storage) -> None:
    inner = edge.wrap(hello, [Reader("a")], storage)
    assert inner().headers.get("x-a") == "none"
    outer = edge.wrap(hello, [Reader("a"), Reader("b")], storage)()
    assert (outer.headers.get("x-a"), outer.headers.get("x-b")) == ("none", "none")


def test_a_path_is_what_the_client_meant(edge: Edge, storage: Storage) -> None:
    paths = []

    class Notes:
        eager, kinds = True, frozenset({"http"})

        def __call__(self, request: Any) -> Any:
            paths.append((request.path, request.query, request.peer, request.method, request.headers.get("X-Test")))
            return None
            yield ()

    path = "/käse" if edge.name == "asgi" else "/käse".encode().decode("latin-1")
    edge.wrap(hello, [Notes()], storage)("GET", f"{path}?a=1&b=%20", [("x-test", "yes")], "198.51.100.7")
    assert paths == [("/käse", "a=1&b=%20", "198.51.100.7", "GET", "yes")]


def test_one_list_of_layers_and_one_storage_serve_both_edges(storage: Storage) -> None:
    layers = [Health(), RateLimit("3/hour")]
    asgi, wsgi = ASGI(), WSGI()
    over_asgi, over_wsgi = asgi.wrap(hello, layers, storage), wsgi.wrap(hello, layers, storage)
    statuses = [call().status for call in (over_asgi, over_wsgi, over_asgi, over_wsgi, over_asgi)]
    assert statuses == [200, 200, 200, 429, 429]
    assert over_wsgi(path="/api/redis/health").status == over_asgi(path="/api/redis/health").status == 200
    asgi.close()


def test_actions_from_outside_see_what_requests_stored(edge: Edge, storage: Storage) -> None:
    edge.wrap(hello, [Writer()], storage)()
    assert run(iter(Get("written")), storage) == b"yes"
