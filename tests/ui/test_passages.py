"""The knowledge base beside the first model: seen at once, held back, and taken when it is late."""

import asyncio

import pytest
from playwright.sync_api import expect

from tests.ui.conftest import Site, Visitor
from tests.upstream import Behaviour

pytestmark = pytest.mark.browser

PROMPT = "What does a zorble do at night?"


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """A page whose knowledge base holds one document, and whose first model is remote."""
    folder = tmp_path_factory.mktemp("passages")
    documents = folder / "documents"
    documents.mkdir()
    (documents / "zorbles.md").write_text("# Zorbles\n\nA zorble hums at night, softly.\n")

    def first(written):
        written["limits"]["ttft_s"] = 60
        written["priorities"] = {name: ["remote", "broken"] for name in written["priorities"]}

    with Site(folder / "config", folder / "data", edit=first) as site:
        site.run(site.router.services.knowledge.ingest([documents], topics=False))
        site.run(site.router.warm())
        yield site


@pytest.fixture
def reader(library: Site, visitor_at) -> Visitor:
    arrived = visitor_at(library)
    arrived.open()
    return arrived


async def gate():
    return asyncio.Event()


def test_passages_are_there_while_the_first_model_thinks_and_are_not_needed_after(reader: Visitor):
    think = reader.site.run(gate())
    reader.site.upstream.behave("remote", Behaviour(text="It sleeps.", gates={0: think}))
    reader.ask(PROMPT, "remote")
    found = reader.page.locator("#picture .rt-passages-found")
    expect(found).to_contain_text("A zorble hums at night")
    expect(found).to_contain_text("Held back")
    expect(found.locator(".rt-passage-score")).to_contain_text("%")
    found.locator(".rt-held summary").click()
    expect(found.locator(".rt-held")).to_contain_text("(Zorbles, ")
    reader.site.loop.call_soon_threadsafe(think.set)
    reader.see("done")
    expect(reader.answer()).to_contain_text("It sleeps.")
    expect(found).to_contain_text("Not needed: a model answered in time.")


def test_a_first_model_with_little_time_is_overtaken_for_real(reader: Visitor):
    think = reader.site.run(gate())
    reader.site.upstream.behave("remote", Behaviour(text="It sleeps.", gates={0: think}))
    reader.choose("wait", "0.1 seconds")
    reader.answered(PROMPT, "remote")
    expect(reader.answer()).to_contain_text("cheap pretends")
    expect(reader.page.locator("#picture .rt-line-limit")).to_have_text("first word by 100 ms")
    notes = reader.page.locator("#picture .rt-notes")
    expect(notes).to_contain_text("remote had not begun to answer after 0.1 s")
    expect(reader.page.locator("#picture .rt-passages-found")).to_contain_text("made from these")
    reader.site.loop.call_soon_threadsafe(think.set)
    amendment = reader.page.locator("#talk .thought").filter(has_text="remote answered after all")
    expect(amendment).to_be_visible()


def test_one_example_makes_the_takeover_happen(reader: Visitor):
    think = reader.site.run(gate())
    reader.site.upstream.behave("remote", Behaviour(text="It sleeps.", gates={0: think}))
    reader.page.locator(".rt-takeover").click()
    reader.see("done")
    expect(reader.node("primary")).to_have_attribute("data-state", "late")
    expect(reader.answer()).to_contain_text("cheap pretends")
    reader.site.loop.call_soon_threadsafe(think.set)


def test_an_edited_prompt_is_asked_in_its_place(reader: Visitor):
    reader.site.upstream.behave("remote", Behaviour(text="First."))
    first = reader.answered("What is *this*?", "remote")
    reader.answered("And that?")
    reader.page.locator("#talk .bot-row").first.locator(".message-content").first.click()
    reader.page.wait_for_selector(f'#picture [data-request="{first}"]')
    reader.page.get_by_role("button", name="Edit prompt").click()
    box = reader.page.get_by_label("The prompt", exact=True)
    expect(box).to_have_value("What is *this*?")
    reader.site.upstream.behave("remote", Behaviour(text="Second."))
    box.fill("What was it?")
    box.press("Enter")
    reader.see("done", other_than=first)
    expect(reader.answer()).to_contain_text("Second.")
    expect(reader.page.locator("#talk .user-row")).to_have_text(["What was it?"])
    sent = reader.site.upstream.calls("remote")[-1].body["messages"]
    assert [m["content"] for m in sent] == ["What was it?"]
    kept = reader.page.evaluate("() => Object.values(localStorage).join()")
    assert "And that?" not in kept
