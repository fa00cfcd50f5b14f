"""Chatting with the page in a real browser."""

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.ui.conftest import CALM, ENDLESS, Visitor
from tests.ui.replies import OVERS
from tests.upstream import Behaviour

pytestmark = pytest.mark.browser


def test_an_answer_streams_in_and_the_graph_ends_as_it_should(visitor: Visitor):
    visitor.answered("Why does TCP need a three-way handshake?", "swift")
    expect(visitor.answer()).to_contain_text("swift pretends to answer")
    states = {
        name: visitor.node(name).get_attribute("data-state")
        for name in ("classify", "primary", "join", "log")
    }
    assert set(states.values()) == {"done"}
    # On a busy machine the quick one is through before the fallback has found its passages.
    ended = visitor.node("fallback").get_attribute("data-state")
    assert ended in ("cancelled", "done", "skipped")


def test_the_prompt_box_is_emptied_and_given_back(visitor: Visitor):
    visitor.answered("What is the capital of Australia?", "swift")
    expect(visitor.page.locator("#prompt textarea")).to_have_value("")
    expect(visitor.page.locator("#prompt .submit-button")).to_have_text("Send")


def test_an_empty_prompt_asks_nothing(visitor: Visitor):
    visitor.ask("   ")
    visitor.answered("Hello, how are you today?", "swift")
    expect(visitor.page.locator("#talk .user-row")).to_have_count(1)


def test_later_turns_carry_the_conversation(visitor: Visitor):
    visitor.site.upstream.behave("remote", Behaviour(text="Canberra."))
    visitor.answered("What is the capital of Australia?", "remote")
    visitor.answered("And of Portugal?")
    sent = visitor.site.upstream.calls("remote")[-1].body["messages"]
    assert [m["content"] for m in sent] == [
        "What is the capital of Australia?",
        "Canberra.",
        "And of Portugal?",
    ]


def test_a_category_that_was_chosen_wins(visitor: Visitor):
    visitor.choose("category", "creative")
    visitor.answered("Fix this SQL query.", "swift")
    badge = visitor.page.locator("#picture [data-badge=category]")
    expect(badge).to_contain_text("creative")
    expect(badge).to_contain_text("chosen by you")


def test_an_example_is_asked_by_a_click(visitor: Visitor):
    example = visitor.page.locator(".rt-example").first
    prompt = example.inner_text()
    example.click()
    visitor.see("done")
    expect(visitor.page.locator("#talk .user-row")).to_contain_text(prompt)


def test_stop_stops_upstream_and_keeps_what_was_said(visitor: Visitor):
    upstream = visitor.site.upstream
    upstream.behave("remote", ENDLESS)
    aborted = upstream.aborted
    visitor.ask(CALM, "remote")
    expect(visitor.answer()).to_contain_text("word1")
    visitor.page.locator("#prompt .stop-button").click()
    visitor.see("stopped")
    expect(visitor.answer()).to_contain_text("Stopped here.")
    visitor.site.until(lambda: upstream.aborted > aborted)
    expect(visitor.page.locator("#prompt .submit-button")).to_be_visible()


def test_closing_the_tab_stops_upstream(visitor: Visitor):
    upstream = visitor.site.upstream
    upstream.behave("remote", Behaviour(tokens=1, gates={0: visitor.site.run(never())}))
    aborted = upstream.aborted
    called = upstream.requests
    visitor.ask(CALM, "remote")
    visitor.site.until(lambda: upstream.requests > called)
    visitor.page.close()
    visitor.site.until(lambda: upstream.aborted > aborted)


async def never():
    import asyncio

    return asyncio.Event()


def test_a_switch_replaces_the_text_and_says_why(visitor: Visitor):
    visitor.answered("Write a haiku about rain.", "staller")
    expect(visitor.answer()).to_contain_text("cheap pretends")
    expect(visitor.answer()).not_to_contain_text("staller pretends")
    note = visitor.page.locator("#talk .thought").filter(has_text="cheap took over")
    expect(note).to_contain_text("staller fell silent for 0.5 s in the middle of its answer")
    assert visitor.node("primary").get_attribute("data-state") == "late"


def test_a_late_answer_is_an_amendment_that_opens(visitor: Visitor):
    visitor.answered("Write a haiku about rain.", "tardy")
    expect(visitor.answer()).to_contain_text("cheap pretends")
    amendment = visitor.page.locator("#talk .thought").filter(has_text="tardy answered after all")
    expect(amendment).to_be_visible()
    expect(amendment).not_to_contain_text("tardy pretends")
    amendment.locator(".title").press("Enter")
    expect(amendment).to_contain_text("tardy pretends to answer")
    expect(visitor.node("primary")).to_contain_text("Came late")


def test_a_late_answer_finds_its_turn_though_another_was_asked_meanwhile(visitor: Visitor):
    visitor.answered("Write a haiku about rain.", "tardy")
    visitor.answered("What is the capital of Australia?", "swift")
    first = visitor.page.locator("#talk .bot-row").first
    expect(first).to_contain_text("tardy answered after all")
    expect(visitor.answer()).to_contain_text("swift pretends")


def test_the_loser_is_one_click_away(visitor: Visitor):
    visitor.answered("Write a haiku about rain.", "staller")
    loser = visitor.page.locator("#talk .thought").filter(has_text="What staller had to say")
    loser.locator(".title").press("Enter")
    expect(loser).to_contain_text("staller pretends to answer")


def test_a_primary_that_fails_is_named_in_a_sentence(visitor: Visitor):
    visitor.answered("Compose a limerick about a cat.", "broken")
    calls = visitor.page.locator("#picture .rt-fall").filter(has_text="broken").first
    expect(calls).to_contain_text("failed after")
    expect(calls).to_contain_text("server error")


def test_asking_again_replaces_the_answer(visitor: Visitor):
    first = visitor.answered("How long do I boil an egg?", "swift")
    visitor.page.get_by_label("Retry").first.click()
    second = visitor.see("done", other_than=first)
    assert second != first
    expect(visitor.page.locator("#talk .user-row")).to_have_count(1)


def test_a_thumb_feeds_the_ranking_and_can_be_taken_back(visitor: Visitor):
    request = visitor.answered("How long do I boil an egg?", "swift")
    log = visitor.site.router.services.log

    def liked():
        return visitor.site.run(log.get(request))["liked"]

    visitor.page.get_by_label("Like", exact=True).first.click()
    wait_for(lambda: liked() is True, visitor)
    visitor.page.get_by_label("Dislike", exact=True).first.click()
    wait_for(lambda: liked() is False, visitor)
    visitor.page.get_by_label("Disliked", exact=True).first.click()
    wait_for(lambda: liked() is None, visitor)


def wait_for(condition, visitor: Visitor):
    """The log is asked again after each round trip of the browser."""
    for _ in range(1_000):
        if condition():
            return
        visitor.page.wait_for_function("() => new Promise(requestAnimationFrame).then(() => true)")
    raise AssertionError("it never came to hold")


def test_an_answer_is_copied(visitor: Visitor):
    visitor.answered("What should I see in Lisbon?", "swift")
    visitor.page.locator("#talk .bot-row").get_by_label("Copy message").first.click()
    copied = visitor.page.evaluate("() => navigator.clipboard.readText()")
    request = visitor.page.locator("#picture .rt-view").get_attribute("data-request")
    row = visitor.site.run(visitor.site.router.services.log.get(request))
    assert copied == row["answer"]


def test_a_new_conversation_forgets_the_old_one(visitor: Visitor):
    visitor.answered("What is the capital of Australia?", "swift")
    visitor.page.locator("#fresh").click()
    expect(visitor.page.locator("#talk .user-row")).to_have_count(0)
    visitor.site.upstream.behave("remote", Behaviour(text="Fresh."))
    visitor.answered("Who are you?", "remote")
    sent = visitor.site.upstream.calls("remote")[-1].body["messages"]
    assert [m["content"] for m in sent] == ["Who are you?"]


def test_two_tabs_do_not_see_each_other(visitor: Visitor, visitor_at):
    other = visitor_at(visitor.site)
    other.open()
    visitor.answered("What is the capital of Australia?", "swift")
    expect(other.page.locator("#talk .user-row")).to_have_count(0)


def test_a_node_opens_to_its_input_and_output(visitor: Visitor):
    visitor.answered("Why does TCP need a three-way handshake?", "swift")
    visitor.node("primary").press("Enter")
    details = visitor.page.locator("#picture .rt-inspector")
    expect(details).to_contain_text("Input")
    expect(details).to_contain_text("swift pretends to answer")
    expect(visitor.node("primary")).to_have_attribute("aria-expanded", "true")
    details.get_by_label("Close").click()
    expect(details).to_be_hidden()


def test_the_category_opens_to_its_evidence(visitor: Visitor):
    visitor.answered("Why does TCP need a three-way handshake?", "swift")
    visitor.page.locator("#picture [data-badge=category] button").click()
    details = visitor.page.locator("#picture .rt-inspector")
    expect(details).to_contain_text("Most similar examples")
    expect(details.locator(".rt-share")).to_have_count(3)


def test_the_waterfall_shows_every_call_with_first_word_limit_and_cost(visitor: Visitor):
    visitor.answered("Write a haiku about rain.", "tardy")
    calls = visitor.page.locator("#picture .rt-fall")
    expect(calls).to_have_count(2)
    expect(calls.filter(has_text="cheap").locator(".rt-bar-tick")).to_be_visible()
    expect(calls.first.locator(".rt-cost")).to_have_text(re.compile(r"\$|free|unknown"))
    expect(visitor.page.locator("#picture .rt-line-limit")).to_have_text("first word by 1 s")


def test_an_earlier_answer_brings_back_its_picture(visitor: Visitor):
    first = visitor.answered("What is the capital of Australia?", "swift")
    visitor.answered("How long do I boil an egg?", "steady")
    visitor.page.locator("#talk .bot-row").first.locator(".message-content").first.click()
    visitor.page.wait_for_selector(f'#picture [data-request="{first}"]')


def test_the_request_id_is_copied(visitor: Visitor):
    request = visitor.answered("What is the capital of Australia?", "swift")
    visitor.page.get_by_label("Copy the request id").first.click()
    expect(visitor.page.locator("#picture .rt-id")).to_have_text("copied")
    assert visitor.page.evaluate("() => navigator.clipboard.readText()") == request


def test_simulation_is_marked_wherever_a_name_is_shown(visitor: Visitor):
    visitor.answered("What is the capital of Australia?", "swift")
    expect(visitor.page.locator("#picture .rt-fall .rt-mark").first).to_have_text("simulation")
    expect(visitor.page.locator("#talk .thought").first).to_contain_text("simulation")


def test_two_quick_sends_ask_once(visitor: Visitor):
    upstream = visitor.site.upstream
    upstream.behave("remote", Behaviour(text="Once."))
    called = len(upstream.calls("remote"))
    visitor.choose("provider", "remote")
    visitor.page.locator("#prompt textarea").fill("Say it once.")
    visitor.page.keyboard.press("Enter")
    visitor.page.keyboard.press("Enter")
    visitor.see("done")
    expect(visitor.page.locator("#prompt .submit-button")).to_have_text("Send")
    expect(visitor.answer()).to_contain_text("Once.")
    expect(visitor.page.locator("#talk .user-row")).to_have_count(1)
    assert len(upstream.calls("remote")) == called + 1


def test_a_double_click_on_send_does_not_stop_what_it_began(visitor: Visitor):
    visitor.page.locator("#prompt textarea").fill("Write a haiku about rain.")
    visitor.page.locator("#prompt .submit-button").dblclick(delay=60)
    visitor.see("done")
    expect(visitor.page.locator("#talk .user-row")).to_have_count(1)


def test_an_empty_prompt_leaves_the_chat_as_it_is(visitor: Visitor):
    request = visitor.answered("How long do I boil an egg?", "swift")
    handled: list[str] = []

    def both_handled(response: Any) -> bool:
        handled.extend([response.url] if "/run/" in response.url else [])
        return len(handled) == 2  # what begins, and, once the stream has ended, what gives back

    with visitor.page.expect_event("response", both_handled):
        visitor.page.locator("#prompt textarea").press("Enter")
    visitor.page.evaluate("() => new Promise(requestAnimationFrame)")
    expect(visitor.page.locator("#talk .user-row")).to_have_count(1)
    assert visitor.page.locator("#picture .rt-view").get_attribute("data-request") == request


def test_a_prompt_sent_while_another_runs_waits_in_the_box(visitor: Visitor):
    upstream = visitor.site.upstream
    upstream.behave("remote", ENDLESS)
    visitor.ask(CALM, "remote")
    expect(visitor.answer()).to_contain_text("word1")
    visitor.ask("And then?")
    visitor.page.locator("#prompt .stop-button").click()
    visitor.see("stopped")
    expect(visitor.page.locator("#prompt textarea")).to_have_value("And then?")
    expect(visitor.page.locator("#talk .user-row")).to_have_count(1)


def test_a_stop_that_comes_before_the_stream_is_not_lost(visitor: Visitor):
    visitor.site.upstream.behave("remote", ENDLESS)
    visitor.choose("provider", "remote")
    visitor.page.evaluate(
        """() => new MutationObserver((_, watcher) => {
            const stop = document.querySelector('#prompt .stop-button');
            if (!stop) return;
            watcher.disconnect();
            stop.click();
        }).observe(document.querySelector('#prompt'), {childList: true, subtree: true})"""
    )
    visitor.ask(CALM)
    visitor.see("stopped")
    expect(visitor.page.locator("#prompt .submit-button")).to_have_text("Send")


def test_a_new_conversation_in_the_middle_of_an_answer_stays_empty(visitor: Visitor):
    upstream = visitor.site.upstream
    upstream.behave("remote", ENDLESS)
    aborted = upstream.aborted
    visitor.ask(CALM, "remote")
    expect(visitor.answer()).to_contain_text("word1")
    visitor.page.locator("#fresh").click()
    visitor.site.until(lambda: upstream.aborted > aborted)
    expect(visitor.page.locator("#prompt .submit-button")).to_have_text("Send")
    visitor.see("idle")
    expect(visitor.page.locator("#talk .user-row")).to_have_count(0)
    upstream.behave("remote", Behaviour(text="Fresh."))
    visitor.answered("Who are you?")
    expect(visitor.page.locator("#talk .user-row")).to_have_count(1)
    assert kept(visitor) == [["Who are you?"], [CALM]]
    upstream.behave("remote", ENDLESS)
    visitor.ask("And what do you do?")
    expect(visitor.answer()).to_contain_text("word1")
    visitor.page.locator("#chats summary").click()
    for _ in range(2):
        visitor.page.get_by_label("Delete: Who are you?").click()
    visitor.see("idle")
    upstream.behave("remote", Behaviour(text="Fresh."))
    visitor.answered("Still there?")
    assert kept(visitor) == [["Still there?"], [CALM]]


def kept(visitor: Visitor) -> list[list[str]]:
    """The prompts of each conversation in the browser, newest first."""
    return visitor.page.evaluate(
        """() => Object.keys(localStorage).filter((key) => key.startsWith("router-chat:"))
        .map((key) => JSON.parse(localStorage[key])).sort((a, b) => b.at - a.at)
        .map((chat) => chat.turns.map((turn) => turn.prompt))"""
    )


def test_an_error_is_a_sentence_and_the_page_goes_on(visitor: Visitor):
    visitor.ask("x" * 400_001, "swift")
    visitor.see("failed")
    expect(visitor.answer()).to_contain_text("No answer. The prompt has 400001 characters")
    expect(visitor.page.locator("#prompt .submit-button")).to_have_text("Send")
    visitor.answered("What is the capital of Australia?")
    expect(visitor.answer()).to_contain_text("swift pretends to answer")


def test_the_category_menu_teaches_the_classifier(visitor: Visitor):
    prompt = "How long do I boil an egg?"
    visitor.answered(prompt, "swift")
    menu = visitor.page.locator("#picture [data-badge=category] select")
    expect(menu).to_have_value("general")
    menu.select_option("technical")
    expect(visitor.page.locator("#picture [data-badge=category]")).to_contain_text(
        "corrected by you"
    )
    visitor.answered(prompt, "swift")
    expect(menu).to_have_value("technical")
    expect(visitor.page.locator("#picture [data-badge=category]")).to_contain_text("sure")
    visitor.page.evaluate(OVERS)
    for category in ("creative", "general"):
        menu.select_option(category)
    visitor.page.wait_for_function(
        "() => window.overs.filter((key) => key === 'picture select').length === 2"
    )
    expect(menu).to_have_value("general")
    taught = visitor.site.run(visitor.site.router.taught())
    assert {one["prompt"]: one["category"] for one in taught}[prompt] == "general"
