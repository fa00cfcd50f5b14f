"""What an answer was taken from, and the answer that was not served, are one click away."""

import pytest
from playwright.sync_api import expect

from tests.ui.conftest import Site, Visitor
from tests.upstream import Behaviour

pytestmark = pytest.mark.browser

TITLE = "Zorbles <img src=x onerror=window.owned=1> [hide](javascript:window.owned=2)"
TEXT = "A zorble hums at night. <script>window.owned=3</script> ${window.owned=4} **loud**"


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """A page whose knowledge base holds one document, in hostile words."""
    folder = tmp_path_factory.mktemp("library")
    documents = folder / "documents"
    documents.mkdir()
    (documents / "zorble & co.md").write_text(f"# {TITLE}\n\n{TEXT}\n")
    with Site(folder / "config", folder / "data", edit=prefer_the_broken) as site:
        site.run(site.router.services.knowledge.ingest([documents], topics=False))
        site.run(site.router.warm())
        yield site


def prefer_the_broken(written):
    """No other provider may answer in place of the fallback, which takes over soon."""
    written["priorities"] = {category: ["broken"] for category in written["priorities"]}
    del written["limits"]["general"]


@pytest.fixture
def reader(library: Site, visitor_at) -> Visitor:
    arrived = visitor_at(library)
    arrived.open()
    return arrived


def folded(visitor: Visitor, title: str):
    return visitor.page.locator("#talk .thought").filter(has_text=title)


def test_a_source_opens_to_its_title_its_document_and_its_text(reader: Visitor):
    reader.answered("What does a zorble do at night?", "broken")
    sources = folded(reader, "1 source")
    expect(sources).not_to_contain_text("hums at night")
    sources.locator(".title").click()
    expect(sources).to_contain_text(TITLE)
    expect(sources).to_contain_text("zorble & co.md")
    expect(sources).to_contain_text(TEXT)
    for tag in ("img", "script", "a", "strong:has-text('loud')"):
        expect(sources.locator(f".thought-group-content {tag}, .content {tag}")).to_have_count(0)
    assert reader.page.evaluate("() => window.owned") is None
    sources.locator(".title").click()
    expect(sources).not_to_contain_text("hums at night")


def test_the_losing_answer_opens_and_its_words_stay_words(reader: Visitor):
    hostile = "Half <img src=x onerror=window.owned=5> an answer"
    cut = Behaviour(text=hostile, gates={1: reader.site.run(never())})
    reader.site.upstream.behave("hostile", cut)
    reader.answered("What does a zorble do at night?", "hostile")
    loser = folded(reader, "What hostile had to say")
    loser.locator(".title").click()
    expect(loser).to_contain_text("Half")
    expect(loser.locator("img")).to_have_count(0)
    assert reader.page.evaluate("() => window.owned") is None


async def never():
    import asyncio

    return asyncio.Event()
