"""The page, as people use it."""

from __future__ import annotations

import re

import httpx
from playwright.sync_api import Browser, BrowserContext, Page, Response, expect

from .conftest import Shop


def visited(shop: Shop, times: int = 30) -> None:
    """Requests to the shop itself, one of them hostile."""
    with httpx.Client(base_url=shop.address) as client:
        for number in range(times):
            client.get(f"/{number % 5}")
        client.get("/%3Cscript%3Ealert(1)%3C%2Fscript%3E" + "x" * 300)


def test_it_says_the_facts_without_a_script(browser: Browser, each: Shop) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(each.page)
        expect(page).to_have_title("Well · redis_middleware")
        expect(page.get_by_role("status").first).to_contain_text("Everything works.")
        for heading in ("Last 24 hours", "Advice", "Checks", "Layers"):
            expect(page.get_by_role("heading", name=heading)).to_be_visible()
        expect(page.locator("#figures")).to_contain_text("Memory")
        expect(page.locator("#day svg")).not_to_have_count(0)
        expect(page.get_by_role("row", name=re.compile("storage: write ✓ well"))).to_be_visible()
        expect(page.get_by_text("Load it again")).to_be_visible()
        for needed in ("#live", "#run-test", "#pause"):  # what a script has to do is not offered
            expect(page.locator(needed)).to_be_hidden()


def test_it_follows_what_happens(context: BrowserContext, shops: dict[str, Shop]) -> None:
    pages = [context.new_page() for _ in shops]
    for page, shop in zip(pages, shops.values(), strict=True):
        page.goto(shop.page)
        expect(page.locator("[data-chart=limits] .a b")).to_have_text("0/s")
        visited(shop)
    for page in pages:
        limits = page.locator("[data-chart=limits]")
        expect(limits.locator(".a b")).not_to_have_text("0/s", timeout=15_000)
        expect(limits.locator("path.a")).to_have_attribute("d", re.compile(r"^M.+L"))
        assert "allowed" in (limits.locator("svg").get_attribute("aria-label") or "")
        expect(page.locator("#most")).to_contain_text("Paths hit in the cache")
        expect(page.locator("#most")).to_contain_text("<script>alert(1)</script>xxx")


def test_the_self_test_shows_a_line_for_each_kind_of_data(page: Page, each: Shop) -> None:
    page.goto(each.page)
    expect(page.locator("#test-lines")).to_be_hidden()
    page.get_by_role("button", name="Test the storage").click()
    expect(page.locator("#test-said")).to_have_text("Everything that there is works.")
    expect(page.locator("#test-lines tbody tr")).to_have_count(7)
    expect(page.get_by_role("row", name="strings ✓ works")).to_contain_text("ms")


def test_a_pause_is_one(page: Page, shop: Shop) -> None:
    looks = Looks(page)
    page.goto(shop.page)
    looks.follow(3)
    pause = page.get_by_role("button", name="Pause")
    pause.click()
    expect(pause).to_have_attribute("aria-pressed", "true")
    page.wait_for_load_state("networkidle")
    before = looks.number
    page.clock.run_for(60_000)
    assert looks.number == before
    pause.click()
    looks.follow(1)


def test_what_a_user_has_open_stays_open(page: Page, shop: Shop) -> None:
    looks = Looks(page)
    page.goto(shop.page)
    page.get_by_text("The same as a table").click()
    looks.follow(3)
    expect(page.get_by_role("region", name="The last 24 hours as a table")).to_be_visible()
    expect(page.locator("#day tbody tr")).to_have_count(24)


class Looks:
    """How often a page has asked, on a clock that is moved."""

    def __init__(self, page: Page) -> None:
        self.number = 0
        self._page = page
        page.clock.install()
        page.on("response", self._count)

    def follow(self, times: int) -> None:
        """Move the clock until it has asked so often again."""
        wanted = self.number + times
        while self.number < wanted:
            self._page.clock.run_for(1000)

    def _count(self, response: Response) -> None:
        self.number += "/stats?" in response.url


def test_nothing_runs_but_its_own_script(browser: Browser, shop: Shop) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(shop.page)
        page.evaluate(
            """() => {
                window.violations = 0;
                addEventListener("securitypolicyviolation", () => { window.violations += 1; });
                const script = document.createElement("script");
                script.textContent = "window.intruded = true";
                document.body.append(script);
                document.body.insertAdjacentHTML("beforeend", "<img src='http://192.0.2.1/x'><b style='color:red'>x</b>");
            }"""
        )
        page.wait_for_function("window.violations >= 3")
        assert page.evaluate("window.intruded") is None


def test_a_phone_need_not_scroll_sideways(browser: Browser, shop: Shop) -> None:
    with browser.new_context(viewport={"width": 375, "height": 700}) as context:
        page = context.new_page()
        page.goto(shop.page)
        page.get_by_text("The same as a table").click()
        page.get_by_text("All that it tells of itself").click()
        page.get_by_role("button", name="Test the storage").click()
        expect(page.locator("#test-lines")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == 375
        small = page.evaluate(
            "[...document.querySelectorAll('button, summary')].filter((one) => one.getBoundingClientRect().height < 24).length"
        )
        assert small == 0, "targets of less than 24 px (WCAG 2.5.8)"
