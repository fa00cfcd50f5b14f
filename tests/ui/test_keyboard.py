"""The page by keyboard, by headings, in small windows, and without its service."""

import pytest
from playwright.sync_api import expect

from tests.ui.conftest import CALM, ENDLESS, Visitor

pytestmark = pytest.mark.browser


def test_arrows_go_through_the_boards(visitor: Visitor):
    visitor.page.get_by_role("tab", name="Chat", exact=True).focus()
    visitor.page.keyboard.press("ArrowRight")
    overview = visitor.page.get_by_role("tab", name="Overview", exact=True)
    expect(overview).to_have_attribute("aria-selected", "true")
    expect(overview).to_be_focused()
    visitor.page.wait_for_url("**#/overview")


def test_escape_closes_a_list_of_choices_and_then_stops_an_answer(visitor: Visitor):
    visitor.site.upstream.behave("remote", ENDLESS)
    visitor.ask(CALM, "remote")
    expect(visitor.answer()).to_contain_text("word1")
    choices = visitor.page.get_by_role("listbox")
    visitor.page.locator("#category input").click()
    expect(choices).to_be_visible()
    visitor.page.keyboard.press("Escape")
    expect(choices).to_have_count(0)
    said = visitor.answer().inner_text()
    visitor.page.wait_for_function(
        "(said) => document.querySelector('#talk').innerText.length > said.length",
        arg=said + "word",
    )
    visitor.page.keyboard.press("Escape")
    visitor.see("stopped")


@pytest.mark.parametrize("width", [390, 768, 1024])
def test_chat_and_log_are_one_column_in_a_small_window(visitor_at, site, width: int):
    visitor = visitor_at(site, viewport={"width": width, "height": 900})
    visitor.open()
    request = visitor.answered("How long do I boil an egg?", "swift")
    talk, picture = (visitor.page.locator(one).bounding_box() for one in ("#talk", "#picture"))
    assert picture["y"] >= talk["y"] + talk["height"]
    assert picture["width"] > width * 0.8
    visitor.tab("Log")
    row = visitor.page.locator(f'#log-rows tr[data-id="{request}"]')
    expect(row).to_be_visible()
    wide = visitor.page.locator("#log-rows .rt-table-wrap")
    assert wide.evaluate("wrap => wrap.scrollWidth <= wrap.clientWidth + 1")


def test_a_service_that_is_away_is_said(visitor: Visitor):
    visitor.context.set_offline(True)
    expect(visitor.page.locator(".rt-offline")).to_contain_text("cannot be reached")
    visitor.context.set_offline(False)
    expect(visitor.page.locator(".rt-offline")).to_be_hidden()
    visitor.problems.clear()  # the browser names each request that did not get through
