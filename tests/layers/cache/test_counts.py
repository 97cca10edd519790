"""What a cache counts."""

from __future__ import annotations

from typing import Any

import pytest

from redis_middleware import run
from redis_middleware.layers.cache import Statistics
from redis_middleware.storage import Storage

from ...conftest import Clock
from ...edges import Edge
from .site import Site, Watch, is_hit, settle

MINUTE = [("cache-control", "max-age=60, stale-while-revalidate=60")]


def stats(site: Site) -> Statistics:
    return run(site.cache.stats(), site.storage)


def test_what_became_of_each_request(edge: Edge, storage: Storage, clock: Clock) -> None:
    site = Site(edge, storage, MINUTE)
    site.get("/a")  # stored
    site.get("/a")
    site.get("/a")
    clock.move(90)
    site.get("/a")  # stale, and renewed
    settle(edge)
    site.headers = [("cache-control", "no-store")]
    site.get("/b")
    site.get("/b")
    site.headers = [*MINUTE, ("set-cookie", "a=b")]
    site.get("/c")
    told = stats(site)
    assert (told.hits, told.stale, told.misses, told.stored, told.renewed, told.bytes) == (3, 1, 4, 2, 1, 2)
    assert told.refused == {"no-store": 2, "set-cookie": 1}
    assert told.hottest == [("/a", 3)]
    assert dict(told.most_missed) == {"/a": 1, "/b": 2, "/c": 1}
    assert told.hit_ratio == 3 / 7


def test_what_the_app_has_confirmed(edge: Edge, storage: Storage, clock: Clock) -> None:
    site = Site(edge, storage, [("cache-control", "max-age=60"), ("etag", '"v1"')])
    site.get()
    clock.move(70)
    site.status = 304
    site.get()
    told = stats(site)
    assert (told.hits, told.revalidated, told.misses) == (1, 1, 1)


def test_nothing_is_nothing(edge: Edge, storage: Storage) -> None:
    told = stats(Site(edge, storage))
    assert (told.hits, told.misses, told.refused, told.hottest, told.hit_ratio) == (0, 0, {}, [], 0)


def test_counts_leave_with_a_look_up(edge: Edge, storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """At most every two seconds; and a trip that fails loses none of the totals."""
    watch = Watch(storage)
    site = Site(edge, watch, MINUTE)
    site.get()
    site.get()
    assert "Add" not in watch.asked
    later: Any = site.cache._counts._totals._clock() + 3
    monkeypatch.setattr(site.cache._counts._totals, "_clock", lambda: later)
    watch.down = ("Add",)
    site.get()
    later += 3
    watch.down = ()
    watch.asked.clear()
    assert is_hit(site.get())
    assert sorted(watch.asked) == ["Add", "Find", "Get"]
    told = run(site.cache.stats(), storage)
    assert (told.hits, told.misses) == (2, 2)
    assert told.refused == {"storage": 1}
