"""The page itself: private, safe, reachable and legible."""

from itertools import pairwise

import httpx
import pytest
from playwright.sync_api import expect

from tests.ui.boards import BOARDS
from tests.ui.conftest import Site, Visitor
from tests.upstream import Behaviour

pytestmark = pytest.mark.browser

HOSTILE = """Hello <script>window.owned = 1</script><img src=x onerror="window.owned = 2">
<iframe src="https://evil.example/frame"></iframe> <style>body { display: none }</style>
![pixel](https://evil.example/pixel.png) [a link](javascript:window.owned=3)
<a href="javascript:window.owned=4">raw link</a> ${window.owned = 5} {{constructor}}
<svg onload="window.owned=6"></svg><form action="https://evil.example"><input name=x></form>
<p style="position:fixed;inset:0">overlay</p> the end"""


def show(visitor: Visitor, board: str) -> None:
    visitor.tab(board)
    visitor.page.wait_for_selector(BOARDS[board])


def test_no_script_of_a_model_runs_and_nothing_of_it_is_loaded(visitor: Visitor):
    visitor.site.upstream.behave("hostile", Behaviour(text=HOSTILE))
    visitor.answered("Say something.", "hostile")
    expect(visitor.answer()).to_contain_text("the end")
    expect(visitor.answer()).to_contain_text("<script>")
    visitor.node("primary").click()
    expect(visitor.page.locator("#picture .rt-inspector")).to_contain_text("<script>")
    answer = visitor.page.locator("#talk .bot-row")
    for tag in ("script", "iframe", "style", "form", "svg[onload]", "[onerror]", "[style*=fixed]"):
        expect(answer.locator(f".message-content {tag}")).to_have_count(0)
    links = answer.locator(".message-content a").evaluate_all("all => all.map(a => a.href)")
    assert not [link for link in links if link.startswith("javascript:")]
    assert visitor.page.evaluate("() => window.owned") is None
    assert visitor.page.evaluate("() => getComputedStyle(document.body).display") != "none"


def test_a_hostile_prompt_is_shown_as_it_was_typed(visitor: Visitor):
    prompt = (
        "<img src=x onerror=window.owned=1> ${window.owned=2} **not bold** f(x) [y] $$z$$ &amp;"
    )
    visitor.answered(prompt, "swift")
    expect(visitor.page.locator("#talk .user-row")).to_contain_text(prompt)
    visitor.page.locator("#picture [data-badge=category] button").click()
    visitor.node("classify").click()
    expect(visitor.page.locator("#picture .rt-inspector")).to_contain_text("<img src=x")
    visitor.tab("Log")
    visitor.page.locator("#log-rows .rt-link").first.click()
    visitor.page.wait_for_selector("#replay .rt-view[data-phase=done]")
    assert visitor.page.evaluate("() => window.owned") is None


def test_hostile_documents_are_data(visitor: Visitor, tmp_path):
    document = tmp_path / "evil.md"
    document.write_text(
        "# <img src=x onerror=window.owned=1>\n\nThe zorble ${window.owned=2} hums."
    )
    visitor.tab("Knowledge")
    visitor.page.locator("input[type=file]:not(#attached *)").first.set_input_files(document)
    expect(visitor.page.locator("#ingest-progress")).to_contain_text("Done")
    visitor.page.locator("#knowledge-question textarea").fill("What does the zorble do?")
    visitor.page.locator("#knowledge-question textarea").press("Enter")
    expect(visitor.page.locator("#passages")).to_contain_text("${window.owned=2} hums")
    expect(visitor.page.locator("#documents")).to_contain_text("<img src=x")
    assert visitor.page.evaluate("() => window.owned") is None


def test_the_policy_blocks_what_would_leave_the_origin(visitor: Visitor):
    loaded = visitor.page.evaluate(
        """() => new Promise((resolve) => {
            const image = new Image();
            image.onload = () => resolve("loaded");
            image.onerror = () => resolve("blocked");
            image.src = "https://evil.example/pixel.png";
        })"""
    )
    assert loaded == "blocked"
    assert visitor.blocked
    fetched = visitor.page.evaluate(
        "() => fetch('https://evil.example/').then(() => 'sent', () => 'blocked')"
    )
    assert fetched == "blocked"


NAMELESS = """() => [...document.querySelectorAll('button, input, textarea, select, a[href]')]
    .filter(e => e.checkVisibility() && !e.closest('[aria-hidden=true]'))
    .filter(e => !(e.innerText || '').trim() && !e.getAttribute('aria-label')
        && !e.labels?.length && !e.title && e.type !== 'file')
    .map(e => e.outerHTML.slice(0, 160))"""
LEVELS = """() => [...document.querySelectorAll('h1,h2,h3,h4')].filter(h => h.checkVisibility())
    .map(h => Number(h.tagName[1]))"""


def test_every_board_opens_names_its_controls_and_skips_no_level_of_headings(visitor: Visitor):
    """And leaves the origin no more than any visitor does."""
    visitor.answered("What is the capital of Australia?", "swift")
    assert visitor.page.evaluate("() => document.documentElement.lang") == "en"
    for name in (None, *BOARDS):
        if name:
            show(visitor, name)
        assert (name, visitor.page.evaluate(NAMELESS)) == (name, [])
        levels = visitor.page.evaluate(LEVELS)
        assert (name, levels[0], levels.count(1)) == (name, 1, 1)
        jumps = [pair for pair in pairwise(levels) if pair[1] > pair[0] + 1]
        assert (name, jumps) == (name, [])


def test_what_happens_is_said_politely(visitor: Visitor):
    live = visitor.page.locator("#picture [role=status]")
    assert live.get_attribute("aria-live") == "polite"
    visitor.answered("What is the capital of Australia?", "swift")
    expect(live).to_contain_text("swift answered in")


def test_the_keyboard_reaches_the_graph_and_shows_where_it_is(visitor: Visitor):
    visitor.answered("What is the capital of Australia?", "swift")
    visitor.node("classify").focus()
    visitor.page.keyboard.press("Tab")
    focused = visitor.page.evaluate("() => document.activeElement.dataset.node")
    assert focused == "primary"
    outline = visitor.page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_states_differ_by_icon_word_and_stroke(visitor: Visitor):
    visitor.answered("Write a haiku about rain.", "tardy")
    looks = {}
    for name in ("join", "primary", "rerank"):
        node = visitor.node(name)
        looks[name] = (
            node.locator(".rt-icon").get_attribute("class"),
            node.locator(".rt-node-word").inner_text(),
            node.evaluate("n => getComputedStyle(n).borderWidth"),
        )
    assert all(len(set(column)) == 3 for column in zip(*looks.values(), strict=True))


def test_the_theme_can_be_switched_and_is_kept(visitor: Visitor):
    visitor.page.get_by_label("Switch between light and dark").click()
    expect(visitor.page.locator("body.dark")).to_have_count(1)
    visitor.page.reload()
    expect(visitor.page.locator("body.dark")).to_have_count(1)


def test_nothing_moves_for_who_wants_stillness(site: Site, visitor_at):
    visitor = visitor_at(site, reduced_motion="reduce")
    visitor.open()
    visitor.ask("Write a haiku about rain.", "tardy")
    visitor.see("running")
    lasting = visitor.page.evaluate(
        "() => document.getAnimations()"
        ".filter(a => a.effect.getComputedTiming().endTime > 50)"
        ".map(a => `${a.animationName || a.transitionProperty} on ${a.effect.target.className}`)"
    )
    assert lasting == []
    visitor.see("done")


def test_a_phone_shows_everything_without_scrolling_sideways(site: Site, visitor_at):
    visitor = visitor_at(site, viewport={"width": 390, "height": 844}, has_touch=True)
    visitor.open()
    visitor.answered("Write a haiku about rain.", "tardy")
    visitor.page.locator("#picture [data-badge=category] button").click()
    assert sideways(visitor) == 0
    for name in BOARDS:
        show(visitor, name)
        assert sideways(visitor) == 0, name


def sideways(visitor: Visitor) -> int:
    return visitor.page.evaluate("() => document.documentElement.scrollWidth - innerWidth")


def test_prompts_are_kept_in_the_list_of_conversations_alone_and_go_with_it(visitor: Visitor):
    visitor.answered("A very secret prompt", "swift")
    kept = visitor.page.evaluate("() => [{...localStorage}, {...sessionStorage}]")
    holding = [key for place in kept for key, text in place.items() if "secret" in text]
    assert [key.split(":")[0] for key in holding] == ["router-chat"]
    visitor.page.locator("#chats summary").click()
    delete = visitor.page.get_by_label("Delete: A very secret prompt")
    delete.click()
    delete.click()
    expect(visitor.page.locator("#talk .user-row")).to_have_count(0)
    kept = visitor.page.evaluate("() => JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert "secret" not in kept


def test_the_policy_is_a_header_and_nobody_frames_the_page(site: Site, browser):
    """The stranger's page is on another loopback name, so that another site is real."""
    with httpx.Client(base_url=site.url) as http:
        for path in ("/", "/config", "/theme.css", "/gradio_api/info", "/nowhere"):
            headers = http.get(path).headers
            assert "img-src 'self' data: blob:" in headers["content-security-policy"], path
            assert "frame-ancestors 'none'" in headers["content-security-policy"], path
            assert headers["x-content-type-options"] == "nosniff", path
            assert headers["referrer-policy"] == "no-referrer", path
    assert "http-equiv" not in http_page(site)
    context = browser.new_context()
    page = context.new_page()
    page.route("http://stranger.example/", lambda route: route.fulfill(body=framing(site)))
    page.goto("http://stranger.example/")
    page.wait_for_function("() => window.loaded")
    (frame,) = page.frames[1:]
    assert frame.url.startswith("chrome-error:")
    context.close()


def http_page(site: Site) -> str:
    return httpx.get(f"{site.url}/").text


def framing(site: Site) -> str:
    return f'<iframe src="{site.url}" onload="window.loaded = true"></iframe>'


def test_a_page_of_a_stranger_can_neither_read_nor_write(site: Site, browser):
    context = browser.new_context()
    page = context.new_page()
    page.route("http://stranger.example/", lambda route: route.fulfill(body="<h1>hello</h1>"))
    page.goto("http://stranger.example/")
    before = len(site.upstream.calls("remote"))
    said = page.evaluate(
        """async (url) => {
            const form = new FormData();
            form.append("files", new Blob(["x"]), "x.md");
            const json = { "content-type": "application/json" };
            const body = JSON.stringify({ data: ["hi", null, "remote"] });
            const sent = [
                fetch(url + "/config"),
                fetch(url + "/gradio_api/upload", { method: "POST", body: form }),
                fetch(url + "/gradio_api/run/ask", { method: "POST", headers: json, body }),
                fetch(url + "/gradio_api/run/ask", { method: "POST", body, mode: "no-cors" }),
            ];
            const done = await Promise.allSettled(sent);
            return done.map(one => one.status === "fulfilled" ? one.value.type : "refused");
        }""",
        site.url,
    )
    assert said[:3] == ["refused"] * 3
    assert len(site.upstream.calls("remote")) == before
    context.close()
