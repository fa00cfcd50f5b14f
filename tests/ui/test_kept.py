"""Conversations stay, and every board, request and conversation has an address."""

import pytest
from playwright.sync_api import expect

from tests.ui.conftest import CALM, ENDLESS, Site, Visitor
from tests.ui.replies import OVERS
from tests.upstream import Behaviour

pytestmark = pytest.mark.browser


def reload(visitor: Visitor) -> None:
    visitor.page.reload()
    visitor.page.wait_for_selector("#talk .bot-row")


def test_a_reload_keeps_conversation_category_and_model(visitor: Visitor):
    visitor.site.upstream.behave("remote", Behaviour(text="Canberra."))
    visitor.choose("category", "general")
    request = visitor.answered("What is the capital of Australia?", "remote")
    reload(visitor)
    expect(visitor.answer()).to_contain_text("Canberra.")
    visitor.page.wait_for_selector(f'#picture [data-request="{request}"][data-phase="done"]')
    expect(visitor.page.locator("#category input")).to_have_value("general")
    expect(visitor.page.locator("#provider input")).to_have_value("remote")
    visitor.answered("And of Portugal?")
    sent = visitor.site.upstream.calls("remote")[-1].body["messages"]
    assert [m["content"] for m in sent][:2] == ["What is the capital of Australia?", "Canberra."]


def test_a_reload_in_the_middle_keeps_what_was_said(visitor: Visitor):
    page = visitor.page
    visitor.site.upstream.behave("remote", ENDLESS)
    visitor.ask(CALM, "remote")
    expect(visitor.answer()).to_contain_text("word3")
    page.reload()
    visitor.problems.clear()  # gradio names the stream that it gave up
    visitor.see("stopped")
    expect(visitor.answer()).to_contain_text("word3")
    expect(visitor.answer()).to_contain_text("Stopped here.")


def test_a_reload_on_another_board_keeps_the_chat_and_the_address(visitor: Visitor):
    page = visitor.page
    visitor.site.upstream.behave("remote", Behaviour(tokens=10, token_s=0.1))
    visitor.ask(CALM, "remote")
    visitor.see("running")
    visitor.tab("Log")
    page.wait_for_selector("#picture .rt-view[data-phase=done]", state="attached")
    page.wait_for_url("**#/log")
    page.reload()
    page.wait_for_selector("#talk .bot-row", state="attached")
    page.wait_for_url("**#/log")
    visitor.tab("Chat")
    expect(page.locator("#talk .user-row")).to_have_text([CALM])
    page.wait_for_url("**#/chat/*")


def test_two_tabs_that_go_on_with_one_conversation_lose_neither(visitor: Visitor):
    visitor.answered("What is the capital of Australia?", "swift")
    other = Visitor(visitor.context, visitor.site, lambda: None)
    other.page.goto(visitor.page.url)
    expect(other.page.locator("#talk .user-row")).to_have_count(1)
    visitor.answered("And of Portugal?")
    other.answered("And of Norway?")
    assert other.page.url != visitor.page.url
    kept = """() => Object.keys(localStorage).filter((key) => key.startsWith("router-chat:"))
        .map((key) => JSON.parse(localStorage[key]).turns.map((turn) => turn.prompt)[1]).sort()"""
    assert visitor.page.evaluate(kept) == ["And of Norway?", "And of Portugal?"]
    expect(visitor.page.locator("#chats summary")).to_have_text("Conversations (2)")
    other.leave()


def test_conversations_are_listed_searched_renamed_opened_and_deleted(visitor: Visitor):
    page = visitor.page
    visitor.answered("What is the capital of Australia?", "swift")
    page.locator("#fresh").click()
    expect(page.locator("#talk .user-row")).to_have_count(0)
    visitor.answered("How long do I boil an egg?", "swift")
    page.locator("#chats summary").click()
    titles = page.locator("#chats .rt-chat-title")
    expect(titles).to_have_text(["How long do I boil an egg?", "What is the capital of Australia?"])
    page.get_by_label("Search conversations").fill("capital")
    expect(titles).to_have_count(1)
    page.get_by_label("Rename: What is the capital of Australia?").click()
    page.get_by_label("New name").fill("Capitals")
    page.get_by_label("New name").press("Enter")
    titles.filter(has_text="Capitals").click()
    expect(page.locator("#talk .user-row")).to_contain_text("Australia")
    with page.expect_download() as saved:
        page.get_by_label("Markdown: Capitals").click()
    assert saved.value.path().read_text().startswith("# Capitals\n\n## What is the capital")
    page.get_by_label("Delete: Capitals").click()
    page.get_by_label("Delete: Capitals").click()
    expect(titles).to_have_count(0)
    expect(page.locator("#talk .user-row")).to_have_count(0)


def test_a_conversation_is_forked_at_any_turn(visitor: Visitor):
    page = visitor.page
    first = visitor.answered("What is the capital of Australia?", "swift")
    visitor.answered("And of Portugal?")
    page.locator("#talk .bot-row").first.locator(".message-content").first.click()
    page.wait_for_selector(f'#picture [data-request="{first}"]')
    page.get_by_role("button", name="Fork from here").click()
    expect(page.locator("#talk .user-row")).to_have_count(1)
    page.locator("#chats summary").click()
    titles = page.locator("#chats .rt-chat-title")
    whole = "What is the capital of Australia?"
    expect(titles).to_have_text([f"{whole} (fork)", whole])
    titles.last.click()
    expect(page.locator("#talk .user-row")).to_have_count(2)


def test_a_category_is_corrected_from_the_log(visitor: Visitor):
    request = visitor.answered("Compose a ballad about a spanner.", "swift")
    page, router = visitor.page, visitor.site.router
    page.goto(f"{visitor.site.url}/#/log/{request}")
    page.wait_for_selector(f'#replay [data-request="{request}"]')
    page.locator("#replay .rt-badge-menu").select_option("technical")
    prompt = "Compose a ballad about a spanner."
    for _ in range(2_000):
        if any(one["prompt"] == prompt for one in visitor.site.run(router.taught())):
            return
        page.wait_for_function("() => new Promise(requestAnimationFrame).then(() => true)")
    raise AssertionError("the correction never came")


def test_boards_and_requests_have_addresses_and_back_works(visitor: Visitor):
    page = visitor.page
    request = visitor.answered("How long do I boil an egg?", "swift")
    visitor.tab("Log")
    page.locator(f'#log-rows tr[data-id="{request}"] td').nth(1).click()
    page.wait_for_url(f"**#/log/{request}")
    visitor.tab("Dry run")
    page.wait_for_url("**#/dry-run")
    page.go_back()
    page.go_back()
    page.wait_for_url("**#/log")
    expect(page.get_by_role("tab", name="Log", exact=True)).to_have_attribute(
        "aria-selected", "true"
    )
    other = visitor.context.new_page()
    other.goto(f"{visitor.site.url}/#/log/{request}")
    other.wait_for_selector(f'#replay [data-request="{request}"][data-phase="done"]')


def long_conversation(turns: int) -> dict[str, object]:
    """As a browser keeps it; the log has none of these requests."""
    about = {"category": None, "provider": None, "phase": "done", "answered_by": "swift"}
    kept = [
        {
            **about,
            "request_id": f"r{n}",
            "number": n,
            "prompt": f"Question {n}?",
            "text": f"No {n}.",
        }
        for n in range(turns)
    ]
    return {"id": "long", "title": "Long", "at": 1, "turns": kept}


def test_earlier_turns_are_folded_away_and_can_be_shown_found_and_copied(visitor: Visitor):
    page = visitor.page
    keep = "(chat) => localStorage.setItem('router-chat:long', JSON.stringify(chat))"
    page.evaluate(keep, long_conversation(100))
    page.goto(f"{visitor.site.url}/#/chat/long")
    page.reload()
    turns = page.locator("#talk .user-row")
    expect(turns).to_have_count(12)
    expect(page.locator(".rt-earlier")).to_contain_text("88 earlier turns are folded away")
    page.get_by_role("button", name="Show earlier").click()
    expect(turns).to_have_count(42)
    expect(turns.first).to_contain_text("Question 58?")
    page.locator("#talk .bot-row").nth(1).get_by_label("Copy message").first.click()
    assert page.evaluate("() => navigator.clipboard.readText()") == "No 59."
    page.locator("#talk .bot-row").nth(2).locator(".message-content").first.click()
    page.wait_for_selector('#picture [data-request="r60"]')
    page.locator("#chats summary").click()
    page.get_by_label("Search conversations").fill("Question 3?")
    expect(page.locator("#chats .rt-chat-title")).to_have_text(["Long"])
    visitor.answered("One more?", "swift")
    expect(turns).to_have_count(12)
    expect(page.locator(".rt-earlier")).to_contain_text("89 earlier turns")
    page.get_by_role("button", name="Show all").click()
    expect(turns).to_have_count(101)
    expect(page.locator(".rt-earlier")).to_be_hidden()
    page.evaluate(OVERS)
    page.locator("#chats .rt-chat-title").click()
    page.locator("#fresh").click()
    page.wait_for_function("() => window.overs.includes('chats restore')")
    visitor.answered("What is new?", "swift")
    expect(turns).to_have_text(["What is new?"])


def test_a_narrow_window_opens_the_boards_of_its_menu_by_their_addresses(site: Site, visitor_at):
    visitor = visitor_at(site, viewport={"width": 390, "height": 844})
    page = visitor.open()
    request = visitor.answered("How long do I boil an egg?", "swift")
    page.goto(f"{site.url}/#/log/{request}")
    page.wait_for_selector(f'#replay [data-request="{request}"][data-phase="done"]')
    visitor.tab("Settings")
    page.wait_for_url("**#/settings")
