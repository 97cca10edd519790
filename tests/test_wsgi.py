"""What only WSGI has: start_response in all its forms, write(), iterables with close(), files."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Iterator
from typing import Any
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import pytest

from redis_middleware import MemoryStorage, Response, StorageUnavailable, WSGIMiddleware
from redis_middleware.ops import Get

from .edges import Answer, environ, wsgi_call
from .toys import Gate, Keeper, Lock, Reader, Rescue, Writer

HEAD = [("Content-Type", "text/plain")]


def wrap(app: Any, *layers: Any, checked: bool = True) -> Any:
    storage = MemoryStorage()
    if checked:
        return validator(WSGIMiddleware(validator(app), layers=layers, storage=storage))
    return WSGIMiddleware(app, layers=layers, storage=storage)


def call(app: Any, method: str = "GET") -> Answer:
    return wsgi_call(app, environ(method))


class Pieces:
    """An app's iterable that notes whether it was closed."""

    def __init__(self, *pieces: bytes | Exception) -> None:
        self.pieces = iter(pieces)
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        piece = next(self.pieces)
        if isinstance(piece, Exception):
            raise piece
        return piece

    def close(self) -> None:
        self.closed += 1


def test_start_response_may_be_called_by_a_generator() -> None:
    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 Fine", HEAD)
        yield b"a"
        yield b"b"

    answer = call(wrap(app, Reader("a"), Writer()))
    assert (answer.status, answer.body, answer.headers.get("x-a")) == (200, b"ab", "none")


def test_the_apps_own_phrase_is_kept() -> None:
    heads = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 Really Fine", HEAD)
        return [b""]

    iterable = wrap(app, Reader("a"))(environ(), lambda status, headers, exc_info=None: heads.append(status))
    list(iterable)
    iterable.close()
    assert heads == ["200 Really Fine"]


def test_start_response_may_be_called_again_while_the_head_has_not_gone() -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", HEAD)
        try:
            raise ZeroDivisionError
        except ZeroDivisionError:
            start_response("500 Oops", HEAD, sys.exc_info())
        return [b"sorry"]

    answer = call(wrap(app, Reader("a")))
    assert (answer.status, answer.body, answer.headers.get("x-a")) == (500, b"sorry", "none")


def test_a_generator_that_fails_before_its_first_piece_may_still_change_the_head() -> None:
    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", HEAD)
        try:
            raise ZeroDivisionError
        except ZeroDivisionError:
            start_response("500 Oops", HEAD, sys.exc_info())
        yield b"sorry"

    assert call(wrap(app, Keeper())).status == 500


def test_an_empty_first_piece_does_not_settle_the_head() -> None:
    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", HEAD)
        yield b""
        try:
            raise ZeroDivisionError
        except ZeroDivisionError:
            start_response("500 Oops", HEAD, sys.exc_info())
        yield b"sorry"

    answer = call(wrap(app, Reader("a"), Keeper()))
    assert (answer.status, answer.body, answer.headers.get("x-a")) == (500, b"sorry", "none")


def test_a_head_that_the_server_refuses_ends_the_body_of_those_who_wait() -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", HEAD)
        return [b"a"]

    def refuse(*head: Any) -> Any:
        raise OSError("gone")

    keeper = Keeper()
    with pytest.raises(OSError, match="gone"):
        wrap(app, keeper, checked=False)(environ(), refuse)
    assert keeper.bodies == [None]


def test_start_response_with_exc_info_after_the_head_raises_the_error() -> None:
    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", HEAD)
        yield b"a"
        try:
            raise ZeroDivisionError
        except ZeroDivisionError:
            start_response("500 Oops", HEAD, sys.exc_info())
        yield b"never"

    keeper = Keeper()
    with pytest.raises(ZeroDivisionError):
        call(wrap(app, keeper))
    assert keeper.bodies == [None]


def test_start_response_twice_without_exc_info_is_the_apps_bug() -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", HEAD)
        start_response("200 OK", HEAD)
        return []

    with pytest.raises(AssertionError, match="again"):
        call(wrap(app, Reader("a"), checked=False))


def test_an_app_that_never_calls_start_response_is_told_so() -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        return [b"a"]

    with pytest.raises(RuntimeError, match="start_response"):
        call(wrap(app, Reader("a"), checked=False))


@pytest.mark.parametrize("rest", [[], [b"c"], [b"c", b"d"]])
def test_write_sends_at_once_and_counts_as_body(rest: list[bytes]) -> None:
    sent: list[bytes] = []
    seen_after_first_write: list[bytes] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        write = start_response("200 OK", HEAD)
        write(b"a")
        seen_after_first_write.extend(sent)
        write(b"b")
        return rest

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        return sent.append

    keeper = Keeper()
    iterable = wrap(app, keeper)(environ(), start_response)
    sent.extend(iterable)
    iterable.close()
    assert seen_after_first_write == [b"a"]
    assert b"".join(sent) == b"ab" + b"".join(rest)
    assert keeper.bodies == [b"ab" + b"".join(rest)]


def test_an_app_that_fails_after_it_wrote_is_the_servers_to_end() -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", HEAD)(b"a")
        raise ZeroDivisionError

    keeper = Keeper()
    with pytest.raises(ZeroDivisionError):
        call(wrap(app, Rescue(), keeper))
    assert keeper.bodies == [None]


@pytest.mark.parametrize("layer", [Reader("a"), Keeper(), Rescue()])
def test_the_apps_iterable_is_closed_once_however_it_ends(layer: Any) -> None:
    for pieces, taken in ((Pieces(b"a", b"b"), 9), (Pieces(b"a", b"b"), 1), (Pieces(b"a", b"b"), 0), (Pieces(), 9)):

        def app(environ: Any, start_response: Any, pieces: Pieces = pieces) -> Pieces:
            start_response("200 OK", HEAD)
            return pieces

        iterable = wrap(app, layer, checked=False)(environ(), lambda *head: None)
        for _, _ in zip(range(taken), iterable, strict=False):
            pass
        iterable.close()
        assert pieces.closed == 1


def test_an_iterable_that_fails_is_closed_and_the_layers_are_told() -> None:
    pieces, lock = Pieces(ZeroDivisionError()), Lock()

    def app(environ: Any, start_response: Any) -> Pieces:
        start_response("200 OK", HEAD)
        return pieces

    answer = call(wrap(app, Rescue(), lock))
    assert answer.body == b"rescued"
    assert (pieces.closed, lock.released) == (1, 1)


def test_a_client_that_leaves_cuts_the_body_short() -> None:
    pieces, keeper = Pieces(b"a", b"b"), Keeper()

    def app(environ: Any, start_response: Any) -> Pieces:
        start_response("200 OK", HEAD)
        return pieces

    iterable: Any = iter(wrap(app, keeper)(environ(), lambda *head: None))
    assert next(iterable) == b"a"
    iterable.close()
    assert keeper.bodies == [None]
    assert pieces.closed == 1


def test_a_stream_leaves_piece_by_piece() -> None:
    produced = []

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", HEAD)
        for number in range(3):
            produced.append(number)
            yield str(number).encode()

    iterable: Any = iter(wrap(app, Keeper(), Reader("a"))(environ(), lambda *head: None))
    assert produced == [0], "the head waits for the first piece, as PEP 3333 lets it, and for no more"
    assert next(iterable) == b"0"
    assert produced == [0]
    assert next(iterable) == b"1"
    assert produced == [0, 1]
    list(iterable)
    iterable.close()


def test_a_file_reaches_the_server_as_the_wrapper_that_it_is() -> None:
    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [*HEAD, ("Content-Length", "5")])
        return environ["wsgi.file_wrapper"](io.BytesIO(b"hello"))  # type: ignore[no-any-return]

    given = environ() | {"wsgi.file_wrapper": FileWrapper}
    assert type(wrap(app, Reader("a"), checked=False)(given, lambda *head: None)) is FileWrapper
    keeper = Keeper()
    assert wsgi_call(wrap(app, keeper, checked=False), environ() | {"wsgi.file_wrapper": FileWrapper}).body == b"hello"
    assert keeper.bodies == [b"hello"]


def test_a_storage_that_fails_is_no_500() -> None:
    class Lost(MemoryStorage):
        def execute(self, ops: Any, /) -> list[Any]:
            raise StorageUnavailable("gone")

    app = WSGIMiddleware(lambda e, s: [], layers=[Reader("a")], storage=Lost())
    answer = call(app)
    assert (answer.status, answer.headers.get("retry-after")) == (503, "1")


def test_a_head_request_strips_what_a_layer_answers() -> None:
    app = wrap(None, Gate(lambda: Response(200, HEAD, b"body")), checked=False)
    answer = call(app, "HEAD")
    assert (answer.body, answer.headers.get("content-length")) == (b"", "4")


def test_nothing_is_kept_of_an_endless_stream() -> None:
    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", HEAD)
        while True:
            yield b"x" * 1000

    keeper = Keeper(limit=10_000)
    middleware = WSGIMiddleware(app, layers=[keeper], storage=MemoryStorage())
    iterable: Any = middleware(environ(), lambda *head: list)
    for _ in range(1000):
        next(iterable)
    assert sum(map(len, iterable._collector._pieces)) <= 10_000
    iterable.close()
    assert keeper.bodies == [None]
    assert middleware.storage.execute([Get("kept:/")]) == [None]
