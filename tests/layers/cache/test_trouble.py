"""The storage in trouble, and what is broken in it: the app answers, or 503 if that was wanted; nobody is stuck."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from redis_middleware import run
from redis_middleware.layers.cache.key import Url
from redis_middleware.layers.cache.purges import prefixes_key, tag_key
from redis_middleware.ops import Delete, Op, Script, Set, Table
from redis_middleware.storage import Storage

from ...conftest import Clock
from ...edges import Edge
from .site import Site, Watch, is_hit, is_stored, told
from .test_stampede import patience  # noqa: F401  # a fixture

MINUTE = [("cache-control", "max-age=60")]
KEY = Url("http", "example.org", "/", "").key


@dataclass(slots=True)
class Spoil(Script[None]):
    """Write into a field of an entry."""

    lua: ClassVar[str] = "redis.call('HSET', keys[1], args[1], args[2])"

    def apply(self, table: Table, now: int, /) -> None:
        table.set(self.keys[0], {**(table.get(self.keys[0]) or {}), str(self.args[0]): self.args[1]}, 60)


def do(op: Op[Any], storage: Storage) -> None:
    def flow() -> Any:
        yield from op

    run(flow(), storage)


@pytest.fixture
def watch(storage: Storage) -> Watch:
    return Watch(storage)


@pytest.fixture
def site(edge: Edge, watch: Watch) -> Site:
    return Site(edge, watch, [*MINUTE, ("cache-tag", "a")])


# Out of reach


@pytest.mark.parametrize("down", ["all", "Find", "Lead", "Get"])
def test_open_asks_the_app(site: Site, watch: Watch, down: str) -> None:
    watch.down = (down,)
    for place in range(2):
        answer = site.get()
        assert (answer.status, answer.body) == (200, str(place + 1).encode())
        assert told(answer) == "fwd=bypass; detail=storage"
        assert "cache-tag" not in answer.headers
    watch.down = ()
    assert is_stored(site.get())
    assert is_hit(site.get())


@pytest.mark.parametrize("down", ["all", "Find", "Lead", "Get"])
def test_closed_is_503(edge: Edge, watch: Watch, down: str) -> None:
    site = Site(edge, watch, MINUTE, on_error="closed")
    watch.down = (down,)
    answer = site.get()
    assert (answer.status, answer.headers.get("retry-after"), site.runs) == (503, "1", 0)
    watch.down = ()
    assert is_stored(site.get())


def test_what_is_stored_is_not_lost_by_it(site: Site, watch: Watch) -> None:
    site.get()
    watch.down = ("all",)
    assert site.get().body == b"2"
    watch.down = ()
    assert site.get().body == b"1"


def test_the_app_sees_the_query_as_always(edge: Edge, watch: Watch) -> None:
    site = Site(edge, watch, MINUTE, ignore=["utm_*"])
    watch.down = ("all",)
    site.get("/?utm_source=x&a=1")
    assert "utm" not in repr(site.seen[0].native.get("QUERY_STRING") or site.seen[0].native.get("query_string"))


@pytest.mark.parametrize("on_error", ["open", "closed"])
@pytest.mark.parametrize("size", [10, 100_000])
def test_what_cannot_be_stored_is_answered(
    edge: Edge, watch: Watch, on_error: Any, size: int, request: pytest.FixtureRequest
) -> None:
    slept = request.getfixturevalue("patience")
    site = Site(edge, watch, MINUTE, on_error=on_error)
    site.body = b"x" * size
    watch.down = ("Store",)
    assert (site.get().status, len(site.get().body)) == (200, size)
    watch.down = ()
    for _ in range(2):
        site.get()
    assert is_hit(site.get())
    assert sum(slept) < 11  # the leads of two requests that could not give them back


@pytest.mark.parametrize("size", [10, 100_000])
def test_what_cannot_be_stored_after_validation_is_answered(edge: Edge, watch: Watch, clock: Clock, size: int) -> None:
    site = Site(edge, watch, [*MINUTE, ("etag", '"one"')])
    site.body = b"x" * size
    site.get()
    clock.move(100)
    site.status = 304
    watch.down = ("Store",)
    answer = site.get()
    assert (answer.status, len(answer.body)) == (200, size)


def test_what_cannot_be_released_is_answered(site: Site, watch: Watch, clock: Clock) -> None:
    site.headers = [("cache-control", "no-store")]
    watch.down = ("Release",)
    assert site.get().body == b"1"
    assert site.get().body == b"2"
    clock.move(6)
    watch.down = ()
    site.headers = MINUTE
    site.get()
    assert is_stored(site.get())


def test_what_cannot_be_forgotten_is_answered(site: Site, watch: Watch, caplog: pytest.LogCaptureFixture) -> None:
    watch.down = ("Purge",)
    assert site.call("POST").status == 200
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == [
        "1 of 1 writes lost: switched off"
    ]


def test_an_app_that_raises_raises(site: Site, watch: Watch) -> None:
    def act(seen: Any) -> None:
        raise ZeroDivisionError

    site.act = act
    for down in ((), ("all",), ("Release",)):
        watch.down = down
        with pytest.raises(ZeroDivisionError):
            site.get(f"/{down}")


def test_stale_if_error_needs_the_body(edge: Edge, watch: Watch, clock: Clock) -> None:
    site = Site(edge, watch, MINUTE, stale_if_error=600)
    site.body = b"x" * 100_000
    site.get()
    clock.move(100)
    site.status = 500

    def act(seen: Any) -> None:
        watch.down = ("all",)

    site.act = act
    answer = site.get()
    assert (answer.status, len(answer.body)) in ((500, 100_000), (200, 100_000))


# Broken


@pytest.mark.parametrize("junk", [b"", b"junk", b"\x01\0\0\0\0", b"\x01\0\0\0\0\x90", b"\xff" * 1000])
def test_a_broken_entry_is_a_miss_and_one_line_in_the_log(
    site: Site, watch: Watch, junk: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    site.get()
    do(Spoil((KEY,), ("e", junk)), watch)
    assert is_stored(site.get())
    assert is_hit(site.get())
    assert [record.levelno for record in caplog.records if record.levelno >= logging.WARNING] == [logging.ERROR]


@pytest.mark.parametrize("breaks", [Set(KEY + ":", b"junk", 60), Set(KEY + ":", b"\x01" + b"x" * 90_000, 60), Delete(KEY + ":")])
def test_a_broken_body_is_a_miss(site: Site, watch: Watch, breaks: Op[Any]) -> None:
    site.body = b"x" * 100_000
    site.get()
    do(breaks, watch)
    answer = site.get()
    assert (len(answer.body), told(answer)) == (100_000, "fwd=miss; stored")
    assert is_hit(site.get())


@pytest.mark.parametrize("breaks", [Set(KEY + ":", b"junk", 60), Delete(KEY + ":")])
@pytest.mark.parametrize("conditional", [False, True])
def test_who_has_no_body_is_not_asked_about_it(
    site: Site, watch: Watch, clock: Clock, breaks: Op[Any], conditional: bool
) -> None:
    """As a 304 would be an answer that nobody can make anything of."""
    site.headers, site.body = [*MINUTE, ("etag", '"one"')], b"x" * 100_000
    site.get()
    do(breaks, watch)
    clock.move(100)
    answer = site.get(if_none_match='"other"') if conditional else site.get()
    assert (answer.status, len(answer.body)) == (200, 100_000)
    assert "stored" in told(answer)
    assert is_hit(site.get())


@pytest.mark.parametrize("key", [prefixes_key(), tag_key("a")])
@pytest.mark.parametrize("junk", [b"junk", b"1 2", b"x y http\n", b"\xff 1 \xff\n"])
def test_broken_marks_purge(site: Site, watch: Watch, key: str, junk: bytes) -> None:
    site.get()
    do(Set(key, junk, 60), watch)
    assert site.get().body == b"2"
    do(Delete(key), watch)
    assert is_hit(site.get())


def test_a_key_of_somebody_else_is_out_of_reach(site: Site, watch: Watch) -> None:
    do(Set(KEY, b"text", 60), watch)
    answer = site.get()
    assert (answer.status, told(answer)) == (200, "fwd=bypass; detail=storage")
