"""Flows outside a request, and what bodies become."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Sequence
from typing import Any

import pytest

from redis_middleware import MemoryStorage, StorageError, StorageUnavailable, arun, body, proceed, run
from redis_middleware.collector import Collector
from redis_middleware.flow import sleep
from redis_middleware.http import Headers
from redis_middleware.ops import Get, Op, Set, gather
from redis_middleware.storage import Storage


def copy(source: str, target: str) -> Generator[Any, Any, int]:
    value = yield from Get(source)
    yield from sleep(0)
    yield from Set(target, value or b"", ttl=10)
    a, b = yield from gather(Get(source), Get(target))
    assert a == b
    return len(a or b"")


def test_an_action_runs_in_a_thread_and_in_an_event_loop(storage: Storage, loop: asyncio.Runner) -> None:
    run(Set("a", b"value", ttl=10).__iter__(), storage)
    assert run(copy("a", "b"), storage) == 5
    assert loop.run(arun(copy("a", "c"), storage)) == 5
    assert run(iter(Get("c")), storage) == b"value"
    loop.run(storage.aclose())


class Broken(Storage):
    def __init__(self, error: Exception) -> None:
        self.error = error

    def execute(self, ops: Sequence[Op[Any]], /) -> list[Any]:
        raise self.error


def test_a_storage_out_of_reach_is_raised_to_the_caller(loop: asyncio.Runner) -> None:
    with pytest.raises(StorageUnavailable, match="gone"):
        run(copy("a", "b"), Broken(StorageUnavailable("gone")))
    with pytest.raises(StorageUnavailable, match="gone"):
        loop.run(arun(copy("a", "b"), Broken(StorageUnavailable("gone"))))


def test_whatever_a_storage_raises_becomes_a_storage_error(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(StorageError, match="ZeroDivisionError: oops"):
        run(copy("a", "b"), Broken(ZeroDivisionError("oops")))
    assert "instead of a StorageError" in caplog.text


@pytest.mark.parametrize("effect", [proceed, lambda: body(1)])
def test_an_action_has_no_request_to_proceed_with(effect: Any) -> None:
    with pytest.raises(RuntimeError, match="outside"):
        run(effect(), MemoryStorage())


def test_nothing_gathered_is_nothing_asked() -> None:
    assert run(gather(), MemoryStorage()) == ()


@pytest.mark.parametrize(
    ("announced", "pieces", "whole"),
    [
        (None, [b"ab", b"cd"], b"abcd"),
        ("4", [b"ab", b"cd"], b"abcd"),
        ("4", [b"ab", b"c"], None),  # cut short
        ("4", [b"ab", b"cde"], None),  # more than announced
        (None, [b"ab", b"cdefghijk"], None),  # longer than the limit of 10
        (None, [], b""),
        ("0", [], b""),
        ("4, 4", [b"abcd"], b"abcd"),  # no number, so nothing is announced
    ],
)
def test_a_body_is_whole_or_none(announced: str | None, pieces: list[bytes], whole: bytes | None) -> None:
    collector = Collector(10, Headers([("Content-Length", announced)] if announced else []))
    for piece in pieces:
        collector.feed(piece)
    assert collector.whole() == whole


def test_the_last_announced_byte_is_the_end() -> None:
    collector = Collector(10, Headers([("content-length", "4")]))
    assert not collector.feed(b"ab")
    assert collector.feed(b"cd")


def test_the_answer_to_head_has_an_empty_body_whatever_it_announces() -> None:
    assert Collector(10, Headers([("content-length", "4")]), empty=True).whole() == b""
