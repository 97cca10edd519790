"""What each layer counts of what it does, on all workers together."""

from __future__ import annotations

from typing import Any

import pytest

from redis_middleware import Limit, RateLimit, ResponseCache, Sessions, StorageUnavailable, run
from redis_middleware.counting import TOTALS, ReadTotals
from redis_middleware.flow import Layer
from redis_middleware.storage import Storage

from .edges import Edge, Seen, hello

SECRET = "a secret of more than thirty-two bytes, for tests"


def totals(edge: Edge, storage: Storage, begin: str) -> dict[str, int]:
    edge.flush()
    [found] = storage.execute([ReadTotals((TOTALS,))])
    return {name: number for name, number in found.items() if name.startswith(begin)}


def test_what_was_allowed_and_which_policy_denied(edge: Edge, storage: Storage) -> None:
    limit = RateLimit("2/hour", Limit("1/day", shadow=True, name="soon"))
    call = edge.wrap(hello, [limit], storage)
    for _ in range(4):
        call()
    assert totals(edge, storage, "limit") == {
        "limit allowed": 2,
        "limit denied": 2,
        "limit denied:hour": 2,
        "limit shadow:soon": 1 + 2,
    }


def test_policies_of_several_scripts(edge: Edge, storage: Storage) -> None:
    limit = RateLimit(Limit("1/hour", key=lambda request: "all"), "5/day", atomic=False)
    call = edge.wrap(hello, [limit], storage)
    for _ in range(2):
        call()
    assert totals(edge, storage, "limit d") == {"limit denied": 1, "limit denied:hour": 1}


def test_what_became_of_sessions(edge: Edge, storage: Storage) -> None:
    def handler(seen: Seen) -> Any:
        session = seen.native.get("redis_middleware.session", seen.native.get("session"))
        if seen.path == "/in":
            session["user"] = "ada"
        elif seen.path == "/rotate":
            session.rotate()
        elif seen.path == "/out":
            session.clear()
        return hello(seen)

    call = edge.wrap(handler, [Sessions(SECRET, secure=False)], storage)
    cookie = ""
    for path in ("/", "/in", "/", "/rotate", "/", "/out", "/"):
        answer = call(path=path, headers=[("cookie", cookie)] if cookie else [])
        cookie = (answer.headers.get("set-cookie") or cookie).partition(";")[0]
    assert totals(edge, storage, "session") == {
        "session created": 1,
        "session loaded": 4,
        "session rotated": 1,
        "session ended": 1,
    }


def test_sessions_that_were_revoked_and_what_came_too_late(edge: Edge, storage: Storage) -> None:
    sessions = Sessions(SECRET, secure=False)

    def handler(seen: Seen) -> Any:
        session = seen.native.get("redis_middleware.session", seen.native.get("session"))
        session["n"] = seen.path
        if seen.path == "/ends" and edge.name == "wsgi":
            assert run(sessions.revoke(id=session.id), storage) == 1
        return hello(seen)

    call = edge.wrap(handler, [sessions], storage)
    cookie = (call().headers.get("set-cookie") or "").partition(";")[0]
    call(path="/ends", headers=[("cookie", cookie)])
    expected = {"session created": 1, "session loaded": 1}
    if edge.name == "wsgi":
        expected |= {"session revoked": 1, "session conflict": 1}
    assert totals(edge, storage, "session") == expected


class Down:
    """A storage that is out of reach for what layers ask."""

    def __init__(self, inner: Storage) -> None:
        self.inner = inner
        self.down = True

    def execute(self, ops: Any, /) -> list[Any]:
        if self.down:
            raise StorageUnavailable("switched off")
        return self.inner.execute(ops)

    async def aexecute(self, ops: Any, /) -> list[Any]:
        if self.down:
            raise StorageUnavailable("switched off")
        return await self.inner.aexecute(ops)

    def close(self) -> None:
        self.inner.close()

    async def aclose(self) -> None:
        await self.inner.aclose()


@pytest.fixture
def down(storage: Storage) -> Down:
    return Down(storage)


@pytest.mark.parametrize(
    "layer",
    [RateLimit("5/day"), RateLimit("5/day", on_error="open"), ResponseCache(), Sessions(SECRET, on_error="open")],
    ids=repr,
)
def test_who_had_to_do_without_the_storage(edge: Edge, down: Down, layer: Layer) -> None:
    call = edge.wrap(hello, [layer], down)
    call(headers=[("host", "example.org"), *([("cookie", cookie_of(edge, layer))] if isinstance(layer, Sessions) else [])])
    down.down = False
    assert totals(edge, down, "degraded") == {f"degraded {type(layer).__name__}": 1}
    assert totals(edge, down, "trip failed") == {"trip failed": 1}


def cookie_of(edge: Edge, layer: Sessions) -> str:
    """The cookie of some session."""

    def handler(seen: Seen) -> Any:
        seen.native.get("redis_middleware.session", seen.native.get("session"))["a"] = 1
        return hello(seen)

    answer = edge.wrap(handler, [layer], "memory://")()
    edge.made.pop()  # type: ignore[attr-defined]  # it counts for nobody
    return (answer.headers.get("set-cookie") or "").partition(";")[0]
