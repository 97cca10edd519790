"""A browser for all tests here, and the shop under real servers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from ..servers.launch import mounted
from .chromium import chromium

SHOPS = {
    "gunicorn on Redis": ("gunicorn gthread", "wsgi_app", "6"),
    "uvicorn on Redis": ("uvicorn httptools", "asgi_app", "7"),
    "uvicorn on memory": ("uvicorn httptools", "asgi_app", None),
}


@dataclass
class Shop:
    """A running shop: where its pages are, and the page of the health layer."""

    address: str

    @property
    def page(self) -> str:
        return f"{self.address}/api/redis/"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as made:
        yield made


@pytest.fixture(scope="session")
def shops(redis_url: str) -> Iterator[dict[str, Shop]]:
    """The shop under each server and on each storage."""
    with ExitStack() as stack:
        found = {}
        for name, (server, app, database) in SHOPS.items():
            url = f"{redis_url.removesuffix('/0')}/{database}" if database else "memory://"
            running = stack.enter_context(mounted(server, f"tests.browser.apps:{app}", REDIS_URL=url))
            found[name] = Shop(f"http://{running.address}")
        yield found


@pytest.fixture(params=SHOPS)
def each(request: pytest.FixtureRequest, shops: dict[str, Shop]) -> Shop:
    """Each of them in turn."""
    return shops[request.param]


@pytest.fixture
def shop(shops: dict[str, Shop]) -> Shop:
    """One of them, for what does not depend on which."""
    return shops["gunicorn on Redis"]


@dataclass
class Watched:
    """What a page complains about."""

    lines: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        page.on("console", lambda message: self.lines.append(message.text))
        page.on("pageerror", lambda error: self.lines.append(str(error)))


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context()
    yield made
    made.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page that must not complain: of the Content-Security-Policy, of an error in a script, of what cannot be loaded."""
    made, watched = context.new_page(), Watched()
    watched.watch(made)
    yield made
    assert watched.lines == []
