"""The page for who cannot see it well, or has no mouse: what WCAG 2.2 AA asks and a test can tell."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from .conftest import Shop

CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (text) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = text; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => [r, g, b].map((one) => one / 255)
    .map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4))
    .reduce((sum, one, at) => sum + one * [0.2126, 0.7152, 0.0722][at], 0);
  const below = (node) => {
    for (let one = node; one; one = one.parentElement) {
      const colour = rgba(getComputedStyle(one).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return rgba("Canvas");
  };
  const poor = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    const seen = walker.currentNode.textContent.trim() && node.checkVisibility() && !node.closest("script, style, svg");
    if (!seen) continue;
    const style = getComputedStyle(node), [a, b] = [light(rgba(style.color)), light(below(node))].sort((x, y) => y - x);
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < (large ? 3 : 4.5)) poor.push([walker.currentNode.textContent.trim(), ratio]);
  }
  return poor;
}"""
"""Texts with less contrast than WCAG 1.4.3 asks for."""

STRUCTURE = """() => {
  const all = (what) => [...document.querySelectorAll(what)];
  const ids = all("[id]").map((one) => one.id), named = (id) => Boolean(document.getElementById(id)?.textContent.trim());
  return {
    language: document.documentElement.lang,
    landmarks: ["header", "main", "footer", "nav"].map((name) => all(`${name}`).length),
    headings: all("h1, h2, h3").map((one) => Number(one.tagName[1])),
    twice: ids.filter((id, at) => ids.indexOf(id) !== at),
    unnamed: all("section").filter((one) => !named(one.getAttribute("aria-labelledby"))).length
      + all("button, a, summary").filter((one) => !one.textContent.trim()).length
      + all("svg").filter((one) => one.getAttribute("aria-hidden") !== "true" && !one.getAttribute("aria-label")).length
      + all("input").filter((one) => !one.labels.length).length,
    tables: all("table").filter((one) => [...one.querySelectorAll("th")].some((th) => !th.scope)).length,
    inline: all("*").filter((one) => [...one.attributes].some((field) => /^(on|style$)/.test(field.name))).length,
  };
}"""


def opened(page: Page, shop: Shop) -> Page:
    """With everything that can be unfolded."""
    page.goto(shop.page)
    for summary in page.locator("summary").all():
        summary.click()
    page.get_by_role("button", name="Test the storage").click()
    expect(page.locator("#test-lines")).to_be_visible()
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_contrast(browser: Browser, shop: Shop, scheme: Any) -> None:
    with browser.new_context(color_scheme=scheme) as context:
        page = opened(context.new_page(), shop)
        assert page.evaluate(CONTRAST) == []
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, paper[4:-1].split(", "))) < 200) == (scheme == "dark")


@pytest.mark.parametrize("status", ["warn", "fail"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_so_it_has_when_things_are_bad(browser: Browser, shop: Shop, scheme: Any, status: str) -> None:
    with browser.new_context(color_scheme=scheme) as context:
        page = context.new_page()
        page.goto(shop.page)
        page.get_by_role("button", name="Pause").click()
        page.evaluate("(status) => { document.getElementById('status').dataset.status = status; }", status)
        page.evaluate(
            "(kind) => { for (const one of document.querySelectorAll('.good')) one.classList.replace('good', kind); }",
            {"warn": "warn", "fail": "bad"}[status],
        )
        page.evaluate("document.getElementById('lost').hidden = false; document.getElementById('lost').textContent = 'Lost.'")
        assert page.evaluate(CONTRAST) == []


def test_it_has_a_structure_and_everything_a_name(page: Page, shop: Shop) -> None:
    found = opened(page, shop).evaluate(STRUCTURE)
    assert found["language"] == "en"
    assert found["landmarks"] == [1, 1, 1, 1]
    headings = found["headings"]
    assert headings.count(1) == 1
    assert headings[0] == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(headings))
    assert (found["twice"], found["unnamed"], found["tables"], found["inline"]) == ([], 0, 0, 0)


def test_the_status_is_a_word_and_changes_are_said(page: Page, shop: Shop) -> None:
    page.goto(shop.page)
    status = page.locator("#status")
    assert status.get_attribute("role") == "status"
    expect(status.locator(".word")).to_have_text("Well")
    expect(page.locator("#test-said")).to_have_attribute("role", "status")
    assert page.locator("[aria-live]").count() == 0, "numbers that change every two seconds are not read out"


def test_a_keyboard_is_enough(page: Page, shop: Shop) -> None:
    page.goto(shop.page)
    expect(page.locator("#run-test")).to_be_visible()
    reached: list[str] = []
    for _ in range(40):
        page.keyboard.press("Tab")
        here = page.evaluate(
            "[document.activeElement.id || document.activeElement.textContent, outlined(document.activeElement)]"
        )
        reached.append(here[0])
        assert here[1], f"{here[0]} does not show that it has the focus"
        if here[0] == "The same as a table":
            page.keyboard.press("Enter")
            expect(page.get_by_role("region", name="The last 24 hours as a table")).to_be_visible()
        if here[0] == "run-test":
            page.keyboard.press("Enter")
            expect(page.locator("#test-lines tbody tr")).to_have_count(7)
            expect(page.locator("#run-test")).to_be_focused()
            break
    assert reached[0] == "pause"
    assert "The same as a table" in reached
    assert reached[-1] == "run-test"


@pytest.fixture(autouse=True)
def outlined(page: Page) -> None:
    page.add_init_script("window.outlined = (one) => parseFloat(getComputedStyle(one).outlineWidth) >= 2")
