"""What the page says of a request is what the race decided, wherever it is read."""

import pytest
from playwright.sync_api import expect

from tests.ui.conftest import CALM, ENDLESS, Visitor
from tests.upstream import Behaviour

pytestmark = pytest.mark.browser


def reason(visitor: Visitor, request: str) -> str:
    row = visitor.site.run(visitor.site.router.services.log.get(request))
    return str(row["reason"])


def open_in_log(visitor: Visitor, request: str) -> None:
    visitor.tab("Log")
    visitor.page.locator(f'#log-rows tr[data-id="{request}"] td').nth(1).click()
    visitor.page.wait_for_selector(f'#replay [data-request="{request}"]')


def test_chat_panel_and_log_say_the_stored_reason(visitor: Visitor):
    request = visitor.answered("Solve the equation 3x^2 - 5x + 2 = 0.", "broken")
    why = reason(visitor, request)
    assert why.startswith("broken failed")  # once or twice, by how soon the fallback was ready
    note = visitor.page.locator("#talk .thought").filter(has_text="took over")
    expect(note).to_contain_text(why)
    expect(visitor.page.locator("#picture .rt-notes")).to_contain_text(why)
    open_in_log(visitor, request)
    expect(visitor.page.locator("#replay .rt-notes")).to_contain_text(why)


def test_a_stopped_answer_is_stopped_in_chat_panel_and_log(visitor: Visitor):
    visitor.site.upstream.behave("remote", ENDLESS)
    visitor.ask(CALM, "remote")
    expect(visitor.answer()).to_contain_text("word1")
    visitor.page.locator("#prompt .stop-button").click()
    request = visitor.see("stopped")
    expect(visitor.node("log")).to_have_attribute("data-state", "done")
    visitor.tab("Log")
    visitor.page.locator("#log-outcome").select_option("stopped")
    row = visitor.page.locator(f'#log-rows tr[data-id="{request}"]')
    expect(row.locator(".rt-state")).to_have_text("stopped")
    expect(row.locator(".rt-state")).to_have_attribute("data-state", "cancelled")


def test_retry_asks_the_model_that_is_chosen_now(visitor: Visitor):
    first = visitor.answered("What is the capital of Australia?", "swift")
    visitor.choose("provider", "steady")
    visitor.page.get_by_label("Retry").first.click()
    visitor.see("done", other_than=first)
    expect(visitor.answer()).to_contain_text("steady pretends")


def test_an_answer_that_was_cut_says_so_and_goes_on(visitor: Visitor):
    cut = Behaviour(text="Once upon a time", finish_reason="length")
    visitor.site.upstream.behave("remote", cut)
    first = visitor.answered("Tell me a long story.", "remote")
    expect(visitor.answer()).to_contain_text("Cut here")
    visitor.site.upstream.behave("remote", Behaviour(text="there was a mole."))
    visitor.page.get_by_role("button", name="Continue", exact=True).click()
    visitor.see("done", other_than=first)
    expect(visitor.answer()).to_contain_text("there was a mole.")
    sent = visitor.site.upstream.calls("remote")[-1].body["messages"]
    assert sent[-2]["content"] == "Once upon a time"


def test_a_row_far_down_opens_beside_it(visitor: Visitor):
    request = visitor.answered("How long do I boil an egg?", "swift")
    rows = visitor.site.run(visitor.site.router.services.log.get(request))
    for number in range(60):
        later = {**rows, "request_id": f"later-{number}", "at": rows["at"] + (number + 1) * 1e-6}
        visitor.site.run(visitor.site.router.services.log.write(later, []))
    visitor.tab("Log")
    visitor.page.locator(f'#log-rows tr[data-id="{request}"] td').nth(1).click()
    visitor.page.wait_for_selector(f'#replay [data-request="{request}"]')
    expect(visitor.page.locator("#replay .rt-head")).to_be_in_viewport()
    expect(visitor.page.locator(f'#log-rows tr[data-id="{request}"]')).to_have_attribute(
        "data-open", "true"
    )
