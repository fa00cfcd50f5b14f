"""The newest wish wins: replies that overtake each other, equal the last one, or never come."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.ui.conftest import CALM, Visitor
from tests.ui.replies import OVERS, holding, until
from ui.blocks import numbers

pytestmark = pytest.mark.browser


def test_the_last_filter_wins_however_late_the_first_is_answered(visitor: Visitor):
    page = visitor.page
    for prompt in ("Why do axolotls regrow their legs?", "Why do capybaras bathe?"):
        visitor.site.run(visitor.site.router.answer(prompt, provider="swift"))
    visitor.tab("Log")
    expect(page.locator("#log-rows tr[data-id]").first).to_be_visible()
    with holding(visitor, "log-rows", "refresh") as held:
        page.locator("#log-search").fill("axolotls")
        until(visitor, lambda: bool(held))
        page.locator("#log-search").fill("capybaras")
        page.locator("#log-search").fill("capybaras bathe")
        expect(page.locator("#log-rows tr[data-id]")).not_to_have_count(1)
        held[0].continue_()
        until(visitor, lambda: len(held) == 2)
        held[1].continue_()
    expect(page.locator("#log-rows tr[data-id]")).to_have_count(1)
    expect(page.locator("#log-rows tr[data-id]")).to_contain_text("capybaras")


def test_the_row_that_was_clicked_last_is_shown_at_the_end(visitor: Visitor):
    page, router = visitor.page, visitor.site.router
    slow = visitor.site.run(router.answer("Write a poem about moss.", provider="tardy"))
    quick = visitor.site.run(router.answer("How tall are giraffes?", provider="swift"))
    visitor.tab("Log")
    page.evaluate(OVERS)
    for request in (slow.request_id, quick.request_id):
        page.locator(f'#log-rows tr[data-id="{request}"] .rt-link').click()
    page.wait_for_function("() => window.overs.filter(k => k === 'log-rows select').length === 2")
    shown = page.locator("#replay .rt-view")
    expect(shown).to_have_attribute("data-request", quick.request_id)
    expect(shown).to_have_attribute("data-phase", "done")


def test_what_fails_says_so_and_can_be_asked_again(visitor: Visitor):
    page = visitor.page
    visitor.tab("Ranking")
    slider = page.get_by_label("How much cost lowers a score")
    said = page.locator("#whatif [role=status]")
    with holding(visitor, "whatif", "ask") as held:
        slider.fill("0.6")
        slider.dispatch_event("change")
        until(visitor, lambda: bool(held))
        held[0].fulfill(status=500, json={"error": "out of order"})
        expect(said).to_contain_text("Please try again")
    visitor.problems.clear()  # the browser names the 500
    slider.dispatch_event("change")
    expect(said).to_contain_text("Not enough data")


def test_what_is_typed_while_a_prompt_is_on_its_way_stays_in_the_box(visitor: Visitor):
    page, held = visitor.page, []

    def first(route) -> None:
        begins = not held and CALM in (route.request.post_data or "")
        held.append(route) if begins else route.fallback()

    page.route("**/gradio_api/run/**", first)
    visitor.ask(CALM, "swift")
    until(visitor, lambda: bool(held))
    page.locator("#prompt textarea").fill("And after that?")
    held[0].continue_()
    visitor.see("done")
    expect(page.locator("#prompt textarea")).to_have_value("And after that?")
    expect(page.locator("#talk .user-row")).to_have_text([CALM])
    page.unroute("**/gradio_api/run/**", first)


def test_a_board_that_comes_into_sight_again_offers_nothing_that_is_under_way(visitor: Visitor):
    page, ask = visitor.page, visitor.page.locator("#compare-ask")
    visitor.tab("Compare")
    page.get_by_label("Prompt to compare").fill("Why is the sky blue?")
    for name in ("swift", "tardy"):
        page.locator(f'#compare input[value="{name}"]').check()
    page.evaluate(OVERS)
    ask.click()
    expect(page.locator("#compare [role=status]")).to_contain_text("Asking 2 models")
    visitor.tab("Log")
    visitor.tab("Compare")
    page.wait_for_function("() => window.overs.includes('compare refresh')")
    assert page.evaluate(
        "() => document.querySelector('#compare-ask').disabled"
        " || document.querySelectorAll('.rt-compared').length === 2"
    )
    expect(page.locator("#compare .rt-compared")).to_have_count(2)
    expect(ask).to_be_enabled()


def test_the_last_prompt_of_the_dry_run_wins(visitor: Visitor):
    visitor.tab("Dry run")
    box = visitor.page.locator("#route-prompt textarea")
    for prompt in ("Write a Python function that sorts a list", "Write a poem about the rain"):
        box.fill(prompt)
        box.press("Enter")
    expect(visitor.page.locator("#route h2").first).to_have_text("Category: creative")


def test_the_replies_of_a_service_that_was_restarted_are_newer():
    """Else an open page would show nothing of them."""
    before, after = next(numbers()), next(numbers())
    assert 10**15 < before <= after < 2**53  # what JavaScript counts exactly
