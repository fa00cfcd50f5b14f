"""No board breaks a rule of axe-core, in either theme, from a phone to a wide screen."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.ui.boards import BOARDS

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text()
RUN = """async (options) => (await axe.run(document, {...options, resultTypes: ["violations"]}))
    .violations
    .map(v => [v.id, v.nodes.length, v.nodes[0].html.slice(0, 140), v.nodes[0].failureSummary])"""
COLOURS = ("color-contrast", "link-in-text-block")
"""The rules that look at colours; they take six times as long as all others together."""
FORMS = {"rules": {rule: {"enabled": False} for rule in COLOURS}}
LOOKS = {
    "runOnly": {"type": "rule", "values": list(COLOURS)},
    # Otherwise a pseudo-element makes a contrast unknown, at twice the time.
    "checks": {"color-contrast": {"options": {"ignorePseudo": True}}},
}
CONTRAST = """() => {
  const parse = (c) => [...c.match(/[\\d.]+/g).map(Number), 1].slice(0, 4);
  const lum = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c[3] > 0.99) return c;
    }
    return [255, 255, 255, 1];
  };
  const bad = [];
  for (const e of document.querySelectorAll('.rt-view *, #talk p, button, label span')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.checkVisibility() || e.closest('[aria-hidden=true]')) continue;
    const box = e.getBoundingClientRect();
    if (box.width < 2 || box.height < 2) continue;
    const [a, b] = [lum(parse(getComputedStyle(e).color)), lum(behind(e))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) bad.push(`${ratio.toFixed(2)} ${e.className} ${e.textContent.slice(0, 40)}`);
  }
  return bad;
}"""
"""Where axe-core finds no one background it knows no contrast; this goes by what is behind."""
WIDTHS = (390, 768, 1440)
WINDOW = {"width": 1440, "height": 900}


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Any]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield launched
        launched.close()


def violations(page: Page) -> dict[int, list[list[object]]]:
    """By the window's width, the rules that are broken."""
    found = {}
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        found[width] = [broken for kind in (FORMS, LOOKS) for broken in page.evaluate(RUN, kind)]
    return {width: broken for width, broken in found.items() if broken}


def show(page: Page, board: str) -> None:
    page.get_by_role("tab", name=board, exact=True).click()
    page.wait_for_selector(BOARDS[board])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_board_breaks_a_rule(browser: Any, url: str, scheme: str) -> None:
    page = browser.new_page(color_scheme=scheme, reduced_motion="reduce", viewport=WINDOW)
    page.set_default_timeout(20_000)
    page.goto(url)
    page.wait_for_selector("#picture .rt-view[data-phase=idle]")
    page.evaluate(AXE)
    page.locator("#provider input").click()
    page.get_by_role("option", name="cut").click()
    page.locator("#prompt textarea").fill("Write a haiku about rain.")
    page.locator("#prompt textarea").press("Enter")
    page.wait_for_selector("#picture .rt-view[data-phase=done]")
    found = {"Chat": violations(page)}
    page.locator("#picture [data-badge=category] button").click()
    assert page.evaluate(CONTRAST) == []
    for board in BOARDS:
        show(page, board)
        found[board] = violations(page)
        assert (board, page.evaluate(CONTRAST)) == (board, [])
    assert {board: broken for board, broken in found.items() if broken} == {}
