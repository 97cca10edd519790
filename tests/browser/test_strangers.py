"""Who may see what, in a browser; and what it says when the storage or the server goes away."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from redis_middleware.cli.processes import redis_server

from ..servers.launch import mounted

TOKEN = "s3cret"


@pytest.fixture(scope="module")
def guarded() -> Iterator[str]:
    """The page of a shop that shows details to who has a token alone."""
    with mounted("uvicorn httptools", "tests.browser.apps:asgi_app", REDIS_URL="memory://", TOKEN=TOKEN) as running:
        yield f"http://{running.address}/api/redis/"


def test_a_stranger_sees_the_status_and_nothing_else(browser: Browser, guarded: str) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(guarded)
        expect(page.locator("#status")).to_have_text("Well" + "Everything works.")
        for what in ("#figures", "#live", "#day", "#checks", "#advice", "#test", "#nodes"):
            expect(page.locator(what)).to_have_count(0)
        expect(page.get_by_role("link")).to_have_text(["health"])
        assert "stats" not in page.locator("body").inner_text()


def test_the_token_opens_it_and_is_not_kept(context: BrowserContext, guarded: str) -> None:
    page = context.new_page()
    page.goto(guarded)
    token = page.get_by_label("Token")
    token.fill("wrong")
    token.press("Enter")
    expect(page.locator("form [role=alert]")).to_have_text("That token opens nothing.")
    token.fill(TOKEN)
    token.press("Enter")
    expect(page.locator("#figures")).to_contain_text("of this process alone")
    expect(page.locator("#status")).to_be_focused()
    page.get_by_role("button", name="Test the storage").click()
    expect(page.locator("#test-lines tbody tr")).to_have_count(7)
    assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]
    page.reload()
    expect(page.locator("#figures")).to_have_count(0)


def test_it_says_when_the_storage_is_down_and_when_nobody_answers(browser: Browser) -> None:
    with redis_server() as server, browser.new_context() as context:
        url = f"redis://{server.address}/0"
        with mounted("gunicorn gthread", "tests.browser.apps:wsgi_app", REDIS_URL=url) as running:
            page: Page = context.new_page()
            page.goto(f"http://{running.address}/api/redis/")
            expect(page.locator("#status .word")).to_have_text("Well")
            server.process.kill()
            expect(page.locator("#status .word")).to_have_text("Down", timeout=10_000)
            expect(page).to_have_title("Down · redis_middleware")
            expect(page.locator("#status")).to_contain_text("Unreachable.")
        expect(page.get_by_role("alert")).to_have_text("The server does not answer. What is below is old.", timeout=10_000)
