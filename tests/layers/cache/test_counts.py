"""What a cache counts."""

from __future__ import annotations

from redis_middleware import run
from redis_middleware.layers.cache import Statistics
from redis_middleware.storage import Storage

from ...conftest import Clock
from ...edges import Edge
from .site import Site, settle

MINUTE = [("cache-control", "max-age=60, stale-while-revalidate=60")]


def stats(edge: Edge, site: Site) -> Statistics:
    edge.flush()
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
    told = stats(edge, site)
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
    told = stats(edge, site)
    assert (told.hits, told.revalidated, told.misses) == (1, 1, 1)


def test_nothing_is_nothing(edge: Edge, storage: Storage) -> None:
    told = stats(edge, Site(edge, storage))
    assert (told.hits, told.misses, told.refused, told.hottest, told.hit_ratio) == (0, 0, {}, [], 0)
