"""The examples of the docs, as they stand: they type-check, and do what the page says."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings

from redis_middleware import Health, MemoryStorage, RateLimit
from redis_middleware.cli.processes import python
from redis_middleware.storage import Storage

from .conftest import Clock
from .edges import WSGI, Edge, Seen, hello
from .snippets import snippets
from .storage.test_same import STEPS, comparable

LAYER, USE, TRIAL = snippets("docs/layers.md")
SQLITE, MOUNT = snippets("docs/storages.md")


def executed(code: str, **names: Any) -> SimpleNamespace:
    """What a snippet defines."""
    exec(compile(code, "<docs>", "exec"), names)
    return SimpleNamespace(**names)


@pytest.mark.parametrize("page", ["layer", "sqlite"])
def test_an_example_type_checks_strictly(page: str, tmp_path: Path) -> None:
    (tmp_path / f"{page}.py").write_text({"layer": LAYER + USE, "sqlite": SQLITE}[page])
    checked = subprocess.run(
        python("-m", "mypy", "--strict", f"{page}.py"), cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout


def test_a_flow_is_tried_without_a_server() -> None:
    executed(LAYER + TRIAL)


class Orders:
    """An app that must not be asked twice."""

    def __init__(self) -> None:
        self.taken = 0

    def __call__(self, seen: Seen) -> Any:
        self.taken += 1
        text = b"order %d" % self.taken
        return 201, [("content-type", "text/plain"), ("content-length", str(len(text)))], [text]


@pytest.fixture
def sqlite(tmp_path: Path, clock: Clock) -> Iterator[Any]:
    """The storage of the page."""
    made = executed(SQLITE).SQLiteStorage(str(tmp_path / "x.db"), timeout=10, clock=clock)
    yield made
    made.close()


@pytest.fixture(params=["any", "sqlite"])
def store(request: pytest.FixtureRequest, storage: Storage, sqlite: Any) -> Any:
    """Memory, Redis, and the SQLite of the page."""
    return storage if request.param == "any" else sqlite


def post(call: Any, token: str = "abc", peer: str = "192.0.2.1") -> Any:
    return call("POST", "/orders", [("idempotency-key", token)], peer)


def test_a_repeated_order_is_taken_once(edge: Edge, store: Any) -> None:
    orders = Orders()
    call = edge.wrap(orders, [Health(), RateLimit("100/hour"), executed(LAYER).Idempotency()], store)
    first, second = post(call), post(call)
    assert orders.taken == 1
    assert (first.status, first.body) == (second.status, second.body) == (201, b"order 1")
    assert "idempotency-replayed" not in first.headers
    assert second.headers.get("idempotency-replayed") == "true"
    assert second.headers.get("content-type") == "text/plain"
    assert post(call, "other").body == b"order 2"
    assert post(call, peer="192.0.2.2").body == b"order 3", "another client's key is another key"
    assert call("GET", "/orders", [("idempotency-key", "abc")]).body == b"order 4"


def test_a_repeat_while_the_first_is_running_is_refused(edge: Edge, store: Any) -> None:
    layer = executed(LAYER).Idempotency()
    inner: list[int] = []

    def repeats(seen: Seen) -> Any:
        if not inner:
            inner.append(0)
            inner.append(post(WSGI().wrap(hello, [layer], store)).status)
        return hello(seen)

    assert post(edge.wrap(repeats, [layer], store)).status == 200
    assert inner == [0, 409]


def test_after_a_failure_the_next_try_is_the_first(edge: Edge, store: Any) -> None:
    tries: list[int] = []

    def fails_once(seen: Seen) -> Any:
        tries.append(1)
        if len(tries) == 1:
            raise ZeroDivisionError
        return hello(seen)

    call = edge.wrap(fails_once, [executed(LAYER).Idempotency()], store)
    with pytest.raises(ZeroDivisionError):
        post(call)
    assert post(call).body == b"hello"


def test_the_limit_bites_on_sqlite_too(edge: Edge, sqlite: Any, clock: Clock) -> None:
    call = edge.wrap(hello, [Health(), RateLimit("2/minute")], sqlite)
    assert [call().status for _ in range(3)] == [200, 200, 429]
    assert call(path="/api/redis/health").status == 200
    clock.move(60)
    assert call().status == 200


def test_the_line_that_mounts_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    executed(SQLITE + MOUNT, app=hello).app.storage.close()
    assert (tmp_path / "limits.db").exists()


def test_threads_share_one_file(sqlite: Any) -> None:
    call = WSGI().wrap(hello, [RateLimit("50/hour")], sqlite)
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: call().status, range(100)))
    assert statuses.count(200) == 50


@settings(max_examples=50, deadline=None)
@given(steps=STEPS)
def test_sqlite_means_the_same_as_memory(steps: list[Any]) -> None:
    clock = Clock()
    memory, sqlite = MemoryStorage(clock=clock), executed(SQLITE).SQLiteStorage(":memory:", clock=clock)
    for step in steps:
        if isinstance(step, float):
            clock.move(step)
        else:
            assert comparable(memory.execute(step)) == comparable(sqlite.execute(step)), step
    sqlite.close()
