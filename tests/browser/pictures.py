"""The pictures of docs/health.md: `python -m tests.browser.pictures docs/images`. The numbers are made up, the page is real."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from socketserver import ThreadingMixIn
from threading import Thread
from typing import Any
from urllib.request import urlopen
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import redis
from playwright.sync_api import Browser, Page, Route, ViewportSize

from redis_middleware import Health, MemoryStorage, RateLimit, RedisStorage, ResponseCache, Sessions, WSGIMiddleware
from redis_middleware.cli.processes import redis_server
from redis_middleware.counting import HOUR, TOTALS, Top, hourly
from redis_middleware.counting.top import Add as AddToTop
from redis_middleware.counting.totals import Add
from redis_middleware.ops import Op
from redis_middleware.storage import Storage

from ..edges import environ
from .chromium import chromium

TICK, TICKS = 2, 150
"""Seconds between two looks of the page, and how many fill its charts."""
SESSIONS = 412

RANKINGS = {
    "denied:": ["203.0.113.7", "198.51.100.23", "2001:db8:7::/64", "#9f2c41d07be3a85516f0c2d94a7e61b8"],
    "denied paths": ["/login", "/search", "/api/orders", "/password/reset"],
    "cache hits": ["/", "/products", "/products/42", "/about", "/feed.xml"],
    "cache misses": ["/search", "/products/42", "/cart/recommendations"],
}


class Threaded(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002  # as its base has it


@contextmanager
def shop(storage: Storage) -> Iterator[str]:
    """An app in all layers on a storage, with some hundred sessions, until the block ends; the address of its page."""

    def empty(environ: Any, start_response: Any) -> list[bytes]:
        environ["redis_middleware.session"]["user"] = "ada"
        start_response("200 OK", [("content-type", "text/plain")])
        return [b""]

    layers = [Health(), RateLimit("9000/minute"), ResponseCache(), Sessions("0123456789abcdef0123456789abcdef", secure=False)]
    app: Any = WSGIMiddleware(empty, layers=layers, storage=storage)
    with make_server("127.0.0.1", 0, app, server_class=Threaded, handler_class=Quiet) as server:
        for _ in range(SESSIONS):
            app(environ(), lambda *head: None)
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/api/redis/"
        server.shutdown()


def seeded(storage: Storage, trips: bool = True) -> None:
    """A day of a shop, with a wave of denials and a bad quarter of an hour."""
    now, ops, sums = time.time(), [], dict[str, int]()
    for ago in range(24):
        busy = 0.35 + 0.65 * math.sin(math.pi * ((23 - ago) + 3) / 27) ** 2 + 0.08 * math.sin(ago * 2.7)
        denied = 0.01 + (0.14 if ago in (6, 7) else 0.0)
        counts = {
            "limit allowed": 41_000 * busy * (1 - denied), "limit denied": 41_000 * busy * denied,
            "cache hits": 29_000 * busy, "cache misses": 7_200 * busy * (1.5 if ago == 15 else 1), "session created": 610 * busy,
            "degraded RateLimit": 212 if ago == 15 else 0,
        }  # fmt: skip
        if trips:
            counts |= {
                "trip:0.0005": 30_000 * busy,
                "trip:0.001": 9_000 * busy,
                "trip:0.005": 900 * busy,
                "trip:sum": 19_000_000 * busy,
            }
            counts |= {"trip:0.25": 180.0, "trip failed": 37.0} if ago == 15 else {}
        whole = {name: int(number) for name, number in counts.items()}
        sums = {name: sums.get(name, 0) + number for name, number in whole.items()} | {
            k: v for k, v in sums.items() if k not in whole
        }
        ops.append(Add((hourly(now - ago * HOUR),), (86_400, *[part for pair in whole.items() for part in pair])))
    ops.append(Add((TOTALS,), (86_400, *[part for pair in sums.items() for part in pair])))
    tops: list[Op[Any]] = [
        AddToTop(
            (Top(name).key(),), (1000, *[part for place, item in enumerate(items) for part in (item, 900 // (place + 1) ** 2)])
        )
        for name, items in RANKINGS.items()
    ]
    storage.execute([*ops, *tops])


@dataclass
class Waves:
    """Answers `stats` as if the shop were in use: the real document, with counts that grow."""

    told: dict[str, Any]
    lost: range = range(0)
    """At which looks the storage is out of reach."""
    look: int = 0

    def __call__(self, route: Route) -> None:
        self.look += 1
        at, counted = self.look * TICK, self.told["analytics"]
        busy = 1 + 0.35 * math.sin(at / 40) + 0.12 * math.sin(at / 11)
        self.told["time"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1_800_000_000 + at))
        self.told["times"]["ping_ms"] = 0.18 + 0.03 * math.sin(at / 9) + 0.02 * math.sin(at / 2.3) + 0.2 * (self.look % 47 == 0)
        denied = 4 * math.exp(-(((at - 210) / 22) ** 2))
        grown = {"limit allowed": 11.4 * busy, "limit denied": denied, "cache hits": 8.1 * busy, "cache misses": 2.1 * busy}
        for name, number in grown.items():
            counted["totals"][name] = counted["totals"].get(name, 0) + number * TICK
        counted["active_sessions"] += self.look % 7 - 3 + (self.look % 5 == 0)
        made = 10.9 * busy * TICK
        counted["trips"]["count"] += made
        counted["trips"]["seconds"] += made * (0.00045 + 0.00008 * math.sin(at / 30))
        for bucket, share in zip(counted["trips"]["buckets"], (0.78, 0.93 + 0.04 * math.sin(at / 50), 1, 1, 1), strict=False):
            bucket["count"] += made * share
        lost = {
            "status": "fail",
            "analytics": {"unavailable": "unreachable"},
            "nodes": [{"server": {"unavailable": "unreachable"}}],
        }
        route.fulfill(json=self.told | (lost if self.look in self.lost else {}))


def followed(page: Page, address: str, waves: Waves) -> None:
    """Open the page, and let five minutes pass."""
    page.clock.install()
    page.route("**/stats?*", waves)
    page.goto(address)
    while waves.look < TICKS:
        page.clock.run_for(TICK * 500)


def told_by(address: str) -> Any:
    """What `stats` really says."""
    with urlopen(f"{address}stats?format=json") as answer:  # an address of our own
        return json.load(answer)


def taken(browser: Browser, address: str, path: Path, *, told: Any = None, dark: bool = False, phone: bool = False) -> None:
    """Take a picture of the upper part of the page. With `told`, the storage was lost some seconds ago."""
    size: ViewportSize = {"width": 375, "height": 1400} if phone else {"width": 1200, "height": 1180}
    page = browser.new_page(viewport=size, color_scheme="dark" if dark else "light")
    followed(page, address, Waves(told or told_by(address), range(TICKS - 12, TICKS + 9) if told else range(0)))
    page.screenshot(path=path)
    page.close()


def main(directory: Path) -> None:
    """Take all pictures."""
    directory.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        with redis_server("--maxmemory", "64mb", "--maxmemory-policy", "volatile-lru", "--appendonly", "yes") as server:
            storage = RedisStorage(f"redis://{server.address}/0")
            seeded(storage)
            with shop(storage) as address:
                taken(browser, address, directory / "health-well.png")
                taken(browser, address, directory / "health-dark.png", dark=True)
                taken(browser, address, directory / "health-phone.png", phone=True)
                with redis.Redis(port=server.port) as control:
                    control.config_set("maxmemory-policy", "noeviction")
                    control.config_set("maxmemory", int(control.info("memory")["used_memory"] / 0.86))
                time.sleep(1.1)  # a reading is as good as a new one for a second
                taken(browser, address, directory / "health-degraded.png")
                told = told_by(address)
                server.process.kill()
                server.process.wait()
                time.sleep(1.1)
                taken(browser, address, directory / "health-down.png", told=told)
        memory = MemoryStorage()
        seeded(memory, trips=False)
        with shop(memory) as address:
            taken(browser, address, directory / "health-memory.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
